"""ReLU networks with several hidden layers."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import require_memory
from fastntk.compilation.threads import kernel_threads
from fastntk.model.draws import Draws
from fastntk.model.initial import DrawnLayer
from fastntk.model.layers import ForwardState
from fastntk.model.torch_bridge import layers_of, module_of_layers

OUTPUTS = ("signs", "gaussian")
FLAT = {"first": "hidden", "second": "output", "both": "all"}
"""The words for the layers of a network with one hidden layer, and those for any depth."""
_SAMPLES = 4096  # at a time, when a network is called


class DeepReLU:
    """Network ``f(x) = a . x^(H)`` with ``x^(h) = (scale / sqrt(m_h)) relu(W^(h) x^(h-1))`` and ``x^(0) = x``.

    Parameters
    ----------
    W : sequence of H array_like, shapes (m_1, d), (m_2, m_1), ...
        Weights of the hidden layers, of one precision: float32 or float64.
    a : array_like, shape (m_H,)
        Weights of the output.
    scale : float
        Of the activation: sqrt(2) keeps the length of the activations, 1 halves its square in every layer.

    Raises
    ------
    ValueError, TypeError
        If an argument is empty, not finite, not real, or the shapes or precisions disagree.

    Notes
    -----
    With one hidden layer and scale 1 it is `TwoLayerReLU`.  Calling the network costs ``2 n m^2`` flops of BLAS a
    layer.  Source: Du, Lee, Li, Wang and Zhai (arXiv 1811.03804), Equation (5), with the ReLU.

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.DeepReLU([[[4.0]], [[3.0], [-1.0], [0.0], [1.0]]], [1.0, 1.0, 1.0, -1.0])
    >>> net.depth, net.widths, net.d
    (2, (1, 4), 1)
    >>> net([[1.0], [-1.0]])
    array([4., 0.])
    """

    def __init__(self, W: Sequence[npt.ArrayLike], a: npt.ArrayLike, scale: float = 1.0) -> None:
        if isinstance(W, (str, bytes)) or not isinstance(W, Sequence) or not W:
            raise TypeError(
                f"W must be a list of at least one matrix, the hidden layers, got {type(W).__name__}"
            )
        self.W = [checks.matrix(weights, f"W[{h}]") for h, weights in enumerate(W)]
        for h in range(1, len(self.W)):
            below, weights = self.W[h - 1], self.W[h]
            if weights.shape[1] != len(below):
                raise ValueError(
                    f"W[{h}] must have one column for each row of W[{h - 1}] ({len(below)}), got {weights.shape[1]}"
                )
            if weights.dtype != below.dtype:
                raise ValueError(
                    f"W must be of one precision, got {below.dtype} for W[{h - 1}] and {weights.dtype} for W[{h}]"
                )
        last = f"W[{len(self.W) - 1}]"
        self.a = checks.vector(a, "a", len(self.W[-1]), last, self.W[0].dtype)
        self.scale = checks.positive(scale, "scale")

    @classmethod
    def wrap(cls, W: list[np.ndarray], a: np.ndarray, scale: float) -> "DeepReLU":
        """A network of these arrays, not copies, which are known to be right."""
        net = cls.__new__(cls)
        net.W, net.a, net.scale = W, a, scale
        return net

    @classmethod
    def init(
        cls,
        d: int,
        width: int | Iterable[int],
        depth: int,
        seed: int = 0,
        dtype: npt.DTypeLike = "float32",
        scale: float = 1.0,
        output: str = "signs",
    ) -> "DeepReLU":
        """Random network: all entries of W are N(0, 1).

        Parameters
        ----------
        d : int
            Dimension of the samples.
        width : int or depth of them
            Neurons of each hidden layer.
        depth : int
            Number H of hidden layers, at least 1.
        seed : int
            Same seed, same numbers; an entry of W depends on its layer, row and column alone, so a narrow or shallow
            network is a part of a wide and deep one.  The first layer, and signs, are those of `TwoLayerReLU.init`.
        dtype : {"float32", "float64"}
            Precision; float32 weights are the rounded float64 ones.
        scale : float
            Of the activation.
        output : {"signs", "gaussian"}
            ``a_r`` is -1 or +1, or N(0, 1) as in Du et al. (arXiv 1811.03804).

        Returns
        -------
        DeepReLU

        Raises
        ------
        ValueError, TypeError
            If an argument is out of range.
        MemoryLimitError
            If the weights do not fit in memory.

        Examples
        --------
        >>> import fastntk
        >>> deep = fastntk.DeepReLU.init(3, 4, depth=2, seed=1)
        >>> flat = fastntk.TwoLayerReLU.init(3, 4, seed=1)
        >>> bool((deep.W[0] == flat.W).all() and (deep.a == flat.a).all())
        True
        """
        d = checks.integer(d, "d", 1)
        widths = checked_widths(width, checks.integer(depth, "depth", 1))
        draws = Draws(checks.integer(seed, "seed", 0))
        kind = checks.floating_dtype(dtype)
        needed = weights_bytes(d, widths, kind)
        require_memory(needed, f"a network of widths {', '.join(map(str, widths))} on {d} inputs")
        scale, signs = checks.positive(scale, "scale"), checks.choice(output, "output", OUTPUTS) == "signs"
        sizes = enumerate(zip((d, *widths), widths, strict=False), 1)
        W = [DrawnLayer(draws, layer, columns, kind).rows(0, rows) for layer, (columns, rows) in sizes]
        return cls.wrap(
            W, draws.signs(0, widths[-1], kind) if signs else draws.gaussian(widths[-1], kind), scale
        )

    @classmethod
    def from_torch(cls, module: Any, scale: float = 1.0) -> "DeepReLU":
        """Network with the outputs of ``torch.nn.Sequential(Linear, ReLU, ..., Linear)`` without biases.

        ``W^(1)`` is the first weight, ``W^(h+1)`` and a are the later ones times ``sqrt(m_h) / scale``, because a
        module has no such factors.

        Parameters
        ----------
        module : torch.nn.Module
            Its children are these layers; its ``forward`` is taken to apply them in order.  float32 or float64, on
            any device.
        scale : float
            Of the network.

        Returns
        -------
        DeepReLU
            With weights of the same dtype, copied to the host: training the module does not change them.

        Raises
        ------
        ValueError, TypeError
            If the module has biases, other layers, several outputs, or weights of another or mixed precision.
        """
        scale = checks.positive(scale, "scale")
        first, *later = layers_of(module)
        W = [first.copy()]
        for weight in later:
            factor = math.sqrt(weight.shape[1]) / scale
            W.append((factor * weight.astype(np.float64)).astype(weight.dtype))
        return cls(W[:-1], W[-1][0], scale)

    def to_torch(self) -> Any:
        """Module ``torch.nn.Sequential(Linear, ReLU, ..., Linear)`` with the same outputs, of shape (n, 1).

        Returns
        -------
        torch.nn.Sequential
            On the CPU, in the precision of the weights, which are copied.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        weights = [self.W[0]]
        for weight, width in zip((*self.W[1:], self.a[np.newaxis]), self.widths, strict=True):
            factor = self.scale / math.sqrt(width)
            weights.append((factor * weight.astype(np.float64)).astype(weight.dtype))
        return module_of_layers(weights)

    @property
    def depth(self) -> int:
        """Number H of hidden layers."""
        return len(self.W)

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return tuple(map(len, self.W))

    @property
    def width(self) -> int:
        """Neurons of the last hidden layer."""
        return len(self.W[-1])

    @property
    def d(self) -> int:
        """Dimension of the samples."""
        return int(self.W[0].shape[1])

    @property
    def dtype(self) -> np.dtype:
        """Precision of the weights."""
        return self.W[0].dtype

    def __call__(self, X: npt.ArrayLike) -> np.ndarray:
        """Outputs ``u_i = f(x_i)``, float64 of shape (n,)."""
        samples = checks.matrix(X, "X")
        checks.same_columns(samples, "X", self.W[0], "W[0]")
        checks.representable(samples, "X", self.dtype)
        outputs = []
        with kernel_threads():
            for first in range(0, len(samples), _SAMPLES):
                state = ForwardState(samples[first : first + _SAMPLES], self.widths, self.dtype)
                outputs.append(state.forward(self.W, self.a, self.scale))
                state.require(outputs[-1])
        return np.concatenate(outputs)

    def __repr__(self) -> str:
        return f"DeepReLU(d={self.d}, widths={self.widths}, scale={self.scale:g}, dtype={self.dtype.name})"


