"""Eigenvalues of symmetric matrices on a GPU, with the certificates of `fastntk.spectra`; vectors stay there.

`fastntk.device.arrays.on_gpu` calls these.  All eigenvectors are found by one call of the vendor's (see
`fastntk.kernels.cuda.solver`), also where few are wanted: there is no iteration to tune, and n^3 is cheap there.
"""

from typing import Any

import numpy as np

from fastntk.cuda import checks
from fastntk.cuda.spectra.dense import (
    eigenvectors,
    factor_above,
    frobenius,
    images_of,
    inverse_from,
    shifted,
    sizes,
    square,
    symmetric_matrix,
)
from fastntk.cuda.spectra.tracking import SmallestEigenvalues, SpectralNorms, lowest_there, measured
from fastntk.device.arrays import empty, give_back, library_of, upload, view, zeros
from fastntk.kernels.cuda.gram_sums import add_sums
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.symmetric import columns, diagonal, scale_rows, transpose
from fastntk.spectra.eigenvalue import (
    Eigenvalue,
    allowance,
    changed_shape,
    least_shift,
    lower_bound,
    require_finite_norm,
    singular,
)
from fastntk.spectra.pairs import count_of, order_bound, positions


def lambda_min(H: Any, sign: float = 1.0) -> Eigenvalue:
    """See `fastntk.lambda_min`; of ``sign H``."""
    matrix = symmetric_matrix(H, "H")
    if sign != 1.0:
        matrix = shifted(matrix, sign)
    return _given_back(lowest_there(matrix, frobenius(matrix, "H"), eigenvectors(matrix)[1]), library_of(H))


def _given_back(found: Eigenvalue, library: str) -> Eigenvalue:
    """The same with a vector of its own, of that library."""
    vector = empty(len(found.vector), np.float64)
    vector.copy_to_device(found.vector)
    return Eigenvalue(found.value, found.residual_bound, give_back(vector, library), found.outer_bound)


def pairs(H: Any, k: int | None, which: str) -> tuple[np.ndarray, Any, np.ndarray, float]:
    """The fields of `fastntk.spectra.Spectrum`."""
    values, vectors, bounds, order = _pairs(H, k, which)
    return values, give_back(vectors, library_of(H)), bounds, order


