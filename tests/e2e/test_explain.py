"""VISTA_EXPLAIN: the facts of a plan, and what a run of it took; and which runs count what."""

from __future__ import annotations

import re
import time

import cv2
import duckdb
import foods
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import vista_sql
from vista_sql import kernels
from vista_sql.cli import app
from vista_sql.errors import QueryError
from vista_sql.hosts.duckdb.process import process
from vista_sql.planning import cost

N = 24
T = "TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], structured => 'foods')"
SELECT = f"SELECT id, f6 FROM {T} WHERE price > 2 ORDER BY price"


@pytest.fixture(params=["query", "attach"])
def run(request, foods_db):
    """Run a statement, planned whole or by DuckDB's binder; rows as dictionaries."""

    def rows(text):
        found = foods_db.query(text) if request.param == "query" else foods_db.con.sql(text)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    rows.host = request.param
    return rows


@pytest.fixture
def runtime():
    """The process's runtime, with nothing left of earlier tests' images."""
    runtime = process().runtime
    runtime.sharing.__init__()
    runtime._outcomes.clear()
    return runtime


def of(rows, topic):
    return {row["item"]: row for row in rows if row["topic"] == topic}


def explained(text, **options):
    given = "".join(f", {name} => {value}" for name, value in options.items())
    return f"FROM VISTA_EXPLAIN($$${text}$$${given})".replace("$$$", "$$")


# ── the plan ───────────────────────────────────────────────────────────────────────────────────


def test_columns_are_those_it_declares(run):
    (first, *_) = run(explained(SELECT))
    assert list(first) == list(kernels.EXPLANATION)


def test_every_candidate_is_priced_and_one_is_chosen(run):
    rows = run(explained(SELECT))
    candidates = of(rows, "candidate")
    kinds = {"distinct", "eager", "fused", "lazy", "staged"}
    assert kinds <= set(candidates)
    assert {f"{kind} before the join" for kind in kinds} <= set(candidates)
    chosen = [name for name, row in candidates.items() if row["chosen"]]
    decisions = of(rows, "decision")
    assert chosen == [decisions["plan"]["detail"]]
    assert candidates[chosen[0]]["why"] == decisions["plan"]["why"]
    for row in candidates.values():
        assert row["flops_per_image"] > 0
        assert row["peak_bytes"] > 0
        assert row["estimated_seconds"] > 0
        assert row["layer_evaluations"] >= row["images_inferred"] > 0
        assert row["actual_seconds"] is None
    assert {"plan", "placement", "batch rows", "memory limit"} <= set(decisions)
    assert all(row["why"] for row in decisions.values())


def test_whole_statements_show_what_runs_below_and_how_much(run):
    rows = run(explained(SELECT))
    if run.host == "attach":  # planned from the call's text alone
        assert list(of(rows, "below inference")) == ["nothing"]
        assert of(rows, "candidate")["fused"]["images_inferred"] == cost.ASSUMED_ROWS
        assert "assumed: 1,000 rows" in of(rows, "decision")["estimates"]["why"]
        return
    assert of(rows, "below inference")["WHERE"]["detail"] == '"price" > 2'
    distinct = of(rows, "data")["distinct images"]["value"]
    candidates = of(rows, "candidate")
    assert candidates["fused"]["images_inferred"] == distinct  # few: none is inferred twice
    assert candidates["distinct"]["images_inferred"] == distinct
    assert of(rows, "transfer")["layers computed"]["detail"] == "f6"


def test_the_last_row_is_the_rewritten_sql(run):
    last = run(explained(SELECT))[-1]
    assert (last["topic"], last["item"]) == ("sql", "rewritten")
    assert "vista_infer_" in last["detail"]


def test_it_is_the_same_every_time(run):
    first, second = ([steady(row) for row in run(explained(SELECT))] for _ in range(2))
    assert first == second


def steady(row):
    """Return a row without generated names."""
    return {name: re.sub("__vista_[0-9a-f]{8}", "__", str(value)) for name, value in row.items()}


def test_it_shows_what_explain_shows(foods_db):
    text = foods_db.explain(SELECT)
    rows = foods_db.query(explained(SELECT)).fetchall()
    script = rows[-1][-1].splitlines()
    assert [line for line in script if "__vista" not in line] == [
        line for line in text.partition("staged SQL\n")[2].splitlines() if "__vista" not in line
    ]


