"""Matrix products of BLAS on parts of matrices, ``C = alpha op(A) op(B) + beta C``, for kernels to call.

`np.dot` inside a kernel wants whole contiguous matrices and overwrites C; BLAS itself takes any distance between rows
and adds in place.  This is the entry of BLAS that Numba's own `np.dot` calls.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.linalg import check_blas_return, ensure_blas

_KINDS = {types.float32: "s", types.float64: "d"}
_CHAR, _INT, _SIZE = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = ir.PointerType(_CHAR)


@intrinsic
def gemm(typingctx, transpose_a, transpose_b, alpha, A, B, beta, C):
    """C = alpha op(A) op(B) + beta C; op is the transpose where the boolean says so; rows are contiguous."""
    ensure_blas()
    kind = _KINDS[C.dtype]

    def codegen(context, builder, signature, args):
        def parts(place):
            array = context.make_array(signature.args[place])(context, builder, args[place])
            rows, columns = cgutils.unpack_tuple(builder, array.shape, 2)
            stride, _ = cgutils.unpack_tuple(builder, array.strides, 2)
            distance = builder.sdiv(stride, stride.type(C.dtype.bitwidth // 8))
            return builder.bitcast(array.data, _POINTER), rows, columns, distance

        def scalar(place):
            value = context.cast(builder, args[place], signature.args[place], C.dtype)
            return builder.bitcast(cgutils.alloca_once_value(builder, value), _POINTER)

        a, a_rows, a_columns, a_distance = parts(3)
        b, _, _, b_distance = parts(4)
        c, c_rows, c_columns, c_distance = parts(6)
        depth = builder.select(args[0], a_rows, a_columns)
        form = ir.FunctionType(
            _INT,
            [_CHAR] * 3 + [_SIZE] * 3 + [_POINTER] * 2 + [_SIZE, _POINTER, _SIZE, _POINTER, _POINTER, _SIZE],
        )
        function = cgutils.get_or_insert_function(builder.module, form, "numba_xxgemm")
        turned = [builder.select(flag, _CHAR(ord("t")), _CHAR(ord("n"))) for flag in args[:2]]
        # BLAS reads the columns first: it computes the transpose, from factors in the other order
        status = builder.call(
            function,
            [_CHAR(ord(kind)), turned[1], turned[0], c_columns, c_rows, depth, scalar(2), b, b_distance, a, a_distance,
             scalar(5), c, c_distance],
        )  # fmt: skip
        check_blas_return(context, builder, status)
        return context.get_dummy_value()

    return types.void(types.boolean, types.boolean, alpha, A, B, beta, C), codegen
