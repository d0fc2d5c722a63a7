"""Settings of a training run: defaults, checks, and the record of them."""

import inspect
import json
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

import fastntk
from fastntk.losses import Huber
from fastntk.optimizers import HeavyBall, Nesterov
from fastntk.training.settings import Settings, completed

X, Y = fastntk.datasets.sphere(6, 4)
FLOW = {"dynamics": "flow", "t_final": 2.0}


def call(function, **options):
    """The function with as little work as possible beside these options."""
    if function is fastntk.sweep:
        return fastntk.sweep(X, Y, **{"widths": [4], "seeds": [0], "steps": 1, **options})
    return function(X, Y, **{"width": 4, "steps": 1, **options})


# What may be given, and what may not.


def bad_values(part):
    """Values that the check of a field must refuse."""
    check = part.metadata["check"]
    if part.name in ("diagnostics", "paired"):
        return []  # anything is true or false
    if check.many:
        kinds = {
            "metrics": ["speed", 3, ("loss", 3)],
            "snapshots": [3, "0", [-1], [0.5]],
            "times": [[np.nan], "x"],
        }
        return kinds[part.name]
    if check.choices:
        return ["nonsense", "", 3, np.array(["x", "y"])]
    if check.least is not None:
        wrong = [check.least - 1, 1.5, "1", True, [check.least - 1] if part.name == "width" else [1]]
        return wrong if check.optional else [*wrong, None]
    wrong = [0.0, -1.0, np.nan, np.inf, "0.1", True]
    return wrong if check.optional else [*wrong, None]


BAD = [(part.name, value) for part in fields(Settings) for value in bad_values(part)]


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: str(value))
@pytest.mark.parametrize("function", [fastntk.train, fastntk.sweep, fastntk.predict])
def test_a_bad_value_is_refused_by_its_name_before_any_work(function, name, value, tmp_path):
    if name in inspect.signature(function).parameters:
        out = {"out": tmp_path / "out"} if function is fastntk.sweep else {}
        with pytest.raises((ValueError, TypeError), match=rf"\b{name} must (be|hold) .*\bgot\b"):
            call(function, **{name: value}, **out)
        assert not (tmp_path / "out").exists()


def test_there_is_a_bad_value_of_every_option():
    assert {name for name, _ in BAD} == {part.name for part in fields(Settings)} - {"diagnostics", "paired"}


GOOD = {
    "width": 8,
    "steps": 7,
    "lr": 0.25,
    "seed": 3,
    "layers": "both",
    "loss": Huber(0.5),
    "optimizer": Nesterov(0.5),
    "batch_size": 2,
    "metrics": ("loss", "drift"),
    "every": 2,
    "diagnostics": True,
    "snapshots": (0, 7),
    "engine": "primal",
    "dtype": np.dtype("float64"),
    "kappa": 0.5,
    "paired": True,
}


def test_values_stay_what_they_are_and_names_become_what_they_stand_for():
    found = Settings(**GOOD)
    assert {name: getattr(found, name) for name in GOOD} == GOOD
    assert replace(found) == found
    named = Settings(optimizer="heavy_ball", metrics="all", snapshots=[3, 0, 3], dtype="float64", times=None)
    assert named.optimizer == HeavyBall()
    assert named.metrics == ("loss", "flips", "drift", "gram", "lambda_min")
    assert named.snapshots == (0, 3)
    assert named.dtype == np.float64
    with pytest.raises(FrozenInstanceError):
        named.lr = 2.0
    with pytest.raises(TypeError):
        Settings(3)


def test_times_of_a_flow():
    assert Settings(**FLOW).times == tuple(np.linspace(0.0, 2.0, 101))
    found = Settings(**FLOW, times=[0.5, 0.5, 1.5])
    assert found.times == (0.0, 0.5, 1.5, 2.0)
    assert replace(found, seed=1).times == found.times
    assert (found.goal, Settings(steps=9).goal) == (3, 9)


@pytest.mark.parametrize("name", [part.name for part in fields(Settings) if part.metadata["only"]])
def test_arguments_of_the_other_dynamics_are_refused_unless_they_are_the_default(name):
    other = {**GOOD, "t_final": 1.0, "times": [1.0], "tolerance": 0.1}[name]
    descent = Settings.__dataclass_fields__[name].metadata["only"] == "descent"
    base, only = (FLOW, "descent") if descent else ({}, "flow")
    with pytest.raises(ValueError, match=f"^{name} is for dynamics='{only}', got"):
        Settings(**{**base, "steps": Settings.steps, name: other})
    if name != "t_final":
        Settings(**base, **{name: getattr(Settings, name)})


# The record.


def test_the_record_of_descent():
    """Word by word what the folders of earlier sweeps hold."""
    assert Settings(**GOOD).record() == json.loads(json.dumps(Settings(**GOOD).record()))
    assert Settings(**GOOD).record() == {
        "steps": 7,
        "lr": 0.25,
        "optimizer": {"name": "nesterov", "momentum": 0.5},
        "batch_size": 2,
        "every": 2,
        "snapshots": [0, 7],
        "depth": 1,
        "scale": 1.0,
        "output": "signs",
        "layers": "both",
        "loss": {"name": "huber", "delta": 0.5},
        "metrics": ["loss", "drift"],
        "diagnostics": True,
        "engine": "primal",
        "dtype": "float64",
        "kappa": 0.5,
        "paired": True,
    }


def test_the_record_of_flow():
    found = Settings(**FLOW, times=[1.0], tolerance=0.01).record()
    assert {name: found[name] for name in ("dynamics", "t_final", "times", "tolerance")} == {
        "dynamics": "flow",
        "t_final": 2.0,
        "times": [0.0, 1.0, 2.0],
        "tolerance": 0.01,
    }
    assert not {"steps", "lr", "optimizer", "batch_size", "every", "snapshots"} & set(found)


def test_a_record_is_completed_by_defaults():
    record = Settings(lr=0.5).record()
    assert completed(record) == {**record, "dynamics": "descent"}
    del record["kappa"], record["paired"]
    assert completed(record) == {**record, "dynamics": "descent", "kappa": 1.0, "paired": False}
    assert completed({}) == {}


def test_the_defaults():
    """Word by word: a folder of runs by default is resumed as long as they stay."""
    assert Settings().record() == {
        "steps": 100,
        "lr": 0.1,
        "optimizer": {"name": "gd"},
        "batch_size": None,
        "every": 1,
        "snapshots": [],
        "depth": 1,
        "scale": 1.0,
        "output": "signs",
        "layers": "first",
        "loss": {"name": "squared"},
        "metrics": ["loss", "flips", "drift"],
        "diagnostics": False,
        "engine": "auto",
        "dtype": "float32",
        "kappa": 1.0,
        "paired": False,
    }
    assert (Settings().width, Settings().seed, Settings().dynamics, Settings().tolerance) == (
        None,
        0,
        "descent",
        1e-3,
    )


def test_a_run_records_its_settings():
    run = fastntk.train(X, Y, **GOOD)
    record = Settings(**GOOD).record()
    for name in set(record) - {"snapshots", "diagnostics", "engine"}:  # the run itself shows the first two
        assert run.provenance[name] == record[name], name
    assert run.provenance["engine"] == {"name": "primal", "reason": "asked for"}
    assert not {"snapshots", "diagnostics", "times"} & set(run.provenance)
    assert list(run.snapshots) == [0, 7]
