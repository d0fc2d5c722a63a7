"""
Labels that are easy, and labels that are hard
==============================================

Why does a network learn true labels faster than random ones? Along the eigenvector of eigenvalue :math:`\\lambda_i`
the error shrinks by :math:`1 - \\eta \\lambda_i` in each step, and true labels lie along the large ones (Arora et
al., arXiv 1901.08584). The data: the digits 3 and 5 of scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastntk

X, digits = load_digits(return_X_y=True)
chosen = np.isin(digits, (3, 5))
X, digits = X[chosen], digits[chosen]
X = X / np.linalg.norm(X, axis=1, keepdims=True)
labels = {
    "true": np.where(digits == 3, 1.0, -1.0),
    "random": np.random.default_rng(0).choice([-1.0, 1.0], len(X)),
}
H = fastntk.limit_gram(X)

# %%
# Left: the part of the labels along the largest eigenvalues. Right: training, which follows.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name, y in labels.items():
    found = fastntk.label_projections(H, y)
    left.semilogx(range(1, len(X) + 1), np.cumsum(found.projections[::-1] ** 2) / len(X), label=name)
    run = fastntk.train(X, y, width=8000, steps=200, lr=0.01, paired=True, every=5)
    right.semilogy(run.steps, run.loss, label=name)
    print(f"{name}: complexity {float(fastntk.generalization_complexity(H, y)):.3f}")
left.set(xlabel="largest eigenvalues", ylabel="part of the labels along them")
right.set(xlabel="step", ylabel="training loss")
left.legend()

# %%
# The complexity bounds the test loss of a wide network: below 1 it says something, above it does not.
