"""Training against the reference twin: every three option values occur together in some case of one table."""

import contextlib
import importlib
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.engines.motion import CHOICES
from fastntk.losses import Huber, Logistic, Squared
from fastntk.optimizers import GradientDescent, HeavyBall, Nesterov
from fastntk.reference.network import pre_activations

ENGINES = {  # what each does not do with everything, and with what it does
    "dual": {},
    "primal": {},
    "path": {"layers": ["first"], "batch": [None], "dynamics": ["descent"]},
}
OPTIONS = {
    "shape": [(1, 1, 1), (2, 3, 5), (17, 4, 65), (40, 33, 129), (63, 9, 65), (65, 80, 63), (50, 40, 700)],
    "optimizer": [GradientDescent(), HeavyBall(0.9), Nesterov(0.9), HeavyBall(0.05)],
    "loss": [Squared(), Logistic(), Huber(), Huber(delta=0.25)],
    "layers": ["first", "second", "both"],
    "batch": [None, 1, 7],
    "engine": list(ENGINES),
    "dtype": ["float64", "float32"],
    "dynamics": ["descent", "flow"],
    "a": ["signs", "any"],
    "every": [1, 7],
}
ONLY = {("engine", name): limits for name, limits in ENGINES.items()} | {
    ("dynamics", "flow"): {
        "optimizer": [GradientDescent()],
        "batch": [None],
        "every": [1],
        "shape": OPTIONS["shape"][:-1],
    },
}

STEPS, SEED, TIMES, TOLERANCE = 20, 3, [0.0, 0.3, 1.0], 1e-5

# A sign is decided alike where no pre-activation comes nearer to zero than this: the rounding of 20 steps.
NEAR = {"float64": 1e-14, "float32": 1e-6}

# Evaluations of the gradient that the twin may ask for.
MOST_LOOKS = 60_000

# By how much of its largest value (or 1, for what is one of H) a series may be off; flips: how many.
SLACK = {
    "float64": {"loss": 1e-10, "flips": 0, "drift": 1e-10, "drift_a": 1e-10},
    "float32": {"loss": 2e-4, "flips": 0, "drift": 3e-4, "drift_a": 3e-4},
}
OF_H = {"gram_change": 1e-5, "gram_limit_distance": 1e-5, "lambda_min": 1e-5}  # iterative eigenvalues
WEIGHTS = {"float64": 1e-11, "float32": 4e-6}


def fits(case):
    """Whether what is chosen so far goes together."""
    limits = [
        ONLY[choice] for choice in case.items() if choice[0] in ("engine", "dynamics") and choice in ONLY
    ]
    return all(case.get(name, allowed[0]) in allowed for limit in limits for name, allowed in limit.items())


def cover(options, together):
    """Cases in which any values of so many options occur together, if they fit; greedy, always the same."""

    def ways(names):
        return (
            dict(zip(names, values, strict=True)) for values in itertools.product(*map(options.get, names))
        )

    def indices(case):
        return [(name, options[name].index(case[name])) for name in options if name in case]

    groups = itertools.combinations(options, together)
    left = {tuple(indices(way)): way for names in groups for way in ways(names) if fits(way)}
    while left:
        case = dict(next(iter(left.values())))
        for name in options:
            if name not in case:
                others = list(itertools.combinations(indices(case), together - 1))

                def gain(value, name=name, others=others):
                    mine = (name, options[name].index(value))
                    order = list(options).index
                    return sum(
                        tuple(sorted((*other, mine), key=lambda o: order(o[0]))) in left for other in others
                    )

                case[name] = max((v for v in options[name] if fits(case | {name: v})), key=gain)
        for chosen in itertools.combinations(indices(case), together):
            left.pop(chosen, None)
        yield case


CASES = list(cover(OPTIONS, 3))


def name_of(case):
    n, d, m = case["shape"]
    method, loss = case["optimizer"], case["loss"]
    return "-".join(
        [
            f"{n}x{d}x{m}", f"{method.name}{method.momentum or ''}", f"{loss.name}{getattr(loss, 'delta', '')}",
            *(str(case[name]) for name in ("layers", "batch", "engine", "dtype", "dynamics", "a", "every")),
        ]
    )  # fmt: skip


