"""verify: its numbers against NumPy, verdicts on data made to refute or to leave a statement, and its report."""

import json
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk import reference
from fastntk.cli import main
from fastntk.model.network import TwoLayerReLU
from fastntk.theory.verification.radii import least_distances

DATA = fastntk.datasets.sphere(10, 10, seed=3)
SMALL = {"widths": [64, 2000], "seeds": [0, 1], "draws": 3, "steps": 12}


@pytest.fixture(scope="module")
def result():
    return fastntk.verify(*DATA, **SMALL)


def test_every_number_is_that_of_numpy(result):
    """The runs in float64 by the reference, the bounds by their formulas."""
    (X, y), record = DATA, result.record()
    H = reference.limit_gram(X)
    values = np.linalg.eigvalsh(H)
    lambda_0, n, delta = values[0], 10, 0.1
    data = record["data"]
    np.testing.assert_allclose((data["lambda_0"], data["lambda_max"]), values[[0, -1]], rtol=1e-10)
    assert 0 < data["lambda_0_lower_bound"] <= data["lambda_0"]
    by_name = {statement["name"]: statement for statement in record["statements"]}
    asked = {name: statement["width_asked"] for name, statement in by_name.items()}
    np.testing.assert_allclose(asked["Lemma 3.1"], n**2 / lambda_0**2 * np.log(n / delta))
    np.testing.assert_allclose(asked["Theorem 4.1"], n**6 / (lambda_0**4 * delta**3))
    m = asked["Theorem 3.3"]
    np.testing.assert_allclose(m, asked["Theorem 4.1"] * np.log(m / delta))
    radius = np.sqrt(2 * np.pi) / 16 * delta * lambda_0 / n**2

    rows = {(row["width"], row["seed"]): row for row in by_name["Lemma 3.1"]["measured"]}
    assert set(rows) == {(w, s) for w in (64, 128, 256, 512, 1024, 2000) for s in (0, 1, 2)}
    for (width, seed), row in rows.items():
        start = reference.gram(X, reference.activation_masks(X, TwoLayerReLU.init(10, width, seed).W))
        distance, least = np.linalg.norm(start - H, 2), np.linalg.eigvalsh(start)[0]
        np.testing.assert_allclose((row["distance"], row["lambda_min"]), (distance, least), rtol=1e-5)
        assert row["held"] == (distance <= lambda_0 / 4 and least >= 0.75 * lambda_0)

    flows = {(row["width"], row["seed"]): row for row in by_name["Theorem 3.2"]["measured"]}
    joint = {(row["width"], row["seed"]): row for row in by_name["Theorem 3.3"]["measured"]}
    conditional = {(row["width"], row["seed"]): row for row in by_name["Lemma 3.3"]["measured"]}
    last = {(row["width"], row["seed"]): row for row in by_name["Lemma 3.4"]["measured"]}
    rates = {
        (row["width"], row["seed"], row.get("part_of_largest_step")): row
        for row in by_name["Theorem 4.1"]["measured"]
    }
    for width in (64, 2000):
        for seed in (0, 1):
            net = TwoLayerReLU.init(10, width, seed, dtype="float64")
            error = np.linalg.norm(reference.forward(X, net.W, net.a) - y)
            travel = np.sqrt(n) * error / (np.sqrt(width) * lambda_0)
            for part in (None, 0.25, 0.5, 0.75, 0.95):
                lr = lambda_0 / n**2 if part is None else part * 2 / values[-1]
                every = 10 if part is None else 1
                log = reference.train(X, y, net.W, net.a, steps=12, lr=lr, every=every)
                bound = (1 - lr * lambda_0 / 2) ** log["steps"]
                row = rates[width, seed, part]
                slack = (bound * log["loss"][0] / log["loss"])[1:].min()
                np.testing.assert_allclose((row["lr"], row["slack"]), (lr, slack), rtol=1e-4)
                np.testing.assert_allclose(
                    row["final_ratio"], log["loss"][-1] / log["loss"][0], rtol=1e-5, atol=1e-9
                )
                assert row["held"] == (slack >= 1)
            both = np.linalg.eigvalsh(H + reference.limit_gram(X, layers="second"))[-1]
            for rows_of, layers, end in (
                (joint, "both", 0.5 * 12 * 2 / both),
                (flows, "first", 0.1 * 12 * 2 / values[-1]),
            ):
                log = reference.flow(X, y, net.W, net.a, np.linspace(0.0, end, 26), layers, rtol=1e-4)
                slack = (np.exp(-lambda_0 * log["times"]) * log["loss"][0] / log["loss"])[1:].min()
                row = rows_of[width, seed]
                np.testing.assert_allclose(row["slack"], slack, rtol=2e-3)
                np.testing.assert_allclose(row["final_ratio"], log["loss"][-1] / log["loss"][0], rtol=5e-3)
                np.testing.assert_allclose(row["last_time"], end)
            row = last[width, seed]
            np.testing.assert_allclose(
                (row["R_prime"], row["R"], row["drift"]), (travel, radius, log["drift"].max()), rtol=2e-3
            )
            # A pattern that changes a little earlier or later changes H by |x_i|^2 / m at the times between.
            np.testing.assert_allclose(row["lambda_min"], log["lambda_min"].min(), rtol=0, atol=2 / width)
            if (log["lambda_min"] >= lambda_0 / 2).all():
                row = conditional[width, seed]
                np.testing.assert_allclose(row["drift_slack"], travel / log["drift"].max(), rtol=2e-3)
                np.testing.assert_allclose(row["last_time"], end)


