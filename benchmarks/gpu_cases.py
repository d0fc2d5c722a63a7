"""The operations that are measured on a GPU: our side with and without transfers, the others, the work, its limit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastntk
from benchmarks import gpu_report, gpu_sides, inputs
from benchmarks.case import OURS, Size
from benchmarks.gpu_sides import Library
from fastntk.base.packing import PackedMasks, byte_rows, padded_width
from fastntk.device.arrays import empty, upload
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda.conversion import zero
from fastntk.kernels.cuda.flips import flip_count
from fastntk.kernels.cuda.plans import Counting, MaskedSums

TRANSFERS = "fastntk with transfers"
_COMPARED = 32  # rows of each third of a matrix
Way = tuple[Callable[[], Any], Callable[[Any], np.ndarray]]  # does the work; makes numbers of its result


@dataclass
class GpuWork:
    """Ways to do the same work by name, ours first; each with what turns its result into numbers to compare."""

    costs: dict[str, float]  # operations by what limits them, a key of `gpu_limits`
    formula: str
    bound: float = 0.0  # of differences, relative to the largest number; with tf32 at least 2e-2
    sides: dict[str, Way] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # what is wrong with the sides that are not measured

    def beside(self, ways: Callable[[Library], dict[str, Way]]) -> None:
        """Add the sides of the other libraries."""
        for library in Library.installed():
            try:
                self.sides |= ways(library)
            except Exception as error:  # of the library, which may lack something
                self.failed[library.name] = f"{type(error).__name__}: {error}"[:500]

    def check(self) -> None:
        """Take away the sides that fail or do not give our numbers."""
        ours = None
        for name, (call, numbers) in self.sides.items():
            bound = max(self.bound, 2e-2) if "tf32" in name and self.bound else self.bound
            try:
                theirs = numbers(call()).astype(np.float64)
                ours = theirs if ours is None else ours
                difference = float(np.abs(theirs - ours).max())
                if not difference <= bound * float(np.abs(ours).max()):
                    self.failed[name] = f"{gpu_report.WRONG}: differs by {difference:.3g}"
            except Exception as error:  # of the device, the compiler or the other library
                self.failed[name] = f"{type(error).__name__}: {error}"[:500]
            if OURS in self.failed:
                break
        self.sides = {name: side for name, side in self.sides.items() if name not in self.failed}


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(array.copy_to_host())


def _sample(size: int) -> list[int]:
    """Rows that are compared: some at the start, in the middle and at the end, where blocks may not come out even."""
    return sorted(
        {row % size for start in (0, size // 2, size - _COMPARED) for row in range(start, start + _COMPARED)}
    )


def _rows(host: Callable[[Any], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """Numbers of a matrix on the device: a sample of its rows, since copies of all take longer than all the rest."""
    return lambda found: np.concatenate([host(found[row]) for row in _sample(len(found))])


def _masks(n: int, m: int, seed: int = 0) -> tuple[np.ndarray, PackedMasks]:
    masks = inputs.pattern(Size(n, m), seed)
    return masks.to_dense(), masks


def counts(n: int, m: int) -> GpuWork:
    """Co-activation counts of random patterns."""
    work = GpuWork({"popcount": float(n) * n * m, "int8": 2.0 * n * n * m}, "n^2 m bit products")
    dense, masks = _masks(n, m)
    bits, out = upload(masks.bits).view(np.uint32), empty((n, n), np.int64)
    plan = Counting(n, padded_width(m))

    def ours() -> Any:
        plan.counts(bits, out)
        return out

    def transfers() -> Any:
        plan.counts(upload(masks.bits).view(np.uint32), out)
        return out.copy_to_host()

    work.sides = {OURS: (ours, _rows(_on_host)), TRANSFERS: (transfers, _rows(np.asarray))}
    work.beside(
        lambda library: {
            name: (way, _rows(library.host)) for name, way in gpu_sides.counts(library, dense).items()
        }
    )
    return work


def masked_sums(n: int, p: int, m: int) -> GpuWork:
    """Bits times dense, ``M^T V``: the product of a gradient."""
    work = GpuWork({"float32": 2.0 * n * p * m}, "2 n p m flops", bound=1e-5)
    dense, masks = _masks(n, m)
    V = np.random.default_rng(1).standard_normal((n, p)).astype(np.float32)
    e = np.zeros(8 * byte_rows(n), np.float32)
    e[:n] = 1.0
    bits, there, ones = upload(masks.bits).view(np.uint32), upload(V), upload(e)
    plan = MaskedSums(n, p, m, np.float32)

    def ours() -> None:
        for _ in plan.blocks(bits, there, ones):
            pass

    def neurons(_: None) -> np.ndarray:
        found, sample = [], np.array(_sample(m))
        for first, count, S in plan.blocks(bits, there, ones):
            wanted = sample[(first <= sample) & (sample < first + count)] - first
            if wanted.size:
                found.append(_on_host(S)[:, wanted].T.ravel())
        return np.concatenate(found)

    work.sides = {OURS: (ours, neurons)}
    work.beside(
        lambda library: {
            f"{library.name} float32": (gpu_sides.masked_sums(library, dense, V), _rows(library.host))
        }
    )
    return work


def limit_gram(n: int, d: int) -> GpuWork:
    """H_inf in float32, checks and warnings of the public function included."""
    work = GpuWork({"float32": 2.0 * n * n * d}, "2 n^2 d flops of the product", bound=2e-3)
    X = fastntk.datasets.sphere(n, d, seed=0)[0].astype(np.float32)
    there = upload(X)
    work.sides = {
        OURS: (lambda: fastntk.limit_gram(there, dtype="float32"), _rows(_on_host)),
        TRANSFERS: (lambda: _on_host(fastntk.limit_gram(upload(X), dtype="float32")), _rows(np.asarray)),
    }
    work.beside(
        lambda library: {f"{library.name} float32": (gpu_sides.limit(library, X), _rows(library.host))}
    )
    return work


def flips(n: int, m: int) -> GpuWork:
    """Flip count of two random patterns; the others' patterns take a byte an entry."""
    work = GpuWork({"memory": n * m / 4}, "n m / 4 bytes read")
    (dense, masks), (other_dense, other) = _masks(n, m), _masks(n, m, seed=1)
    before, after = (upload(pattern.bits).view(np.uint32) for pattern in (masks, other))
    out = empty(1, np.int64)

    def ours() -> Any:
        zero(out)
        flip_count(before, after, out, 0)
        return out

    def transfers() -> int:
        return fastntk.flip_count(*map(DevicePackedMasks.from_host, (masks, other)))

    work.sides = {OURS: (ours, _on_host), TRANSFERS: (transfers, np.asarray)}
    work.beside(lambda library: {library.name: (gpu_sides.flips(library, dense, other_dense), library.host)})
    return work


