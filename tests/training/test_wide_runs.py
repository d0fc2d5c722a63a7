"""A run in parts that is killed goes on from the last part that it finished, and ends with the same bits."""

import io
import signal
import subprocess
import sys

import numpy as np
import pytest

import fastntk
from fastntk.engines.path import kept_parts, part, rounds, teams
from fastntk.engines.path.schedule import Schedule
from fastntk.optimizers import GradientDescent
from fastntk.training import run as running

SCRIPT = """
import os, signal, sys
import fastntk
from fastntk.engines.path import part, teams

teams.SIZE, left = 100, int(sys.argv[2])

def counted(name):
    method = getattr(part.Part, name)
    def call(self, *arguments):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return method(self, *arguments)
    setattr(part.Part, name, call)

for name in ("begin", "sweep", "close"):
    counted(name)
X, y = fastntk.datasets.sphere(40, 30, seed=0)
run = fastntk.sweep(X, y, [600], steps=12, lr=0.3, engine="path", optimizer=sys.argv[3], out=sys.argv[1]).runs[0]
print(int(sys.argv[2]) - left, *(getattr(run, name).tobytes().hex() for name in ("loss", "flips", "drift")))
"""

LIMIT = 10**6


def trained(folder, count, optimizer):
    """How many steps of parts it took, and the bytes of the run; None if it was killed before one more than `count`."""
    command = [sys.executable, "-c", SCRIPT, str(folder), str(count), optimizer]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    calls, *series = done.stdout.split()
    return int(calls), series


def test_killed_runs_go_on_where_they_were(tmp_path):
    whole, expected = trained(tmp_path / "whole", LIMIT, "heavy_ball")
    folder, kills = tmp_path / "killed", (3, 6, 5)
    for count in kills:
        assert trained(folder, count, "heavy_ball") is None
    assert len(list(folder.glob("*.unfinished"))) == 1
    calls, series = trained(folder, LIMIT, "heavy_ball")
    assert series == expected
    assert calls == whole - sum(kills)
    assert [path.name for path in folder.iterdir()] == ["run-w600-s0.npz"]


class Stop(Exception):
    pass


def interrupted(monkeypatch, folder, count, **options):
    """A run that ends after so many steps of parts; all that there are if it does not."""
    X, y = fastntk.datasets.sphere(40, 30, seed=0)
    calls, after = 0, teams.Here._after

    def counted(self, number, name, arguments):
        nonlocal calls
        if calls == count:
            raise Stop
        calls += 1
        return after(self, number, name, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(teams, "SIZE", 100)
        patch.setattr(teams.Here, "_after", counted)
        settings = {"steps": 12, "lr": 0.3, "engine": "path"} | options
        run = fastntk.sweep(X, y, [600], out=folder, **settings).runs[0]
    return calls, run


def test_files_of_other_numbers_are_not_used(monkeypatch, tmp_path):
    """Another processor may round otherwise: then the run begins anew."""
    whole, expected = interrupted(monkeypatch, tmp_path / "whole", None)
    with pytest.raises(Stop):
        interrupted(monkeypatch, tmp_path / "other", 10)
    folder = next((tmp_path / "other").glob("*.unfinished"))
    for path in folder.glob("share-*"):
        path.rename(path.with_name(path.name[:-4] + "beef"))
    calls, run = interrupted(monkeypatch, tmp_path / "other", None)
    assert calls == whole
    np.testing.assert_array_equal(run.loss, expected.loss)


def test_other_settings_have_a_folder_of_their_own(monkeypatch, tmp_path):
    whole, _ = interrupted(monkeypatch, tmp_path / "whole", None, lr=0.2)
    with pytest.raises(Stop):
        interrupted(monkeypatch, tmp_path / "one", 10)
    calls, _ = interrupted(monkeypatch, tmp_path / "one", None, lr=0.2)
    assert calls == whole
    assert len(list((tmp_path / "one").iterdir())) == 1


def goes_on(monkeypatch, folder, whole, expected, **options):
    """Cut off twice, a run ends as the `expected` one, and makes none of its `whole` calls twice."""
    for count in (whole // 2, whole // 4):
        with pytest.raises(Stop):
            interrupted(monkeypatch, folder, count, **options)
    calls, run = interrupted(monkeypatch, folder, None, **options)
    assert calls == whole - whole // 2 - whole // 4
    for name, series in run.series.items():
        np.testing.assert_array_equal(series, expected.series[name], err_msg=name)


def test_windows_go_on_too(monkeypatch, tmp_path):
    """Patterns, changes and weights of the windows before."""
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 3)
    monkeypatch.setattr(running, "PATH_PASSES", 0.0)
    options = {"lr": 0.5, "steps": 20, "dtype": "float64", "optimizer": "nesterov"}
    whole, expected = interrupted(monkeypatch, tmp_path / "whole", None, **options)
    assert len(expected.provenance["engine"]["rounds"]) > 1
    goes_on(monkeypatch, tmp_path / "parts", whole, expected, **options)


def test_a_flow_goes_on_too(monkeypatch, tmp_path):
    options = {"dynamics": "flow", "t_final": 1.0, "times": [0.5], "steps": 100, "lr": 0.1}
    whole, expected = interrupted(monkeypatch, tmp_path / "whole", None, **options)
    assert expected.provenance["engine"]["name"] == "path"
    goes_on(monkeypatch, tmp_path / "parts", whole, expected, **options)


def test_a_run_that_diverges_leaves_no_parts(monkeypatch, tmp_path):
    """It is over: what it has come to is in the error."""
    with pytest.raises(fastntk.DivergenceError):
        interrupted(monkeypatch, tmp_path, None, lr=10.0, steps=60)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        *(("fastntk.engines.path.kept_parts", name) for name in ("pickle.loads", "ensure_folder")),
    ],
)
def test_a_file_makes_nothing_but_parts(module, name):
    """Nor what its modules have imported."""
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    stream = b"\x80\x04" + b"".join(texts) + b"\x93."
    with pytest.raises(kept_parts.pickle.UnpicklingError, match=f"{module}.{name} has no place"):
        kept_parts._PartReader(io.BytesIO(stream), {}).load()


