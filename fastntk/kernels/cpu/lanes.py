"""Explicit vectors for Numba kernels: sixteen lanes of floats, eight of 64-bit words; lines of 64 bytes of floats.

LLVM's auto-vectoriser misses the access patterns of this package (table rows picked by mask bytes, broadcast
words against panels), and Numba's index wrap-around of negative indices gets in its way. These intrinsics
emit vector instructions on flat offsets of C-contiguous arrays; LLVM lowers them to one AVX-512 register or
several smaller ones, so no CPU feature has to be asked for. No bounds are checked.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, overload, register_model

_I32 = ir.IntType(32)


class Lanes(types.Type):
    """Numba type of a vector: sixteen floats or eight words, unless it says how many."""

    def __init__(self, scalar, count=0):
        self.scalar = scalar
        self.count = count or (16 if isinstance(scalar, types.Float) else 8)
        super().__init__(f"Lanes({scalar} x {self.count})")


@register_model(Lanes)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager, fe_type):
        scalar = manager.lookup(fe_type.scalar).get_value_type()
        super().__init__(manager, fe_type, ir.VectorType(scalar, fe_type.count))


def pointer_to(context, builder, array_type, array, offset):
    """Address of the element at a flat offset."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _is_vector(value):
    return isinstance(value, Lanes)


def splat(builder, scalar, count):
    """A vector with the scalar in all lanes."""
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(undefined, scalar, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, count), [0] * count))


def _line(scalar):
    """Floats of one cache line."""
    return Lanes(scalar, 512 // scalar.bitwidth)


def _load(vector, array):
    def codegen(context, builder, signature, args):
        pointer = pointer_to(context, builder, signature.args[0], *args)
        pointer = builder.bitcast(pointer, context.get_value_type(vector).as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), codegen


@intrinsic
def load(typingctx, array, offset):
    """Consecutive elements of ``array`` from flat ``offset``."""
    return _load(Lanes(array.dtype), array)


@intrinsic
def load_line(typingctx, array, offset):
    """64 bytes of ``array`` from flat ``offset``."""
    return _load(_line(array.dtype), array)


@intrinsic
def store(typingctx, array, offset, vector):
    """Write the lanes to ``array`` from flat ``offset``."""

    def codegen(context, builder, signature, args):
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, args[2].type.as_pointer())
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


def _broadcast(vector, array):
    def codegen(context, builder, signature, args):
        return splat(
            builder, builder.load(pointer_to(context, builder, signature.args[0], *args)), vector.count
        )

    return vector(array, types.intp), codegen


@intrinsic
def broadcast(typingctx, array, offset):
    """The element of ``array`` at flat ``offset`` in all lanes."""
    return _broadcast(Lanes(array.dtype), array)


@intrinsic
def broadcast_line(typingctx, array, offset):
    """The element of ``array`` at flat ``offset`` in all lanes of a line."""
    return _broadcast(_line(array.dtype), array)


@intrinsic
def spread(typingctx, array, value):
    """A number, of the element type of ``array``, in all lanes."""
    vector = Lanes(array.dtype)

    def codegen(context, builder, signature, args):
        return splat(builder, args[1], vector.count)

    return vector(array, array.dtype), codegen


@intrinsic
def zeros(typingctx, array):
    """Zero in all lanes, of the element type of ``array``."""

    def codegen(context, builder, signature, args):
        vector = context.get_value_type(signature.return_type)
        return ir.Constant(vector, None)

    return Lanes(array.dtype)(array), codegen


def _arithmetic(python_operator, for_floats, for_integers):
    @intrinsic
    def apply(typingctx, left, right):
        name = for_floats if isinstance(left.scalar, types.Float) else for_integers
        return left(left, right), lambda context, builder, signature, args: getattr(builder, name)(*args)

    @overload(python_operator)
    def operator_overload(left, right):
        if _is_vector(left) and _is_vector(right):
            return lambda left, right: apply(left, right)
        return None


_arithmetic(operator.add, "fadd", "add")
_arithmetic(operator.sub, "fsub", "sub")
_arithmetic(operator.mul, "fmul", "mul")
_arithmetic(operator.and_, None, "and_")


def _float_function(builder, name, args):
    """Call the LLVM function of that name on vectors of one type."""
    kind = args[0].type
    element = "f32" if isinstance(kind.element, ir.FloatType) else "f64"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.v{kind.count}{element}"
    )
    return builder.call(function, args)


@intrinsic
def multiply_add(typingctx, left, right, addend):
    """left * right + addend, in one rounding where the processor has it."""

    def codegen(context, builder, signature, args):
        return _float_function(builder, "fmuladd", args)

    return left(left, right, addend), codegen


@intrinsic
def widened(typingctx, vector):
    """The floats of a vector in double precision."""

    def codegen(context, builder, signature, args):
        kind = context.get_value_type(signature.return_type)
        return args[0] if args[0].type == kind else builder.fpext(args[0], kind)

    return Lanes(types.float64)(vector), codegen


@intrinsic
def magnitude(typingctx, vector):
    """Absolute value of each lane."""

    def codegen(context, builder, signature, args):
        return _float_function(builder, "fabs", args)

    return vector(vector), codegen


@intrinsic
def larger(typingctx, left, right):
    """The larger of each pair of lanes; the right one where they do not compare."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return left(left, right), codegen


@intrinsic
def relu(typingctx, vector):
    """max(lane, 0); a NaN stays a NaN so that a diverged run cannot look finite."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("<", args[0], zero), zero, args[0])

    return vector(vector), codegen


@intrinsic
def total(typingctx, vector):
    """Sum of the lanes by halving, in a fixed order."""

    def codegen(context, builder, signature, args):
        value, width = args[0], vector.count
        while width > 1:
            width //= 2
            undefined = ir.Constant(value.type, ir.Undefined)
            index = ir.VectorType(_I32, width)
            low = builder.shuffle_vector(value, undefined, ir.Constant(index, list(range(width))))
            high = builder.shuffle_vector(value, undefined, ir.Constant(index, list(range(width, 2 * width))))
            value = builder.fadd(low, high)
        return builder.extract_element(value, _I32(0))

    return vector.scalar(vector), codegen
