"""What the instructions of PTX do with numbers."""

import numpy as np

_COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal,
}  # fmt: skip


def compared(how, a, b):
    """Of floats, a name that ends in u is true where one is NaN, the others false."""
    if how in ("num", "nan"):
        odd = np.isnan(a) | np.isnan(b)
        return odd if how == "nan" else ~odd
    if how[:-1] in _COMPARE and how.endswith("u"):
        return _COMPARE[how[:-1]](a, b) | np.isnan(a) | np.isnan(b)
    if how == "ne" and np.asarray(a).dtype.kind == "f":
        return (a != b) & ~np.isnan(a) & ~np.isnan(b)
    return _COMPARE[how](a, b)


def converted(values, target, how):
    if values.dtype.kind == "f" and target.kind != "f":
        rounded = {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}[how[0]](values)
        limits = np.iinfo(target)
        return np.clip(np.nan_to_num(rounded), limits.min, limits.max).astype(target)
    return values.astype(target)


def shifted(kind, values, count):
    bits = 8 * values.dtype.itemsize
    inside = np.minimum(count, bits - 1).astype(f"u{values.dtype.itemsize}").view(values.dtype)
    shifted = values >> inside if kind == "shr" else values << inside
    beyond = shifted >> values.dtype.type(1) if kind == "shr" else np.zeros_like(shifted)  # the sign, or zero
    return np.where(count < bits, shifted, beyond)


def _divided(a, b):
    if a.dtype.kind == "f":
        return a / b
    if a.dtype.kind == "u":
        return a // b
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def _fused(a, b, c):
    wide = np.float64 if np.asarray(a).dtype == np.float32 else np.longdouble
    return (np.asarray(a).astype(wide) * np.asarray(b).astype(wide) + np.asarray(c).astype(wide)).astype(
        c.dtype
    )


OPERATIONS = {
    "abs": np.abs, "add": np.add, "and": np.bitwise_and, "cvta": np.asarray, "div": _divided, "fma": _fused,
    "max": np.fmax, "min": np.fmin, "mov": np.asarray, "mul": np.multiply, "neg": np.negative, "not": np.invert,
    "or": np.bitwise_or, "rcp": lambda a: np.ones_like(a) / a, "rem": np.fmod, "sqrt": np.sqrt, "sub": np.subtract,
    "xor": np.bitwise_xor,
}  # fmt: skip
