"""Where `fastntk gram` and `fastntk limit` take samples from, and what they make of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastntk.base.storage import ensure_parent
from fastntk.cli.data_files import data_option
from fastntk.cli.errors import Interrupted
from fastntk.cli.output import check_matrix_path, eigenvalue_text, write_matrix
from fastntk.cli.paths import FilePath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Outputs", "matrix_options", "write_outputs"]

_LARGEST = 20_000
"""Most samples of which eigenvalues are computed: n^3 / 3 multiply-adds, and two more copies of the matrix."""


def matrix_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands read and write."""
    for option in reversed(
        [
            click.option(
                "--layers",
                type=click.Choice(["first", "second", "both"]),
                default="first",
                show_default=True,
                help="Layers whose gradients count.",
            ),
            click.option(
                "--dtype",
                type=click.Choice(["float32", "float64"]),
                default="float64",
                show_default=True,
                help="Of the matrix.",
            ),
            click.option(
                "--out",
                type=FilePath(),
                metavar="FILE",
                help='The matrix: .npy, .h5 (dataset "gram"), .zarr, of any size, or .csv. '
                "Without it only the eigenvalue is printed.",
            ),
            click.option(
                "--spectrum",
                type=FilePath(),
                metavar="FILE.png",
                help="Draw all eigenvalues, lambda_min marked (.png, .pdf or .svg).",
            ),
            click.option(
                "--heatmap",
                type=FilePath(),
                metavar="FILE.png",
                help="Draw the matrix as colours (.png, .pdf or .svg).",
            ),
            click.option(
                "--plan", is_flag=True, help="Print bytes, operations and time, and compute nothing."
            ),
        ]
    ):
        command = option(command)
    return data_option(
        "Samples, one per row: .npy, or a table, where a last column called y or the like is left out."
    )(command)


@dataclass(frozen=True)
class Outputs:
    """Files to write, checked before the work."""

    out: Path | None
    spectrum: Path | None
    heatmap: Path | None

    @classmethod
    def checked(cls, settings: dict[str, Any]) -> Outputs:
        """Check that each file can be written."""
        from fastntk.plots.style import figure_suffix

        out, *figures = (settings[name] for name in ("out", "spectrum", "heatmap"))
        for name, path in zip(("--spectrum", "--heatmap"), figures, strict=True):
            if path is not None:
                figure_suffix(path, name)
        if not settings["plan"]:
            if out is not None:
                check_matrix_path(out)
            for name, path in zip(("--spectrum", "--heatmap"), figures, strict=True):
                if path is not None:
                    ensure_parent(path, name)
        return cls(out, *figures)

    @property
    def target(self) -> Path | None:
        """The file that is written while the matrix is computed; a .csv is written from memory."""
        return None if self.out is None or self.out.suffix.lower() == ".csv" else self.out

    def check_size(self, n: int) -> None:
        """Refuse the eigenvalues of a matrix that is too large for them."""
        if self.spectrum is not None and n > _LARGEST:
            raise ValueError(f"--spectrum takes all eigenvalues, for at most {_LARGEST} samples, got {n}")

    def computed(self, compute: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Compute the matrix, onto the disk if it has a file."""
        try:
            return compute(*arguments, **options, out=self.target)
        except KeyboardInterrupt:
            kept = self.target is not None and self.target.with_name(f"{self.target.name}.journal").exists()
            text = f"what is finished is kept in {self.target}.partial; the same command goes on from there"
            raise Interrupted(f"interrupted: {text if kept else 'nothing was written'}") from None


def write_outputs(H: Any, outputs: Outputs, name: str) -> None:
    """Write the figures and a .csv, and print the smallest eigenvalue."""
    with ExitStack() as opened:
        if isinstance(H, Path):
            H = _stored(H, opened)
        if outputs.out is not None and outputs.target is None:
            write_matrix(outputs.out, H)
        if outputs.heatmap is not None:
            from fastntk.plots.matrices import plot_heatmap

            plot_heatmap(H, outputs.heatmap)
        n = H.shape[0]
        if n > _LARGEST:
            click.echo(f"n = {n}, {name} is not computed for more than {_LARGEST} samples")
            return
        click.echo(f"n = {n}, {_eigenvalues(H[:], outputs.spectrum, name)}")


def _eigenvalues(H: NDArray[np.floating[Any]], spectrum: Path | None, name: str) -> str:
    """The smallest eigenvalue in words; draws all of them if they are asked for."""
    import fastntk
    from fastntk.base.memory import require_memory

    try:
        require_memory(2 * 8 * H.size, f"{name} of a {len(H)} x {len(H)} matrix")
    except fastntk.MemoryLimitError as error:
        if spectrum is not None:
            raise
        return f"{name} is not computed: {error}"
    if spectrum is not None:
        import scipy.linalg

        from fastntk.plots.matrices import plot_spectrum

        plot_spectrum(scipy.linalg.eigvalsh(H.astype("float64"), overwrite_a=True), spectrum)
    return eigenvalue_text(name, fastntk.lambda_min(H))


def _stored(path: Path, opened: ExitStack) -> Any:
    """The matrix in a file that `fastntk.matrices.tiled.compute` wrote."""
    if path.suffix.lower() == ".zarr":
        import zarr

        return zarr.open_array(path, mode="r")
    from importlib import import_module

    from fastntk.matrices.tiled.files import DATASET

    return opened.enter_context(import_module("h5py").File(path, "r"))[DATASET]
