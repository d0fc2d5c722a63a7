"""Gram matrices of points on a GPU: sources of blocks, what they are computed from, and operators."""
