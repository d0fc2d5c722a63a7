"""Bits for Numba kernels: of the lanes of a vector, of words and bytes, and the table rows that they pick.

Beside the vectors of `lanes`, and like these without bounds checks.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastntk.kernels.cpu.lanes import Lanes, pointer_to, splat

_I32 = ir.IntType(32)


@intrinsic
def byte_at(typingctx, array, offset):
    """The byte of ``array`` at flat ``offset`` as an index, without the sign test of a Python index."""

    def codegen(context, builder, signature, args):
        byte = builder.load(pointer_to(context, builder, signature.args[0], *args))
        return builder.zext(byte, context.get_value_type(types.intp))

    return types.intp(array, types.intp), codegen


@intrinsic
def word_at(typingctx, array, offset):
    """The element of ``array`` at flat ``offset``, without the sign test of a Python index."""

    def codegen(context, builder, signature, args):
        return builder.load(pointer_to(context, builder, signature.args[0], *args))

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


@intrinsic
def active_bits(typingctx, vector):
    """Bit j says whether lane j is >= 0 (zero counts as active, NaN does not)."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.bitcast(builder.fcmp_ordered(">=", args[0], zero), ir.IntType(vector.count))

    return types.uint16(vector), codegen


@intrinsic
def keep(typingctx, bits, vector):
    """Lane j where bit j of ``bits`` is set, else 0."""

    def codegen(context, builder, signature, args):
        chosen = builder.bitcast(args[0], ir.VectorType(ir.IntType(1), vector.count))
        return builder.select(chosen, args[1], ir.Constant(args[1].type, None))

    return vector(types.uint16, vector), codegen


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
            pointer = pointer_to(context, builder, signature.args[array], args[array], place)
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
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        vector = ir.VectorType(ir.IntType(8), 64)
        octets = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)
        wanted = splat(builder, builder.shl(ir.IntType(8)(1), builder.trunc(args[2], ir.IntType(8))), 64)
        hit = builder.icmp_unsigned("!=", builder.and_(octets, wanted), ir.Constant(vector, None))
        return builder.bitcast(hit, ir.IntType(64))

    return types.uint64(array, types.intp, types.intp), codegen
