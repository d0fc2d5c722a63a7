"""Finite and limiting Gram matrices: sources, operators, intervals, plans, out of core."""
