"""Gradient descent on the weights of a deep network: every product of the step is one of BLAS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import PackedMasks
from fastntk.engines.change_norm import ChangeNorm
from fastntk.engines.second_layer import SecondLayer
from fastntk.kernels.cpu import layers
from fastntk.kernels.scratch import padded_vector
from fastntk.model.deep import DeepReLU, weights_bytes
from fastntk.model.initial import InitialLayer
from fastntk.model.layers import ForwardState, descent_bytes
from fastntk.model.patterns import flip_fraction
from fastntk.optimizers import GradientDescent, Optimizer

PLAIN = GradientDescent()


class DeepEngine:
    """State of descent on the chosen layers of a deep network and one set of samples.

    After construction and after each `step`, ``u`` holds the outputs (float64), ``masks`` the activation pattern of
    each hidden layer, and ``initial_masks`` the patterns at the start.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    net : DeepReLU
        Its hidden weights are changed in place; a is replaced.
    initial : sequence of InitialLayer
        Where the hidden layers started.
    moving : sequence of int
        Numbers of the layers that move, ascending; H + 1 is the output.
    optimizer : Optimizer

    Notes
    -----
    A step takes ``n m^2`` multiply-adds a layer for each of forward, backward and gradient; the gradient is added to
    the weights a block at a time and never held.  Beside the weights (twice with momentum) there are ``n m (H + 1)``
    numbers, and ``n m H`` more once `deltas` was asked for; the change of the weights is not kept.
    """

    name = "deep"

    def __init__(
        self,
        X: np.ndarray,
        net: DeepReLU,
        initial: Sequence[InitialLayer],
        moving: Sequence[int],
        optimizer: Optimizer = PLAIN,
    ) -> None:
        self.X, self.net, self.moving, self.optimizer = X, net, tuple(moving), optimizer
        self.n, self.dtype = len(X), net.dtype
        needed = self.bytes_needed(self.n, net.d, net.widths, net.dtype, self.moving, optimizer)
        require_memory(needed, f"training of widths {net.widths} on n={self.n} samples")
        self._initial = initial
        self._state = ForwardState(X, net.widths, net.dtype)
        self._output = SecondLayer(net.a, optimizer)
        self._hidden = [layer - 1 for layer in self.moving if layer <= net.depth]
        self._velocity = {
            h: aligned_zeros(net.W[h].shape, net.dtype) for h in self._hidden if optimizer.momentum
        }
        self._rooms = self._make_rooms()
        self._deltas: list[np.ndarray] = []
        self._fresh = False
        self._norms = [ChangeNorm(start) for start in initial]
        self._forward()
        self._state.require(self.u)
        self.initial_masks = [masks.copy() for masks in self.masks]

    @staticmethod
    def bytes_needed(
        n: int,
        d: int,
        widths: tuple[int, ...],
        dtype: np.dtype,
        moving: tuple[int, ...],
        optimizer: Optimizer = PLAIN,
    ) -> int:
        """Memory of the state, the given weights not counted."""
        velocity = weights_bytes(d, widths, dtype) if optimizer.momentum else 0
        return descent_bytes(n, d, widths, dtype, backward=moving[0] < len(widths)) + velocity

    @property
    def masks(self) -> list[PackedMasks]:
        """The activation pattern of each hidden layer."""
        return self._state.masks

    def step(self, e: np.ndarray, lr: float) -> None:
        """Move by one step of size ``lr`` from the derivatives ``e`` of the loss by the outputs."""
        padded = padded_vector(e, self._state.x[0].shape[1], self.dtype)
        net = self.net
        gradient = self._state.x[-1] @ padded if net.depth + 1 in self.moving else None
        for h, delta in self._weighed(padded):
            if h in self._hidden:
                self._move(h, delta, lr)
        if gradient is not None:
            self._output.step(np.sqrt(net.widths[-1]) * gradient.astype(np.float64), lr)
            net.a = self._output.a
        self._fresh = False
        self._forward()

    def deltas(self) -> list[np.ndarray]:
        """``delta^(h)`` of the hidden layers from the lowest that moves, (m_h, padded n); of those below, no rows."""
        columns = self._state.x[0].shape[1]
        if not self._deltas:
            lowest = self._hidden[0] if self._hidden else self.net.depth
            rows = (m if h >= lowest else 0 for h, m in enumerate(self.net.widths))
            self._deltas = [aligned_zeros((m, columns), self.dtype) for m in rows]
        if not self._fresh:
            for _ in self._derivatives(np.ones(columns, self.dtype), self._deltas):
                pass
            self._fresh = True
        return self._deltas

    @property
    def x(self) -> list[np.ndarray]:
        """The samples and what leaves each layer, (m_h, padded n)."""
        return self._state.x

    def flips(self) -> np.ndarray:
        """Fraction of the entries of each layer's pattern that differ from the start, (H,)."""
        pairs = zip(self.initial_masks, self.masks, strict=True)
        return np.array([flip_fraction(before, now) for before, now in pairs])

    def drifts(self, h: int) -> np.ndarray:
        """``|w_r - w_r(0)|_2`` of the neurons of hidden layer h, counted from 0."""
        W = self.net.W[h]
        return self._initial[h].distances(W) if h in self._hidden else np.zeros(len(W))

    def drift(self) -> np.ndarray:
        """The largest of them in each layer, (H,)."""
        return np.array([self.drifts(h).max() for h in range(self.net.depth)])

    def drift_a(self) -> float:
        """``max_r |a_r - a_r(0)|``."""
        return self._output.drift()

    def drift_norm(self) -> np.ndarray:
        """``|W^(h) - W^(h)(0)|_2 / sqrt(m_h)`` of each layer, (H,)."""
        return np.array(
            [
                self._norms[h].update(W) / np.sqrt(len(W)) if h in self._hidden else 0.0
                for h, W in enumerate(self.net.W)
            ]
        )

    def _forward(self) -> None:
        self.u = self._state.forward(self.net.W, self.net.a, self.net.scale)

    def _make_rooms(self) -> list[np.ndarray]:
        """Room for the derivatives of two layers: the last activations make way for the first of them."""
        widths, columns = self.net.widths, self._state.x[0].shape[1]
        top = self._state.x[-1].reshape(-1)
        if not self._hidden:
            return []
        if widths[-1] < max(widths):
            top = aligned_zeros(max(widths) * columns, self.dtype)
        below = max(widths) if self._hidden[0] < self.net.depth - 1 else 0
        return [top, aligned_zeros(below * columns, self.dtype)]

    def _derivatives(self, e: np.ndarray, kept: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """Layers from the last to the lowest that moves, with e times their deltas, in ``kept`` or in the two rooms."""
        net, columns = self.net, self._state.x[0].shape[1]

        def place(h: int) -> np.ndarray:
            if kept:
                return kept[h]
            return self._rooms[(net.depth - 1 - h) % 2][: net.widths[h] * columns].reshape(-1, columns)

        if self._hidden:
            yield from self._state.derivatives(net.W, net.a, net.scale, e, self._hidden[0], place)

    def _weighed(self, e: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The same for a step: deltas that were asked for since the last one are not computed again."""
        if not self._fresh:
            yield from self._derivatives(e, [])
            return
        for h in reversed(self._hidden):
            layers.weigh_samples(self._deltas[h], e)
            yield h, self._deltas[h]

    def _move(self, h: int, delta: np.ndarray, lr: float) -> None:
        W, below = self.net.W[h], self._state.x[h]
        if h in self._velocity:
            beta, b, c, _ = self.optimizer.coefficients()
            layers.accelerate_layer(delta, below, lr, beta, b, c, W, self._velocity[h])
        else:
            layers.descend_layer(delta, below, lr, W)
