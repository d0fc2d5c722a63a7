"""What the slides' PyTorch listing computes, in NumPy: the numbers quoted in experiment.md.

Run `python docs/listing.py` with the package installed; about two minutes on two cores.
"""

import math

import numpy as np

from fastntk import datasets

EPOCHS, LEARNING_RATE = 100, 0.1


def train_as_listed(X, y, width, seed=0):
    """Weights before and after, and the loss of each epoch: mean loss, biases, nn.Linear's initialisation."""
    rng = np.random.default_rng(seed)
    n, d = X.shape
    shapes = {"W": ((width, d), d), "b": ((width,), d), "v": ((width,), width), "c": ((1,), width)}
    now = {
        name: rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(fan_in))
        for name, (shape, fan_in) in shapes.items()
    }
    start = {name: array.copy() for name, array in now.items()}
    losses = []
    for _ in range(EPOCHS):
        Z = X @ now["W"].T + now["b"]
        hidden = np.maximum(Z, 0)
        error = hidden @ now["v"] + now["c"] - y
        losses.append(float(np.mean(error * error)))
        g = error * np.float32(2 / n)
        back = (Z > 0) * np.outer(g, now["v"])
        gradients = {"W": back.T @ X, "b": back.sum(axis=0), "v": g @ hidden, "c": g.sum(keepdims=True)}
        for name, gradient in gradients.items():
            now[name] -= np.float32(LEARNING_RATE) * gradient
    return start, now, losses


def main():
    """Print one line per width."""
    X, y = (array.astype(np.float32) for array in datasets.slides())
    print("width  mean loss: first, last   its 'distance': before, after   true distance   sign changes")
    for width in (500, 1000, 2000, 4000, 8000):
        start, now, losses = train_as_listed(X, y, width)
        before, after = (max(float(np.abs(w).max()) for w in weights.values()) for weights in (start, now))
        drift = float(np.linalg.norm(now["W"] - start["W"], axis=1).max())
        flips = float(np.mean((X @ now["W"].T >= 0) != (X @ start["W"].T >= 0)))
        print(
            f"{width:5d}  {losses[0]:.4f}, {losses[-1]:.4f}  {before:.4f}, {after:.4f}  {drift:.4f}  {flips:.2%}"
        )


if __name__ == "__main__":
    main()
