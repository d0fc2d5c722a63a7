"""Numba kernels for CUDA devices, one file per operation, under the names of the CPU's.

Each file holds kernels (names end in ``_kernel``) and, under the operation's name, the function that launches them on
a stream. Outputs and scratch are passed in; nothing is checked or allocated, and nothing waits for the device.

Layout: masks keep the packed contract of `fastntk.base.packing`, ``bits[8 samples, neuron]``. Dense arrays have a row
    for each sample (or column of X) and neurons along the contiguous axis, ``Z[i, r]``, at least m long: a thread
    owns a neuron, so all threads of a warp read and write neighbours, a byte of a mask is built in a register, and
    the order of every sum is fixed without warp operations. Grids count samples along x, of which there may be more
    than 65535 blocks, where a block takes fewer than sixteen.
Indices in the passes over the state (`forward`, the steps, the mean, products and norms) are unsigned: signed ones are
    tested for being negative, which made a third of their instructions.
"""
