"""
A kernel matrix bigger than memory
==================================

How do I get the matrix of 100000 points? Ask first what it takes; then give a file as ``out=``. Blocks are computed
and written one by one, and a run that was killed goes on where it stopped. Here the 1797 digits of scikit-learn stand
for the many points, so that it takes a second.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastntk

print(fastntk.plan((100_000, 64), layers="both", depth=3, dtype="float32", out="K.npy"))

# %%
# The same call for the digits, which are sorted by their class.

X, labels = load_digits(return_X_y=True)
order = np.argsort(labels, kind="stable")
X = X[order] / np.linalg.norm(X[order], axis=1, keepdims=True)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "K.npy"
    fastntk.limit_gram(X, layers="both", depth=3, scale=2**0.5, dtype="float32", out=path)
    K = np.load(path, mmap_mode="r")
    print(K.shape, K.dtype, f"{path.stat().st_size / 2**20:.1f} MiB on the disk")
    fig, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    picture = axes.imshow(K[::3, ::3], cmap="magma")
    fig.colorbar(picture, label="tangent kernel, depth 3")
    ticks = [np.mean(np.flatnonzero(labels[order] == digit)) / 3 for digit in range(10)]
    axes.set_xticks(ticks, range(10))
    axes.set_yticks(ticks, range(10))
    del K

# %%
# Solving with such a matrix needs no file at all: `kernel_regression` works on an operator that stores nothing.

operator = fastntk.gram_operator(X)
solved = fastntk.kernel_regression(operator, np.where(labels[order] % 2, 1.0, -1.0), ridge=1.0)
print(solved)
