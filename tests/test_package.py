"""The wheel is whole: built from the sdist, installed in a fresh environment, used elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from source import ROOT

import vista_sql

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = ("MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")
FILES += ("pyproject.toml", "requirements.lock")
FOLDERS = ("benchmarks", "docs", "queries", "scripts", "tests", "udfs", "vista_sql")
HOMES = {"vista_sql": "vista_sql", "udfs": "vista_sql/udfs", "queries": "vista_sql/queries"}


def called(*command: str | Path, **options: object) -> str:
    """Run a command away from the source tree; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment,
        **options,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder that holds a new sdist, and the wheel that was built from it."""
    place = tmp_path_factory.mktemp("built")
    copy = place / "source"  # setuptools would reuse what an older build left in the tree
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    for name in FOLDERS:
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    called(sys.executable, "-m", "build", "--no-isolation", "--outdir", place, copy, cwd=place)
    return place


@pytest.fixture(scope="module")
def wheel(built):
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A fresh environment's Python: the wheel is in it, its dependencies are borrowed from here."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    (file,) = built.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    called(*pip, "install", "--no-index", "--no-deps", "--quiet", file, cwd=place)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(called(python, "-I", "-c", code, cwd=place).strip())
    folders = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    # the .pth of our own editable installation does not count in a folder that is named like this
    (site / "borrowed.pth").write_text("\n".join(sorted(folders)) + "\n")
    return python


def test_wheel_has_every_file_and_no_other(wheel):
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = {
        "/".join((home, *file.relative_to(ROOT / folder).parts))
        for folder, home in HOMES.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert inside == there
    assert "vista_sql/py.typed" in inside
    assert "vista_sql/roster/catalogue/resnet50.json" in inside
    assert "vista_sql/roster/networks/resnet50.json" in inside
    assert "vista_sql/roster/lenet5_bundled.weights.h5" in inside


def test_nothing_else_lands_beside_the_package(wheel):
    top = {name.partition("/")[0] for name in wheel.namelist()}
    assert top == {"vista_sql", f"vista_sql-{vista_sql.__version__}.dist-info"}


def test_metadata_say_what_pyproject_says(wheel):
    info = f"vista_sql-{vista_sql.__version__}.dist-info"
    told = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert told["Version"] == vista_sql.__version__ == PROJECT["version"]
    assert told["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert set(told.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])


def test_sdist_can_be_tested(built):
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tests = {f"tests/{file.relative_to(ROOT / 'tests')}" for file in (ROOT / "tests").rglob("*.py")}
    assert tests <= names
    assert {"requirements.lock", "CHANGELOG.md", "CONTRIBUTING.md", "udfs/infer.py"} <= names


def test_installed_package_infers(installed, tmp_path):
    code = """
import importlib, sys
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import vista_sql

home = Path(vista_sql.__file__).parents[1]
assert home.name == "site-packages" and sys.prefix in str(home), home
assert importlib.import_module("vista_sql.udfs.infer").KERNELS
for name in ("udfs", "queries", "tests"):
    assert not (home / name).exists(), name
queries = list(Path(str(resources.files("vista_sql.queries"))).rglob("*.sql"))
assert any("TRANSFER" in query.read_text().upper() for query in queries)

pixels = np.random.default_rng(7).integers(0, 256, (3, 8, 8), dtype=np.uint8)
images = pa.table({"id": [1, 2, 3], "png": [cv2.imencode(".png", p)[1].tobytes() for p in pixels]})
with vista_sql.connect() as db:
    statement = "SELECT * FROM TRANSFER(cnn => 'lenet5', layers => [-1], images => 'images')"
    table = db.query(statement).arrow()
    assert set(table["error"].to_pylist()) == {None}
    ids, features = db.query(statement).numpy()
print(features.shape, features.dtype, bool(features.any()))
"""
    (tmp_path / "infer.py").write_text(code)  # with -c DuckDB would show its progress
    shown = called(installed, "infer.py", cwd=tmp_path)
    assert shown == "(3, 84) float32 True\n"


def test_installed_command_runs(installed, tmp_path):
    shown = called(installed.with_name("vista"), "cnns", cwd=tmp_path)
    assert "resnet50" in shown
    assert "resnet50" in called(installed, "-m", "vista_sql", "cnns", cwd=tmp_path)


def test_the_public_names_are_there_before_they_are_loaded():
    assert dir(vista_sql) == sorted(vista_sql.__all__)
    for name in vista_sql.__all__:
        assert getattr(vista_sql, name) is not None
    with pytest.raises(AttributeError, match="'vista_sql' has no attribute 'nothing_of_ours'"):
        vista_sql.nothing_of_ours  # noqa: B018 - it is looked up


@pytest.mark.parametrize(
    ("sys_platform", "machine", "package"),
    [
        ("linux", "x86_64", "tensorflow-cpu"),
        ("win32", "AMD64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
    ],
)
def test_each_system_gets_one_tensorflow_that_is_locked(sys_platform, machine, package):
    here = {"sys_platform": sys_platform, "platform_machine": machine}
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = [Requirement(line) for line in lines if line.startswith("tensorflow")]
    for requirements in (map(Requirement, PROJECT["optional-dependencies"]["cpu"]), locked):
        assert [r.name for r in requirements if r.marker.evaluate(here)] == [package]