def test_only_the_parts_that_need_it_are_repeated(monkeypatch):
    """The pass over the weights where entries that were not kept may change, the sweep where one is not proven."""
    X, y = fastntk.datasets.sphere(40, 30, seed=0)
    options = {"width": 600, "steps": 12, "lr": 0.3, "engine": "path", "dtype": "float64"}
    monkeypatch.setattr(teams, "SIZE", 100)
    expected = fastntk.train(X, y, **options)
    begin, passes = part.begin, []

    def short(problem, weights, reach, forced=None, into=None):
        passes.append(len(passes) == 2)
        return begin(problem, weights, reach * (1e-4 if passes[-1] else 1.0), forced, into)

    monkeypatch.setattr(part, "begin", short)
    found = fastntk.train(X, y, **options)
    assert 6 < len(passes) < 12
    assert found.provenance["engine"]["rounds"] == expected.provenance["engine"]["rounds"]
    np.testing.assert_array_equal(found.flips, expected.flips)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-12)


def test_progress_moves_during_the_rounds(monkeypatch):
    X, y = fastntk.datasets.sphere(40, 30, seed=0)
    monkeypatch.setattr(teams, "SIZE", 100)
    seen, events = [], []
    sweep = part.Part.sweep

    def watched(self, *arguments):
        events.append(len(seen))
        return sweep(self, *arguments)

    monkeypatch.setattr(part.Part, "sweep", watched)
    fastntk.train(X, y, width=600, steps=100, lr=0.1, engine="path", progress=lambda *at: seen.append(at))
    assert sorted(set(seen)) == seen
    assert seen[-1] == (100, 100)
    assert 0 < events[0] < events[3] < events[6] < len(seen)


def test_schedules_that_look_alike_are_told_apart():
    """The text of a long array leaves its middle out."""
    one = Schedule.of_descent(GradientDescent(), 0.1, 2000)
    other = Schedule(one.rows.copy(), one.shown)
    other.rows[1000, 0] = 0.2
    assert repr(one) == repr(other)
    assert kept_parts._digest("sweep", (one, 1.0)) != kept_parts._digest("sweep", (other, 1.0))
    assert kept_parts._digest("sweep", (one, 1.0)) == kept_parts._digest("sweep", (one.until(2000), 1.0))
    shown = Schedule(one.rows, ~one.shown)
    assert kept_parts._digest("sweep", (one, 1.0)) != kept_parts._digest("sweep", (shown, 1.0))
