"""Symmetric matrices on a GPU: their check, norms, factorisations, inverses and eigenvectors.

As in `fastntk.spectra.eigenvalue`.  cuSOLVER does the linear algebra; where it is not installed, and in the simulator,
LAPACK does it on a copy in host memory.
"""

from typing import Any

import numpy as np
import scipy.linalg

from fastntk.cuda import checks
from fastntk.device.arrays import empty, require_memory, view
from fastntk.kernels.cuda import solver, symmetric
from fastntk.kernels.cuda.conversion import mirror
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.reductions import column_sums
from fastntk.spectra.eigenvalue import asymmetry_allowed, proven_below, require_finite_norm


def square(value: Any, name: str) -> Any:
    """`value` as a finite, square float64 matrix on the GPU; symmetry is not looked at."""
    matrix = checks.matrix(value, name, np.float64)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {tuple(matrix.shape)}")
    return matrix


def symmetric_matrix(value: Any, name: str) -> Any:
    """`value` as a finite, exactly symmetric float64 matrix on the GPU; asymmetry beyond rounding is an error."""
    found = view(value, name)
    matrix = square(found, name)
    shares = empty((symmetric.blocks(matrix.size), 2), np.float64)
    symmetric.asymmetry(matrix, shares)
    asymmetry, largest = map(float, shares.copy_to_host().max(axis=0))
    if asymmetry > asymmetry_allowed(found.dtype == np.float32) * largest:
        raise ValueError(f"{name} must be symmetric, but {name} and its transpose differ by {asymmetry:.3g}")
    if asymmetry == 0.0:
        return matrix
    mean = empty(tuple(matrix.shape), np.float64)
    symmetric.symmetrise(matrix, mean)
    return mean


def sizes(H: Any, before: Any) -> tuple[np.ndarray, np.ndarray]:
    """Frobenius norms of a batch H (members, n, n), and of the change before each, before the first from `before`."""
    members, n, _ = H.shape
    shares, totals = (
        empty((symmetric.blocks(n * n), 2 * members), np.float64),
        empty(2 * members, np.float64),
    )
    symmetric.squares(H, before, shares)
    column_sums(shares, 1.0, totals)
    found = np.sqrt(totals.copy_to_host().reshape(members, 2))
    return found[:, 0], found[:, 1]


def frobenius(matrix: Any, name: str) -> float:
    """Frobenius norm; one that is not finite is an error."""
    norm = float(sizes(matrix.reshape(1, *matrix.shape), matrix)[0][0])
    return require_finite_norm(norm, name)


def shifted(matrix: Any, sign: float = 1.0, shift: float = 0.0) -> Any:
    """A new ``sign matrix - shift I``."""
    out = empty(tuple(matrix.shape), np.float64)
    symmetric.shifted(matrix, sign, shift, out)
    return out


def factor_above(matrix: Any, shift: float) -> tuple[Any, float] | None:
    """Cholesky factor, in the lower half, of ``matrix - shift I``, and a proven lower bound of the spectrum.

    None if it breaks down.  See `fastntk.spectra.eigenvalue.factor_above`.
    """
    n = len(matrix)
    require_memory(16 * n * n, f"the Cholesky factor of n={n} rows")
    factor, entries = shifted(matrix, shift=shift), empty(n, np.float64)
    symmetric.diagonal(factor, entries)
    trace = float(entries.copy_to_host().sum())
    if solver.library() is None:
        found, info = scipy.linalg.lapack.dpotrf(factor.copy_to_host().T, lower=0, clean=0, overwrite_a=1)
        factor.copy_to_device(np.ascontiguousarray(found.T))
    else:
        info = _solved("factor", factor)
    _require_valid(info, "potrf")
    return None if info else (factor, proven_below(shift, n, trace))


def inverse_from(factor: Any) -> Any:
    """The full symmetric inverse from a Cholesky factor in the lower half, which it overwrites."""
    if solver.library() is None:
        found, info = scipy.linalg.lapack.dpotri(factor.copy_to_host().T, lower=0, overwrite_c=1)
        factor.copy_to_device(np.ascontiguousarray(found.T))
    else:
        info = _solved("invert", factor)
    _require_valid(info, "potri")
    mirror(factor, 1.0)
    return factor


def eigenvectors(matrix: Any) -> tuple[np.ndarray, Any]:
    """All eigenvalues, ascending, and their vectors as rows on the GPU."""
    n = len(matrix)
    require_memory(4 * 8 * n * n, f"the eigenvectors of n={n} rows")
    rows = shifted(matrix)
    if solver.library() is None:
        values, vectors = scipy.linalg.eigh(rows.copy_to_host(), driver="evd", check_finite=False)
        rows.copy_to_device(np.ascontiguousarray(vectors.T))
        return values, rows
    there = empty(n, np.float64)
    info = _solved("eigenvectors", rows, there)
    _require_valid(info, "syevd")
    if info:
        raise RuntimeError(f"the eigenvalues of H were not found: {info} of them did not converge")
    return there.copy_to_host(), rows


def _solved(work: str, *arrays: Any) -> int:
    """What cuSOLVER says of that work, once it is done."""
    plan = solver.Solver()  # whose workspaces must live until then
    return int(getattr(plan, work)(*arrays).copy_to_host()[0])


def _require_valid(info: int, call: str) -> None:
    if info < 0:
        raise RuntimeError(f"{call} refused its argument {-info}")


def images_of(matrix: Any, rows: Any) -> Any:
    """``rows @ matrix`` for rows (k, n)."""
    images = empty(tuple(rows.shape), np.float64)
    Products().nt(rows, matrix, images)
    return images
