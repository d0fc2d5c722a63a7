"""
A Gaussian process with the tangent kernel
==========================================

What would an infinitely wide network say, and how sure would it be? `NTKKernel` is a kernel for scikit-learn's
Gaussian processes. The data: progression of diabetes against the body mass index, 442 patients.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

from fastntk.sklearn import NTKKernel

X, y = load_diabetes(return_X_y=True, scaled=False)
bmi = X[:, 2:3]
center, scale = bmi.mean(), bmi.std()
kernel = ConstantKernel(1.0) * NTKKernel(depth=3, scale=2**0.5, bias=1.0) + WhiteKernel(0.5)
model = GaussianProcessRegressor(kernel, normalize_y=True).fit((bmi - center) / scale, y)

# %%
# The amplitude and the noise were chosen by the likelihood:

print(model.kernel_)

# %%
# Mean, the band of the mean, and that of a new patient.

grid = np.linspace(15, 45, 200)[:, None]
mean, deviation = model.predict((grid - center) / scale, return_std=True)
noise = y.std() * np.sqrt(model.kernel_.k2.noise_level)
sure = np.sqrt(np.maximum(deviation**2 - noise**2, 0))
fig, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
axes.plot(bmi, y, ".", color="gray", markersize=4)
axes.plot(grid, mean)
axes.fill_between(grid[:, 0], mean - 2 * deviation, mean + 2 * deviation, alpha=0.15, label="a new patient")
axes.fill_between(grid[:, 0], mean - 2 * sure, mean + 2 * sure, alpha=0.4, label="the mean")
axes.set(xlabel="body mass index", ylabel="progression after a year")
axes.legend(loc="upper left")
