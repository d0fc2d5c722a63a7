"""The kernels compiled for other processors give the same integers and the same exact trajectories."""

import concurrent.futures

SCRIPT = """
import hashlib, json
import numpy as np, fastntk
from fastntk import reference
from fastntk.engines.choice import ENGINES

rng = np.random.default_rng(0)
digests, agree = {}, []
for n, d, m in ((1, 1, 1), (17, 5, 64), (33, 17, 256)):
    for dtype in ("float32", "float64"):
        X, W = rng.integers(-1, 2, (n, d)).astype(dtype), rng.integers(-2, 3, (m, d)).astype(dtype)
        y, a = rng.integers(-2, 3, n), rng.choice([-1.0, 1.0], m)
        net = fastntk.TwoLayerReLU(W, a)
        masks = fastntk.activation_masks(X, W)
        dense = reference.activation_masks(X, W)
        counts = fastntk.coactivation_counts(masks)
        agree += [
            np.array_equal(masks.to_dense(), dense),
            np.array_equal(counts, reference.coactivation_counts(dense)),
            np.array_equal(fastntk.gram(X, W), reference.gram(X, dense)),
            np.array_equal(net(X), np.maximum(X @ W.T, 0).astype(float) @ a / np.sqrt(m)),
            fastntk.flip_count(dense, ~dense) == n * m,
        ]
        parts = [masks.bits, counts, fastntk.loss_gradient(X, y, W, a)]
        for name in ENGINES:
            run = fastntk.train(X, y, net=net, steps=2, lr=0.125, engine=name)
            parts += [run.loss, run.flips, run.drift, run.net.W]
            expected = reference.train(X.astype(float), y, W.astype(float), a, steps=2, lr=0.125)
            agree += [np.array_equal(run.flips, expected["flips"])]
            agree += [np.allclose(run.net.W, expected["W"], rtol=0, atol=1e-5)]
            run = fastntk.train(X, y, net=net, dynamics="flow", t_final=0.25, times=[0.0], tolerance=1e9, engine=name)
            parts += [run.loss, run.flips, run.drift, run.net.W]
        digests[f"{n} {dtype}"] = hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()
X, Z = rng.standard_normal((70, 6)), rng.standard_normal((40, 6))
Z[:9] = X[:9] + 1e-5
sizes = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
for dtype, error in (("float32", 1e-6), ("float64", 1e-14)):  # here multiply-adds are fused where they can be
    for layers, depth in (("first", 1), ("second", 2), ("both", 3)):
        difference = fastntk.limit_gram(X, Z, layers, depth, dtype=dtype) - reference.limit_gram(X, Z, layers, depth)
        agree += [bool((np.abs(difference) <= depth * error * sizes).all())]
print(json.dumps({"digests": digests, "agree": [bool(value) for value in agree]}))
"""


def environment(cpu):
    return {} if cpu is None else {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}


def test_same_numbers_on_other_processors(python):
    """``generic`` has SSE2 alone: its vectors are split in four and its popcounts are emulated.

    Sums are ordered by lanes and not by registers, and no multiply-add is fused: floats agree to the last bit. Only the
    polynomials of the limit may fuse theirs, and keep their bound.
    """
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        native, generic, haswell = pool.map(
            lambda cpu: python(SCRIPT, env=environment(cpu)), (None, "generic", "haswell")
        )
    for found in (native, generic, haswell):
        assert all(found["agree"])
        assert len(found["digests"]) == 6
    assert native["digests"] == generic["digests"] == haswell["digests"]
