"""The project in tests/e2e/dbt, run by dbt itself: what it builds, counts and says on errors.

And queries/, which `vista run` and dbt make the same tables of.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

import vista_sql
from vista_sql import datasets, queries, runs
from vista_sql.cli import app

PROJECT = Path(__file__).parent / "dbt"
STEPS = {  # what dbt is told, one after the other
    "build": ["build"],
    "again": ["build", "--vars", "newest: 130"],
    "docs": ["docs", "generate", "--vars", "newest: 130"],
    "broken": ["run", "--select", "wrong_layer", "unreadable", "shown", "--vars", "broken: true"],
}
CODE = """
import json, sys
from dbt.cli.main import dbtRunner

for step, arguments in json.loads(sys.argv[1]).items():
    print("step", step, flush=True)
    done = dbtRunner().invoke(arguments)
    print("success", done.success, flush=True)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Run all steps in one process; return the folder, and what dbt printed at each step."""
    folder = tmp_path_factory.mktemp("dbt")
    project = Path(shutil.copytree(PROJECT, folder / "project"))
    datasets.digits(folder)
    file = folder / datasets.DATABASE
    with vista_sql.connect(file) as db:
        healthy = "digit IN (6, 8, 9) AS is_healthy"
        db.con.execute(
            f"CREATE TABLE all_foods AS SELECT id, ink_mass AS price, {healthy} FROM digits"
        )
        db.con.execute("CREATE TABLE all_images AS FROM digit_images")
    shutil.copy(file, folder / "other.duckdb")
    return folder, run_dbt(project, STEPS, FOODS_DB=file)


def run_dbt(project, steps, **env):
    """Run dbt commands, one after the other; return what each printed."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(steps)],
        cwd=project,
        env={**os.environ, "NO_COLOR": "1", **{name: str(value) for name, value in env.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    told = {}
    for line in done.stdout.splitlines():
        if line.startswith("step "):
            told[line.removeprefix("step ")] = ""
        elif told:
            told[list(told)[-1]] += f"{line}\n"
    assert list(told) == list(steps), f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0
    assert "nanobind" not in done.stderr  # every connection was closed
    return told


@pytest.fixture(scope="module")
def db(built):
    with vista_sql.connect(built[0] / datasets.DATABASE) as session:
        yield session


@pytest.mark.parametrize("step", ["build", "again", "docs"])
def test_dbt_is_content(built, step):
    told = built[1][step]
    assert "success True" in told, told
    if step != "docs":
        assert "Concurrency: 4 threads" in told
        assert "PASS=18 WARN=0 ERROR=0 SKIP=0 NO-OP=0 TOTAL=18" in told  # 8 models, 9 tests, a seed


def test_tables_hold_what_query_returns(db):
    call = """TRANSFER(cnn => 'lenet5', layers => ['conv3', 'fc6'], images => 'images',
        structured => 'foods') ORDER BY id"""
    expected = db.query(f"SELECT id, price, is_healthy, conv3, fc6 FROM {call}").arrow()
    assert expected.num_rows == 130
    assert db.query("FROM features ORDER BY id").arrow().equals(expected)


def test_only_new_rows_are_inferred(built, db):
    counted = [
        (run.rows, run.images_inferred)
        for run in runs.read(f"{built[0] / datasets.DATABASE}.vista")
        if "'pool2'" in run.statement and "TRANSFER" in run.statement
    ]
    assert counted == [(30, 30), (100, 100)]  # newest first
    assert db.query("SELECT count(*), count(DISTINCT id), count(pool2) FROM seen").fetchall() == [
        (130, 130, 130)
    ]
    whole = "TRANSFER(cnn => 'lenet5', layers => ['pool2'], images => 'images')"
    query = "SELECT id, pool2, error FROM {} WHERE id < 130 ORDER BY id"
    one, other = (db.query(query.format(rows)).arrow() for rows in ("seen", whole))
    assert one.equals(other)


def test_views_are_planned_when_they_are_read(db):
    rows = db.query("SELECT * FROM shown").arrow()
    assert rows.num_rows == 5
    assert rows.schema.field("conv3").type == pa.list_(pa.float32(), 120)


def test_models_are_trained_and_predict(db):
    sets = db.query("SELECT feature_set FROM layers ORDER BY 1").fetchall()
    assert sets == [("structured",), ("structured+conv3",), ("structured+fc6",)]
    versions = db.query("SELECT DISTINCT version FROM VISTA_MODELS()").fetchall()
    assert sorted(versions) == [(1,), (2,)]  # once on 100 foods, once on 130
    right = "SELECT count(*), avg((p.predicted_label = f.is_healthy)::INT) FROM predicted p"
    n_rows, share = db.query(f"{right} JOIN features f USING (id)").fetchall()[0]
    assert n_rows == 130
    assert share > 0.8


def test_docs_know_the_columns(built):
    catalog = json.loads((built[0] / "project/target/catalog.json").read_text())
    columns = catalog["nodes"]["model.foods.features"]["columns"]
    assert columns["fc6"]["type"] == "FLOAT[84]"
    assert catalog["nodes"]["model.foods.shown"]["columns"]["conv3"]["type"] == "FLOAT[120]"


def test_errors_arrive_with_our_text(built):
    told = built[1]["broken"]
    assert "success False" in told
    assert "unknown layer 'fc9' in cnn 'lenet5'; did you mean 'fc6'?" in told
    assert "image of key '7' cannot be read: cannot open gone.png" in told
    assert "PASS=1 WARN=0 ERROR=2" in told  # the other model was built


# ── the same files, run without dbt ────────────────────────────────────────────────────────────


def run_vista(*args):
    done = CliRunner().invoke(app, ["run", *map(str, args)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def same_tables(db, other, order_by):
    """Compare tables (name → columns that order it) of two databases; return those that differ."""
    different = []
    with vista_sql.connect(other) as theirs:
        for name, columns in order_by.items():
            query = f"FROM {name} ORDER BY {columns}"
            if not db.query(query).arrow().equals(theirs.query(query).arrow()):
                different.append(name)
    return different


def test_vista_run_makes_the_same_tables(built, db):
    other = built[0] / "other.duckdb"
    for newest in (100, 130):
        told = run_vista(built[0] / "project", "--db", other, "--var", f"newest={newest}")
    assert "  seen  incremental, +30 rows" in told
    tables = {"features": "id", "seen": "id", "shown": "id", "layers": "ALL", "predicted": "id"}
    tables |= {"grades": "ALL", "main_lab.graded": "ALL"}
    assert same_tables(db, other, tables) == []


@pytest.mark.full
def test_the_shipped_queries_are_a_dbt_project(tmp_path):
    project = shutil.copytree(
        Path(queries.__file__).parent, tmp_path / "queries", ignore=shutil.ignore_patterns("__*")
    )
    datasets.digits(tmp_path)
    shutil.copy(tmp_path / datasets.DATABASE, tmp_path / "other.duckdb")
    images = f"{tmp_path}/images/*"
    steps = {
        "build": [
            "build",
            "--select",
            "path:digits",
            "--vars",
            json.dumps({"image_files": images}),
        ],
        "docs": ["docs", "generate", "--select", "path:digits"],
    }
    file = tmp_path / datasets.DATABASE
    told = run_dbt(project, steps, VISTA_QUERIES_DB=file)
    assert "PASS=20 WARN=0 ERROR=0" in told["build"], told["build"]
    assert "success True" in told["docs"], told["docs"]
    run_vista(
        project / "digits", "--db", tmp_path / "other.duckdb", "--var", f"image_files={images}"
    )
    tables = {
        "digits_features": "id",
        "digits_new_features": "id",
        "digits_by_layer": "ALL",
        "digits_predict": "id",
        "digits_neighbours": "id, neighbour",
        "digits_duplicates": "ALL",
        "digits_image_qa": "ALL",
        "(SELECT * EXCLUDE (seconds) FROM digits_compare)": "ALL",
    }
    with vista_sql.connect(file) as session:
        assert same_tables(session, tmp_path / "other.duckdb", tables) == []
