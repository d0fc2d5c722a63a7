"""Reading back what was saved, whatever it is."""

from __future__ import annotations

import os

from fastntk.results import Run, Sweep
from fastntk.results.archive import read_archive


def load(path: str | os.PathLike[str]) -> Run | Sweep:
    """Read what `Run.save` or `Sweep.save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Run or Sweep
        Equal to the saved object bit for bit.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, is no fastntk result, or comes from a newer version. No pickled object is
        ever loaded, so a file from a stranger cannot run code.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastntk
    >>> path = fastntk.Run(steps=[0], provenance={"width": 4}).save(Path(tempfile.mkdtemp()) / "run.npz")
    >>> fastntk.load(path).width
    4
    """
    header, arrays = read_archive(path)
    if header["kind"] == "Run":
        return Run.from_arrays(arrays, header["provenance"])
    return Sweep.from_arrays(arrays, header)
