"""The limit kernels where scikit-learn's users are: a kernel for Gaussian processes, and two estimators.

`NTKKernel` is a ``sklearn.gaussian_process.kernels.Kernel``; it is also what ``KernelRidge(kernel=...)``,
``SVC(kernel=...)`` and ``KernelPCA(kernel=...)`` accept. This package needs scikit-learn; fastntk does not. Like
scikit-learn it computes on the host: arrays on a GPU are a TypeError.
"""

try:
    import sklearn  # noqa: F401
except ImportError:
    raise ImportError(
        "fastntk.sklearn needs scikit-learn, which is not installed: pip install fastntk[sklearn]"
    ) from None

from fastntk.sklearn.estimators import NTKClassifier, NTKRegressor
from fastntk.sklearn.kernel import NTKKernel

__all__ = ["NTKClassifier", "NTKKernel", "NTKRegressor"]