def test_hints_are_shown_as_given(run):
    rows = run(explained(f"SELECT f6 FROM {T[:-1]}, plan => 'lazy')"))
    assert of(rows, "decision")["plan"]["why"].startswith("as given: plan => …")


def test_statements_without_images(run):
    rows = run(explained("SELECT 1 AS a"))
    assert [(row["topic"], row["item"]) for row in rows] == [("note", None), ("sql", "rewritten")]
    rows = run(explained(f"SELECT a.f6 FROM {T} a JOIN {T} b USING (id)"))
    assert {row["transfer"] for row in rows} == {1, 2, None}


def test_trainings_are_explained(run):
    train = f"FROM VISTA_TRAIN(model => 'm', label => 'x', data => $d$SELECT f6 FROM {T}$d$)"
    rows = run(explained(train))
    assert of(rows, "transfer")["cnn"]["detail"] == "lenet5"
    assert "vista_finish" in rows[-1]["detail"]


@pytest.mark.parametrize("ask", ["EXPLAIN {}", "DESCRIBE {}", "PREPARE p AS {}", "({}) LIMIT 0"])
@pytest.mark.parametrize("measure", ["true", "false"])
def test_nothing_runs_before_its_rows_are_asked_for(foods_db, runtime, monkeypatch, ask, measure):
    monkeypatch.setattr(runtime, "network", None)
    text = ask.format(explained(SELECT, measure=measure))
    foods_db.query(text).arrow()
    foods_db.con.execute(text).fetchall()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("CREATE TABLE t AS SELECT 1", "sql must be a SELECT; db.explain() and `vista explain`"),
        ("SELEC 1", "sql must be a SELECT"),
        ("SELECT 1; SELECT 2", "sql must be one SELECT, not 2 statements"),
        ("", "sql must be one SELECT, not 0 statements"),
        ("SELECT (1", "neither a table's name nor a query"),
        (f"SELECT f6 FROM {T.replace('conv3', 'conv9')}", "unknown layer 'conv9'"),
    ],
)
def test_what_cannot_be_explained(foods_db, text, told):
    with pytest.raises(QueryError, match=re.escape(told)) as caught:
        foods_db.query(explained(text))
    assert "^" in str(caught.value)
    with pytest.raises(duckdb.Error, match=re.escape(told)):
        foods_db.con.sql(explained(text))


def test_columns_that_are_not_there_are_told_before_anything_runs(foods_db):
    for measure in ("true", "false"):
        with pytest.raises(QueryError, match="nope"):
            foods_db.query(explained(f"SELECT nope FROM {T}", measure=measure))


# ── measured ───────────────────────────────────────────────────────────────────────────────────


def test_a_measured_run_tells_what_it_did(run, runtime):
    rows = run(explained(f"SELECT name, f6, error FROM {T}", measure="true"))
    counts = {item: row["value"] for item, row in of(rows, "count").items()}
    there = run(f"SELECT count(*) AS n, count(f6) AS fine, count(error) AS broken FROM {T}")[0]
    assert counts["rows"] == there["n"] == 12
    assert counts["errors"] == there["broken"] == 1
    assert counts["images inferred"] <= there["fine"]
    (chosen,) = (row for row in of(rows, "candidate").values() if row["chosen"])
    assert chosen["actual_images_inferred"] == counts["images inferred"] > 0
    assert chosen["actual_seconds"] == of(rows, "time")["wall"]["actual_seconds"]
    assert chosen["actual_peak_bytes"] > 0
    assert rows[-1]["topic"] == "sql"


def test_nothing_is_left_out_by_duckdb(run, runtime):
    """No column is pruned although only the measurement's rows are asked for."""
    found = run(
        f"SELECT value FROM VISTA_EXPLAIN($${SELECT}$$, measure => true) "
        "WHERE topic = 'count' AND item = 'images inferred'"
    )
    assert found[0]["value"] > 0
    assert runtime.counters("").rows >= 0


