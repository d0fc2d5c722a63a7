"""The public operations and the engines on a GPU; importing its modules needs a CUDA package."""
