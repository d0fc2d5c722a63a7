"""The reference against hand computation, finite differences, closed forms and probability."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastntk import reference as ref

FOLDER = Path(ref.__file__).parent


def small_problem(n=7, d=4, m=11, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = rng.standard_normal(n)
    W = rng.standard_normal((m, d))
    a = rng.choice([-1.0, 1.0], m)
    return tuple(array.astype(dtype) for array in (X, y, W, a))


def test_reference_imports_numpy_only():
    """And SciPy's integrator, for gradient flow alone."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                allowed = ("numpy", "fastntk.reference", "math", "typing", "collections")
                if path.name == "flow.py":
                    allowed += ("scipy.integrate",)
                assert name.startswith(allowed), f"{path.name} imports {name}"


# A problem computed by hand: three samples, two neurons, everything an integer except 1/sqrt(m).

X3 = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
W2 = np.array([[1.0, -1.0], [2.0, 3.0]])
A2 = np.array([1.0, -1.0])
Y3 = np.array([0.0, 0.0, 0.0])


def test_forward_by_hand():
    assert ref.pre_activations(X3, W2).tolist() == [[1, 2], [-2, 6], [-2, 1]]
    # relu: (1, 2), (0, 6), (0, 1); times (1, -1): -1, -6, -1.
    np.testing.assert_allclose(ref.forward(X3, W2, A2), np.array([-1, -6, -1]) / math.sqrt(2), rtol=1e-15)
    assert ref.loss(ref.forward(X3, W2, A2), Y3) == pytest.approx((1 + 36 + 1) / 4, rel=1e-15)


def test_gradients_by_hand():
    # Neuron 0 is active on sample 0 only, neuron 1 on all; e = (-1, -6, -1) / sqrt(2).
    expected = np.array([[-1 * 1, 0], [1 * 1 + 6 * 0 + 1 * -1, 6 * 2 + 1 * 1]]) / 2
    np.testing.assert_allclose(ref.loss_gradient(X3, Y3, W2, A2), expected, rtol=1e-15)
    expected = np.array([-1 * 1, -1 * 2 - 6 * 6 - 1 * 1]) / 2
    np.testing.assert_allclose(ref.second_layer_gradient(X3, Y3, W2, A2), expected, rtol=1e-15)