def label_projections(H: Any, y: Any, k: int | None) -> tuple[np.ndarray, Any, np.ndarray, float, Any]:
    """The fields of `fastntk.spectra.alignment.LabelProjections`."""
    several = view(y, "y").ndim == 2
    labels = checks.array(y, "y", 2 if several else 1, np.float64)
    require_rows(labels, H)
    values, vectors, bounds, order = _pairs(H, k, "largest")
    projections = empty((len(values), labels.size // len(labels)), np.float64)
    Products().nn(_transposed(vectors), labels.reshape(len(labels), projections.shape[1]), projections)
    if not several:
        projections = projections.reshape(len(values))
    library = library_of(H)
    return values, give_back(vectors, library), bounds, order, give_back(projections, library)


def _pairs(H: Any, k: int | None, which: str) -> tuple[np.ndarray, Any, np.ndarray, float]:
    """Values, vectors in columns, residual bounds and the bound of the order."""
    matrix = symmetric_matrix(H, "H")
    n = len(matrix)
    count = count_of(k, n)
    parts = positions(n, count, which)
    norm, every = frobenius(matrix, "H"), eigenvectors(matrix)[1]
    values, residuals = (
        np.concatenate(items) for items in zip(*(measured(matrix, every[p]) for p in parts), strict=True)
    )
    sorting = np.argsort(values, kind="stable")
    values, bounds = values[sorting], residuals[sorting] + allowance(n, norm)
    vectors = empty((n, len(values)), np.float64)
    columns(every, upload(np.concatenate([np.arange(n)[part] for part in parts])[sorting]), vectors)
    rows, order = _transposed(vectors), 0.0
    for part in parts:
        here = (
            slice(0, len(values)) if len(parts) == 1 else part if part.start == 0 else slice(count, 2 * count)
        )
        bound = _order_bound(matrix, norm, values[here], rows[here], bounds[here], part.start == 0)
        order = max(order, bound)
    return values, vectors, bounds, order


def _order_bound(
    matrix: Any, norm: float, values: np.ndarray, rows: Any, bounds: np.ndarray, lowest: bool
) -> float:
    """See `fastntk.spectra.pairs.order_bound`."""
    n, count, products = len(matrix), len(values), Products()

    def below(sign: float, lifts: np.ndarray, last: float, margin: float) -> float:
        raised = shifted(matrix, sign)
        if count > 1:
            scaled, lift = empty((count, n), np.float64), empty((n, n), np.float64)
            scale_rows(rows, upload(lifts), scaled)
            products.nn(_transposed(rows), scaled, lift)
            add_sums(lift, raised)
        return lower_bound(raised, last, margin, factor_above)

    overlaps = empty((count, count), np.float64)
    products.nt(rows, rows, overlaps)
    skew = frobenius(shifted(overlaps, shift=1.0), "H")
    return order_bound(n, norm, values, bounds, skew, lowest, below)


def _transposed(matrix: Any) -> Any:
    out = empty(tuple(matrix.shape)[::-1], np.float64)
    transpose(matrix, out)
    return out


def require_rows(y: Any, H: Any) -> None:
    """Raise unless there is one label, or row of them, for each row of the matrix."""
    rows = (tuple(view(H, "H").shape) or (0,))[0]
    if len(y) != rows:
        raise ValueError(f"y must have one entry for each row of H ({rows}), got {len(y)}")


def proven_solution(H: Any, y: Any) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, float]:
    """What `fastntk.generalization_complexity` takes: bound of the spectrum, ``x = H^{-1} y``, y, H x, their rounding.

    The vectors come to the host; the bound is -inf where there is no proof.
    """
    labels = checks.array(y, "y", 1, np.float64)
    require_rows(labels, H)
    matrix = symmetric_matrix(H, "H")
    n = len(matrix)
    diagonal_there = empty(n, np.float64)
    diagonal(matrix, diagonal_there)
    shift = least_shift(n, float(diagonal_there.copy_to_host().sum()))
    proven = factor_above(matrix, shift) if shift > 0.0 else None
    factored = None if proven is None else factor_above(matrix, 0.0)
    rounding, row = allowance(n, frobenius(matrix, "H")), labels.reshape(1, n)
    if proven is None or factored is None:
        raise singular(shift, float(lambda_min(matrix)))
    inverse = inverse_from(factored[0])
    wanted = labels.copy_to_host()
    x = images_of(inverse, row).copy_to_host()
    left = wanted - images_of(matrix, upload(x)).copy_to_host()
    x += images_of(inverse, upload(left)).copy_to_host()
    return proven[1], x[0], wanted, images_of(matrix, upload(x)).copy_to_host()[0], rounding


def spectral_norm(A: Any, B: Any, rtol: float) -> Eigenvalue:
    """See `fastntk.spectra.spectral_norm`."""
    return Follower(rtol, 0).distance(A, B)


class Follower:
    """What `fastntk.spectra.SmallestEigenvalue` and `SpectralNorm` do with matrices on a GPU: batches of one."""

    def __init__(self, rtol: float, seed: int) -> None:
        self._smallest, self._norms = SmallestEigenvalues(rtol), SpectralNorms(rtol, seed)
        self._before: Any = None

    def smallest(self, H: Any) -> Eigenvalue:
        """The smallest eigenvalue of H (n, n)."""
        matrix = self._checked(H, "H")
        batch = matrix.reshape(1, *matrix.shape)
        norms, changes = sizes(batch, matrix if self._before is None else self._before)
        require_finite_norm(float(norms[0]), "H")
        self._before = shifted(matrix)
        return _given_back(self._smallest.update(batch, norms, changes)[0], library_of(H))

    def distance(self, A: Any, B: Any) -> Eigenvalue:
        """The norm of ``A - B``; B None is zero."""
        matrix = self._checked(A, "A")
        other = zeros(tuple(matrix.shape), np.float64) if B is None else self._checked(B, "B")
        if matrix.shape != other.shape:
            raise changed_shape("B", matrix.shape, other.shape)
        norms = np.array([frobenius(matrix, "A")])
        self._before = matrix
        found = self._norms.update(matrix.reshape(1, *matrix.shape), norms, other, frobenius(other, "B"))
        return _given_back(found[0], library_of(A))

    def _checked(self, value: Any, name: str) -> Any:
        """Symmetry is looked at in the first call, as on the host."""
        if self._before is None:
            return symmetric_matrix(value, name)
        matrix = square(value, name)
        if matrix.shape != self._before.shape:
            raise changed_shape(name, self._before.shape, matrix.shape)
        return matrix
