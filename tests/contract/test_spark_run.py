"""`vista run --spark`: query files become tables of the session's catalog, in their order."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import sparks
from click.testing import CliRunner

import vista_sql
from vista_sql.cli import run
from vista_sql.cli._app import app

FILES = {
    "models/cheap.sql": "SELECT id, price, `name` FROM foods WHERE price < {{ var('most') }}",
    "models/layers.sql": """{{ config(materialized='table') }}
        SELECT id, price, size(f6) AS n FROM TRANSFER('lenet5', 'f6', images => 'images',
          structured => '{{ ref("cheap") }}')""",
    "models/kinds.sql": """{{ config(materialized='ephemeral') }}
        SELECT id, kind FROM {{ ref('seed') }}""",
    "models/grown.sql": """{{ config(materialized='incremental', unique_key='id') }}
        SELECT l.id, k.kind, {{ var('mark') }} AS mark FROM {{ ref('layers') }} AS l
        JOIN {{ ref('kinds') }} AS k ON k.id = l.id
        {% if is_incremental() %} WHERE l.id > (SELECT min(id) FROM {{ this }}) {% endif %}""",
    "seeds/seed.csv": "id,kind\n1,fruit\n2,bread\n5,fruit\n",
    "dbt_project.yml": "name: p\nmodel-paths: [models]\nseed-paths: [seeds]\n",
}


@pytest.fixture
def ran(spark, tmp_path, monkeypatch):
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)

    @contextmanager
    def shared(url, db, *, keeps):
        assert (url, db, keeps) == ("local[2]", None, True)
        yield vista_sql.spark(spark)

    monkeypatch.setattr(run, "on_spark", shared)

    def carried_out(*arguments):
        return CliRunner().invoke(app, ("run", "models", "--spark", "local[2]", *arguments))

    yield carried_out
    for name in ("layers", "grown", "seed"):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.catalog.dropTempView("cheap")


VARS = ("--var", "most=9", "--var", "mark=1")


def test_files_become_tables_in_the_order_of_their_needs(ran, spark):
    done = ran(*VARS, "--select", "+grown")
    assert done.exit_code == 0, done.output
    ends = [line.split("  ", 1)[1].rpartition(",")[0] for line in done.stdout.splitlines()]
    assert sorted(ends) == [
        "cheap  view",
        "grown  incremental, 3 rows",
        "layers  table, 10 rows",
        "seed  seed, 3 rows",
    ]
    assert ends[-1].startswith("grown")
    assert sparks.rows(spark.sql("SELECT * FROM grown ORDER BY id")) == [
        (1, "fruit", 1),
        (2, "bread", 1),
        (5, "fruit", 1),
    ]
    again = ran("--var", "most=9", "--var", "mark=2", "--select", "grown")
    assert "grown  incremental, +0 rows" in again.stdout, again.output
    assert sparks.rows(spark.sql("SELECT id, mark FROM grown ORDER BY id")) == [
        (1, 1),
        (2, 2),
        (5, 2),
    ]


def test_a_file_that_fails_leaves_its_table_and_those_that_need_it_are_skipped(
    ran, spark, tmp_path
):
    assert ran(*VARS, "--select", "+layers").exit_code == 0
    (tmp_path / "models/layers.sql").write_text(
        FILES["models/layers.sql"].replace("'f6', images", "'f9', images")
    )
    done = ran(*VARS)
    assert done.exit_code == 1
    assert "unknown layer 'f9' in cnn 'lenet5'" in done.stderr
    assert "grown  skipped: it needs layers" in done.stdout
    assert "1 failed, 1 skipped" in done.stderr
    assert spark.table("layers").count() > 0
    assert {table.name for table in spark.catalog.listTables()} >= {"layers"}
    assert not any("vista" in table.name for table in spark.catalog.listTables())


def test_a_database_or_a_cluster_is_named(tmp_path):
    (tmp_path / "a.sql").write_text("SELECT 1 AS one")
    done = CliRunner().invoke(app, ("run", str(tmp_path)))
    assert done.exit_code == 2
    assert "'--db': the DuckDB database, or '--spark'" in done.stderr
