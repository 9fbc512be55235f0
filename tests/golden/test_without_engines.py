"""Golden statements are planned where sqlglot is all that is installed: no DuckDB, no TensorFlow.

The database is answers.json, what planning asked of the real one and was told.
"""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path

import duckdb
import foods
import goldens
import msgspec
import plannings
import pytest
import sqlglot
from goldens import ANSWERS, EXPLAINS, REWRITES, SALT, TABLES, output_of, statement_of

import vista_sql
from vista_sql import Session
from vista_sql.hosts.duckdb.database import Seen

CASES = [*REWRITES, *EXPLAINS]
NOT_THERE = [
    "duckdb",
    "tensorflow",
    "keras",
    "pyarrow",
    "numpy",
    "pandas",
    "sklearn",
    "cv2",
    "lmdb",
]


def test_the_answers_are_those_of_the_database(accept):
    with Session(duckdb.connect(), own=True, salt=SALT) as session:
        foods.fill(session.con)
        session.con.execute(TABLES)
        recorder = plannings.Recorder(Seen(session.con, None))
        for case in CASES:
            plannings.planned(statement_of(case), recorder)
    answers = {method: dict(sorted(found.items())) for method, found in recorder.answers.items()}
    shown = json.dumps(dict(sorted(answers.items())), indent=1, default=float) + "\n"
    if accept:
        ANSWERS.write_text(shown)
    assert json.loads(ANSWERS.read_text()) == json.loads(shown), "pytest --accept"


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A Python with the package, the two that planning needs, and our files, by links."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for package in (sqlglot, msgspec, vista_sql):
        source = Path(package.__file__).parent
        (packages / source.name).symlink_to(source)
    for module in (plannings, goldens):
        (packages / Path(module.__file__).name).symlink_to(module.__file__)
    return folder / "bin" / "python"


def run(python: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [python, "-I", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_no_engine(python):
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {NOT_THERE}))"
    assert run(python, "-c", code).split() == []


@pytest.fixture(scope="module")
def planned(python) -> dict[str, str]:
    """Every golden statement as it was planned there."""
    return json.loads(run(python, "-m", "plannings"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_statements_are_planned_where_there_is_no_engine(case, planned):
    assert planned[case.name] == output_of(case)
