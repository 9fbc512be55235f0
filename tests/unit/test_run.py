"""`vista run`: what query files leave in a database, and what happens where one fails."""

from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from vista_sql.cli import app

DB = "foods.duckdb"
TABLE = "{{ config(materialized='table') }}"
NEW = """{{ config(materialized='incremental', unique_key=KEY) }}
SELECT id, price, 'made of ' || price AS told FROM foods
{% if is_incremental() %} WHERE price > {{ var('above', 0) }} {% endif %}"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that writes query files (name → text) and runs them."""
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(DB) as con:
        con.execute("CREATE TABLE foods AS SELECT i AS id, i * 10 AS price FROM range(3) t(i)")

    def vista(files=None, *options):
        Path("models").mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            Path("models", f"{name}.sql").write_text(text)
        return CliRunner().invoke(app, ["run", "models", "--db", DB, *options], prog_name="vista")

    return vista


def rows(sql):
    with duckdb.connect(DB, read_only=True) as con:
        return con.execute(sql).fetchall()


def kinds():
    found = "SELECT table_name, lower(table_type) FROM information_schema.tables ORDER BY 1"
    return {name: "view" if kind == "view" else "table" for name, kind in rows(found)}


def test_each_becomes_what_it_says(run):
    done = run(
        {
            "cheap": "SELECT * FROM foods WHERE price < 15;",
            "kept": f"{TABLE}\nSELECT sum(price) AS total FROM {{{{ ref('part') }}}}",
            "part": "{{ config(materialized='ephemeral') }} FROM {{ ref('cheap') }} -- all",
        }
    )
    assert (done.exit_code, done.stderr) == (0, "")
    shown = done.stdout.splitlines()
    assert [line.rpartition(",")[0] or line for line in shown] == [
        "1 of 2  cheap  view",
        "2 of 2  kept  table, 1 row",
    ]
    assert kinds() == {"cheap": "view", "foods": "table", "kept": "table"}
    assert rows("FROM kept") == [(10,)]
    done = run({"cheap": f"{TABLE} SELECT 7 AS price", "kept": "SELECT 8 AS total"})
    assert (done.exit_code, kinds()) == (0, {"cheap": "table", "foods": "table", "kept": "view"})
    done = run({"kept": f"{TABLE} SELECT price AS total FROM {{{{ ref('cheap') }}}}"})
    assert (done.exit_code, rows("FROM kept")) == (0, [(7,)])


@pytest.mark.parametrize(
    ("key", "price", "ids"),
    [("'id'", 11, [0, 1, 2]), ("['id', 'price']", 11, [0, 1, 1, 2]), ("none", 11, [0, 1, 1, 2])],
)
def test_new_rows_replace_those_of_their_key(run, key, price, ids):
    run({"seen": NEW.replace("KEY", key)})
    with duckdb.connect(DB) as con:
        con.execute("UPDATE foods SET price = ? WHERE id = 1", [price])
        con.execute("UPDATE foods SET price = 1 WHERE id = 2")
    done = run(None, "--var", "above=5")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [row[0] for row in rows("SELECT id FROM seen ORDER BY id, price")] == ids
    assert rows("SELECT told FROM seen WHERE id = 1 ORDER BY price DESC")[0] == ("made of 11",)
    assert rows("SELECT price FROM seen WHERE id = 2") == [(20,)]  # it was not asked for again
    done = run(None, "--full-refresh")
    assert rows("SELECT id, price FROM seen ORDER BY id") == [(0, 0), (1, 11), (2, 1)]


def test_a_failure_skips_what_needs_it_and_nothing_else(run):
    files = {
        "a": f"{TABLE} SELECT id FROM foods",
        "b": f"{TABLE} SELECT id FROM {{{{ ref('a') }}}}",
        "c": f"{TABLE} SELECT id FROM {{{{ ref('b') }}}}",
        "d": f"{TABLE} SELECT 1 AS id",
    }
    assert run(files).exit_code == 0
    done = run(
        {
            "a": f"{TABLE} SELECT CASE WHEN id = 2 THEN error('a rock') END AS id FROM foods",
            "d": f"{TABLE} SELECT 2 AS id",
        }
    )
    assert done.exit_code == 1
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        "1 of 4  a  failed",
        "2 of 4  d  table",
        "3 of 4  b  skipped: it needs a",
        "4 of 4  c  skipped: it needs a",
    ] or done.stdout.splitlines()[1].startswith("2 of 4  b  skipped: it needs a")
    first, last = done.stderr.splitlines()
    assert first == "vista: models/a.sql: Invalid Input Error: a rock"
    assert last == "vista: 1 failed, 2 skipped of 4; correct the first and run again"
    assert rows("SELECT id FROM a ORDER BY id") == [(0,), (1,), (2,)]  # as it was
    assert rows("FROM d") == [(2,)]
    assert set(kinds()) == {"a", "b", "c", "d", "foods"}  # nothing half made


