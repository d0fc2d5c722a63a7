"""Gram matrices of any size: computed a block at a time, into memory, onto a disk, or straight into a product."""

from fastntk.matrices.tiled.source import GramSource
from fastntk.matrices.tiled.whole import compute

__all__ = ["GramSource", "compute"]