def test_a_transaction_survives(foods_db, runtime):
    foods_db.con.begin()
    foods_db.con.execute("CREATE TEMP TABLE few AS FROM foods LIMIT 3")
    few = f"SELECT * FROM {T.replace('foods', 'few')}"
    assert foods_db.query(explained(few)).fetchall()
    rows = foods_db.query(explained(few, measure="true")).fetchall()
    assert [row[-2] for row in rows if row[1:3] == ("count", "rows")] == [3]
    foods_db.con.rollback()


def test_parts_add_up_to_the_wall_time(run, runtime):
    began = time.perf_counter()
    rows = run(explained(f"SELECT * FROM {T}", measure="true"))
    outside = time.perf_counter() - began
    times = {item: row["actual_seconds"] for item, row in of(rows, "time").items()}
    wall = times.pop("wall")
    assert sum(times.values()) == pytest.approx(wall, rel=0.05)
    assert 0 < wall <= outside
    assert all(part >= 0 for part in times.values())
    shares = [row["share"] for row in of(rows, "time").values()]
    assert sum(shares[1:]) == pytest.approx(1, rel=0.05)


def test_a_training_is_measured(foods_db, runtime, tmp_path):
    foods_db.con.execute("SET VARIABLE vista_home = ?", [str(tmp_path)])
    data = "$d$SELECT i AS id, i % 2 AS y, sin(i) AS x FROM range(500) AS t(i)$d$"
    text = f"FROM VISTA_TRAIN(model => 'm', label => 'y', data => {data})"
    rows = foods_db.query(explained(text, measure="true"))
    rows = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    foods_db.con.execute("RESET VARIABLE vista_home")
    assert of(rows, "time")["train, later passes"]["actual_seconds"] > 0
    assert of(rows, "work")["train, first pass"]["actual_seconds"] > 0


def test_a_measured_statement_counts_as_a_run(foods_db, runtime):
    foods_db.query(explained(f"SELECT f6 FROM {T}", measure="true")).arrow()
    newest = foods_db.query("SELECT statement, rows, errors FROM VISTA_RUNS() LIMIT 1").fetchone()
    assert newest[0].startswith("FROM VISTA_EXPLAIN")
    assert newest[1:] == (12, 1)


def test_explain_measures_as_text(foods_db, runtime):
    text = foods_db.explain(SELECT, measure=True)
    assert text.startswith(foods_db.explain(SELECT).partition("staged SQL")[0])
    measured = text.partition("\nmeasured\n")[2]
    for part in ("wall", "infer", "fetch stall", "prep stall", "rest", "images inferred"):
        assert part in measured
    with pytest.raises(QueryError, match="measure only the SELECT in it"):
        foods_db.explain(f"CREATE TABLE t AS {SELECT}", measure=True)
    assert ("t",) not in foods_db.con.sql("SELECT table_name FROM duckdb_tables()").fetchall()


def test_the_command_line_measures(tmp_path):
    text = f"SELECT fc6 FROM TRANSFER(cnn => 'lenet5', images => '{images_at(tmp_path)}')"
    done = CliRunner().invoke(app, ["explain", "--measure", text], prog_name="vista")
    assert done.exit_code == 0, done.output
    assert "fetch stall" in done.output.partition("\nmeasured\n")[2]


def images_at(folder):
    """Return a relation of one image."""
    (folder / "a.png").write_bytes(foods.picture(1))
    return f"(SELECT 1 AS id, ''{folder / 'a.png'}'' AS image)"


# ── stalls ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A session with 24 large JPEGs, as files (`files`) and as BLOBs (`blobs`)."""
    folder = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(1).integers(0, 255, (1200, 1200, 3), np.uint8)
    paths, blobs = [], []
    for i in range(N):
        pixels[:100] = i
        data = cv2.imencode(".jpg", pixels)[1].tobytes()
        paths.append(str(folder / f"{i}.jpg"))
        blobs.append(data)
        (folder / f"{i}.jpg").write_bytes(data)
    with vista_sql.connect() as db:
        db.con.register("some_files", pa.table({"id": range(N), "image": paths}))
        db.con.register("some_blobs", pa.table({"id": range(N), "image": blobs}))
        db.con.execute(
            "CREATE TABLE files AS FROM some_files; CREATE TABLE blobs AS FROM some_blobs"
        )
        # what is traced once is traced now
        db.query(
            "SELECT fc6 FROM TRANSFER(cnn => 'lenet5', images => 'files', batch_rows => 8)"
        ).arrow()
        yield db


