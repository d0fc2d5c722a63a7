"""Options that know their default, their check and their words, and the signature of a function that takes them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from fastntk.base import checks

__all__ = [
    "Check",
    "apply_checks",
    "at_least",
    "flag",
    "known_options",
    "named",
    "one_of",
    "option",
    "optional",
    "positive",
    "spelled_out",
]

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Check:
    """What an option may be: called with a value and the option's name, it returns what the value stands for.

    Attributes
    ----------
    convert : callable
        The check itself; its ValueError or TypeError names the option.
    choices : tuple of str
        The words that may be given, if there are such.
    least : int or None
        The smallest integer, if integers are given.
    many : bool
        Whether several of these may be given.
    optional : bool
        Whether None may be given, and stays None.
    """

    convert: Callable[[Any, str], Any]
    choices: tuple[str, ...] = ()
    least: int | None = None
    many: bool = False
    optional: bool = False

    def __call__(self, value: Any, name: str) -> Any:
        """What a value stands for, given under that name."""
        return None if self.optional and value is None else self.convert(value, name)


def at_least(least: int) -> Check:
    """Integers of at least `least`."""
    return Check(lambda value, name: checks.integer(value, name, least), least=least)


def one_of(choices: tuple[str, ...]) -> Check:
    """One of the words."""
    return Check(lambda value, name: checks.choice(value, name, choices), choices)


def named(resolve: Callable[[Any], Any], table: Mapping[str, Any]) -> Check:
    """An object, or the name that stands for it."""
    return Check(lambda value, name: resolve(value), tuple(table))


def optional(check: Check) -> Check:
    """The same, or None."""
    return replace(check, optional=True)


positive = Check(checks.positive)
flag = Check(lambda value, name: bool(value))


def option(default: Any, check: Check, words: str, only: str | None = None) -> Any:
    """Make a field of settings.

    Parameters
    ----------
    default : object
        What is meant if nothing is given, as a user would write it.
    check : Check
    words : str
        The help of the command line.
    only : str, optional
        The dynamics that it is for; with another one it must be left alone.
    """
    return field(default=default, metadata={"check": check, "words": words, "only": only})


def apply_checks(settings: Any) -> None:
    """Replace the values of frozen settings by what they stand for."""
    for part in fields(settings):
        object.__setattr__(
            settings, part.name, part.metadata["check"](getattr(settings, part.name), part.name)
        )


def spelled_out(settings: type, options: type) -> Callable[[Function], Function]:
    """Give a function with ``**options`` the signature that names them, for `inspect`, `help` and editors.

    Parameters
    ----------
    settings : dataclass
        Has the defaults, and the order.
    options : TypedDict
        Has the options of this function, with the types that may be given.
    """
    types = typing.get_type_hints(options)
    shown = [part for part in fields(settings) if part.name in types]

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [part for part in signature.parameters.values() if part.kind is not part.VAR_KEYWORD]
        words = [_parameter(part, types[part.name]) for part in shown]
        first = [part for part in own if part.kind is not part.KEYWORD_ONLY]
        last = [part for part in own if part.kind is part.KEYWORD_ONLY]
        function.__signature__ = signature.replace(parameters=[*first, *words, *last])  # type: ignore[attr-defined]
        return function

    return decorate


def _parameter(part: Field[Any], kind: Any) -> inspect.Parameter:
    return inspect.Parameter(part.name, inspect.Parameter.KEYWORD_ONLY, default=part.default, annotation=kind)


def known_options(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """TypeError, as Python raises it, for the first option that is not of a function that is `spelled_out`."""
    known = inspect.signature(function).parameters
    for name in options:
        if name not in known:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}")
