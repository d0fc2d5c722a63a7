"""Which engine is taken, and why: the cost model, and what fits."""

import pytest

import fastntk
from fastntk import optimizers
from fastntk.engines import choice
from fastntk.engines.choice import Course, choose
from fastntk.engines.motion import Motion


def test_choice_follows_the_cost_model():
    limit = 1 + choice.TABLES_PER_BLAS
    below, above = int(100 * limit), int(100 * limit) + 1
    assert choose(below, 100, 50).name == "dual"
    assert choose(above, 100, 50).name == "primal"
    assert "less work" in choose(below, 100, 50).reason
    assert choose(above, 100, 50, engine="dual") == choice.Choice("dual", "asked for")
    with pytest.raises(
        ValueError, match="engine must be one of 'auto', 'dual', 'primal', 'path', 'cuda', got 'fast'"
    ):
        choose(1, 1, 1, engine="fast")


def test_momentum_makes_the_path_engine_dearer():
    course, momentum = Course(steps=100), Motion(optimizer=optimizers.HeavyBall())
    assert choose(1000, 1000, 8000, course=course).name == "path"
    assert choose(1000, 1000, 8000, course=course, motion=momentum).name == "dual"
    ratio = choice.path_cost(9, 9, 99, 9, momentum=True) / choice.path_cost(9, 9, 99, 9)
    assert ratio == pytest.approx(choice.PATH_MOMENTUM)


def test_choice_yields_to_memory(monkeypatch):
    monkeypatch.setattr(choice, "available_bytes", lambda: 2**31)
    taken = choose(1000, 250, 10**6)
    assert taken.name == "primal"
    assert "dual would be faster" in taken.reason
    assert "GiB" in taken.reason
    assert choose(1000, 1000, 10**6).name == "dual"  # neither fits: the engine's own error will say so


def test_many_steps_are_taken_at_once_where_that_is_cheaper():
    wide, course = (1000, 1000, 100_000), Course(100)
    assert choose(*wide).name == "dual"
    chosen = choose(*wide, course=course)
    assert chosen.name == "path"
    assert chosen.reason.startswith("100 steps at once cost as much as ")
    assert choose(*wide, course=Course(100, 0.9)).name == "dual"
    assert choose(*wide, course=Course(5)).name == "dual"
    assert choose(1000, 1000, 1000, course=course).name == "dual"
    assert choose(30, 20, 500, course=course).name == "dual"


def test_the_path_engine_is_taken_where_nothing_else_fits(monkeypatch):
    monkeypatch.setattr(choice, "available_bytes", lambda: 4 * 2**30)
    chosen = choose(1000, 1000, 10**6, course=Course(3))
    assert chosen.name == "path"
    assert "dual and primal need" in chosen.reason
    monkeypatch.setattr(choice, "available_bytes", lambda: 2**28)
    assert choose(1000, 1000, 10**6, course=Course(100)).name != "path"


@pytest.mark.parametrize("dynamics", [{}, {"batch_size": 5}, {"layers": "both"}])
def test_a_run_takes_the_path_engine_for_full_descent_alone(dynamics, monkeypatch):
    monkeypatch.setattr(choice, "path_cost", lambda *shape: 0.0)
    X, y = fastntk.datasets.sphere(20, 10, seed=20)
    run = fastntk.train(X, y, width=100, steps=5, **dynamics)
    assert run.provenance["engine"]["name"] == ("dual" if dynamics else "path")
    fast = fastntk.train(X, y, width=100, steps=5, lr=3.0)
    assert fast.provenance["engine"]["name"] == "dual"
