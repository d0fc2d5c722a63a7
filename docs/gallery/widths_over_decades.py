"""
Widths over decades
===================

How fast do pattern changes and drift vanish with the width? Like one over its root, says the theory. 200 points, and
widths from 128 to 32768.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastntk

X, y = fastntk.datasets.sphere(200, 200, seed=0)
widths = [2**k for k in range(7, 17, 2)]
sweep = fastntk.sweep(X, y, widths=widths, seeds=[0, 1], steps=50, lr=0.3, every=50)

# %%
# Where the runs end against the width, and the line that falls like one over the root.

fig, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for panel, name in zip(panels, ("flips", "drift"), strict=True):
    ends = np.array([[run.series[name][-1] for run in sweep.runs if run.width == m] for m in widths])
    panel.loglog(widths, ends, "o", color="tab:blue", alpha=0.6)
    panel.loglog(widths, ends[0].mean() * np.sqrt(widths[0] / np.array(widths)), "k--")
    slope = np.polyfit(np.log(widths), np.log(ends.mean(axis=1)), 1)[0]
    panel.set_title(f"{name}: falls like $m^{{{slope:.2f}}}$")
    panel.set_xlabel("width m")

# %%
# Which engine made the steps was chosen by its cost:

print({run.width: run.provenance["engine"]["name"] for run in sweep.runs if run.seed == 0})
