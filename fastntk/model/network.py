"""The two-layer ReLU network of Du et al."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import require_memory
from fastntk.device import checks as device_checks
from fastntk.device.arrays import give_back, library_of, on_host, on_one_gpu, view
from fastntk.device.dispatch import backend
from fastntk.model.draws import Draws
from fastntk.model.patterns import forward_pass
from fastntk.model.torch_bridge import module_of, weights_of

_LARGEST_DRAW = 6.8  # above the largest number that `normals` gives


class TwoLayerReLU:
    """Network ``f(x) = (1 / sqrt(m)) sum_r a_r relu(w_r . x)``.

    Parameters
    ----------
    W : array_like, shape (m, d)
        Weights of the first layer; float32 or float64 decides the precision of everything computed with them.
    a : array_like, shape (m,)
        Weights of the second layer.  If both live on a GPU the network does.

        Arrays that need no conversion (contiguous, of one of these precisions, memory maps among them) are shared, not
        copied: the network changes if they are changed.  Nothing in this package writes to them.

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
        self.W: Any
        self.a: Any
        on_gpu = on_one_gpu(W=W, a=a)
        self.W = device_checks.matrix(W, "W")
        self.a = device_checks.vector(a, "a", len(self.W), "W", self.W.dtype)
        if on_gpu:
            self.W, self.a = give_back(self.W, library_of(W)), give_back(self.a, library_of(a))

    @classmethod
    def init(
        cls,
        d: int,
        width: int,
        seed: int = 0,
        dtype: npt.DTypeLike = "float32",
        kappa: float = 1.0,
        paired: bool = False,
    ) -> "TwoLayerReLU":
        """Random network: ``w_r ~ N(0, kappa^2 I)``, ``a_r ~ unif{-1, +1}``.

        Parameters
        ----------
        d, width : int
            Dimension of the samples and number of neurons, at least 1.
        seed : int
            Same seed, same numbers; neuron r depends on neither the width nor any other neuron, so a narrow network is
            the first part of a wide one.
        dtype : {"float32", "float64"}
            Precision; float32 weights are the rounded float64 ones.
        kappa : float
            Scale of the first layer.  The pattern at the start and ``H(0)`` do not depend on it, the outputs are
            proportional to it.
        paired : bool
            Neurons 2j and 2j + 1 share their weights and have opposite signs, so that all outputs start at exactly 0;
            the width must be even.

        Returns
        -------
        TwoLayerReLU

        Raises
        ------
        ValueError, TypeError
            If an argument is out of range.
        MemoryLimitError
            If the weights do not fit in memory.

        Notes
        -----
        About 1 ns a number on two cores: Philox-4x32-10 (Salmon et al., SC 2011) and the transform of Box and Muller.
        Du et al. (arXiv 1810.02054) take ``kappa = 1``; Arora et al. (arXiv 1901.08584) a small one, so that the
        outputs at the start do not disturb the comparison with the kernel, which pairs achieve exactly.

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
        draws = checked_draws(width, seed, kind, kappa, paired)
        net = cls.__new__(cls)
        net.W, net.a = np.empty((width, d), dtype=kind), draws.signs(0, width, kind)
        draws.weights(0, net.W)
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
        return module_of(on_host(self.W), on_host(self.a))

    @property
    def width(self) -> int:
        """Number of neurons m."""
        return len(self.a)

    @property
    def d(self) -> int:
        """Dimension of the samples."""
        return int(self.W.shape[1])

    def weights(self, first: int, last: int) -> Any:
        """Rows ``first ... last - 1`` of W; ValueError beyond the width."""
        first, last = checks.neuron_range(first, last, self.width)
        return self.W[first:last]

    def require_inputs(self, X: np.ndarray, name: str) -> None:
        """ValueError unless the rows of a matrix can be inputs."""
        if X.shape[1] != self.d:
            raise ValueError(
                f"{name} and net.W must have the same number of columns, got {X.shape[1]} and {self.d}"
            )

    def __call__(self, X: npt.ArrayLike) -> Any:
        """Outputs ``u_i = f(x_i)``, float64 of shape (n,), relative error near 1e-6 if the weights are float32."""
        on_gpu = on_one_gpu(X=X, W=self.W)
        W: Any = view(self.W, "W") if on_gpu else self.W
        samples = device_checks.matrix(X, "X")
        checks.same_columns(samples, "X", W, "W")
        device_checks.representable(samples, "X", W.dtype)
        if not on_gpu:
            return forward_pass(samples, W, self.a)[1]
        with backend() as gpu:
            u = gpu.outputs(samples, W, view(self.a, "a"))
        return give_back(u, library_of(X))

    def __repr__(self) -> str:
        return f"TwoLayerReLU(d={self.d}, width={self.width}, dtype={str(self.W.dtype).rpartition('.')[2]})"


def checked_draws(width: int, seed: int, dtype: np.dtype, kappa: float, paired: bool) -> Draws:
    """The draws of `TwoLayerReLU.init`; ValueError if they cannot be made."""
    kappa = checks.positive(kappa, "kappa")
    least, most = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max) / _LARGEST_DRAW
    if not least <= kappa <= most:
        raise ValueError(f"kappa must keep the weights within the range of {dtype.name}, got {kappa!r}")
    if paired and width % 2:
        raise ValueError(f"width must be even with paired=True, got {width}")
    return Draws(seed, kappa, paired)


def given_width(width: int | None, net: TwoLayerReLU | None) -> int:
    """The width of the network that exactly one of `width` and `net` says."""
    if (width is None) == (net is None):
        raise ValueError(
            "exactly one of width and net must be given, got " + ("neither" if net is None else "both")
        )
    if net is None:
        return checks.integer(width, "width", 1)
    if not isinstance(net, TwoLayerReLU):
        raise TypeError(f"net must be a TwoLayerReLU, got {type(net).__name__}")
    return net.width


def initial_network(
    X: np.ndarray,
    width: int | None,
    net: TwoLayerReLU | None,
    seed: int,
    dtype: npt.DTypeLike,
    kappa: float,
    paired: bool,
) -> tuple[TwoLayerReLU, bool]:
    """That network, and whether its weights may be overwritten."""
    m = given_width(width, net)
    if net is None:
        return TwoLayerReLU.init(X.shape[1], m, seed, dtype, kappa, paired), True
    net.require_inputs(X, "X")
    return net, False
