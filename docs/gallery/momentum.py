"""
What momentum gains
===================

By how much do heavy ball and Nesterov beat gradient descent, each at its best step size? `convergence_rates` computes
the best step sizes from the kernel at the start, trains, and lays the measured rate beside the predicted one.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastntk

X, y = fastntk.datasets.sphere(100, 40, seed=0)
rates = fastntk.convergence_rates(X, y, width=5000, steps=150)
print(rates)

# %%
# The dashed lines fall by the predicted factor of the slowest mode.

fig, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, run in rates.runs.items():
    (line,) = axes.semilogy(run.steps, run.loss, label=name)
    factor, last = rates.tunings[name].factor, len(run.steps) // 3
    axes.semilogy(
        run.steps,
        run.loss[last] * np.power(factor, run.steps - run.steps[last]),
        "--",
        color=line.get_color(),
    )
axes.set(xlabel="step", ylabel="training loss", ylim=(1e-9, 1e3))
axes.legend()
