"""
The Gram matrix of a torch module
=================================

I train with torch: how far is my module from its tangent kernel? `TwoLayerReLU.from_torch` takes its weights. (This
example is run where torch is installed, and shown otherwise.)
"""

import matplotlib.pyplot as plt
import torch

import fastntk

X, y = fastntk.datasets.sphere(100, 20, seed=0)
inputs, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]
torch.manual_seed(0)


def module(width):
    """One hidden layer with the weights of the theory: N(0, 1) below, signs over the root of the width above."""
    layers = torch.nn.Sequential(
        torch.nn.Linear(20, width, False), torch.nn.ReLU(), torch.nn.Linear(width, 1, False)
    )
    torch.nn.init.normal_(layers[0].weight)
    with torch.no_grad():
        layers[2].weight.copy_(torch.randint(0, 2, (1, width)).mul(2).sub(1) / width**0.5)
    return layers.requires_grad_(True)


fig, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for panel, width in zip(panels, (100, 10_000), strict=True):
    net = module(width)
    before = fastntk.gram(X, net=fastntk.TwoLayerReLU.from_torch(net))
    optimizer = torch.optim.SGD(net[0].parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        ((net(inputs) - targets).square().sum() / 2).backward()
        optimizer.step()
    after = fastntk.gram(X, net=fastntk.TwoLayerReLU.from_torch(net))
    panel.plot(before.ravel(), after.ravel(), ".", markersize=2)
    panel.plot([before.min(), before.max()], [before.min(), before.max()], "k--", linewidth=1)
    panel.set(title=f"width {width}", xlabel="Gram matrix before", ylabel="after 100 steps of torch")

# %%
# The points on the line have not moved: the wider the network, the closer to its kernel it stays.