def _samples_and_weights(n: int, d: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    X = fastntk.datasets.sphere(n, d, seed=0)[0].astype(np.float32)
    return X, fastntk.TwoLayerReLU.init(d, m, seed=0).W


def activation_masks(n: int, d: int, m: int) -> GpuWork:
    """Activation pattern from weights; active neurons of each sample are compared: rounding decides an entry near 0."""
    work = GpuWork({"float32": 2.0 * n * d * m}, "2 n d m flops of the product", bound=1e-4)
    X, W = _samples_and_weights(n, d, m)
    there = upload(X), upload(W)
    nothing = PackedMasks.empty(n, m)
    nothing_there = DevicePackedMasks.from_host(nothing)
    work.sides = {
        OURS: (
            lambda: fastntk.activation_masks(*there),
            lambda masks: _on_host(fastntk.flip_marginals(masks, nothing_there)[0]),
        ),
        TRANSFERS: (
            lambda: fastntk.activation_masks(upload(X), upload(W)).to_host(),
            lambda masks: fastntk.flip_marginals(masks, nothing)[0],
        ),
    }
    work.beside(lambda library: {f"{library.name} float32": gpu_sides.activation_masks(library, X, W)})
    return work


def gram(n: int, d: int, m: int) -> GpuWork:
    """Gram matrix from weights: pattern, counts, products of samples; in float64, the others' in float32."""
    work = GpuWork(
        {"popcount": float(n) * n * m, "int8": 2.0 * n * n * m},
        "n^2 m bit products of the counts",
        bound=1e-4,
    )
    X, W = _samples_and_weights(n, d, m)
    there = upload(X), upload(W)
    work.sides = {
        OURS: (lambda: fastntk.gram(*there), _rows(_on_host)),
        TRANSFERS: (lambda: _on_host(fastntk.gram(upload(X), upload(W))), _rows(np.asarray)),
    }
    work.beside(
        lambda library: {f"{library.name} float32": (gpu_sides.gram(library, X, W), _rows(library.host))}
    )
    return work
