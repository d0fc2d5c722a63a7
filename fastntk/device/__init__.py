"""Arrays in the memory of a GPU, its driver, and the one place that asks for the CUDA backend."""