def set_up(case, rng):
    """Data and weights of the precision of the case, as float64, and a step that is stable."""
    n, d, m = case["shape"]
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y, W, a = rng.standard_normal(n), rng.standard_normal((m, d)), rng.choice([-1.0, 1.0], m)
    if case["a"] == "any":
        a *= rng.uniform(0.5, 1.5, m)
    if case["loss"].name == "logistic":
        y = np.where(y < 0, -1.0, 1.0)
    X, y, W, a = (values.astype(case["dtype"]).astype(np.float64) for values in (X, y, W, a))
    H = reference.tangent_gram(X, W, a, layers="both")
    batch = n if case["batch"] is None else min(case["batch"], n)
    lr = 0.4 * case["optimizer"].stability / max(np.linalg.eigvalsh(H)[-1], 0.5) * batch / n
    return SimpleNamespace(X=X, y=y, W=W, a=a, lr=lr, batch=None if case["batch"] is None else batch)


def epochs(n, size):
    """The samples of each step: orders drawn anew, cut into batches."""
    draw = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(2,)))
    while True:
        order = draw.permutation(n)
        yield from (order[first : first + size] for first in range(0, n, size))


def twin(p, case):
    loss = {"loss": case["loss"].name, "delta": getattr(case["loss"], "delta", 1.0)}
    if case["dynamics"] == "flow":
        return reference.flow(p.X, p.y, p.W, p.a, TIMES, case["layers"], **loss, rtol=1e-6)
    limit = reference.limit_gram(p.X, layers="second") * (case["layers"] != "first")
    if case["layers"] != "second":
        limit = limit + np.square(p.a).mean() * reference.limit_gram(p.X)
    return reference.train(
        p.X, p.y, p.W, p.a, steps=STEPS, lr=p.lr, metrics="all", layers=case["layers"], limit=limit, **loss,
        every=case["every"], optimizer=case["optimizer"].name, momentum=case["optimizer"].momentum,
        batches=None if p.batch is None else epochs(len(p.X), p.batch),
    )  # fmt: skip


class Held(Exception):
    """A neuron stays at its kink, pushed there from both sides."""


def clear_of_kinks(case, rng, monkeypatch):
    """A problem whose signs do not depend on rounding, and its trajectory; where one would, other data are drawn.

    Also where a neuron is held at its kink: the twin's flow then takes steps that nearly vanish, for many seconds.
    """
    nearest = []

    def watched(X, W):
        Z = pre_activations(X, W)
        nearest.append(np.abs(Z).min())
        if len(nearest) == MOST_LOOKS:
            raise Held
        return Z

    for name in ("training", "flow"):
        monkeypatch.setattr(importlib.import_module(f"fastntk.reference.{name}"), "pre_activations", watched)
    for _ in range(3):
        nearest.clear()
        p = set_up(case, rng)
        with contextlib.suppress(Held):
            wanted = twin(p, case)
            if case["dynamics"] == "flow" or min(nearest) > NEAR[case["dtype"]]:
                return p, wanted
    raise AssertionError("three problems in a row have an entry at its kink")


def ours(p, case):
    net = TwoLayerReLU(p.W.astype(case["dtype"]), p.a.astype(case["dtype"]))
    options = {name: case[name] for name in ("layers", "loss", "engine", "dynamics")}
    if case["dynamics"] == "flow":
        options |= {"times": TIMES, "t_final": TIMES[-1], "tolerance": TOLERANCE}
    else:
        options |= {"steps": STEPS, "lr": p.lr, "every": case["every"], "optimizer": case["optimizer"]}
        options |= {"batch_size": p.batch, "seed": SEED}
    run = fastntk.train(p.X, p.y, net=net, metrics="all", **options)
    assert np.array_equal(net.W, p.W)
    assert np.array_equal(net.a, p.a)
    return run