def test_masks_and_products_by_hand():
    masks = ref.activation_masks(X3, W2)
    assert masks.tolist() == [[True, True], [False, True], [False, True]]
    assert ref.coactivation_counts(masks).tolist() == [[2, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert ref.masked_sums(masks, X3).tolist() == [[1, 0], [0, 3]]
    # x.x = [[1, 0, -1], [0, 4, 2], [-1, 2, 2]] times the counts over m = 2
    assert ref.gram(X3, masks).tolist() == [[1, 0, -0.5], [0, 2, 1], [-0.5, 1, 1]]
    assert ref.gram(X3, masks, a=np.array([2.0, 1.0])).tolist() == [[2.5, 0, -0.5], [0, 2, 1], [-0.5, 1, 1]]
    assert ref.second_gram(X3, W2).tolist() == [[2.5, 6, 1], [6, 18, 3], [1, 3, 0.5]]


def test_zero_counts_as_active():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [-0.0, -0.0]])
    W = np.array([[0.0, 0.0], [1.0, -1.0], [-1.0, -1.0]])
    expected = [[True, True, True], [True, True, False], [True, True, True]]
    assert ref.activation_masks(X, W).tolist() == expected
    assert ref.activation_masks(X.astype(np.float32), W.astype(np.float32)).tolist() == expected
    assert ref.activation_masks(np.array([[-0.0]]), np.array([[1.0]])).tolist() == [[True]]
    # The gradient uses the same convention: at w = 0 the neuron is active on every sample.
    gradient = ref.loss_gradient(np.eye(2), np.array([1.0, 2.0]), np.zeros((1, 2)), np.array([1.0]))
    assert gradient.tolist() == [[-1.0, -2.0]]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 70), p=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_strong_variants_equal_the_plain_ones(n, m, p, seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((n, m)) < 0.5
    V = rng.integers(-8, 9, (n, p))
    counts = ref.coactivation_counts(masks)
    assert counts.dtype == np.int64
    for form in (masks, masks.astype(np.float32)):
        strong = ref.strong_coactivation_counts(form)
        assert strong.dtype == np.int64
        assert np.array_equal(strong, counts)
        assert np.array_equal(ref.strong_masked_sums(form, V), ref.masked_sums(masks, V))
    for i in range(n):
        assert counts[i].tolist() == [int((masks[i] & masks[j]).sum()) for j in range(n)]
    for r in range(m):
        assert ref.masked_sums(masks, V)[r].tolist() == V[masks[:, r]].sum(axis=0).tolist()


def test_strong_counts_stay_exact_where_float32_cannot_count():
    m = 2**24 + 3
    counts = ref.strong_coactivation_counts(np.ones((1, m), dtype=bool))
    assert counts.tolist() == [[m]]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_flips(n, m, seed):
    rng = np.random.default_rng(seed)
    masks_a, masks_b = rng.random((2, n, m)) < 0.5
    count = ref.flip_count(masks_a, masks_b)
    assert isinstance(count, int)
    assert count == sum(bool(p) != bool(q) for p, q in zip(masks_a.flat, masks_b.flat, strict=True))
    assert count == ref.flip_count(masks_b, masks_a)
    assert ref.flip_fraction(masks_a, masks_b) == count / (n * m)
    assert ref.flip_count(masks_a, ~masks_a) == n * m
    # |a xor b| = |a| + |b| - 2 |a and b|
    assert count == masks_a.sum() + masks_b.sum() - 2 * (masks_a & masks_b).sum()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ref.flip_count(np.ones((2, 3), bool), np.ones((1, 3), bool)),
        lambda: ref.drift(np.ones((2, 3)), np.ones(3)),
        lambda: ref.loss(np.ones(3), np.ones((3, 1))),
        lambda: ref.loss_gradient(np.ones((2, 1)), np.ones((2, 1)), np.ones((3, 1)), np.ones(3)),
    ],
)
def test_shapes_that_numpy_would_broadcast_are_refused(call):
    with pytest.raises(ValueError, match="one shape"):
        call()


@pytest.mark.parametrize("name", ["W", "a"])
def test_gradients_against_finite_differences(name):
    X, y, W, a = small_problem()
    # Away from the kinks the loss is a polynomial in W along each coordinate: central differences are exact to h^2.
    assert np.abs(ref.pre_activations(X, W)).min() > 1e-4
    weights = {"W": W, "a": a}
    gradient = {"W": ref.loss_gradient, "a": ref.second_layer_gradient}[name](X, y, W, a)
    numeric = np.empty_like(gradient)
    h = 1e-5
    for index in np.ndindex(gradient.shape):
        sides = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in weights.items()}
            moved[name][index] += sign * h
            sides.append(ref.loss(ref.forward(X, moved["W"], moved["a"]), y))
        numeric[index] = (sides[0] - sides[1]) / (2 * h)
    np.testing.assert_allclose(gradient, numeric, atol=1e-9)


@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_tangent_gram_is_the_product_of_the_output_gradients(layers):
    X, _, W, a = small_problem()
    a = a * np.linspace(0.5, 2.0, a.size)
    masks = ref.activation_masks(X, W)
    first = (masks * a)[:, :, None] * X[:, None, :] / math.sqrt(a.size)
    second = np.maximum(ref.pre_activations(X, W), 0) / math.sqrt(a.size)
    parts = {"first": [first], "second": [second], "both": [first, second]}[layers]
    J = np.concatenate([part.reshape(X.shape[0], -1) for part in parts], axis=1)
    np.testing.assert_allclose(ref.tangent_gram(X, W, a, layers), J @ J.T, rtol=1e-12, atol=1e-14)