def checked_widths(width: Any, depth: int) -> tuple[int, ...]:
    """The width of each hidden layer, from one for all or one for each."""
    if isinstance(width, (str, bytes)) or not isinstance(width, (Iterable, np.ndarray)):
        return (checks.integer(width, "width", 1),) * depth
    widths = tuple(checks.integer(value, "width", 1) for value in width)
    if len(widths) != depth:
        raise ValueError(
            f"width must be an integer or one for each of the {depth} hidden layers, got {len(widths)}"
        )
    return widths


def layer_numbers(layers: Any, depth: int) -> tuple[int, ...]:
    """Numbers of layers, ascending, depth + 1 for the output: of a word, a number or several numbers.

    Examples
    --------
    >>> layer_numbers("hidden", 3), layer_numbers((4, 2), 3), layer_numbers("both", 1)
    ((1, 2, 3), (2, 4), (1, 2))
    """
    if isinstance(layers, str):
        words = ("hidden", "output", "all") + (tuple(FLAT) if depth == 1 else ())
        word = checks.choice(layers, f"layers at depth {depth}", words)
        hidden, output = tuple(range(1, depth + 1)), (depth + 1,)
        return {"hidden": hidden, "output": output, "all": hidden + output}[FLAT.get(word, word)]
    numbers = tuple(
        checks.distinct_integers(layers if isinstance(layers, Iterable) else (layers,), "layers", 1)
    )
    if numbers[-1] > depth + 1:
        raise ValueError(
            f"layers must be numbers from 1 to {depth + 1} at depth {depth}, the last for the output, got {numbers[-1]}"
        )
    return numbers


def weights_bytes(d: int, widths: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of all weights."""
    entries = sum(rows * columns for rows, columns in zip(widths, (d, *widths), strict=False))
    return (entries + widths[-1]) * dtype.itemsize
