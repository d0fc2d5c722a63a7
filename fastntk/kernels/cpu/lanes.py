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


def _pointer(context, builder, array_type, array, offset):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _is_vector(value):
    return isinstance(value, Lanes)


def _splat(builder, scalar, count):
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(undefined, scalar, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, count), [0] * count))


def _line(scalar):
    """Floats of one cache line."""
    return Lanes(scalar, 512 // scalar.bitwidth)


def _load(vector, array):
    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], *args)
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
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, args[2].type.as_pointer())
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


def _broadcast(vector, array):
    def codegen(context, builder, signature, args):
        return _splat(
            builder, builder.load(_pointer(context, builder, signature.args[0], *args)), vector.count
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
        return _splat(builder, args[1], vector.count)

    return vector(array, array.dtype), codegen


@intrinsic
def zeros(typingctx, array):
    """Zero in all lanes, of the element type of ``array``."""

    def codegen(context, builder, signature, args):
        vector = context.get_value_type(signature.return_type)
        return ir.Constant(vector, None)

    return Lanes(array.dtype)(array), codegen


@intrinsic
def byte_at(typingctx, array, offset):
    """The byte of ``array`` at flat ``offset`` as an index, without the sign test of a Python index."""

    def codegen(context, builder, signature, args):
        byte = builder.load(_pointer(context, builder, signature.args[0], *args))
        return builder.zext(byte, context.get_value_type(types.intp))

    return types.intp(array, types.intp), codegen


@intrinsic
def word_at(typingctx, array, offset):
    """The element of ``array`` at flat ``offset``, without the sign test of a Python index."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], *args))

    return array.dtype(array, types.intp), codegen


def add_table_rows(sizes):
    """Intrinsic that adds to a line one row of each of the tables of 2^size rows that lie one after the other.

    The bits of a word name the rows, those of the first table the lowest; two chains of sums are joined at the end.
    """

    @intrinsic
    def add_rows(typingctx, T, word, line):
        def codegen(context, builder, signature, args):
            i64, octet = ir.IntType(64), ir.IntType(8).as_pointer()
            tables = builder.bitcast(
                context.make_array(signature.args[0])(context, builder, args[0]).data, octet
            )
            chains, base, position = [args[2], None], 0, 0
            for number, size in enumerate(sizes):
                shift = position - 6  # a row is 64 bytes
                moved = builder.lshr(args[1], i64(shift)) if shift > 0 else builder.shl(args[1], i64(-shift))
                place = builder.gep(tables, [i64(64 * base)])
                place = builder.gep(place, [builder.and_(moved, i64(((1 << size) - 1) << 6))])
                row = builder.load(
                    builder.bitcast(place, args[2].type.as_pointer()), align=line.scalar.bitwidth // 8
                )
                chain = chains[number % 2]
                chains[number % 2] = row if chain is None else builder.fadd(chain, row)
                base, position = base + (1 << size), position + size
            return builder.fadd(*chains)

        return line(T, types.uint64, line), codegen

    return add_rows


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
def active_bits(typingctx, vector):
    """Bit j says whether lane j is >= 0 (zero counts as active, NaN does not)."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.bitcast(builder.fcmp_ordered(">=", args[0], zero), ir.IntType(vector.count))

    return types.uint16(vector), codegen


@intrinsic
def relu(typingctx, vector):
    """max(lane, 0); a NaN stays a NaN so that a diverged run cannot look finite."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("<", args[0], zero), zero, args[0])

    return vector(vector), codegen


@intrinsic
def keep(typingctx, bits, vector):
    """Lane j where bit j of ``bits`` is set, else 0."""

    def codegen(context, builder, signature, args):
        chosen = builder.bitcast(args[0], ir.VectorType(ir.IntType(1), vector.count))
        return builder.select(chosen, args[1], ir.Constant(args[1].type, None))

    return vector(types.uint16, vector), codegen


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


@intrinsic
def popcount(typingctx, value):
    """Number of set bits, of each lane or of one integer."""

    def codegen(context, builder, signature, args):
        value = args[0].type
        name = "llvm.ctpop." + (
            f"v{value.count}i64" if isinstance(value, ir.VectorType) else value.intrinsic_name
        )
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(value, [value]), name)
        return builder.call(function, args)

    return value(value), codegen


@intrinsic
def lowest_bit(typingctx, word):
    """Position of the lowest set bit of a non-zero word."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.intp(types.uint64), codegen


@intrinsic
def store_transposed(typingctx, target, offset, stride, source, start, pitch):
    """Copy an 8 x 8 block of words, transposed: rows are `stride` apart in target and `pitch` in source."""
    vector = Lanes(types.uint64)

    def codegen(context, builder, signature, args):
        kind = context.get_value_type(vector)

        def row(array, first, distance, k):
            place = builder.add(args[first], builder.mul(args[distance], args[distance].type(k)))
            pointer = _pointer(context, builder, signature.args[array], args[array], place)
            return builder.bitcast(pointer, kind.as_pointer())

        rows = [builder.load(row(3, 4, 5, k), align=8) for k in range(8)]
        for s in (1, 2, 4):  # swap the off-diagonal s x s blocks of every 2 s x 2 s block
            low = ir.Constant(ir.VectorType(_I32, 8), [k if not k & s else 8 + k - s for k in range(8)])
            high = ir.Constant(ir.VectorType(_I32, 8), [k + s if not k & s else 8 + k for k in range(8)])
            for k in (k for k in range(8) if not k & s):
                pair = rows[k], rows[k + s]
                rows[k], rows[k + s] = builder.shuffle_vector(*pair, low), builder.shuffle_vector(*pair, high)
        for k in range(8):
            builder.store(rows[k], row(0, 1, 2, k), align=8)
        return context.get_dummy_value()

    return types.void(target, types.intp, types.intp, source, types.intp, types.intp), codegen


@intrinsic
def transpose_bits(typingctx, array, offset, bit):
    """Word whose bit k is bit ``bit`` of the byte ``array[offset + k]``, k = 0 ... 63."""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        vector = ir.VectorType(ir.IntType(8), 64)
        octets = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)
        wanted = _splat(builder, builder.shl(ir.IntType(8)(1), builder.trunc(args[2], ir.IntType(8))), 64)
        hit = builder.icmp_unsigned("!=", builder.and_(octets, wanted), ir.Constant(vector, None))
        return builder.bitcast(hit, ir.IntType(64))

    return types.uint64(array, types.intp, types.intp), codegen
