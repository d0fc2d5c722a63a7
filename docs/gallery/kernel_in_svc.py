"""
A precomputed kernel in a support vector machine
================================================

How do I use the tangent kernel in a method that takes a matrix? ``limit_gram`` gives square and rectangular ones. The
data: all digits of scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import fastntk

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=0)

# %%
# One matrix to fit, one to predict; here for one to six hidden layers.

accuracy = {}
for depth in (1, 2, 4, 6):
    options = {"layers": "both", "depth": depth, "scale": 2**0.5}
    machine = SVC(kernel="precomputed", C=1.0).fit(fastntk.limit_gram(X_train, **options), y_train)
    found = machine.predict(fastntk.limit_gram(X_test, X_train, **options))
    accuracy[depth] = accuracy_score(y_test, found)
print({depth: f"{100 * part:.2f} %" for depth, part in accuracy.items()})

# %%
# What the last one takes for what.

fig, axes = plt.subplots(figsize=(5.5, 5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(y_test, found, ax=axes, colorbar=False, cmap="Blues")
axes.set_title(f"depth {depth}: {np.count_nonzero(found != y_test)} of {len(found)} wrong")
