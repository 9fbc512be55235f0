"""The same statements, the same rows, in every host: each .sql here and its .json beside it.

`query()` is what `--accept` asks. Numbers agree within 1e-6 (the bound for results that were
trained; features of one machine are bit-equal, which the golden statements show).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import foods
import pytest
import sparks
from hosts import HOSTS, database

import vista_sql
from vista_sql.sql.dialect import SPARK
from vista_sql.sql.parse import parse

FILES = sorted(Path(__file__).parent.glob("*.sql"))
TOLERANCE = 1e-6

TUNED = {("finetuning", "connection"), ("finetuning", "dbt")}


def statements(text: str) -> Iterator[str]:
    for statement in duckdb.extract_statements(text):
        yield statement.query


@pytest.mark.parametrize(
    ("file", "host"),
    [
        pytest.param(
            file,
            host,
            id=f"{file.stem}-{host}",  # where a network is tuned, each host takes ten seconds
            marks=pytest.mark.full if (file.stem, host) in TUNED else (),
        )
        for file, host in product(FILES, HOSTS)
    ],
)
def test_rows_are_those_expected(file, host, tmp_path, monkeypatch, shell, accept):
    monkeypatch.chdir(tmp_path)
    rows = []
    with HOSTS[host].open(database(tmp_path, foods.fill), shell) as client:
        for statement in statements(file.read_text()):
            for row in client.run(statement).dicts():
                rows.append({column: sparks.shown(value) for column, value in row.items()})
    answers = file.with_suffix(".json")
    if accept and host == "query":
        lines = ",\n".join(json.dumps(row) for row in rows)
        answers.write_text(f"[\n{lines}\n]\n")
    expected = json.loads(answers.read_text())
    assert len(rows) == len(expected)
    for number, (row, wanted) in enumerate(zip(rows, expected, strict=True), 1):
        assert is_like(row, wanted), f"{number}: {row} is not {wanted}"


def is_like(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Return whether a row is the one wanted: columns, order, values."""
    return list(row) == list(wanted) and all(
        row[column] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)
        if isinstance(value, float) and row[column] is not None
        else row[column] == value
        for column, value in wanted.items()
    )


SPARK_FILES = {"catalogue": 6, "transfer": 74, "training": 22}
"""Statements in Spark's SQL, a file for each of DuckDB's, and how many rows they give."""

SPARED = ("transfer", "training")  # see tests/contract/test_spark_*.py and docs/spark.md


@pytest.mark.filterwarnings(  # a socket that PySpark 4.1 leaves open
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.full) if n in SPARED else n for n in SPARK_FILES]
)
def test_spark_gives_rows_of_the_same_statements(name, spark, tmp_path, monkeypatch):
    """Each statement of the file stands, in DuckDB's SQL, among those whose rows are known.

    Left out are transactions, prepared statements and names of types, which are DuckDB's own.
    """
    monkeypatch.setenv("VISTA_SQL_HOME", str(tmp_path / "home"))
    folder = Path(__file__).parent
    expected = iter(json.loads((folder / f"{name}.json").read_text()))
    text = (folder / "spark" / f"{name}.sql").read_text()
    db, n_rows = vista_sql.spark(spark), 0
    try:
        for statement in parse(text, SPARK):
            frame = db.query(statement.text)
            for values in sparks.rows(frame):
                row = dict(zip(frame.columns, map(sparks.plain, values), strict=True))
                n_rows += 1
                assert any(is_like(row, wanted) for wanted in expected), f"{n_rows}: {row}"
    finally:
        for table in ("labelled", "shots"):
            spark.sql(f"DROP TABLE IF EXISTS {table}")
    assert n_rows == SPARK_FILES[name]


