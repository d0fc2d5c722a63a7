"""What a matrix will take, as a table."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """What computing a matrix takes; ``print(plan)`` is a table.

    Attributes
    ----------
    shape : tuple of int
        (n, k) of the matrix.
    d : int
        Dimension of the points.
    width : int, tuple of int or None
        Neurons, of each layer where there are several; None for the limit.
    layers, depth, dtype
        As given.
    result_bytes : int
        Size of the matrix.
    resident_bytes : int
        Memory taken at the peak: the matrix if it stays in memory, the blocks, the points.  The interpreter and its
        libraries come on top, about 0.2 GiB.
    disk_bytes : int
        Space that the matrix takes on the disk, 0 without one.
    multiply_adds : int
        Of the products that BLAS computes.
    bit_products : int
        Pairs of activation bits that are compared.
    kernel_values : int
        Pairs of points times depth: evaluations of the transcendental part.
    blocks : int
        Number of blocks, 1 in memory.
    block : tuple of int
        Largest shape of a block.
    seconds : float
        Estimate for this machine as it is now, within a factor of 2 when nothing else runs.
    memory_available, disk_available : int
        Bytes; the second is 0 without a disk.
    out : str
        Where the matrix goes.
    training_bytes : int
        Of several hidden layers: memory of plain descent on this network, its weights included, without Gram matrices
        that are logged; 0 otherwise.
    workers, cores, worker_bytes : int
        Workers of a cluster, the cores and the memory of each; 0 where this process computes.  Python and the package
        take 0.3 GiB beside that.
    """

    shape: tuple[int, int]
    d: int
    width: int | tuple[int, ...] | None
    layers: Any
    depth: int
    dtype: str
    result_bytes: int
    resident_bytes: int
    multiply_adds: int
    bit_products: int
    blocks: int
    block: tuple[int, int]
    seconds: float
    memory_available: int
    kernel_values: int = 0
    disk_bytes: int = 0
    disk_available: int = 0
    out: str = "memory"
    training_bytes: int = 0
    workers: int = 0
    cores: int = 0
    worker_bytes: int = 0

    def spread(self, workers: int, cores: int, threads: int) -> "Plan":
        """The same on workers, each as quick as this process on `threads` threads but for the number of its cores.

        A worker holds the points, what it computes with, and one block.
        """
        block = self.block[0] * self.block[1] * np.dtype(self.dtype).itemsize
        turns = math.ceil(self.blocks / workers)
        return replace(
            self, workers=workers, cores=cores, worker_bytes=self.resident_bytes - block,
            seconds=self.seconds * turns / self.blocks * threads / cores,
        )  # fmt: skip

    @property
    def fits(self) -> bool:
        """Whether memory and disk suffice."""
        return self.resident_bytes <= self.memory_available and self.disk_bytes <= self.disk_available

    def __str__(self) -> str:
        n, k = self.shape
        what = "limit" if self.width is None else f"width {self.width}"
        form = f"{n} x {k}, d = {self.d}, {what}, layers {self.layers}, depth {self.depth}, {self.dtype}"
        rows = {
            "matrix": form,
            "goes to": self.out,
            "result": _bytes(self.result_bytes),
            "memory": f"{_bytes(self.resident_bytes)} of {_bytes(self.memory_available)} available",
            "disk": f"{_bytes(self.disk_bytes)} of {_bytes(self.disk_available)} available"
            if self.disk_bytes
            else "none",
            "multiply-adds": _count(self.multiply_adds),
            "bit products": _count(self.bit_products),
            "kernel values": _count(self.kernel_values),
            "blocks": f"{self.blocks} of at most {self.block[0]} x {self.block[1]}",
            **(
                {
                    "workers": f"{self.workers} of {self.cores} cores, {_bytes(self.worker_bytes)} of memory each"
                }
                if self.workers
                else {}
            ),
            "time": f"about {_duration(self.seconds)}",
            **({"training": f"{_bytes(self.training_bytes)} of memory"} if self.training_bytes else {}),
            "fits": "yes" if self.fits else f"no: {self._missing()}",
        }
        return "\n".join(f"{name:<14} {text}" for name, text in rows.items())

    def _missing(self) -> str:
        short = []
        if self.resident_bytes > self.memory_available:
            short.append("memory")
        if self.disk_bytes > self.disk_available:
            short.append("disk")
        return " and ".join(short) + " too small"


def _bytes(size: int) -> str:
    """A size in the unit that fits."""
    number, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while number >= 1000 and len(units) > 1:
        number /= 1024
        del units[0]
    return f"{number:.4g} {units[0]}"


def _count(number: int) -> str:
    """A number of operations."""
    return f"{number:.2e}" if number >= 10**6 else str(number)


def _duration(seconds: float) -> str:
    """A time that promises no more digits than it has."""
    if seconds < 1:
        return f"{max(seconds, 1e-3):.1g} s"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"
