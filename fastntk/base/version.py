"""Which versions of fastntk may go on with what another one began."""

import sys

__all__ = ["number_series", "package_version"]


def package_version() -> str:
    """Version of fastntk itself."""
    return str(sys.modules["fastntk"].__version__)


def number_series(version: object) -> str:
    """Major and minor part of a version: within it the numbers stay the same, between two of them they may differ.

    Examples
    --------
    >>> number_series("0.1.3"), number_series("1.2.0.dev4+g12ab"), number_series(None)
    ('0.1', '1.2', 'unknown')
    """
    return ".".join(str(version).split(".")[:2]) if version else "unknown"
