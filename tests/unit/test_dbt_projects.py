"""dbt's own project files under `vista run`: what YAML says, seeds, and what is dbt's alone."""

import re
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from vista_sql import query_files
from vista_sql.cli import app
from vista_sql.errors import VistaError

PROJECT = """
name: shop
vars: {above: 1, shop: {above: 2, kind: food}}
models:
  +materialized: table
  shop:
    staging:
      +materialized: ephemeral
      +tags: nightly
      deep: {materialized: "{{ 'view' if var('kind') == 'food' else 'table' }}", +tags: [big]}
      exact: {+materialized: incremental, +unique_key: [id, day]}
    unused: {+enabled: false}
seeds: {shop: {+schema: raw, labels: {+column_types: {code: VARCHAR, other: DATE}}}}
"""
PROPERTIES = """
models:
  - name: patched
    config: {materialized: view, alias: renamed, tags: hourly}
  - name: own
    config: {materialized: view}
sources:
  - name: raw
    schema: main
    tables: [{name: things, identifier: all_things}, {name: far, meta: {external_location: x}}]
"""
LABELS = "code,label,day,price\n007,a,2026-01-02,1\n,null,2026-01-03,2.5\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a project's files (path → text) where it then stands."""
    monkeypatch.chdir(tmp_path)

    def files(**more):
        texts = {"dbt_project.yml": PROJECT, "models/about.yml": PROPERTIES}
        for name, text in {**texts, **more.pop("files", {})}.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        return query_files.read([Path()], more)

    return files


def run(*options):
    args = ["run", ".", "--db", "shop.duckdb", *options]
    return CliRunner().invoke(app, args, prog_name="vista")


def rows(sql):
    with duckdb.connect("shop.duckdb") as con:
        return con.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("path", "text", "materialized"),
    [
        ("plain", "SELECT 1", "table"),
        ("patched", "SELECT 1", "view"),
        ("own", "{{ config(materialized='table') }} SELECT 1", "table"),
        ("staging/inlined", "SELECT 1", "ephemeral"),
        ("staging/deep/in_jinja", "SELECT 1", "view"),
        ("staging/exact", "SELECT 1", "incremental"),
    ],
)
def test_what_stands_nearest_says_what_a_file_becomes(write, path, text, materialized):
    project, _ = write(files={f"models/{path}.sql": text})
    assert project.file(Path(path).stem).materialized == materialized


def test_all_that_yaml_says_is_heard(write):
    project, names = write(
        files={
            "models/patched.sql": "{{ config(tags=['more']) }} SELECT '{{ this }}'",
            "models/staging/exact.sql": "SELECT {{ var('above') }}, '{{ var('kind') }}'",
            "models/staging/deep/both.sql": "SELECT 1",
            "models/unused/gone.sql": "SELECT 1",
            "models/reads.sql": "FROM {{ source('raw', 'things') }}",
            "analyses/no_model.sql": "SELECT 1",
        },
        above=3,
    )
    assert sorted(names) == ["both", "exact", "gone", "patched", "reads"]
    patched, exact = project.file("patched"), project.file("exact")
    assert (str(patched.relation), patched.tags) == ('"renamed"', {"hourly", "more"})
    assert (exact.unique_key, exact.tags) == (("id", "day"), {"nightly"})
    assert project.file("both").tags == {"nightly", "big"}
    assert project.render("patched").strip() == "SELECT '\"renamed\"'"
    assert project.render("exact") == "SELECT 3, 'food'"
    assert project.render("reads") == 'FROM "main"."all_things"'
    assert "gone" not in project.ordered(names)
    for wanted, found in {
        "tag:nightly": ("both", "exact"),
        "path:models/staging/deep patched": ("both", "patched"),
        "*ea*": ("reads",),
    }.items():
        assert project.select([wanted], names) == found
    with pytest.raises(VistaError, match="unknown selector 'state'"):
        project.select(["state:modified"], names)


def test_seeds_are_loaded_and_the_rest_runs(write):
    write(
        files={
            "seeds/labels.csv": LABELS,
            "models/labelled.sql": "SELECT * FROM {{ ref('labels') }}",
            "models/hooked.sql": "{{ config(post_hook='SELECT 1') }} SELECT 1",
            "models/after.sql": "FROM {{ ref('hooked') }}",
            "models/kept.sql": "FROM {{ ref('labels_snapshot') }}",
            "models/versioned.sql": "FROM {{ ref('labelled', v=2) }}",
            "models/outside.sql": "FROM {{ source('raw', 'far') }}",
            "models/python.sql": "FROM {{ ref('made') }}",
            "models/made.py": "def model(dbt, session): ...",
            "snapshots/s.sql": "{% snapshot labels_snapshot %} SELECT 1 {% endsnapshot %}",
        }
    )
    done = run()
    assert done.exit_code == 1
    assert [line.rpartition(",")[0] or line for line in done.stdout.splitlines()] == [
        "1 of 3  labels  seed, 2 rows",
        "2 of 3  after  skipped: it needs hooked",
        "3 of 3  labelled  table, 2 rows",
    ]
    instead = "take the table that dbt made by source(…), or run this project with dbt"
    configures = "vista: dbt_project.yml configures"  # another test's
    told = [line for line in done.stderr.splitlines() if not line.startswith(configures)]
    assert sorted(told) == [
        "vista: 5 left out, 1 skipped of 8; correct the first and run again",
        "vista: models/hooked.sql: the config 'post_hook' of hooked is dbt's alone: leave it out, "
        "or run this project with dbt",
        "vista: models/kept.sql: it needs labels_snapshot, a snapshot, which dbt alone makes: "
        + instead,
        "vista: models/outside.sql: source('raw', 'far'): models/about.yml: its external_location "
        "is dbt's alone: read the file by its name",
        "vista: models/python.sql: it needs made, a Python model, which dbt alone makes: "
        + instead,
        "vista: models/versioned.sql: it needs labelled, a model of several versions, which dbt "
        f"alone makes: {instead}",
    ]
    expected = [("007", "a", "2026-01-02", 1.0), (None, "null", "2026-01-03", 2.5)]
    for table in ("labelled", "main_raw.labels"):
        assert rows(f"SELECT code, label, day::VARCHAR, price FROM {table}") == expected


