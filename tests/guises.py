"""Arrays as users have them: the same numbers in other guises, None where one cannot hold them, and bad ones."""

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse


def as_dtype(dtype):
    def make(a):
        with np.errstate(all="ignore"):
            found = a.astype(dtype)
            return found if np.array_equal(found.astype(np.float64), a) else None

    return make


def strided(a):
    wide = np.full([2 * size + 1 for size in a.shape], np.nan)
    view = wide[tuple(slice(1, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def backwards(a):
    flip = (slice(None, None, -1),) * a.ndim
    return a[flip].copy()[flip]


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def repeated(a):
    return np.broadcast_to(a[:1], a.shape) if a.size and (a == a[:1]).all() else None


class Holder:
    def __init__(self, a):
        self.a = a

    def __len__(self):
        return len(self.a)


class OnlyArray(Holder):
    def __array__(self, dtype=None, copy=None):
        return self.a if dtype is None else self.a.astype(dtype)


class OnlyDLPack(Holder):
    def __dlpack__(self, **options):
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


def frame(a):
    return pd.DataFrame(a, columns=[f"c{j}" for j in range(a.shape[1])]) if a.ndim == 2 else pd.Series(a)


def converted(change):
    def make(a):
        return change(frame(a)) if a.size else None

    return make


def mixed(a):
    """Columns of integers, booleans and floats side by side, where their numbers are such."""
    table = frame(a)
    if a.ndim == 2 and a.shape[1]:
        first = a[:, 0]
        if np.isin(first, [0, 1]).all():
            table["c0"] = first.astype(bool)
        elif (np.abs(first) < 99).all() and (first == first.round()).all():
            table["c0"] = first.astype(np.int32)
    return table


def polars(a):
    return pl.DataFrame({f"c{j}": a[:, j] for j in range(a.shape[1])}) if a.ndim == 2 else pl.Series(a)


def arrow(a):
    return pa.table({f"c{j}": a[:, j] for j in range(a.shape[1])}) if a.ndim == 2 and a.size else None


GUISES = {
    "itself": lambda a: a,
    "list": lambda a: a.tolist(),
    "tuples": lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
    "Fortran": np.asfortranarray,
    "strided": strided,
    "backwards": backwards,
    "unaligned": unaligned,
    "read-only": read_only,
    "repeated": repeated,
    "byte order": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "objects": lambda a: a.astype(object),
    "masked": lambda a: np.ma.masked_array(a, mask=False),
    **{
        name: as_dtype(name)
        for name in ("float16", "float32", "longdouble", "int8", "int64", "uint8", "uint64", "bool", ">i4", ">f4")
    },
    "bfloat16": as_dtype(ml_dtypes.bfloat16),
    "float8": as_dtype(ml_dtypes.float8_e5m2),
    "only __array__": OnlyArray,
    "only DLPack": OnlyDLPack,
    "pandas": frame,
    "pandas, mixed": mixed,
    "pandas, nullable": converted(lambda table: table.convert_dtypes()),
    "pandas, Arrow": converted(lambda table: table.convert_dtypes(dtype_backend="pyarrow")),
    "pandas, objects": lambda a: frame(a).astype(object),
    "polars": polars,
    "pyarrow": arrow,
}  # fmt: skip


def holed(entry, dtype=object):
    def make(a):
        found = a.astype(dtype)
        if found.size:
            found.flat[-1] = entry
        return found

    return make


# What is no array of finite real numbers of the right shape.
BAD = {
    "nan": holed(np.nan, float),
    "inf": holed(-np.inf, float),
    "None": holed(None),
    "a word": holed("three"),
    "words": lambda a: a.astype(str),
    "complex": lambda a: a + 1j,
    "dates": lambda a: np.zeros(a.shape, "datetime64[s]"),
    "records": lambda a: np.zeros(a.shape, [("x", "f8")]),
    "beyond": lambda a: np.full(a.shape, np.longdouble("1e4000")),  # inf where it is no longer than float64
    "one dimension more": lambda a: a[None, None],
    "a number": lambda a: 1.5,
    "nothing": lambda a: {},
    "ragged": lambda a: [[1.0, 2.0], [3.0]],
    "sparse": lambda a: scipy.sparse.csr_array(np.atleast_2d(a)),
    "pandas, hole": lambda a: frame(holed(None)(a)),
    "pandas, words": lambda a: frame(a.astype(str)),
    "pandas, dates": lambda a: frame(np.zeros(a.shape, "datetime64[s]")),
}
