"""Gram matrices of any size: computed a block at a time, into memory, onto a disk, or straight into a product."""

from fastntk.tiled.source import GramSource
from fastntk.tiled.whole import compute

__all__ = ["GramSource", "compute"]
