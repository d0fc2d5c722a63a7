"""What depends on the samples alone is computed once: by a sweep too."""

import numpy as np

import fastntk
from fastntk.matrices import inner_products
from fastntk.training import samples

X, Y = fastntk.datasets.sphere(6, 4)


def test_a_sweep_computes_the_limit_and_its_eigenvalues_once(monkeypatch):
    calls = []

    def counted(function):
        return lambda *arguments, **options: (
            calls.append(function.__name__) or function(*arguments, **options)
        )

    for function in (samples.compute, samples.lambda_min, samples.both_ends):
        monkeypatch.setattr(samples, function.__name__, counted(function))
    monkeypatch.setattr(samples.provenance, "data_hash", counted(samples.provenance.data_hash))
    found = fastntk.sweep(X, Y, widths=[4, 8], seeds=[0, 1], steps=1, metrics="all")
    assert sorted(calls) == ["both_ends", "compute", "data_hash"]
    for run in found.runs:
        alone = fastntk.train(X, Y, width=run.width, seed=run.seed, steps=1, metrics="all")
        assert run.provenance["limit"] == alone.provenance["limit"]
        assert np.array_equal(run.gram_limit_distance, alone.gram_limit_distance)
    calls.clear()
    fastntk.sweep(X, Y, widths=[4, 8], seeds=[0, 1], steps=1, metrics="all", depth=2, output="gaussian")
    assert sorted(calls) == ["both_ends", *2 * ["compute"], "data_hash", *2 * ["lambda_min"]]
    calls.clear()
    fastntk.sweep(X, Y, widths=[4], steps=1)
    assert calls == ["data_hash"]


def test_a_sweep_multiplies_the_samples_once_for_each_layout(monkeypatch):
    made, write = [], inner_products._write
    monkeypatch.setattr(
        inner_products,
        "_write",
        lambda X, K, *strides: (made.append((K.ndim, K.dtype.name)), write(X, K, *strides)),
    )
    options = {"widths": [64, 200], "seeds": [0, 1], "steps": 2, "dtype": "float32", "metrics": "all"}
    for engine, layouts in (("dual", [(2, "float64"), (3, "float32")]), ("path", [(2, "float64")])):
        made.clear()
        found = fastntk.sweep(X, Y, engine=engine, **options)
        assert sorted(made) == layouts
        made.clear()
        for run in found.runs:  # what is shared was changed by none of them
            width, seed = run.width, run.seed
            single = {name: value for name, value in options.items() if name not in ("widths", "seeds")}
            alone = fastntk.train(X, Y, width=width, seed=seed, engine=engine, **single)
            for name in ("loss", "gram_change", "lambda_min"):
                np.testing.assert_array_equal(getattr(run, name), getattr(alone, name))
        assert len(made) >= 4  # nothing is kept beyond the sweep


def test_the_limit_is_that_of_the_layers_and_of_the_weights():
    shared = samples.Samples.of(X, Y)
    ones, twos = np.ones(3), np.full(3, 2.0)
    first, both = shared.limit("first", ones), shared.limit("both", ones)
    np.testing.assert_allclose(first.H, fastntk.limit_gram(X))
    np.testing.assert_allclose(both.H, fastntk.limit_gram(X, layers="both"))
    np.testing.assert_allclose(shared.limit("first", twos).H, 4 * fastntk.limit_gram(X))
    np.testing.assert_allclose(shared.limit("second", twos).H, fastntk.limit_gram(X, layers="second"))
    assert shared.limit("second", ones) is shared.limit("second", twos)
    assert len(shared._limits) == 1  # 8 n^2 bytes are kept, whatever was asked for
