"""Every exception and warning of the package can be sent to another process, with its data."""

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import fastntk
from fastntk.engines import step_sizes


def exceptions():
    """All exception classes that modules of the package define; modules of the CUDA path need its packages."""
    found = set()
    for module in pkgutil.walk_packages(fastntk.__path__, "fastntk."):
        if ".cuda" not in module.name and not module.name.endswith("__main__"):
            for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(kind, BaseException) and kind.__module__.startswith("fastntk"):
                    found.add(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def example(kind):
    """An instance whose every argument is told apart from the others."""
    names = set(inspect.signature(kind.__init__).parameters) - {"self", "args", "kwargs", "message"}
    values = {name: {"of": name} for name in sorted(names)}
    if "run" in values:
        values["run"] = fastntk.Run(steps=[0, 3], loss=[2.0, 9.0], provenance={"width": 4, "lr": 0.5})
    error = kind("what happened", **values)
    error.add_note("seen in a test")
    return error


def assert_same(sent, got):
    assert type(got) is type(sent)
    assert str(got) == str(sent) == "what happened"
    assert got.args == sent.args
    assert vars(got).keys() == vars(sent).keys()
    for name, value in vars(sent).items():
        if isinstance(value, fastntk.Run):
            assert np.array_equal(getattr(got, name).loss, value.loss)
            assert getattr(got, name).provenance == value.provenance
        else:
            assert getattr(got, name) == value


COPIES = {
    **{
        f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def test_the_classes_that_carry_data_are_among_those_that_are_tested():
    assert {fastntk.DivergenceError, fastntk.ToleranceError, fastntk.MemoryLimitError} <= set(exceptions())


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", exceptions())
def test_copies_keep_type_message_data_and_notes(kind, way):
    error = example(kind)
    assert_same(error, COPIES[way](error))


def test_a_pool_hands_over_every_exception_and_goes_on_after_a_run_that_failed(monkeypatch):
    X, y = fastntk.datasets.sphere(6, 3, seed=0)
    monkeypatch.setattr(step_sizes, "MOST_STEPS", 200)
    with pytest.raises(fastntk.ToleranceError) as missed:
        fastntk.train(X, y, width=8, dynamics="flow", t_final=1e30)
    sent = [example(kind) for kind in exceptions()]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        copies = [pool.submit(copy.copy, error) for error in [*sent, missed.value]]
        diverging = pool.submit(fastntk.train, X, y, width=8, steps=50, lr=1e6)
        fine = pool.submit(fastntk.train, X, y, width=8, steps=1)
        *simple, straying = [future.result(timeout=120) for future in copies]
        for error, got in zip(sent, simple, strict=True):
            assert_same(error, got)
        assert np.array_equal(straying.run.net.W, missed.value.run.net.W)
        assert straying.time == missed.value.time > 0
        with pytest.raises(fastntk.DivergenceError, match="largest stable step") as caught:
            diverging.result(timeout=120)
        assert caught.value.step == caught.value.run.steps[-1] > 0
        assert caught.value.largest_stable_step > 0
        assert fine.result(timeout=120).steps[-1] == 1