def test_unknown_layers_and_metrics_are_refused():
    X, y, W, a = small_problem()
    for call in (
        lambda: ref.step(X, y, W, a, 0.1, layers="third"),
        lambda: ref.tangent_gram(X, W, a, layers="third"),
        lambda: ref.limit_gram(X, layers="third"),
        lambda: ref.train(X, y, W, a, layers="third"),
    ):
        with pytest.raises(ValueError, match="layers must be one of first, second, both, got 'third'"):
            call()
    with pytest.raises(ValueError, match="unknown speed"):
        ref.train(X, y, W, a, metrics=("loss", "speed"))


@pytest.mark.parametrize("m", [1, 4, 50])
def test_expected_initial_loss(m):
    """E L(0) = 0.75 n for unit rows and standard normal labels, at every width."""
    rng = np.random.default_rng(7)
    n, d, trials = 4, 3, 4000
    losses = np.empty(trials)
    for trial in range(trials):
        X = rng.standard_normal((n, d))
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        u = ref.forward(X, rng.standard_normal((m, d)), rng.choice([-1.0, 1.0], m))
        losses[trial] = ref.loss(u, rng.standard_normal(n))
    assert abs(losses.mean() - 0.75 * n) < 5 * losses.std() / math.sqrt(trials)


# Eigenvalues, steps and training.


def test_eigenvalues():
    H = np.diag([3.0, -5.0, 2.0])
    assert ref.lambda_min(H) == -5
    assert ref.spectral_norm(H) == 5
    assert ref.spectral_norm(np.zeros((2, 2))) == 0


