"""Kernel ridge regression and classification with the limit kernels."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastntk.base import checks
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import require_on_host
from fastntk.sklearn.dual import dual_coefficients
from fastntk.sklearn.kernel import NTKKernel

_BLOCK = 2**24  # kernel values held at once while predicting: 128 MiB


class _DualModel(BaseEstimator):
    """What both estimators share: ``f(x) = sum_i k(x, x_i) dual_i`` with ``(K + alpha I) dual = targets``."""

    def __init__(
        self,
        layers: str = "both",
        depth: int = 1,
        scale: float = 1.0,
        bias: float = 0.0,
        normalize: bool = False,
        alpha: float = 1.0,
    ) -> None:
        self.layers, self.depth, self.scale, self.bias = layers, depth, scale, bias
        self.normalize, self.alpha = normalize, alpha

    def _kernel(self, X: np.ndarray, Z: np.ndarray | None = None) -> np.ndarray:
        kernel = NTKKernel(self.layers, self.depth, self.scale, self.bias)
        if self.normalize:
            X, Z = _unit_rows(X), None if Z is None else _unit_rows(Z)
        return kernel(X, Z)

    def _fit(self, X: np.ndarray, targets: np.ndarray) -> None:
        alpha = checks.nonnegative(self.alpha, "alpha")
        Y = targets.astype(np.float64).reshape(len(X), -1)
        with one_blas_thread():
            self.dual_coef_ = dual_coefficients(self._kernel(X), Y, alpha).reshape(targets.shape)
        self.X_fit_ = X

    def _values(self, X: npt.ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        require_on_host(X=X)
        samples = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        values = np.empty((len(samples), *self.dual_coef_.shape[1:]))
        step = max(1, _BLOCK // len(self.X_fit_))
        for first in range(0, len(samples), step):
            rows = slice(first, first + step)
            K = self._kernel(samples[rows], self.X_fit_)
            with one_blas_thread():
                values[rows] = K @ self.dual_coef_
        return values


class NTKRegressor(RegressorMixin, MultiOutputMixin, _DualModel):
    """Kernel ridge regression with the limit kernel of a ReLU network, ``f(x) = k(x, X) (K + alpha I)^-1 y``.

    With alpha = 0 that is what gradient descent on the infinitely wide network converges to, from outputs that are 0.

    Parameters
    ----------
    layers : {"both", "second", "first"}
        Trained layers; "first" exists at depth 1 only.
    depth : int
        Number of hidden layers.
    scale : float
        The activation is ``scale * relu``.
    bias : float
        Constant that is appended to the points as a coordinate; 0 appends nothing.
    normalize : bool
        Divide the rows by their lengths first (rows of zeros stay).
    alpha : float
        Ridge, 0 or above: the problem is ``min |f(X) - y|^2 + alpha |f|_k^2``.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n,) or (n, targets)
    X_fit_ : ndarray, shape (n, d)
        Copy of the training rows.
    n_features_in_ : int

    Notes
    -----
    Cost of fitting: the kernel, ``8 n^2`` bytes, and ``n^3 / 3`` flops for the Cholesky factor, made in the same
    memory. Predictions hold 128 MiB of kernel values at a time. A matrix that is singular to working precision
    (alpha = 0 and repeated rows) gives the least-squares solution of least norm and a
    ``scipy.linalg.LinAlgWarning``. The same model as ``KernelRidge(alpha, kernel=NTKKernel(...))``.
    Source: Jacot et al. (arXiv 1806.07572), Section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.sklearn import NTKRegressor
    >>> X = np.linspace(-1, 1, 21)[:, np.newaxis]
    >>> model = NTKRegressor(bias=1.0, alpha=1e-6).fit(X, np.abs(X[:, 0]))
    >>> model.predict([[0.55]]).round(2)
    array([0.55])
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit to samples `X`, shape (n, d), and targets `y`, shape (n,) or (n, targets)."""
        require_on_host(X=X, y=y)
        samples, targets = validate_data(
            self, X, y, dtype=(np.float64, np.float32), copy=True, multi_output=True, y_numeric=True
        )
        self._fit(samples, targets)
        return self

    def predict(self, X: npt.ArrayLike) -> np.ndarray:
        """Values at the rows of `X`, float64, shape (n,) or (n, targets)."""
        return self._values(X)


class NTKClassifier(ClassifierMixin, _DualModel):
    """Least-squares classification with the limit kernel of a ReLU network, one class against the rest.

    Kernel ridge regression on labels +1 (of the class) and -1; the largest value wins.

    Parameters
    ----------
    layers : {"both", "second", "first"}
        Trained layers; "first" exists at depth 1 only.
    depth : int
        Number of hidden layers.
    scale : float
        The activation is ``scale * relu``.
    bias : float
        Constant that is appended to the points as a coordinate; 0 appends nothing.
    normalize : bool
        Divide the rows by their lengths first (rows of zeros stay).
    alpha : float
        Ridge, 0 or above.

    Attributes
    ----------
    classes_ : ndarray, shape (classes,)
    dual_coef_ : ndarray, shape (n,) for two classes, (n, classes) for more
    X_fit_ : ndarray, shape (n, d)
        Copy of the training rows.
    n_features_in_ : int

    Notes
    -----
    Costs and singular systems as for `NTKRegressor`; more classes cost ``2 n^2`` flops each.

    Examples
    --------
    >>> from fastntk.sklearn import NTKClassifier
    >>> model = NTKClassifier().fit([[1, 0], [0, 1], [2, 1]], ["a", "b", "a"])
    >>> model.predict([[3, 1], [1, 3]]).tolist()
    ['a', 'b']
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit to samples `X`, shape (n, d), and labels `y`, shape (n,), of two or more classes."""
        require_on_host(X=X, y=y)
        samples, labels = validate_data(self, X, y, dtype=(np.float64, np.float32), copy=True)
        check_classification_targets(labels)
        self.classes_, classes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {self.classes_[0]!r}")
        wanted = (1,) if len(self.classes_) == 2 else np.arange(len(self.classes_))
        targets = np.where(classes[:, np.newaxis] == wanted, 1.0, -1.0)
        self._fit(samples, targets[:, 0] if len(self.classes_) == 2 else targets)
        return self

    def decision_function(self, X: npt.ArrayLike) -> np.ndarray:
        """Values of the regressions: shape (n, classes), or (n,) for two classes, positive for ``classes_[1]``."""
        return self._values(X)

    def predict(self, X: npt.ArrayLike) -> np.ndarray:
        """Labels of the rows of `X`."""
        values = self.decision_function(X)
        chosen: Any = (values > 0).astype(np.intp) if values.ndim == 1 else values.argmax(axis=1)
        return self.classes_[chosen]


def _unit_rows(X: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths; zero rows stay."""
    largest = np.abs(X).max(axis=1, keepdims=True)  # so that no square overflows or vanishes
    scaled = np.divide(X, largest, out=np.zeros_like(X), where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.divide(scaled, lengths, out=scaled, where=lengths > 0)
