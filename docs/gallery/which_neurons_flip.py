"""
Which neurons flip, and when
============================

Few patterns change; which ones, and do they come back? ``diagnostics=True`` watches.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import normalize, scale

import fastntk

X, y = load_diabetes(return_X_y=True)
X, y = normalize(X), scale(y)
run = fastntk.train(X, y, width=4000, steps=200, lr=0.005, diagnostics=True)
seen = run.diagnostics
print(seen)

# %%
# Changes that last, and all changes; how many neurons flip how often; when each neuron flips for the first time.

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
left.plot(seen.steps, seen.cumulative, label="all changes")
left.plot(seen.steps, seen.net, label="differ from the start")
left.set(xlabel="step", title="pattern entries")
left.legend()
middle.hist(seen.neurons.total, bins=40)
middle.set(xlabel="flips of a neuron", title="neurons", yscale="log")
first = seen.neurons.first[seen.neurons.first >= 0]
right.hist(first, bins=np.arange(0, 201, 10))
right.set(xlabel="step of the first flip", title="neurons")

# %%
# ``seen.plot("flips.png")`` draws these and the quantiles of the drift, ``seen.to_csv("folder")`` writes them.