def test_a_failed_addition_leaves_the_table(run):
    run({"seen": NEW.replace("KEY", "'id'")})
    broken = NEW.replace("KEY", "'id'").replace("price,", "price * 2 AS price,")
    done = run({"seen": broken.replace("AS told", "AS said")})  # a column that the table has not
    assert done.exit_code == 1
    assert rows("SELECT price FROM seen ORDER BY id") == [(0,), (10,), (20,)]
    assert set(kinds()) == {"foods", "seen"}


@pytest.mark.parametrize("kind", ["view", "table"])
def test_errors_underline_the_place_in_the_file(run, kind):
    head = f"{{{{ config(materialized='{kind}') }}}}SELECT fc6, -- features\n\n"
    done = run({"a": f"{head}FROM TRANSFER(cnn => 'lenet', images => 'foods')"})
    assert done.exit_code == 1
    told = done.stderr.splitlines()
    assert told[0].startswith("vista: models/a.sql: unknown cnn 'lenet'; did you mean 'lenet5'?")
    assert told[1].startswith("LINE 3: FROM TRANSFER(cnn => 'lenet'")
    alone = run({"a": f"{{{{ config(materialized='{kind}') }}}}FROM TRANSFER(cnn => 'lenet')"})
    assert "\nLINE 1: FROM TRANSFER(cnn => 'lenet')\n" in alone.stderr


def test_only_what_is_selected_runs(run):
    files = {"a": "SELECT 1 AS x", "b": "SELECT x FROM {{ ref('a') }}", "c": "SELECT 3 AS x"}
    done = run(files, "--select", "b")
    assert done.exit_code == 1
    assert "models/b.sql: it needs a, which is not there yet: add --select +b" in done.stderr
    assert run(None, "--select", "+b").stdout == "1 of 2  a  view\n2 of 2  b  view\n"
    assert "c" not in kinds()
    done = run(None, "--select", "bb")
    assert (done.stdout, done.exit_code) == ("", 1)
    assert "vista: unknown query file 'bb'; did you mean 'b'?" in done.stderr


@pytest.mark.parametrize(
    ("args", "told", "code"),
    [
        (["run"], "Missing argument 'PATH…'", 2),
        (["run", "models"], "Missing option '--db'", 2),
        (["run", "models", "--db", DB, "--var", "x"], "'x' is not of the form NAME=VALUE", 2),
        (["run", "nowhere", "--db", DB], "vista: there is no file or folder nowhere", 1),
        (["run", ".", "--db", "no/such/folder.duckdb"], "there is no query file (*.sql) in .", 1),
    ],
)
def test_wrong_usage_is_told(args, told, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, args, prog_name="vista")
    assert (done.stdout, done.exit_code) == ("", code)
    assert told in done.stderr


def test_query_explain_and_rewrite_take_query_files_too(run):
    run({"a": f"{TABLE} SELECT 1 AS x", "b": f"{TABLE} SELECT x + 1 AS y FROM {{{{ ref('a') }}}}"})
    args = ["models/b.sql", "--db", DB]
    done = CliRunner().invoke(app, ["query", *args, "--format", "csv"])
    assert (done.stdout, done.exit_code) == ("y\n2\n", 0)
    done = CliRunner().invoke(app, ["rewrite", *args])
    assert done.stdout == 'SELECT x + 1 AS y FROM "a";\n'
    Path("models/b.sql").write_text("SELECT {{ x }}")
    done = CliRunner().invoke(app, ["query", *args])
    assert done.exit_code == 1
    assert done.stderr.startswith("vista: models/b.sql: 'x' is undefined; there is ref, source")


def test_a_new_column_of_an_incremental_file_is_told_before_anything_changes(run):
    head = "{{ config(materialized='incremental') }} SELECT id"
    assert run({"kept": f"{head} FROM foods"}).exit_code == 0
    done = run({"kept": f'{head}, price, 1 AS "b c" FROM foods'})
    assert done.exit_code == 1
    assert 'has no column "price", "b c", which the file now makes' in done.stderr
    assert "ALTER TABLE" in done.stderr
    assert "--full-refresh" in done.stderr
    assert rows("FROM kept ORDER BY 1") == [(0,), (1,), (2,)]
    assert run({}, "--full-refresh").exit_code == 0
    assert rows('SELECT price, "b c" FROM kept ORDER BY 1') == [(0, 1), (10, 1), (20, 1)]
