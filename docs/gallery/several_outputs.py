"""
Several outputs at once
=======================

Can the lower half of a digit be told from the upper one? `NTKRegressor` takes targets of any number: here 32 pixels
from 32 others.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastntk.sklearn import NTKRegressor

images = load_digits().images / 16
train, test = train_test_split(images, test_size=200, random_state=0)
upper = [half[:, :4].reshape(-1, 32) for half in (train, test)]
lower = [half[:, 4:].reshape(-1, 32) for half in (train, test)]
model = NTKRegressor(depth=2, scale=2**0.5, alpha=0.1).fit(upper[0], lower[0])
found = model.predict(upper[1])
print(f"R2 on images that it has not seen: {model.score(upper[1], lower[1]):.3f}")

# %%
# Above the true images, below their upper halves with what the kernel makes of them.

fig, panels = plt.subplots(2, 8, figsize=(9, 2.6), layout="constrained")
for k, (true, made) in enumerate(panels.T):
    true.imshow(test[k], cmap="gray_r", vmin=0, vmax=1)
    made.imshow(np.vstack([test[k][:4], found[k].reshape(4, 8)]), cmap="gray_r", vmin=0, vmax=1)
    made.axhline(3.5, color="tab:red", linewidth=1)
    true.set_axis_off()
    made.set_axis_off()
