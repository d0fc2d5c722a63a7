"""Settings of a training run: defaults, checks, record, and that every function and command takes them from there."""

import inspect
import json
import typing
from dataclasses import FrozenInstanceError, fields, replace

import click
import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU
from fastntk.cli import main
from fastntk.losses import Huber
from fastntk.optimizers import HeavyBall, Nesterov
from fastntk.training import samples
from fastntk.training.settings import Options, Settings, SharedOptions, completed

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
        with pytest.raises((ValueError, TypeError), match=rf"\b{name} must be"):
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


def test_a_network_drawn_by_itself_has_the_same_defaults():
    """`TwoLayerReLU` lives on a lower floor, which knows no settings."""
    drawn = inspect.signature(TwoLayerReLU.init).parameters
    shared = {"seed", "dtype", "kappa", "paired"}
    assert {name: drawn[name].default for name in shared} == {
        name: getattr(Settings(), name) for name in shared
    }


def test_a_folder_from_before_a_setting_is_resumed_where_it_has_its_default(tmp_path):
    made = call(fastntk.sweep, out=tmp_path)
    path = tmp_path / "run-w4-s0.npz"
    run = fastntk.load(path)
    assert run.provenance["sweep"] == made.settings | {"width": 4, "seed": 0}
    del run.provenance["sweep"]["kappa"]
    run.save(path)
    assert call(fastntk.sweep, out=tmp_path).runs[0].provenance == run.provenance
    with pytest.raises(ValueError, match=r"holds a run with kappa=1\.0, but this sweep has kappa=0\.5"):
        call(fastntk.sweep, out=tmp_path, kappa=0.5)
    run.provenance["sweep"]["later"] = 2  # a setting of a version to come
    run.save(path)
    with pytest.raises(ValueError, match="holds a run with later=2, but this sweep has later=None"):
        call(fastntk.sweep, out=tmp_path)


@pytest.mark.parametrize("first", [{}, FLOW])
def test_a_folder_of_the_other_dynamics_is_refused(first, tmp_path):
    second = {} if first else FLOW
    steps = {"steps": Settings.steps}
    call(fastntk.sweep, out=tmp_path, **steps, **first)
    with pytest.raises(ValueError, match=r"dynamics='\w+', .*but this sweep has dynamics='\w+'"):
        call(fastntk.sweep, out=tmp_path, **steps, **second)


def test_a_run_records_its_settings():
    run = fastntk.train(X, Y, **GOOD)
    record = Settings(**GOOD).record()
    for name in set(record) - {"snapshots", "diagnostics", "engine"}:  # the run itself shows the first two
        assert run.provenance[name] == record[name], name
    assert run.provenance["engine"] == {"name": "primal", "reason": "asked for"}
    assert not {"snapshots", "diagnostics", "times"} & set(run.provenance)
    assert list(run.snapshots) == [0, 7]


# Where they show.


@pytest.mark.parametrize(
    "function", [fastntk.train, fastntk.sweep, fastntk.predict, fastntk.convergence_rates]
)
def test_signatures_show_the_options_and_their_defaults(function):
    shown = inspect.signature(function).parameters
    assert not [name for name, one in shown.items() if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    own = {(fastntk.convergence_rates, "width"), (fastntk.convergence_rates, "steps")}
    own |= {(fastntk.convergence_rates, "dtype")}
    for part in fields(Settings):
        if part.name in shown and (function, part.name) not in own:
            assert shown[part.name].default == part.default, part.name


def test_train_has_29_arguments_and_help_shows_them():
    own = {"X", "y", "net", "threads", "progress", "client"}
    shown = inspect.signature(fastntk.train).parameters
    assert len(shown) == 29
    assert set(shown) == own | {part.name for part in fields(Settings)}
    text = inspect.getdoc(fastntk.train)
    documented = {
        name for line in text.splitlines() if " : " in line for name in line.split(" : ")[0].split(", ")
    }
    assert set(shown) - {"kappa", "paired"} <= documented
    assert "kappa, paired" in text
    assert "lr: float = 0.1" in str(inspect.signature(fastntk.train))


def test_sweep_shows_all_but_what_differs_between_its_runs():
    shown = inspect.signature(fastntk.sweep).parameters
    own = {"X", "y", "widths", "seeds", "threads", "out", "progress", "client"}
    assert set(shown) == own | {part.name for part in fields(Settings)} - {"width", "seed"}


def test_what_may_be_given_is_what_there_is():
    given = typing.get_type_hints(Options)
    assert set(given) == {part.name for part in fields(Settings)}
    assert set(given) - set(typing.get_type_hints(SharedOptions)) == {"width", "steps", "lr", "seed"}


@pytest.mark.parametrize(
    ("function", "name"), [(fastntk.train, "widht"), (fastntk.sweep, "width"), (fastntk.sweep, "net")]
)
def test_an_unknown_keyword_is_named(function, name):
    with pytest.raises(
        TypeError, match=rf"^{function.__name__}\(\) got an unexpected keyword argument '{name}'$"
    ):
        call(function, **{name: 3})


@pytest.mark.parametrize("name", ["train", "sweep", "reproduce", "rates", "verify"])
def test_commands_take_defaults_choices_and_words_from_settings(name):
    command = main.commands[name]
    needed = ["--widths", "4", "--out", "folder"] if name == "sweep" else []
    parsed = command.make_context(name, needed).params
    options = {option.name: option for option in command.get_params(click.Context(command))}
    own = {
        ("train", "width"),
        ("rates", "width"),
        ("rates", "dtype"),
        ("rates", "steps"),
        ("verify", "depth"),
    }
    own |= {("train", "diagnostics"), ("reproduce", "metrics")}
    shared = [part for part in fields(Settings) if part.name in options and (name, part.name) not in own]
    assert {"train": 20, "sweep": 20, "reproduce": 6, "rates": 2, "verify": 2}[name] == len(shared)
    for part in shared:
        option, check = options[part.name], part.metadata["check"]
        assert option.help == part.metadata["words"]
        if check.choices and not check.many:
            words = option.type.words if part.name == "layers" else option.type.choices
            assert words == check.choices
        given = parsed[part.name]
        assert (tuple(given) if check.many else given) == part.default, part.name


# What depends on the samples alone.


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


# The start is left alone.


@pytest.mark.parametrize("layers", ["first", "second", "both"])
@pytest.mark.parametrize("engine", ["dual", "primal"])
@pytest.mark.parametrize("dynamics", [{"steps": 0}, {"steps": 2}, FLOW])
def test_the_network_of_a_run_shares_no_memory_with_the_one_it_started_from(layers, engine, dynamics):
    net = TwoLayerReLU.init(4, 5)
    run = fastntk.train(X, Y, net=net, layers=layers, engine=engine, **dynamics)
    for found in (run.net.W, run.net.a):
        for given in (net.W, net.a):
            assert not np.shares_memory(found, given)
