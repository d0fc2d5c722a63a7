"""Work on a user's Dask cluster: the one place that knows its library; what a task does belongs to its subject."""

from fastntk.distributed.workers import Task, Workers

__all__ = ["Task", "Workers"]