def test_a_seed_comes_with_what_refers_to_it_and_is_replaced(write):
    files = {
        "seeds/labels.csv": LABELS,
        "models/part.sql": "{{ config(materialized='ephemeral') }} FROM {{ ref('labels') }}",
        "models/whole.sql": "SELECT count(*) AS n FROM {{ ref('part') }}",
        "models/other.sql": "SELECT 1 AS one",
    }
    write(files=files)
    assert run("--select", "whole").exit_code == 0
    Path("seeds/labels.csv").write_text(LABELS + "8,b,2026-01-04,1\n")
    assert run("--select", "whole").exit_code == 0
    assert rows("FROM whole") == [(3,)]
    assert "other" not in str(rows("SELECT table_name FROM information_schema.tables"))


def test_a_schema_of_its_own_is_made_as_dbt_names_it(write):
    project = "name: shop\nmodels: {+materialized: table, shop: {lab: {+schema: lab}}}"
    things = "FROM {{ source('main', 'things') }}"
    files = {
        "dbt_project.yml": project,
        "models/lab/things.sql": f"{{{{ config(materialized='view') }}}} {things}",
        "models/lab/added.sql": "{{ config(materialized='incremental') }} FROM {{ ref('things') }}",
    }
    with duckdb.connect("shop.duckdb") as con:
        con.execute("CREATE TABLE things AS SELECT 1 AS x")
    write(files=files)
    for n_rows in (1, 2):
        done = run()
        assert (done.exit_code, done.stderr) == (0, "")
        assert rows("SELECT count(*) FROM main_lab.added") == [(n_rows,)]
    write(files={**files, "models/lab/things.sql": things})
    assert run().exit_code == 0  # a table in place of the view
    assert rows("FROM main_lab.things") == rows("FROM things") == [(1,)]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"dbt_project.yml": "name: [x"}, "dbt_project.yml: this is no YAML that can be read"),
        ({"models/b.yml": "models: [{name: own}]"}, "the properties of own stand in two places"),
    ],
)
def test_what_is_wrong_with_the_yaml_is_told(write, files, told):
    with pytest.raises(VistaError, match=told):
        write(files={"models/own.sql": "SELECT 1", **files})


def test_a_config_of_what_is_not_there_is_told(write):
    project = "name: shop\nmodels: {shop: {stagign: {+materialized: table}, a: {+tags: x}}}"
    write(files={"dbt_project.yml": project, "models/a.sql": "SELECT 1 AS x"})
    done = run()
    assert (done.exit_code, done.stdout) == (0, "1 of 1  a  view\n")
    told = "vista: dbt_project.yml configures models.shop.stagign, which is not there\n"
    assert done.stderr == told


def test_what_a_config_must_be_is_told_with_its_file(write):
    project, _ = write(
        files={"dbt_project.yml": "models: {+materialised: table}", "models/a.sql": "SELECT 1"}
    )
    with pytest.raises(VistaError, match=r"'materialised' in dbt_project.yml; did you mean 'mat"):
        project.file("a")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("dbt_project.yml", "model-paths: 5", "model-paths must be a list of folders, not 5"),
        ("dbt_project.yml", "seed-paths: [5]", "seed-paths must be a list of folders, not [5]"),
        ("models/about.yml", "models: [{name: a, config: {tags: 5}}]", "'tags' must be a text"),
        ("models/about.yml", "seeds: [{name: s, config: {column_types: 5}}]", "'column_types'"),
        ("models/about.yml", "seeds: [{name: s, config: {delimiter: ab}}]", "one character"),
    ],
)
def test_yaml_of_another_kind_is_named(write, file, text, said):
    files = {file: text, "models/a.sql": "SELECT * FROM {{ ref('s') }}", "seeds/s.csv": "x\n1\n"}

    def read():
        project = write(files=files)[0]
        return [project.file(name) for name in project.names]

    with pytest.raises(VistaError, match=re.escape(said)):
        read()


def test_a_config_may_be_null(write):
    said = "models: [{name: a, config: {tags: null, schema: null, unique_key: null}}]"
    seed = "seeds: [{name: s, config: {column_types: null, delimiter: null}}]"
    write(
        files={
            "models/about.yml": f"{said}\n{seed}\n",
            "models/a.sql": "SELECT * FROM {{ ref('s') }}",
            "seeds/s.csv": "x\n1\n",
        }
    )
    result = run()
    assert result.exit_code == 0, result.output
    assert rows("FROM a") == [(1,)]
