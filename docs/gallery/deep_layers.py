"""
Three hidden layers, layer by layer
===================================

Does the Gram matrix of every layer stand still too? `train` with ``depth=3`` logs each of them.
"""

import matplotlib.pyplot as plt

import fastntk

X, y = fastntk.datasets.sphere(100, 100, seed=0)
shared = {"depth": 3, "scale": 2**0.5, "steps": 40, "lr": 0.01, "metrics": "all", "every": 4}
runs = [fastntk.train(X, y, width=width, **shared) for width in (256, 1024)]

# %%
# Smallest eigenvalue of each layer's Gram matrix; dashed, its limit at infinite width.

fig, panels = plt.subplots(1, 3, figsize=(10, 3.6), sharex=True, layout="constrained")
for h, panel in enumerate(panels):
    for run in runs:
        panel.plot(run.steps, run.lambda_min[:, h], label=f"width {run.width}")
    panel.axhline(runs[0].provenance["limit"]["lambda_0_of_layers"][h], color="black", linestyle="--")
    panel.set(title=f"layer {h + 1}", xlabel="step", ylim=(0, None))
panels[0].set_ylabel(r"$\lambda_{\min}(G^{(h)}(k))$")
panels[0].legend(loc="lower right")

# %%
# The last layer has the smallest eigenvalue and needs the most width.
