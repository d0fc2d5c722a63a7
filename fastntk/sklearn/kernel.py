"""The limit kernels as a scikit-learn kernel."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import Kernel

from fastntk.base import checks
from fastntk.device.arrays import require_on_host
from fastntk.matrices.limit import limit_source
from fastntk.matrices.limit_blocks import LimitGram
from fastntk.matrices.tiled import compute


class NTKKernel(Kernel):
    """Kernel of an infinitely wide ReLU network, ``k(x, z) = limit_gram([x], [z])``.

    Add it to and multiply it with scikit-learn's kernels; ``ConstantKernel() * NTKKernel()`` has a tunable variance.

    Parameters
    ----------
    layers : {"both", "second", "first"}
        Trained layers: "both" is the tangent kernel, "second" the kernel of the network as a Gaussian process
        (NNGP), "first" exists at depth 1 only.
    depth : int
        Number of hidden layers.
    scale : float
        The activation is ``scale * relu``: 1 is the network of Du et al., sqrt(2) that of He et al., which keeps the
        diagonal of "second" at ``|x|^2``.
    bias : float
        Points become ``(x, bias)``, a bias of the first layer. 0, the default, appends nothing: the kernel is then
        homogeneous, ``k(s x, t z) = s t k(x, z)`` for positive s and t.

    Raises
    ------
    ValueError, TypeError
        On the first call, if a parameter is out of range.

    Notes
    -----
    None of the parameters is a hyper-parameter in scikit-learn's sense: `theta` is empty and the gradient has shape
    (n, n, 0). Values are those of `fastntk.limit_gram` in float64; no warning is given of rows that make the matrix
    singular, because a kernel may be one term of a sum. Cost: ``n^2 d`` flops and ``8 n^2`` bytes.
    Sources: Jacot et al. (arXiv 1806.07572), Theorem 1; Du et al. (arXiv 1810.02054), Definition 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
    >>> from fastntk.sklearn import NTKKernel
    >>> X = np.linspace(-1, 1, 21)[:, np.newaxis]
    >>> kernel = ConstantKernel() * NTKKernel(bias=1.0) + WhiteKernel(1e-4, "fixed")
    >>> model = GaussianProcessRegressor(kernel).fit(X, np.abs(X[:, 0]))
    >>> model.predict([[0.55]]).round(2)
    array([0.55])
    """

    def __init__(self, layers: str = "both", depth: int = 1, scale: float = 1.0, bias: float = 0.0) -> None:
        self.layers, self.depth, self.scale, self.bias = layers, depth, scale, bias

    def __call__(self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None, eval_gradient: bool = False) -> Any:
        """Kernel matrix, and its gradient if asked for.

        Parameters
        ----------
        X : array_like, shape (n, d)
        Y : array_like, shape (k, d), optional
            X itself by default.
        eval_gradient : bool
            Only without Y.

        Returns
        -------
        K : ndarray, shape (n, k)
            Exactly symmetric without Y.
        gradient : ndarray, shape (n, n, 0)
            Only if `eval_gradient`: there is nothing to differentiate with respect to.
        """
        if eval_gradient and Y is not None:
            raise ValueError("eval_gradient must be False where Y is given, got True")
        K = compute(self._source(X, Y))
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X: npt.ArrayLike) -> np.ndarray:
        """``k(x, x)`` for each row, without the matrix; the diagonal of ``self(X)`` to the bit."""
        return self._source(X).diagonal()

    def is_stationary(self) -> bool:
        """Whether values depend on ``x - z`` only: False."""
        return False

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({settings})"

    def _source(self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None) -> LimitGram:
        """The matrix, not yet computed; singular ones are no concern of a kernel that others may add to."""
        others = None if Y is None else self._points(Y, "Y")
        return limit_source(self._points(X, "X"), others, self.layers, self.depth, self.scale, name="Y")

    def _points(self, X: npt.ArrayLike, name: str) -> np.ndarray:
        """Rows of `X` with the coordinate of the bias."""
        require_on_host(**{name: X})
        rows = checks.matrix(X, name)
        bias = checks.nonnegative(self.bias, "bias")
        return np.column_stack([rows, np.full(len(rows), bias, rows.dtype)]) if bias else rows
