"""Data files on the command line: how they are read is found out or asked for, and said on stderr."""

import re

import numpy as np
import pytest

import fastntk
from tests.cli.calls import run

TRAIN = ("train", "--width", 8, "--steps", 2)
ROWS = np.array([[1.5, 2.0, 1.0], [-4.0, 0.25, -1.0], [7.0, 8.0, 1.0]])


def says(*arguments):
    """The line on stderr, and stdout."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    return lines[0], result.stdout


def fails(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


@pytest.fixture
def write(tmp_path):
    def make(text, name="data.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


def log_of(tmp_path, *options):
    says(*TRAIN, *options, "--csv", tmp_path / "log.csv")
    return (tmp_path / "log.csv").read_text()


COMMANDS = {
    "train": TRAIN,
    "sweep": ("sweep", "--widths", "4", "--steps", 1, "--out", "out"),
    "reproduce": ("reproduce", "--widths", "4", "--steps", 1, "--out", "out"),
    "rates": ("rates", "--width", 32, "--steps", 2),
    "verify": ("verify", "--widths", "8", "--seeds", "0", "--draws", 1, "--steps", 2),
    "gram": ("gram", "--width", 8),
    "limit": ("limit",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_reads_data_says_what_it_read(write, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    path = write("id;kind;a;b\n7;u;1,5;2\n8;v;-4;0,25\n9;u;7;8\n")
    options = ("--labels", "kind", "--signs", "--drop", "id")
    result = run(*COMMANDS[command], "--data", path, *options)
    assert result.exit_code == 0, result.output
    said = next(line for line in result.stderr.splitlines() if line.startswith("data.csv: "))
    labels = (
        "left out as labels: column 2 ('kind')"
        if command in ("gram", "limit")
        else "labels from column 2 ('kind') ('u' is -1, 'v' is +1)"
    )
    assert said == (
        f"data.csv: n = 3, d = 2, {labels}, separator ';', decimal comma, header, dropped: column 1 ('id')"
    )


def test_the_numbers_are_those_of_the_plain_file(write, tmp_path):
    plain = tmp_path / "plain.csv"
    fastntk.datasets.save_csv(plain, ROWS[:, :2], ROWS[:, 2])
    expected = log_of(tmp_path, "--data", plain)
    for text, options in {
        "y\ta\tb\n1\t1.5\t2\n-1\t-4\t0.25\n1\t7\t8\n": ("--labels", "y"),
        ",a,b,y\n0,1.5,2,1\n1,-4,0.25,-1\n2,7,8,1\n": ("--drop", 1),
        "1.5,2,b\n-4,0.25,a\n7,8,b\n": ("--signs",),
        "0|1|2\n1.5|2|1\n-4|.25|-1\n7|8|1\n": ("--header", "--separator", "|"),
    }.items():
        assert log_of(tmp_path, "--data", write(text), *options) == expected, text
    np.save(tmp_path / "X.npy", ROWS)
    assert log_of(tmp_path, "--data", tmp_path / "X.npy", "--labels", "last") == expected
    np.save(tmp_path / "X.npy", ROWS[:, [2, 0, 1]])
    assert log_of(tmp_path, "--data", tmp_path / "X.npy", "--labels", 1) == expected


@pytest.mark.parametrize("command", [("limit",), ("gram", "--width", 8)])
def test_the_last_feature_is_not_lost_in_silence(write, tmp_path, command):
    path = write("a,b,c\n1.5,2,1\n-4,.25,-1\n7,8,1\n")
    line = fails(*command, "--data", path)
    assert line.endswith(
        "the last column ('c') may be a feature or y: --labels none takes it as a feature, --labels last leaves it out"
    )
    said, _ = says(*command, "--data", path, "--labels", "none", "--out", tmp_path / "H.npy")
    assert said == "data.csv: n = 3, d = 3, no labels, separator ',', header"
    if command == ("limit",):
        np.testing.assert_array_equal(np.load(tmp_path / "H.npy"), fastntk.limit_gram(ROWS))
    said, _ = says(*command, "--data", path, "--labels", "last", "--out", tmp_path / "H.npy")
    assert "d = 2, left out as labels: column 3 ('c')" in said
    assert "which has no name, may be" in fails(*command, "--data", write("1.5,2\n3,4\n"))
    for last, cell in (("label", 1), ("species", "setosa"), ("q", "setosa")):
        said, _ = says(*command, "--data", write(f"a,b,{last}\n1,2,{cell}\n2,1,{cell}\n"))
        assert f"d = 2, left out as labels: column 3 ('{last}')" in said


def test_an_array_without_names(tmp_path):
    np.save(tmp_path / "X.npy", ROWS)
    assert "--labels says which column is y (last, or a place from 1)" in fails(
        *TRAIN, "--data", tmp_path / "X.npy"
    )
    assert "place from 1 to 3" in fails(*TRAIN, "--data", tmp_path / "X.npy", "--labels", 4)
    assert "got 'y'" in fails(*TRAIN, "--data", tmp_path / "X.npy", "--labels", "y")
    (tmp_path / "X.npy").rename(tmp_path / "X.csv")
    assert "it is a .npy file, a text file of rows is expected" in fails(*TRAIN, "--data", tmp_path / "X.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--labels", "none"), "--labels none is for gram and limit: training needs labels"),
        (("--labels", "z"), "labels must be the name of one column or its place from 1 to 3, got 'z'"),
        (("--separator", "ab"), "'ab' is not one character, tab or space"),
    ],
)
def test_bad_options(write, options, message):
    assert message in fails(*TRAIN, "--data", write("a,b,y\n1,2,3\n4,5,6\n"), *options)


@pytest.mark.parametrize("option", [("--labels", "y"), ("--signs",), ("--drop", "a"), ("--no-header",)])
def test_options_of_a_file_that_is_not_given(option):
    name = re.escape(option[0].replace("--no-", "--"))
    assert re.search(
        f"{name} says how the file of --data is read, which is not given", fails(*TRAIN, *option)
    )


def test_an_index_is_refused_with_the_option_that_drops_it(write):
    assert "leave it out with drop=[1] (--drop 1)" in fails(*TRAIN, "--data", write(",a,y\n0,1,2\n1,3,4\n"))


def test_an_index_may_be_taken_as_a_feature(write):
    path = write("id,a,y\n0,1,2\n1,3,4\n")
    assert "numbers the rows" in fails(*TRAIN, "--data", path)
    result = run(*TRAIN, "--data", path, "--drop", "none")
    assert result.exit_code == 0
    assert "d = 2" in result.stderr
