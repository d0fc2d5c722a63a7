"""The two-layer ReLU network of Du et al."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk import checks
from fastntk.masks import forward_pass
from fastntk.memory import require_memory
from fastntk.torch_bridge import module_of, weights_of

_DRAW_BYTES = 2**23  # neurons are drawn in pieces of this size: float64 draws are never all in memory


class TwoLayerReLU:
    """Network ``f(x) = (1 / sqrt(m)) sum_r a_r relu(w_r . x)``.

    Parameters
    ----------
    W : array_like, shape (m, d)
        Weights of the first layer; float32 or float64 decides the precision of everything computed with them.
    a : array_like, shape (m,)
        Weights of the second layer.

    Raises
    ------
    ValueError, TypeError
        If an argument is empty, not finite, not real, or the shapes disagree.

    Notes
    -----
    Calling the network on ``X`` costs ``2 n d m`` flops of BLAS.  Source: Du et al. (arXiv 1810.02054), Equation (1).

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    >>> net.width, net.d
    (2, 2)
    >>> net([[2.0, 1.0]]).round(6)
    array([0.707107])
    """

    def __init__(self, W: npt.ArrayLike, a: npt.ArrayLike) -> None:
        self.W = checks.matrix(W, "W")
        self.a = checks.vector(a, "a", len(self.W), "W", self.W.dtype)

    @classmethod
    def init(cls, d: int, width: int, seed: int = 0, dtype: npt.DTypeLike = "float32") -> "TwoLayerReLU":
        """Random network: ``w_r ~ N(0, I)``, ``a_r ~ unif{-1, +1}``.

        Parameters
        ----------
        d, width : int
            Dimension of the samples and number of neurons, at least 1.
        seed : int
            Same seed, same numbers; neuron r does not depend on the width, so a narrow network is the first
            part of a wide one.
        dtype : {"float32", "float64"}
            Precision; float32 weights are the rounded float64 ones.

        Returns
        -------
        TwoLayerReLU

        Raises
        ------
        ValueError, TypeError
            If an argument is out of range.
        MemoryLimitError
            If the weights do not fit in memory.

        Examples
        --------
        >>> import fastntk
        >>> narrow = fastntk.TwoLayerReLU.init(3, 2, seed=1)
        >>> wide = fastntk.TwoLayerReLU.init(3, 4, seed=1)
        >>> bool((narrow.W == wide.W[:2]).all() and (narrow.a == wide.a[:2]).all())
        True
        """
        d = checks.integer(d, "d", 1)
        width = checks.integer(width, "width", 1)
        seed = checks.integer(seed, "seed", 0)
        kind = checks.floating_dtype(dtype)
        require_memory(width * (d + 1) * kind.itemsize, f"a network of width {width} on {d} inputs")
        weights = np.empty((width, d), dtype=kind)
        weight_draws(seed)(weights)
        signs = np.random.default_rng(_streams(seed)[1]).integers(0, 2, size=width, dtype=np.uint8)
        net = cls.__new__(cls)
        net.W = weights
        net.a = np.where(signs == 1, kind.type(1), kind.type(-1))
        return net

    @classmethod
    def from_torch(cls, module: Any) -> "TwoLayerReLU":
        """Network with the outputs of ``torch.nn.Sequential(Linear(d, m), ReLU(), Linear(m, 1))`` without biases.

        ``W = module[0].weight`` and ``a = sqrt(m) module[2].weight[0]``, because a module has no factor 1 / sqrt(m).

        Parameters
        ----------
        module : torch.nn.Module
            Its children are these three layers; its ``forward`` is taken to apply them in order.  float32 or float64,
            on any device.

        Returns
        -------
        TwoLayerReLU
            With weights of the same dtype, copied to the host: training the module does not change them.

        Raises
        ------
        ValueError, TypeError
            If the module has biases, other layers, several outputs, or weights of another or mixed precision.

        Notes
        -----
        `to_torch` is the inverse up to one rounding of `a`.
        """
        return cls(*weights_of(module))

    def to_torch(self) -> Any:
        """Module ``torch.nn.Sequential(Linear(d, m), ReLU(), Linear(m, 1))`` with the same outputs, of shape (n, 1).

        Returns
        -------
        torch.nn.Sequential
            On the CPU, in the precision of the weights, which are copied; ``module[2].weight = a / sqrt(m)``.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        return module_of(self.W, self.a)

    @property
    def width(self) -> int:
        """Number of neurons m."""
        return len(self.W)

    @property
    def d(self) -> int:
        """Dimension of the samples."""
        return int(self.W.shape[1])

    def __call__(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Outputs ``u_i = f(x_i)``, float64 of shape (n,), relative error near 1e-6 if the weights are float32."""
        samples = checks.matrix(X, "X")
        checks.same_columns(samples, "X", self.W, "W")
        checks.representable(samples, "X", self.W.dtype)
        return forward_pass(samples, self.W, self.a)[1]

    def __repr__(self) -> str:
        return f"TwoLayerReLU(d={self.d}, width={self.width}, dtype={self.W.dtype.name})"


def _streams(seed: int) -> list[np.random.SeedSequence]:
    """Independent streams for the two layers."""
    return np.random.SeedSequence(seed).spawn(2)


def weight_draws(seed: int) -> Callable[[np.ndarray], None]:
    """What fills rows with the next neurons of the stream; the neurons do not depend on how many rows at a time."""
    draw = np.random.default_rng(_streams(seed)[0]).standard_normal

    def fill(rows: np.ndarray) -> None:
        step = max(1, _DRAW_BYTES // (8 * rows.shape[1]))
        for first in range(0, len(rows), step):
            piece = rows[first : first + step]
            piece[...] = draw(piece.shape)

    return fill
