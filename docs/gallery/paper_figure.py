"""
The figure of the paper
=======================

Do wide networks train as the theory says? The data are those of the published experiment, 1000 points on the sphere
in 1000 dimensions; the widths go to 4000 and the steps to 50, so that it takes seconds. ``fastntk reproduce`` runs it
in full.
"""

import matplotlib.pyplot as plt

import fastntk

X, y = fastntk.datasets.slides()
sweep = fastntk.sweep(X, y, widths=[500, 1000, 2000, 4000], steps=50, lr=0.1, metrics="all", every=5)

# %%
# Every run has its series as arrays over the logged steps.

titles = {
    "loss": "training loss",
    "flips": "patterns changed",
    "drift": "largest drift of a neuron",
    "lambda_min": r"$\lambda_{\min}(H(k))$",
}
fig, panels = plt.subplots(2, 2, figsize=(9, 6), sharex=True, layout="constrained")
for panel, (name, title) in zip(panels.flat, titles.items(), strict=True):
    for run in sweep.runs:
        panel.plot(run.steps, run.series[name], label=f"m = {run.width}")
    panel.set_title(title)
panels[0, 0].set_yscale("log")
panels[1, 1].axhline(sweep.limit["lambda_0"], color="black", linestyle="--", label="infinite width")
panels[1, 1].legend()
fig.supxlabel("step")

# %%
# The loss falls along a line on its logarithmic axis at every width; patterns and weights change less, and the
# smallest eigenvalue stands still nearer to its limit, the wider the network is. ``sweep.plot("figure.png")`` draws
# the same figure.