def served(kind: str, python: str, folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """Return what a server of Spark Connect says to each statement."""
    files = [str(Path(__file__).parent / "spark" / f"{name}.sql") for name in names]
    script = Path(__file__).parents[1] / "spark_statements.py"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "VISTA_SQL_HOME": str(folder / "home")}
    done = subprocess.run(
        [python, str(script), kind, *files],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"file"')]
    assert told, done.stderr[-3000:]
    return told


def unlike(told: list[dict[str, Any]]) -> list[str]:
    """Return what statements failed with, and the rows that are not those expected."""
    wrong = [f"{one['statement'][:200]}: {one['error']}" for one in told if "error" in one]
    for name in {one["file"]: None for one in told}:
        expected = iter(json.loads((Path(__file__).parent / f"{name}.json").read_text()))
        answers = [one for one in told if one["file"] == name]
        rows = [row for one in answers for row in one.get("rows", ())]
        if not any("error" in one for one in answers) and len(rows) != SPARK_FILES[name]:
            wrong.append(f"{name}: {len(rows)} rows")
        for row in rows:
            if not any(is_like(row, wanted) for wanted in expected):
                wrong.append(f"{name}: {row} is not there, or not in its place")
                break
    return wrong


CONNECT = pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")


@CONNECT
@pytest.mark.full
def test_spark_connect_gives_rows_of_the_same_statements(tmp_path):
    """Spark's own server, on this machine: a client that has no JVM at hand."""
    told = served("connect", sys.executable, tmp_path, ["catalogue", "transfer"])
    assert unlike(told) == []


@CONNECT
@pytest.mark.full
def test_spark_connect_trains(tmp_path):
    assert unlike(served("connect", sys.executable, tmp_path, ["training"])) == []


BASE = """
SELECT images, bytes, errors FROM VISTA_MATERIALIZE('lenet5', 'c5', images => TABLE(
  SELECT * FROM images WHERE id < 6), table => 'kept_maps');
SELECT id, f6, error FROM TRANSFER('lenet5', 'f6', structured => 'foods'{}) ORDER BY id, price;
SELECT id, f6, error FROM TRANSFER('lenet5', 'f6', structured => 'foods'{}) ORDER BY id, price;
DROP TABLE kept_maps;
"""


def starts_from_a_base(kind: str, python: str, folder: Path) -> None:
    """Check that a server keeps a layer as a table, and that no value depends on it."""
    file = folder / "base.sql"
    file.write_text(BASE.format("", ", base => 'kept_maps'"))
    kept, without, using, dropped = served(kind, python, folder, [str(file.with_suffix(""))])
    assert kept["rows"] == [{"images": 5, "bytes": 5 * 480, "errors": 1}]
    assert without["rows"] == using["rows"]
    assert len(using["rows"]) == 12
    assert "error" not in dropped


@CONNECT
@pytest.mark.full
def test_spark_connect_starts_from_a_base(tmp_path):
    starts_from_a_base("connect", sys.executable, tmp_path)


SAIL_CANNOT = {
    "SELECT * EXCEPT (fc6, pool2)": "expected query",  # it reads EXCEPT as a set operation
}
"""What Sail 0.7 does not read, though Spark does, and its words."""

SAIL_PYTHON = os.environ.get("VISTA_SQL_SAIL_PYTHON", "")


@pytest.mark.full
@pytest.mark.skipif(not SAIL_PYTHON, reason="`bash .ci/sail` makes an environment with Sail")
def test_sail_gives_rows_of_the_same_statements(tmp_path):
    told = served("sail", SAIL_PYTHON, tmp_path, list(SPARK_FILES))
    for one in told:
        if one["statement"].startswith("CREATE"):
            one["rows"] = []  # it tells how many were written
        for begins, words in SAIL_CANNOT.items():
            if one["statement"].startswith(begins):
                assert words in one.pop("error")
                one["rows"] = []
    assert len(told) == 19
    n_rows = SPARK_FILES["transfer"] - 12  # without those of the statement that it cannot read
    assert unlike(told) == [f"transfer: {n_rows} rows"]


@pytest.mark.full
@pytest.mark.skipif(not SAIL_PYTHON, reason="`bash .ci/sail` makes an environment with Sail")
def test_sail_starts_from_a_base(tmp_path):
    starts_from_a_base("sail", SAIL_PYTHON, tmp_path)
