"""The built wheel, not the checkout: what is inside, and that it works where nothing else of the project is."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import fastntk

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Paths of the sdist, and of the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Python of an environment that has the wheel.  What it depends on is lent by this one, which saves a minute.

    Packages that are lent come by a line of a .pth file, which does not read the .pth files among them: the editable
    install of the checkout is one of those and stays out.  `scripts/wheel` installs everything anew.
    """
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        built[1],
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    paths = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    Path(paths["purelib"], "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python


def call(python, *arguments, folder):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NUMBA"))}
    environment = kept | {"MPLBACKEND": "Agg", "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[1]).namelist()
    assert {name.split("/")[0] for name in names} == {"fastntk", f"fastntk-{fastntk.__version__}.dist-info"}
    assert "fastntk/py.typed" in names
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fastntk").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py")}
    assert f"fastntk-{fastntk.__version__}.dist-info/licenses/LICENSE" in names


def test_the_sdist_holds_what_its_own_tests_need(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
    } <= names
    assert {"tests/test_wheel.py", "benchmarks/cases.py", "scripts/test", "docs/index.md"} <= names
    assert not [
        name for name in names if name.startswith(("docs/_build", "docs/examples/", ".github", ".venv"))
    ]


def test_it_works_where_the_checkout_is_not(installed, tmp_path):
    where = call(installed, "-c", "import fastntk; print(fastntk.__file__)", folder=tmp_path).strip()
    assert not Path(where).is_relative_to(ROOT)
    assert fastntk.__version__ in call(installed, "-m", "fastntk", "info", folder=tmp_path)
    options = ("--steps", "2", "--metrics", "loss,flips", "--out", "results", "--no-progress")
    printed = call(installed, "-m", "fastntk", "reproduce", "--quick", *options, folder=tmp_path)
    assert "written to results: figure.pdf, figure.png, provenance.json, results.csv" in printed


def test_the_recipe_names_the_version_and_the_dependencies():
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8")
    assert f'version: "{fastntk.__version__}"' in recipe
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for dependency in project["dependencies"]:
        if "platform_machine" in dependency:  # of one platform; the recipe is for all
            continue
        name, least = dependency.split(">=")
        name = {"matplotlib": "matplotlib-base"}.get(name, name)
        assert f"    - {name} >={least}\n" in recipe
    assert f'python_min: "{project["requires-python"].removeprefix(">=")}"' in recipe
