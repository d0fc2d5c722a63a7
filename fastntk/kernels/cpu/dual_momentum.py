"""One step with momentum on the pre-activations.

Formula: ``V' = beta V + G``, ``D' = D + b V' + c G``, G the step of `dual_step`. Heavy ball: b = 1, c = 0, look = 0.
    Nesterov, stored at the point it looks ahead to: b = look = beta, c = 1. Per tile two inner products in weight space
    with the gradient step g, of the point that the velocity moves (``D - look V``) and of ``2 beta v + g``: from them
    follow all norms the drift needs, without weights.
Layout: as dual_step, with the pre-activations V of the velocity beside D; coefficients (beta, b, c, -look).
Owner: as dual_step.
Cost: dual_step, and V read and written: 8 n m bytes more in float32.
Bound: as dual_step.
Machine: any.
Accumulation: as dual_step.
Rejected: none tried.
"""

import numba

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.dual_step import move_task


@kernel(parallel=True)
def dual_momentum(
    n, m, words, new_bits, K, e, scale, a, coefficients, Z0, D, V, tables, sums, u_shares, base_shares, step_shares
):  # fmt: skip
    """u_shares (blocks, 16 tiles), base_shares and step_shares (ranges, width) are overwritten; see dual_step."""
    ranges = base_shares.shape[0]
    for task in numba.prange(ranges * u_shares.shape[0]):
        thread, part = numba.get_thread_id(), task % ranges
        rows = sums.shape[1]
        first = task // ranges * rows
        for r in range(first, min(first + rows, m)):
            step_shares[part, r] = 0.0
        move_task(
            task, n, m, words, new_bits, K, e, scale, a, Z0, D, tables[thread], sums[thread], u_shares, base_shares,
            (coefficients, V, step_shares[part]),
        )  # fmt: skip