def measured(db, images, way):
    text = f"SELECT fc6 FROM TRANSFER(cnn => 'lenet5', images => '{images}', batch_rows => 8)"
    ask = db.query if way == "query" else db.con.sql
    found = ask(explained(text, measure="true"))
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    return {item: row["share"] for item, row in of(rows, "time").items()}


@pytest.mark.parametrize("way", ["query", "attach"])
@pytest.mark.parametrize("images", ["files", "blobs"])
def test_large_images_and_a_small_network_stall_on_decoding(pictures, runtime, images, way):
    share = measured(pictures, images, way)
    kernel = share["infer"] + share["fetch stall"] + share["prep stall"]  # the rest is DuckDB's
    assert share["prep stall"] > 0.1
    assert share["prep stall"] > 0.5 * kernel
    assert share["prep stall"] > 2 * share["fetch stall"]


@pytest.mark.parametrize("way", ["query", "attach"])
def test_a_slow_source_stalls_on_fetching(pictures, runtime, monkeypatch, way):
    from vista_sql import catalog

    sources = catalog.module(kernels.PACKAGE, "images.sources")
    read = sources.read

    def slow(*arguments):
        time.sleep(0.1)
        return read(*arguments)

    monkeypatch.setattr(sources, "read", slow)
    share = measured(pictures, "files", way)
    assert share["fetch stall"] > 0.4
    assert share["fetch stall"] > share["prep stall"]


@pytest.mark.parametrize("way", ["query", "attach"])
def test_a_slow_network_does_not_stall(pictures, runtime, monkeypatch, way):
    from vista_sql import catalog

    networks = catalog.module(kernels.PACKAGE, "network.networks")
    run = networks.Network.run

    def slow(*arguments):
        time.sleep(0.5)
        return run(*arguments)

    monkeypatch.setattr(networks.Network, "run", slow)
    share = measured(pictures, "files", way)
    assert share["infer"] > 0.5
    assert share["infer"] > share["prep stall"] + share["fetch stall"]


# ── what runs count ────────────────────────────────────────────────────────────────────────────

RUN = "SELECT run_id, rows, images, errors FROM VISTA_RUNS() LIMIT 1"
BROKEN = 1


READS = [  # every way to read images: `name` alone does where what cannot be read is skipped
    ("name", "skip"),
    *(
        (columns, on_error)
        for columns in ("name, error", "f6", "f6, error", "f6, conv3, error")
        for on_error in ("null", "skip")
    ),
]


@pytest.mark.parametrize(("columns", "on_error"), READS)
@pytest.mark.parametrize("plan", ["fused", "lazy", "staged"])
def test_images_that_are_skipped_or_checked_count_once(foods_db, columns, on_error, plan):
    call = f"{T[:-1]}, plan => '{plan}', on_error => '{on_error}')"
    for ask in (foods_db.query, foods_db.con.sql):
        ask(f"SELECT {columns} FROM {call}").fetchall()
        run, *counts = foods_db.query(RUN).fetchone()
        assert counts == [12, 11, BROKEN], ask
        reasons = f"SELECT key, error FROM VISTA_ERRORS() WHERE run_id = '{run}'"
        ((key, reason),) = foods_db.query(reasons).fetchall()
        assert key == "4"
        assert "not an image" in reason


def test_calls_of_several_transfers_add_up(foods_db):
    foods_db.query(
        f"SELECT a.f6, b.name FROM {T} a, {T[:-1]}, on_error => 'skip') b WHERE a.id = b.id"
    ).arrow()
    assert foods_db.query(RUN).fetchone()[1:] == (24, 22, 2)


def test_files_are_measured_where_images_are_paths(tmp_path):
    (tmp_path / "small.png").write_bytes(b"x" * 1000)
    with vista_sql.connect() as db:
        db.query(f"CREATE TABLE images AS SELECT 1 AS id, '{tmp_path / 'small.png'}' AS path")
        call = "SELECT f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'])"
        assert "assumed" not in db.explain(call)
        db.query("UPDATE images SET path = 's3://nowhere/a.png'")
        assert "assumed: 50 kB an image" in db.explain(call)
