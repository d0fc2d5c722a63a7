"""Text files as people and programs write them: read as they were meant, or refused with the way out."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from fastntk import datasets
from fastntk.datasets.table import read_table

X = np.array([[1.5, 2.0], [-4.0, 0.25], [7.0, 8.0]])
Y = np.array([3.0, 6.0, 9.5])
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "data.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def written(**settings):
    text = io.StringIO()
    FRAME.to_csv(text, index=False, **settings)
    return text.getvalue()


SAME = {
    "pandas": written(),
    "semicolons": written(sep=";"),
    "tabs": written(sep="\t"),
    "bars": written(sep="|"),
    "spaces": written(sep=" "),
    "aligned": FRAME.to_string(index=False),
    "decimal commas": written(sep=";", decimal=","),
    "decimal commas, tabs": written(sep="\t", decimal=","),
    "no header": written(header=False),
    "no header, decimal commas": written(header=False, sep=";", decimal=","),
    "quoted": written(quoting=1),
    "crlf": written(lineterminator="\r\n"),
    "a mark of the byte order": "\ufeff" + written(),
    "utf-16": written().encode("utf-16"),
    "comments": "# made by hand\n" + written().replace("\n", "\n# a line\n", 1),
    "empty columns at the end": "a,b,y,,\n1.5,2,3,,\n-4,0.25,6,,\n7,8,9.5,,\n",
    "empty columns, no header": "1.5,2,3,\n-4,0.25,6,\n7,8,9.5,\n",
    "empty rows at the end": written() + ",,\n,,\n",
    "a name with a comma": written().replace("a,", '"a, in m",', 1),
    "names that are numbers": "0,1,y\n1.5,2,3\n-4,0.25,6\n7,8,9.5\n",
    "years": "2019,2020,y\n1.5,2,3\n-4,0.25,6\n7,8,9.5\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_the_same_table_whoever_wrote_it(write, text):
    got_X, got_y = datasets.load_csv(write(text))
    np.testing.assert_array_equal(got_X, X)
    np.testing.assert_array_equal(got_y, Y)
    assert got_X.flags.c_contiguous


def test_numpys_own_text_files(tmp_path):
    np.savetxt(tmp_path / "x.txt", np.column_stack([X, Y]), header="a b y")
    assert np.array_equal(datasets.load_csv(tmp_path / "x.txt")[0], X)


INDEXED = {
    "pandas": FRAME.to_csv(),
    "pandas, numbered columns": FRAME.set_axis([0, 1, 2], axis=1).to_csv(),
    "pandas, read and written again": pd.read_csv(io.StringIO(FRAME.to_csv())).to_csv(index=False),
    "pandas, names of rows": FRAME.set_axis(list("pqr"), axis=0).to_csv(),
    "R, write.csv": '"","a","b","y"\n"1",1.5,2,3\n"2",-4,0.25,6\n"3",7,8,9.5\n',
    "R, write.csv2": '"";"a";"b";"y"\n"1";1,5;2;3\n"2";-4;0,25;6\n"3";7;8;9,5\n',
    "R, write.table": '"a" "b" "y"\n"1" 1.5 2 3\n"2" -4 0.25 6\n"3" 7 8 9.5\n',
}


@pytest.mark.parametrize("text", INDEXED.values(), ids=INDEXED)
def test_an_index_is_never_a_feature(write, text):
    path = write(text)
    with pytest.raises(ValueError, match=r"line 1: the first column has no name.* drop=\[1\] \(--drop 1\)"):
        datasets.load_csv(path)
    got_X, got_y = datasets.load_csv(path, drop=[1])
    np.testing.assert_array_equal(got_X, X)
    np.testing.assert_array_equal(got_y, Y)


@pytest.mark.parametrize("name", ["id", "Id", "index", "PassengerId", "row_id", "Unnamed: 0", "rownames"])
@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 2, 3), (12, 40, 41), (9, 8, 7)])
def test_a_column_that_numbers_the_rows_is_no_feature_unasked(write, name, numbers):
    path = write(f"a,{name},b,y\n" + "".join(f"{x[0]},{i},{x[1]},{y}\n" for x, i, y in zip(X, numbers, Y)))
    with pytest.raises(
        ValueError, match=rf"column 2 \('{name}'\) numbers the rows.*\(--drop 2\).*--drop none"
    ):
        datasets.load_csv(path)
    np.testing.assert_array_equal(datasets.load_csv(path, drop=[name])[0], X)
    np.testing.assert_array_equal(datasets.load_csv(path, drop=())[0], np.insert(X, 1, numbers, axis=1))
    assert datasets.load_csv(path, labels=name, drop=["y"])[1].tolist() == list(numbers)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("id", (1, 1, 2)), ("id", (2, 1, 3)), ("id", (0, 1.5, 2)), ("humid", (1, 2, 3)), ("x", (0, 1, 2))],
)
def test_what_numbers_no_rows_is_a_feature(write, name, numbers):
    path = write(f"{name},a,y\n" + "".join(f"{i},{x},{y}\n" for i, x, y in zip(numbers, X[:, 0], Y)))
    np.testing.assert_array_equal(datasets.load_csv(path)[0][:, 0], numbers)


def test_an_index_without_a_name_may_be_a_feature(write):
    path = write(",a,y\n0,1.5,3\n1,-4,6\n")
    assert datasets.load_csv(path, drop=[])[0].tolist() == [[0, 1.5], [1, -4]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.5,?,3", "line 1, column 2: '?' is not a number"),
        ("NA,2,3", "line 1, column 1: 'NA' is not a number"),
        ("1.5,,3", "line 1, column 2: '' is not a number"),
        ("1.5,2,nan", "line 1, column 3: 'nan' is not finite"),
        (
            "1.5,two,3",
            "line 1: it may be a header or data, say header=True or header=False (--header, --no-header)",
        ),
        ("5,two,3", "line 1: it may be a header or data"),
    ],
)
def test_a_first_row_with_a_hole_is_not_lost(write, row, message):
    path = write(f"{row}\n-4,0.25,6\n7,8,9.5\n")
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.load_csv(path)
    assert len(datasets.load_csv(path, header=True)[0]) == 2


def test_a_first_row_of_counts_is_asked_for(write):
    path = write("0,1,2\n3,4,5\n")
    with pytest.raises(ValueError, match="it may be a header or data"):
        datasets.load_csv(path)
    assert datasets.load_csv(path, header=False)[0].tolist() == [[0, 1], [3, 4]]
    assert datasets.load_csv(path, header=True)[0].tolist() == [[3, 4]]


def test_the_column_of_labels(write):
    path = write("y,a,b\n3,1.5,2\n6,-4,0.25\n9.5,7,8\n")
    for labels in ("y", 1, "1"):
        got_X, got_y = datasets.load_csv(path, labels=labels)
        np.testing.assert_array_equal(got_X, X)
        np.testing.assert_array_equal(got_y, Y)
    whole, none = datasets.load_csv(path, labels=None)
    assert none is None
    np.testing.assert_array_equal(whole, np.column_stack([Y, X]))
    np.testing.assert_array_equal(datasets.load_csv(path, labels="y", drop=["b"])[0], X[:, :1])
    assert datasets.load_csv(write("1\n2\n"), labels=None)[0].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "z"}, "labels must be the name of one column or its place from 1 to 3, got 'z'"),
        ({"labels": 0}, "labels must be the name of one column or its place from 1 to 3, got 0"),
        ({"labels": 4}, "place from 1 to 3, got 4"),
        ({"labels": "a"}, "got 'a'; "),  # two columns have that name
        ({"drop": ["q"]}, "drop must be the name of one column or its place from 1 to 3, got 'q'"),
        ({"drop": [1, 2]}, "at least two columns are expected (features, then y), got 1"),
        ({"drop": [1, 2, 3]}, "at least two columns are expected"),
        ({"separator": ";"}, "got 1 with the separator ';'"),
    ],
)
def test_columns_that_are_not_there(write, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.load_csv(write("a,a,y\n1,2,3\n4,5,6\n"), **options)


def test_words_as_labels(write):
    flowers = "5.1,3.5,setosa\n4.9,3,setosa\n7,3.2,virginica\n"
    path = write(flowers)
    with pytest.raises(
        ValueError, match=r"line 1, column 3: 'setosa' is not a number; signs=True \(--signs\)"
    ):
        datasets.load_csv(path)
    got_X, got_y = datasets.load_csv(path, signs=True)
    assert got_y.tolist() == [-1, -1, 1]
    assert got_X[2].tolist() == [7, 3.2]
    path = write(flowers + "6,3,versicolor\n")
    with pytest.raises(
        ValueError, match="takes labels of two classes, got 3: 'setosa', 'versicolor', 'virginica'"
    ):
        datasets.load_csv(path, signs=True)
    assert datasets.load_csv(path, drop=[3], labels=None)[0].shape == (4, 2)
    with pytest.raises(ValueError, match="line 2, column 2: '' is a missing label"):
        datasets.load_csv(write("1,a\n2,\n3,b\n"), signs=True)


def test_numbers_as_classes_come_by_size(write):
    table = read_table(write("a,y\n1,10\n2,9\n3,10\n"), signs=True)
    assert table.y.tolist() == [1, -1, 1]
    assert table.classes == ("9", "10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b;y\n1,5;2;3\n1.5;2;3\n", "line 3, column 1 ('a'): '1.5' has a point, but other numbers"),
        ("a;b;y\n1,5;2;3\n1.234,5;2;3\n", "line 3, column 1 ('a'): '1.234,5' has a point, but other numbers"),
        ('a,b,y\n"1,5",2,3\n', "line 2, column 1 ('a'): '1,5' is not a number"),
        ("a\tb\ty\n1\t2\t3\n# c\n\n1\t2\n", "line 5: 2 columns, the header has 3"),
        ("1,2,3\n4,5,6,7\n", "line 2: 4 columns, the first row has 3"),
        ('a,b,y\n"1\n",2,3\n4,5\n', "line 4: 2 columns, the header has 3"),
        ("a,b,y\n" + 300 * "1,2,3\n" + "1,x,3\n", "line 302, column 2 ('b'): 'x' is not a number"),
        ("a,b,y\n" + 300 * "1,2,3\n" + "1,2,3,4\n", "line 302: 4 columns, the header has 3"),
    ],
)
def test_the_line_and_the_column_are_named(write, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.load_csv(write(text))


@pytest.mark.parametrize(("start", "what"), [(b"\x93NUMPY", "a .npy file"), (b"PK\x03\x04", "a zip archive")])
def test_files_that_are_no_text_are_named(write, start, what):
    with pytest.raises(ValueError, match=f"cannot read .*: it is {what}"):
        datasets.load_csv(write(start + b"\x00\xff"))


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,b,y\n1,2,3\n", {}, "n = 1, d = 2, labels from column 3 ('y'), separator ',', header"),
        (
            "id;x;c\n7;1,5;u\n8;2;v\n", {"signs": True, "drop": ["id"]},
            "n = 2, d = 1, labels from column 3 ('c') ('u' is -1, 'v' is +1), separator ';', decimal comma, header, "
            "dropped: column 1 ('id')",
        ),
        ("1 2\n3 4\n", {"labels": None}, "n = 2, d = 2, no labels, separator space, no header"),
    ],
)  # fmt: skip
def test_what_was_read_in_words(write, text, options, said):
    assert str(read_table(write(text), **options)) == said


def test_a_published_table_of_many_columns_is_read_back(tmp_path):
    points, labels = datasets.slides(300, 200)
    datasets.save_csv(tmp_path / "a.csv", points, labels)
    pd.DataFrame(points).assign(y=labels).to_csv(tmp_path / "b.csv", index=False)
    for name in "ab":
        got_X, got_y = datasets.load_csv(tmp_path / f"{name}.csv")
        assert np.array_equal(got_X, points)
        assert np.array_equal(got_y, labels)
