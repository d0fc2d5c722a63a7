"""
The tangent kernel against the Gaussian kernel
==============================================

Is the kernel of an infinitely wide network good on small tables? Three tables that come with scikit-learn, five folds
each, the same regularised least squares with both kernels. The Gaussian kernel has a width that is chosen by cross-
validation on the training part; the tangent kernel has none.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from fastntk.sklearn import NTKClassifier

tables = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
folds = StratifiedKFold(5, shuffle=True, random_state=0)


def gaussian_accuracy(X, y):
    """Of ridge regression on one column a class, its width chosen inside each training part."""
    found = []
    for train, test in folds.split(X, y):
        codes = LabelBinarizer().fit(range(y.max() + 1))
        targets = codes.transform(y[train]) * 2.0 - 1.0
        kernels = [RBF(length) for length in (1.0, 3.0, 10.0)]
        search = GridSearchCV(KernelRidge(alpha=0.1), {"kernel": kernels}, cv=3)
        model = make_pipeline(StandardScaler(), search).fit(X[train], targets)
        found.append(np.mean(codes.inverse_transform(model.predict(X[test])) == y[test]))
    return np.array(found)


scores = {}
for name, load in tables.items():
    X, y = load(return_X_y=True)
    tangent = make_pipeline(StandardScaler(), NTKClassifier(depth=2, scale=2**0.5, bias=1.0, alpha=0.1))
    scores[name] = cross_val_score(tangent, X, y, cv=folds), gaussian_accuracy(X, y)

# %%
# Means over the folds, and the spread between folds.

fig, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for offset, (index, label) in zip((-0.2, 0.2), enumerate(("tangent kernel", "Gaussian kernel")), strict=True):
    means = [100 * found[index].mean() for found in scores.values()]
    spread = [100 * found[index].std() for found in scores.values()]
    axes.bar(np.arange(len(scores)) + offset, means, 0.38, yerr=spread, capsize=3, label=label)
axes.set(ylim=(85, 101), ylabel="accuracy [%]", xticks=range(len(scores)), xticklabels=list(scores))
axes.legend(loc="lower right")

# %%
# The differences are within the spread: a kernel without a width to choose does as well here.

print({name: [f"{100 * part.mean():.1f}" for part in found] for name, found in scores.items()})