def test_certified_radius_is_certain(result):
    """Random weights exactly at the certified radius, and the bound by dense arithmetic just beyond it."""
    X, _ = DATA
    goal = np.linalg.eigvalsh(reference.limit_gram(X))[0] / 4
    rng = np.random.default_rng(0)
    for row in result["Lemma 3.2"].measured:
        W = TwoLayerReLU.init(10, row["width"], row["seed"], dtype="float64").W
        Z = X @ W.T

        def certificate(radius, Z=Z):
            flippable = (np.abs(Z) <= radius).astype(float)
            union = 1 - (1 - flippable) @ (1 - flippable).T / Z.shape[1]
            return np.linalg.norm(np.abs(X @ X.T) * union, 2)

        assert certificate(0.999 * row["certified"]) < goal <= certificate(1.021 * row["certified"])
        start = reference.gram(X, Z >= 0)
        for attack in (
            rng.standard_normal(W.shape),
            -X[0] * np.ones((len(W), 1)),
            -np.sign(Z[1])[:, None] * X[1],
        ):
            moved = W + row["certified"] * attack / np.linalg.norm(attack, axis=1, keepdims=True)
            assert np.linalg.norm(reference.gram(X, X @ moved.T >= 0) - start, 2) < goal
        assert row["certified"] <= row["adversarial"]


def test_adversary_reaches_the_goal(result):
    """At the adversarial radius the attack on sample 0 or the nearest kinks changes H by lambda_0 / 4."""
    X, _ = DATA
    goal = np.linalg.eigvalsh(reference.limit_gram(X))[0] / 4
    for row in result["Lemma 3.2"].measured:
        W = TwoLayerReLU.init(10, row["width"], row["seed"], dtype="float64").W
        Z, rows = X @ W.T, np.arange(row["width"])
        nearest = np.argmin(np.abs(Z), axis=0)
        towards = -np.where(Z[nearest, rows] >= 0, 1.0, -1.0)[:, None] * X[nearest]
        target = int(np.argmax(np.linalg.norm(X, axis=1).astype(np.float32)))
        off = np.where(Z[target] >= 0, -1.0, 0.0)[:, None] * X[target]
        changes = []
        for factor in (0.98, 1.03):
            moved = [X @ (W + factor * row["adversarial"] * move).T >= 0 for move in (towards, off)]
            changes.append(
                max(np.linalg.norm(reference.gram(X, M) - reference.gram(X, Z >= 0), 2) for M in moved)
            )
        assert changes[0] < goal <= changes[1]


def test_verdicts(result):
    verdicts = {statement.name: statement.verdict for statement in result.statements}
    assert list(verdicts) == [
        "Theorem 3.1", "Lemma 3.1", "Lemma 3.2", "Theorem 3.2", "Lemma 3.3", "Lemma 3.4", "Theorem 3.3", "Theorem 4.1",
        "Corollary 4.1",
    ]  # fmt: skip
    for name in ("Theorem 3.1", "Lemma 3.2", "Theorem 3.2", "Theorem 3.3", "Theorem 4.1", "Corollary 4.1"):
        assert verdicts[name] == "holds", name
    assert verdicts["Lemma 3.4"] == "does not apply"  # R' < R asks for widths nobody has
    assert "R' < R at no width" in result["Lemma 3.4"].reason
    with pytest.raises(KeyError, match=r"no statement 'Lemma 9'; known are 'Theorem 3.1'"):
        result["Lemma 9"]


def test_narrow_networks_fail():
    """Four neurons for twenty samples: H(0) is far from its limit and singular, and the loss misses its bound."""
    result = fastntk.verify(*fastntk.datasets.sphere(20, 20), widths=[4], seeds=[0, 1], draws=2, steps=40)
    for name in ("Lemma 3.1", "Theorem 3.2"):
        assert result[name].verdict == "fails", name
        assert result[name].width_enough is None
        assert result[name].slack < 1
    practical = [row for row in result["Theorem 4.1"].measured if row.get("part_of_largest_step") == 0.5]
    assert False in [row["held"] for row in practical]


