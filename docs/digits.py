"""Tangent kernels against a Gaussian kernel on handwritten digits: the table of digits.md.

Run `python docs/digits.py` with the package and scikit-learn installed; 20 seconds of one core.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

import fastntk
from fastntk.sklearn import NTKClassifier

DEPTHS = (1, 2, 4)
GAMMAS = (0.01, 0.03, 0.1)
PENALTIES = (1.0, 10.0)  # C of the SVM
RIDGES = (1e-3, 1e-1)  # alpha of the regression
INNER = StratifiedKFold(3, shuffle=True, random_state=1)  # of the training part, for the choices


def digits(samples=None):
    """Images as rows of 64 numbers between 0 and 1, and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:samples] / 16, y[:samples]


def accuracy(model, grid, matrices, labels, y, train, test, scoring="accuracy"):
    """Accuracy on the test rows of the kernel matrix and the parameters that do best within the training rows."""
    inner = list(INNER.split(train, y[train]))
    found = []
    for K in matrices:
        search = GridSearchCV(model, grid, scoring=scoring, cv=inner)
        found.append((search.fit(K[np.ix_(train, train)], labels[train]), K))
    search, K = max(found, key=lambda one: one[0].best_score_)
    return search.score(K[np.ix_(test, train)], labels[test])


def svm(matrices, y, train, test):
    """Support vector machine on kernel matrices."""
    return accuracy(SVC(kernel="precomputed"), {"C": PENALTIES}, matrices, y, y, train, test)


def regression(matrices, y, train, test):
    """Kernel ridge regression on kernel matrices: labels are +1 for the class and -1 for the rest."""
    signs = np.where(y[:, np.newaxis] == np.unique(y), 1.0, -1.0)
    right = make_scorer(lambda wanted, values: accuracy_score(wanted.argmax(axis=1), values.argmax(axis=1)))
    model = KernelRidge(kernel="precomputed")
    return accuracy(model, {"alpha": RIDGES}, matrices, signs, y, train, test, right)


def tangent_regression(depth, X, y, train, test):
    """The same regression, by the estimator of fastntk."""
    search = GridSearchCV(NTKClassifier(depth=depth, fit_intercept=False), {"alpha": RIDGES}, cv=INNER)
    return search.fit(X[train], y[train]).score(X[test], y[test])


def row(depth, X, y, splits=5):
    """One line of the table: mean and standard deviation of the accuracy over the folds, in percent; None: Gaussian."""
    name = "Gaussian" if depth is None else f"NTK, depth {depth}"
    if depth is None:
        matrices = [rbf_kernel(X, gamma=gamma) for gamma in GAMMAS]
    else:
        matrices = [fastntk.limit_gram(X, layers="both", depth=depth)]
    folds = StratifiedKFold(splits, shuffle=True, random_state=0)
    results = []
    for train, test in folds.split(X, y):
        fitted = (
            regression(matrices, y, train, test)
            if depth is None
            else tangent_regression(depth, X, y, train, test)
        )
        results.append((svm(matrices, y, train, test), fitted))
    percent = 100 * np.array(results)
    cells = [f"{one.mean():.2f} ± {one.std(ddof=1):.2f}" for one in percent.T]
    return f"| {name} | {' | '.join(cells)} |"


def main(samples=None, splits=5):
    """Print the table."""
    X, y = digits(samples)
    print("| kernel | SVM | kernel regression |\n|---|---|---|")
    with threadpool_limits(1):  # hundreds of small systems: more threads would wait for each other
        for depth in (*DEPTHS, None):
            print(row(depth, X, y, splits))


if __name__ == "__main__":
    main()
