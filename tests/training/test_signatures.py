"""Settings where they show: in signatures, help and commands, all from one place."""

import inspect
import typing
from dataclasses import fields

import click
import pytest

import fastntk
from fastntk import TwoLayerReLU
from fastntk.cli import main
from fastntk.training.settings import Options, Settings, SharedOptions


def test_a_network_drawn_by_itself_has_the_same_defaults():
    """`TwoLayerReLU` lives on a lower floor, which knows no settings."""
    drawn = inspect.signature(TwoLayerReLU.init).parameters
    shared = {"seed", "dtype", "kappa", "paired"}
    assert {name: drawn[name].default for name in shared} == {
        name: getattr(Settings(), name) for name in shared
    }


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
    widths = {"widths": [4]} if function is fastntk.sweep else {"width": 4}
    with pytest.raises(
        TypeError, match=rf"^{function.__name__}\(\) got an unexpected keyword argument '{name}'$"
    ):
        function([[1.0]], [1.0], **widths, **{name: 3})


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
