"""
Gradient flow against gradient descent
======================================

The theory is often about a flow, the code about steps. How far apart are they? Both start from the same network;
descent follows the flow at the time lr times step.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastntk

X, y = fastntk.datasets.sphere(100, 50, seed=0)
flow = fastntk.train(X, y, width=1000, dynamics="flow", t_final=20.0)
steps = {lr: fastntk.train(X, y, width=1000, steps=round(20 / lr), lr=lr) for lr in (0.1, 0.4, 0.8)}

# %%
# Left: the losses. Right: how far descent is from the flow.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.semilogy(flow.times, flow.loss, "k--", label="flow", zorder=3)
for lr, run in steps.items():
    left.semilogy(lr * run.steps, run.loss, label=f"lr = {lr:g}")
    along = np.exp(np.interp(lr * run.steps, flow.times, np.log(flow.loss)))
    right.semilogy(lr * run.steps[1:], np.abs(run.loss / along - 1)[1:], label=f"lr = {lr:g}")
left.set(xlabel="time", ylabel="training loss")
right.set(xlabel="time", ylabel="relative distance from the flow")
left.legend()

# %%
# The flow's own error is controlled, and said:

print({name: flow.provenance[name] for name in ("tolerance", "error_estimate") if name in flow.provenance})
