"""Engines whose state stays on a GPU; loading them registers the loops that drive them there."""

from fastntk.cuda.engines import descent, flow

__all__ = ["descent", "flow"]