def close(run, wanted, p, case):
    """Descent: the series of the twin to rounding."""
    assert np.array_equal(run.steps, wanted["steps"])
    for series, slack in (SLACK[case["dtype"]] | OF_H).items():
        if series not in wanted:
            continue
        scale = np.abs(wanted[series]).max() + (series in OF_H)
        if series == "flips":
            scale = 1 / p.X.shape[0] / p.W.shape[0]
        if series in OF_H and case["dtype"] == "float32":
            slack = 3e-3
        np.testing.assert_allclose(
            run.series[series], wanted[series], rtol=0, atol=slack * scale, err_msg=series
        )
    near = {"rtol": 0, "atol": WEIGHTS[case["dtype"]]}
    np.testing.assert_allclose(run.net.W, wanted["W"], **near)
    np.testing.assert_allclose(run.net.a, wanted["a"], **near)
    if case["dtype"] == "float64":
        assert (run.lambda_min_lower <= wanted["lambda_min"] + 1e-12).all()
        assert (np.abs(run.lambda_min - wanted["lambda_min"]) <= run.lambda_min_residual + 1e-12).all()


def within_tolerance(run, wanted, p, case):
    """Flow: outputs to its tolerance; a neuron that crosses its kink is off by part of a step."""
    (n, m), size = (len(p.X), len(p.W)), np.linalg.norm(p.y - reference.forward(p.X, p.W, p.a))
    assert run.times.tolist() == TIMES
    u = reference.forward(p.X, wanted["W"], wanted["a"])
    assert np.linalg.norm(run.net(p.X) - u) <= 20 * TOLERANCE * size
    np.testing.assert_allclose(run.loss, wanted["loss"], rtol=20 * TOLERANCE)
    assert np.abs(run.flips - wanted["flips"]).max() <= 2.0001 / (n * m) + 0.05 * wanted["flips"].max()
    step = 2.0 / run.steps[-1] * np.abs(p.a).max() * np.linalg.norm(p.X) * size / np.sqrt(m)
    near = {"rtol": 0, "atol": step + 20 * TOLERANCE * size}
    for series in ("drift", "drift_a"):
        if series in wanted:
            np.testing.assert_allclose(run.series[series], wanted[series], **near)
    np.testing.assert_allclose(run.net.W, wanted["W"], **near)
    np.testing.assert_allclose(run.net.a, wanted["a"], **near)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_run_is_that_of_the_reference(case, rng, monkeypatch):
    p, wanted = clear_of_kinks(case, rng, monkeypatch)
    run = ours(p, case)
    moving = ("drift",) if case["layers"] == "first" else ("drift", "drift_a")
    assert list(run.series) == [
        "loss", "flips", *moving, "lambda_min", "lambda_min_lower", "lambda_min_residual", "gram_change",
        "gram_limit_distance",
    ]  # fmt: skip
    (within_tolerance if case["dynamics"] == "flow" else close)(run, wanted, p, case)
    # What the run says of its own last weights.
    double = case["dtype"] == "float64"
    W, a = run.net.W.astype(np.float64), run.net.a.astype(np.float64)
    H = reference.tangent_gram(p.X, W, a, layers=case["layers"])
    np.testing.assert_allclose(run.gram(), H, rtol=0, atol=(1e-12 if double else 1e-4) * max(1.0, H.max()))
    if double:
        np.testing.assert_allclose(
            run.lambda_min[-1], np.linalg.eigvalsh(H)[0], rtol=0, atol=1e-5 * (1 + H.max())
        )
        np.testing.assert_allclose(run.drift[-1], reference.drift(W, p.W), rtol=1e-9, atol=1e-12)
    assert run.net.W.dtype == run.net.a.dtype == np.dtype(case["dtype"])
    record = run.provenance
    assert (record["engine"]["name"], record["loss"]) == (case["engine"], case["loss"].record())
    assert (record["layers"], record["dynamics"]) == (case["layers"], case["dynamics"])
    if case["dynamics"] == "descent":
        assert (record["batch_size"], record["optimizer"]) == (p.batch, case["optimizer"].record())
        assert p.batch is None or record["seed"] == SEED


def test_the_table_holds_every_engine_and_every_three_values():
    assert {"auto", "cuda", *ENGINES} == set(CHOICES)
    for names in itertools.combinations(OPTIONS, 3):
        found = [tuple(case[name] for name in names) for case in CASES]
        for values in itertools.product(*map(OPTIONS.get, names)):
            assert values in found or not fits(dict(zip(names, values, strict=True)))


def test_patterns_change_in_most_cases(rng):
    """The table would be weak otherwise."""
    some = [case for case in CASES if case["shape"] == (40, 33, 129) and case["layers"] != "second"]
    moved = [twin(set_up(case, rng), case)["flips"].any() for case in some]
    assert np.mean(moved) > 0.9
