"""The network, its draws, activation patterns and gradient."""
