"""
The tangent kernel against the Gaussian kernel
==============================================

Is the kernel of an infinitely wide network good on small tables? Three tables that come with scikit-learn, ten folds
each, a support vector machine with both kernels. The Gaussian kernel has a width, which is chosen by cross-validation
on each training part; the tangent kernel has none.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fastntk.sklearn import NTKKernel

tables = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
machines = {
    "tangent kernel": SVC(kernel=NTKKernel(depth=2, scale=2**0.5, bias=1.0)),
    "Gaussian kernel": GridSearchCV(SVC(), {"gamma": np.logspace(-3, 0, 7)}, cv=3),
}
folds = StratifiedKFold(10, shuffle=True, random_state=0)
scores = {
    (name, label): cross_val_score(make_pipeline(StandardScaler(), machine), *load(return_X_y=True), cv=folds)
    for name, load in tables.items()
    for label, machine in machines.items()
}

# %%
# Means over the folds, and the spread between folds.

fig, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for offset, label in zip((-0.2, 0.2), machines, strict=True):
    means = [100 * scores[name, label].mean() for name in tables]
    spread = [100 * scores[name, label].std() for name in tables]
    axes.bar(np.arange(len(tables)) + offset, means, 0.38, yerr=spread, capsize=3, label=label)
axes.set(ylim=(85, 103), ylabel="accuracy [%]", xticks=range(len(tables)), xticklabels=list(tables))
axes.legend(loc="upper left", ncols=2)

# %%
# What lies between the kernels, beside how much the folds differ, in percent:

for name in tables:
    tangent, gaussian = (100 * scores[name, label] for label in machines)
    print(f"{name}: {tangent.mean() - gaussian.mean():+.1f}, folds differ by {gaussian.std():.1f}")
