"""A GPU made of host memory that executes the compiled PTX of kernels: see `device` and `launch`."""