def test_drift_bound_as_printed_is_false():
    """One sample, one of four neurons active: lambda_min(H) stays lambda_0 / 2 and the drift becomes 2 R'."""
    net = TwoLayerReLU.init(2, 4, seed=6)
    X = np.array([[1.0, 0.0]])
    active = net.W[:, 0] >= 0
    assert active.sum() == 1
    y = net(X) + net.a[active]  # the active neuron moves up, and stays active
    result = fastntk.verify(X, y, widths=[4], seeds=[6], draws=0, steps=200)
    (row,) = result["Lemma 3.3"].measured
    assert result["Lemma 3.3"].verdict == "fails"
    np.testing.assert_allclose(row["drift"], 2 * row["R_prime"], rtol=1e-4)
    assert row["held_with_2R"]
    assert result["Corollary 4.1"].verdict == "holds"  # its constant 4 is that of the argument


def test_parallel_rows():
    X, y = DATA
    result = fastntk.verify(np.vstack((X, X[2])), np.append(y, 1.0), **SMALL | {"widths": [64]})
    first = result["Theorem 3.1"]
    assert first.verdict == "holds"
    given, _, removed = first.measured
    assert abs(given["lambda_min"]) < 1e-12
    np.testing.assert_allclose(removed["lambda_min"], np.linalg.eigvalsh(reference.limit_gram(X))[0])
    assert "1 parallel pair" in first.reason
    for name in ("Lemma 3.1", "Theorem 3.2", "Lemma 3.3", "Theorem 4.1", "Corollary 4.1"):
        assert result[name].verdict == "does not apply"
        assert "parallel rows 2 and 10" in result[name].reason
    json.dumps(result.record(), allow_nan=False)


def test_rows_that_are_not_unit():
    X, y = DATA
    result = fastntk.verify(2 * X, y, **SMALL | {"widths": [64]})
    assert result["Theorem 3.1"].verdict == "holds"
    for name in ("Lemma 3.1", "Theorem 4.1"):
        assert result[name].verdict == "does not apply"
        assert "|x_i| = 1 for all i is not met (lengths from 2 to 2)" in result[name].reason
        assert "Found all the same: it failed in" in result[name].reason


def test_exponents(result):
    for fit in result.exponents:
        runs = result.evidence.main
        finals = {(run.width, run.seed): run.series[fit.quantity][-1] for run in runs}
        slopes = [np.log(finals[2000, seed] / finals[64, seed]) / np.log(2000 / 64) for seed in (0, 1)]
        np.testing.assert_allclose(fit.slope, np.mean(slopes))
        np.testing.assert_allclose(fit.upper - fit.slope, 12.706204736 * np.std(slopes, ddof=1) / np.sqrt(2))
        assert fit.lower < fit.slope < fit.upper
    assert {"flips", "drift"} <= {fit.quantity for fit in result.exponents}


def test_command(tmp_path):
    fastntk.datasets.save_csv(tmp_path / "data.csv", *DATA)
    arguments = [
        "verify",
        "--data",
        "data.csv",
        "--widths",
        "64,256",
        "--seeds",
        "0,1",
        "--draws",
        "2",
        "--steps",
        "4",
    ]
    arguments[2] = str(tmp_path / "data.csv")
    found = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    assert found.stderr.startswith("data.csv: n = ")
    assert len(found.stderr.splitlines()) == 1
    assert "Theorem 3.1    holds" in found.stdout
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [len(runs) for runs in record["runs"].values()] == [4] * 7
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "http" not in page  # nothing is loaded from elsewhere
    for statement in record["statements"]:
        assert f"<h2>{statement['name']}" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "X and y must be given together, got X alone"),
        ({"delta": 1.0}, "delta must be below 1, got 1"),
        ({"delta": 0.0}, "delta must be finite and above 0"),
        ({"widths": []}, "widths must hold at least one integer, got none"),
        ({"seeds": [-1]}, "seeds must be at least 0, got -1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"X": np.full((10, 2), np.nan)}, "X must be finite"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        fastntk.verify(**{"X": DATA[0], "y": DATA[1], **SMALL, **change})


def test_distances_to_the_kinks_are_bounds_whatever_the_rounding():
    """Against rational arithmetic, for inner products that cancel; and none is needlessly small."""
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((6, 40)), rng.standard_normal((9, 40)).astype(np.float32)
    W[:3] -= ((W[:3] @ X[0]) / (X[0] @ X[0]))[:, np.newaxis] * X[0]  # close to a kink
    X[5] = 0.0
    found = least_distances(X, W)
    assert np.isinf(found[5]).all()
    for i, x in enumerate(X[:5]):
        length = sum(Fraction(entry) ** 2 for entry in x)
        for r, w in enumerate(W):
            product = sum(Fraction(a) * Fraction(float(b)) for a, b in zip(x, w, strict=True))
            assert Fraction(float(found[i, r])) ** 2 * length <= product**2
            assert float(found[i, r]) >= abs(float(product)) / np.linalg.norm(x) * (1 - 1e-6) - 1e-12