@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_step_moves_the_layers_it_names(layers):
    X, y, W, a = small_problem()
    W_next, a_next = ref.step(X, y, W, a, lr=0.3, layers=layers)
    moved_W = W - 0.3 * ref.loss_gradient(X, y, W, a) if layers != "second" else W
    moved_a = a - 0.3 * ref.second_layer_gradient(X, y, W, a) if layers != "first" else a
    np.testing.assert_allclose(W_next, moved_W, rtol=1e-14)
    np.testing.assert_allclose(a_next, moved_a, rtol=1e-14)
    assert not np.shares_memory(W, W_next)
    assert not np.shares_memory(a, a_next)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_training_logs_what_the_single_functions_say(layers, dtype):
    X, y, W, a = small_problem(dtype=dtype)
    before = W.copy(), a.copy()
    log = ref.train(X, y, W, a, steps=5, lr=0.2, metrics="all", every=2, layers=layers)
    assert np.array_equal(W, before[0])
    assert np.array_equal(a, before[1])
    assert log["steps"].tolist() == [0, 2, 4, 5]
    assert log["steps"].dtype == np.int64
    assert log["W"].dtype == log["a"].dtype == dtype

    limit = ref.limit_gram(X, layers=layers)
    masks0, H0 = ref.activation_masks(X, W), ref.tangent_gram(X, W, a, layers)
    Wk, ak = W, a
    for k in range(6):
        if k in log["steps"]:
            entry = log["steps"].tolist().index(k)
            H = ref.tangent_gram(X, Wk, ak, layers)
            expected = {
                "loss": ref.loss(ref.forward(X, Wk, ak), y),
                "flips": ref.flip_fraction(ref.activation_masks(X, Wk), masks0),
                "drift": ref.drift(Wk, W),
                "lambda_min": ref.lambda_min(H),
                "gram_change": ref.spectral_norm(H - H0),
                "gram_limit_distance": ref.spectral_norm(H - limit),
            }
            for name, value in expected.items():
                assert log[name].dtype == np.float64
                assert log[name][entry] == pytest.approx(value, rel=1e-5, abs=1e-6), (name, k)
        if k < 5:
            Wk, ak = ref.step(X, y, Wk, ak, lr=0.2, layers=layers)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(log["W"], Wk, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(log["a"], ak, rtol=tolerance, atol=tolerance)


def test_metrics_are_only_what_was_asked_for():
    X, y, W, a = small_problem()
    assert set(ref.train(X, y, W, a, steps=1, metrics="loss")) == {"steps", "W", "a", "loss"}
    assert set(ref.train(X, y, W, a, steps=1, metrics=())) == {"steps", "W", "a"}
    log = ref.train(X, y, W, a, steps=0, metrics=["drift"])
    assert log["steps"].tolist() == [0]
    assert np.array_equal(log["W"], W)
    assert not np.shares_memory(log["W"], W)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_without_flips_the_residual_decays_linearly(scale):
    """While no sign changes, ``u(k) - y = (I - lr H)^k (u(0) - y)`` with the constant H, for any fixed a."""
    X, y, W, a = small_problem(n=5, d=6, m=400, seed=2)
    a *= scale
    y = ref.forward(X, W, a) + 1e-5 * y  # so little to learn that no neuron reaches a kink
    lr, steps = 0.02, 10
    log = ref.train(X, y, W, a, steps=steps, lr=lr, metrics=("loss", "flips"))
    assert not log["flips"].any()
    H = ref.tangent_gram(X, W, a)
    e = ref.forward(X, W, a) - y
    for k in range(steps + 1):
        assert log["loss"][k] == pytest.approx(0.5 * float(e @ e), rel=1e-9)
        e = e - lr * (H @ e)
    assert log["loss"][-1] < log["loss"][0]


def test_drift_and_flips_fall_like_one_over_the_root_of_the_width():
    X, y, _, _ = small_problem(n=20, d=20)
    rng = np.random.default_rng(8)
    widths = np.array([256, 1024, 4096, 16384])
    drifts, flips = [], []
    for m in widths:
        W, a = rng.standard_normal((m, 20)), rng.choice([-1.0, 1.0], m)
        log = ref.train(X, y, W, a, steps=30, lr=0.3, every=30)
        drifts.append(log["drift"][-1])
        flips.append(log["flips"][-1])
    for values in (drifts, flips):
        slope = np.polyfit(np.log(widths), np.log(values), 1)[0]
        assert -0.65 < slope < -0.35


@pytest.mark.parametrize("layers", ["first", "second", "both"])
@pytest.mark.parametrize(
    ("optimizer", "beta"), [("gd", 0.0), ("heavy_ball", 0.9), ("nesterov", 0.9), ("nesterov", 0.5)]
)
def test_momentum_is_that_of_the_textbook(optimizer, beta, layers, problem):
    """The weights v moves are kept; Nesterov takes gradients, and is looked at, a velocity ahead of them."""
    p = problem(17, 4, 30)
    W, a, V, v = p.W, p.a, np.zeros_like(p.W), np.zeros_like(p.a)
    ahead = beta if optimizer == "nesterov" else 0.0
    for _ in range(15):
        at = W + ahead * V, a + ahead * v
        V = beta * V - 0.1 * ref.loss_gradient(p.X, p.y, *at) * (layers != "second")
        v = beta * v - 0.1 * ref.second_layer_gradient(p.X, p.y, *at) * (layers != "first")
        W, a = W + V, a + v
    found = ref.train(p.X, p.y, p.W, p.a, steps=15, lr=0.1, layers=layers, optimizer=optimizer, momentum=beta)
    np.testing.assert_allclose(found["W"], W + ahead * V, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["a"], a + ahead * v, rtol=0, atol=1e-12)


def test_a_step_of_a_batch_is_that_of_its_samples_alone(problem):
    p = problem(7, 3, 10)
    chosen = np.array([5, 0])
    found = ref.train(p.X, p.y, p.W, p.a, steps=1, lr=0.1, layers="both", batches=[chosen])
    W = p.W - 0.1 * 7 / 2 * ref.loss_gradient(p.X[chosen], p.y[chosen], p.W, p.a)
    a = p.a - 0.1 * 7 / 2 * ref.second_layer_gradient(p.X[chosen], p.y[chosen], p.W, p.a)
    np.testing.assert_allclose(found["W"], W, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found["a"], a, rtol=0, atol=1e-13)
    whole = ref.loss(ref.forward(p.X, found["W"], found["a"]), p.y)
    assert found["loss"][1] == pytest.approx(whole, rel=1e-12)
