"""The feature store under whole statements: nothing is inferred twice, and no bit depends on it."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest

import vista_sql
from vista_sql.errors import ArgumentError, StoreError
from vista_sql.hosts.duckdb import functions as host

N = 60
LAYERS = "cnn => 'lenet5', layers => ['c5', 'f6']"


def png(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(params=["query", "attach"])
def db(request, tmp_path):
    """A session with a store of its own, in both ways to run a statement."""
    with duckdb.connect() as con:
        con.execute(f"SET VARIABLE vista_store = '{tmp_path / 'store'}'")
        rows = pa.table({"id": range(N), "image": [png(i) for i in range(N)]})
        con.register("rows_of_images", rows)
        con.execute("CREATE TABLE images AS FROM rows_of_images")
        session = vista_sql.Session(con, own=False)
        session.run = session.query if request.param == "query" else con.sql
        yield session


class Count:
    """What the kernels count in statements that start from nothing in memory."""

    def __init__(self, db):
        self.db, self.runtime, self.totals = db, host.process_runtime(), {}

    def __call__(self, statement):
        """Run a statement; return its rows, sorted."""
        self.forget()
        self.totals.clear()
        counted = self.runtime.count

        def counting(run, **amounts):
            for name, amount in amounts.items():
                self.totals[name] = self.totals.get(name, 0) + amount
            counted(run, **amounts)

        self.runtime.count = counting
        try:
            found = self.db.run(statement).fetchall()
        finally:
            del self.runtime.count
        return sorted(found, key=lambda row: str(row[0]))

    def forget(self):
        self.runtime.sharing.__init__()
        self.runtime._outcomes.clear()

    def __getattr__(self, name):
        return int(self.totals.get(name, 0))


@pytest.fixture
def run(db):
    return Count(db)


def statement(layers="'c5', 'f6'", **arguments):
    shown = "".join(f", {name} => {value}" for name, value in arguments.items())
    return f"SELECT id, * EXCLUDE (id, error), error FROM TRANSFER(cnn => 'lenet5', layers => [{layers}]{shown})"


def test_a_second_run_infers_nothing_and_returns_the_same_bits(run):
    want = run(statement(store="false"))
    assert run(statement()) == want
    assert (run.images_inferred, run.images_from_store, run.decoded) == (N, 0, N)
    assert run(statement()) == want
    assert (run.images_inferred, run.images_from_store, run.decoded) == (0, N, 0)


def test_a_tenth_more_rows_infer_a_tenth(run):
    run(statement(images="'(FROM images WHERE id < 54)'"))
    assert run(statement()) == run(statement(store="false"))
    run(statement(images="'(FROM images WHERE id < 50)'"))
    assert (run.images_inferred, run.images_from_store) == (0, 50)
    run.db.con.execute(f"INSERT INTO images VALUES {', '.join('(?, ?)' for _ in range(6))}", [v for i in range(N, N + 6) for v in (i, png(i))])  # fmt: skip
    run(statement())
    assert (run.images_inferred, run.images_from_store) == (6, N)


def test_changed_bytes_are_inferred_and_other_keys_are_not(run):
    run(statement())
    run.db.con.execute("UPDATE images SET id = id + 1000")
    run(statement())
    assert run.images_inferred == 0
    run.db.con.execute("UPDATE images SET image = ? WHERE id = 1003", [png(1003)])
    run(statement())
    assert (run.images_inferred, run.images_from_store) == (1, N - 1)


def test_paths_are_known_by_what_is_in_them(run, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for i in range(N):
        (files / f"{i}.png").write_bytes(png(i))
    paths = (
        f"images => $$(SELECT i AS id, '{files}/' || i || '.png' AS path FROM range({N}) r(i))$$"
    )
    text = f"SELECT * FROM TRANSFER({LAYERS}, {paths})"
    first = run(text)
    assert run.images_inferred == N
    assert run(text) == first
    assert (run.images_inferred, run.decoded) == (0, 0)
    files.rename(tmp_path / "renamed")
    (tmp_path / "renamed" / "7.png").write_bytes(png(7_007))
    second = run(text.replace(str(files), str(tmp_path / "renamed")))
    assert (run.images_inferred, run.images_from_store) == (1, N - 1)
    assert [a for a, b in zip(first, second, strict=True) if a != b] == [
        r for r in first if r[0] == 7
    ]


def test_a_blob_and_a_file_of_the_same_bytes_are_one_image(run, tmp_path):
    run(statement())
    (tmp_path / "one.png").write_bytes(png(3))
    run(
        f"SELECT f6 FROM TRANSFER({LAYERS}, images => $$(SELECT 1 AS id, '{tmp_path}/one.png' AS path)$$)"
    )
    assert (run.images_inferred, run.images_from_store) == (0, 1)


def test_what_lacks_a_layer_is_inferred_for_that_layer(run):
    run(statement("'f6'", images="'(FROM images WHERE id < 20)'"))
    run(statement("'c5'", images="'(FROM images WHERE id >= 50)'"))
    found = run(statement())
    assert (run.images_inferred, run.images_from_store) == (N, 0)
    # of 20 c5 alone; of the 10 that have c5, and of 30 that have nothing, all in one pass
    assert 20 + 10 + 30 * 2 <= run.layer_evaluations <= 20 + 40 * 2
    assert found == run(statement(store="false"))
    run(statement())
    assert (run.images_inferred, run.images_from_store) == (0, N)
    run(statement("'conv1', 'c5', 'f6'"))
    assert (run.images_inferred, run.layer_evaluations) == (N, N)


def test_an_image_that_cannot_be_read_is_looked_at_again(run):
    run.db.con.execute("INSERT INTO images VALUES (100, 'no image'::BLOB), (101, NULL)")
    for _ in range(2):
        rows = run(statement())
        errors = {row[0]: row[-1] for row in rows}
        assert errors.pop(100).startswith("not an image")
        assert set(errors.values()) == {None}
    assert run.images_from_store == N
    assert 1 <= run.decoded <= 2  # a bare connection asks for `error` apart


def test_error_alone_asks_the_store(run):
    run(statement())
    run("SELECT id, error FROM TRANSFER(cnn => 'lenet5')")
    assert (run.images_inferred, run.decoded) == (0, 0)
    run.db.con.execute("INSERT INTO images VALUES (200, ?)", [png(200)])
    for decoded in (1, 0):
        run("SELECT id, error FROM TRANSFER(cnn => 'lenet5')")
        assert run.decoded == decoded


def test_without_a_store_not_a_byte_is_written(run, tmp_path):
    run(statement(store="false"))
    run.db.con.execute("SET VARIABLE vista_store = false")
    run(statement())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_store_can_be_another_folder(run, how, tmp_path, monkeypatch):
    other = tmp_path / "other"
    if how == "argument":
        run(statement(store=f"'{other}'"))
    else:
        run.db.con.execute("RESET VARIABLE vista_store")
        monkeypatch.setenv("VISTA_SQL_STORE", str(other))
        run(statement())
    assert (other / "features" / "data.mdb").exists()
    assert not (tmp_path / "store").exists()
    rows = run(f"SELECT layer, pool, images FROM VISTA_STORE(store => '{other}')")
    assert rows == [("c5", "none", N), ("f6", "none", N)]


def test_runs_tell_what_came_from_the_store(db):
    db.run = db.query  # of a bare connection they are written when the next statement is bound
    count = Count(db)
    count(statement())
    count(statement())
    found = db.query(
        "SELECT images, images_inferred, images_from_store FROM VISTA_RUNS()"
    ).fetchall()
    assert found == [(N, 0, N), (N, N, 0)]
    measured = f"FROM VISTA_EXPLAIN($${statement()}$$, measure => true)"
    count.forget()
    facts = {
        row["item"]: row["value"]
        for row in db.query(measured).arrow().to_pylist()
        if row["topic"] == "count"
    }
    assert (facts["images inferred"], facts["images from the store"]) == (0, N)


@pytest.mark.parametrize("value", ["3", "['a']"])
def test_what_is_no_store_is_said(db, value):
    with pytest.raises(ArgumentError, match="store must be true, false or a folder"):
        db.query(statement(store=value))


def test_a_named_folder_that_cannot_be_used_is_an_error(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, duckdb.Error), match=r"feature store .* cannot be used"):
        run(statement(store=f"'{tmp_path}/file/store'"))


def test_the_users_own_folder_that_cannot_be_used_is_done_without(
    run, tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    want = run(statement(store="false"))
    for _ in range(2):
        assert run(statement(store="true")) == want
        assert run.images_inferred == N
    assert caplog.text.count("going on without") == 1


def test_damaged_entries_are_inferred_again(run, tmp_path):
    want = run(statement())
    data = tmp_path / "store" / "features" / "data.mdb"
    raw = bytearray(data.read_bytes())
    vista_sql.store.Store(str(tmp_path / "store"))._files._close()
    one = np.array(next(row for row in want if row[0] == 5)[1], "<f4").tobytes()
    at = raw.index(one)
    raw[at + 9] ^= 255
    data.write_bytes(raw)
    assert run(statement()) == want
    assert (run.images_inferred, run.images_from_store) == (1, N - 1)
    assert run(statement()) == want
    assert run.images_inferred == 0


def test_a_ruined_file_is_put_aside_and_made_anew(run, tmp_path, caplog):
    want = run(statement())
    vista_sql.store.Store(str(tmp_path / "store"))._files._close()
    (tmp_path / "store" / "features" / "data.mdb").write_bytes(os.urandom(50_000))
    assert run(statement()) == want
    assert "begins anew" in caplog.text
    assert run(statement()) == want
    assert run.images_inferred == 0


def test_a_store_too_small_for_all_gives_the_same_rows(run):
    run.db.con.execute("SET VARIABLE vista_store_limit = '60kB'")
    want = run(statement(store="false"))
    for _ in range(3):
        assert run(statement(batch_rows="7")) == want
    assert 0 < run.images_from_store < N
    assert run.images_from_store + run.images_inferred >= N


def test_every_cnn_of_a_statement_has_its_own_entries(run):
    text = "SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'hog'])"
    want = run(text.replace("])", "], store => false)"))
    assert run(text) == want
    assert run.images_inferred == 2 * N
    assert run(text) == want
    assert (run.images_inferred, run.decoded) == (0, 0)
    run("SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'c5', 'hog'])")
    assert (run.images_inferred, run.layer_evaluations) == (N, N)


def test_comparing_and_predicting_take_a_store(run, tmp_path):
    run.db.con.execute(
        "CREATE TABLE foods AS SELECT id, id % 2 AS label, id / 2.0 AS price FROM images"
    )
    both = "images => 'images', structured => 'foods'"
    other = tmp_path / "other"
    compare = f"FROM VISTA_COMPARE({both}, cnn => 'lenet5', layers => ['f6'], label => 'label', store => '{other}')"
    for n_inferred in (N, 0):
        run(compare)
        assert run.images_inferred == n_inferred
    data = f"SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], {both}, store => false)"
    run(f"FROM VISTA_TRAIN(model => 'm', label => 'label', data => $${data}$$)")
    rows = run(f"FROM VISTA_PREDICT(model => 'm/f6', {both}, store => '{other}')")
    assert (len(rows), run.images_inferred) == (N, 0)


# ── raw maps ────────────────────────────────────────────────────────────────────────────────────


def test_materialized_maps_are_told(run):
    run.db.con.execute("INSERT INTO images VALUES (100, 'no image'::BLOB), (101, NULL)")
    call = "SELECT images, bytes, seconds >= 0, errors FROM VISTA_MATERIALIZE('lenet5', 'conv1')"
    ((images, size, timed, errors),) = run(call)
    assert (images, timed, errors) == (N, True, 1)
    assert run.images_inferred == N
    ((_, again, _, _),) = run(call)
    assert (again, run.images_inferred) == (size, 0)
    ((layer, pool, images, held),) = run("SELECT layer, pool, images, bytes FROM VISTA_STORE()")
    assert (layer, pool, images) == ("c1", "none", N)
    assert held == size + N * (24 + 16)


def test_materializing_happens_when_it_runs_not_when_it_is_bound(run, tmp_path):
    for text in ("DESCRIBE", "EXPLAIN"):
        run.db.con.sql(f"{text} FROM VISTA_MATERIALIZE('lenet5', 'conv1')").fetchall()
    assert not (tmp_path / "store").exists()


def test_materializing_needs_a_store(db):
    with pytest.raises(ArgumentError, match="which is off"):
        db.query("FROM VISTA_MATERIALIZE('lenet5', 'conv1', store => false)")


def test_no_rows_materialize_nothing(run):
    text = "FROM VISTA_MATERIALIZE('lenet5', 'conv1', images => '(FROM images WHERE false)')"
    assert run(text) == [(0, 0, 0.0, 0)]


# ── processes ───────────────────────────────────────────────────────────────────────────────────

PROCESS = """
import hashlib, json, os, signal, sys
import duckdb, pyarrow as pa
sys.path.insert(0, {here!r})
import vista_sql
from vista_sql.hosts.duckdb import functions as host
from test_inferred_once import png

with vista_sql.connect() as db:
    rows = pa.table({{"id": range({n}), "image": [png(i) for i in range({n})]}})
    db.con.register("rows_of_images", rows)
    db.con.execute("CREATE TABLE images AS FROM rows_of_images")
    runtime, stop, inferred = host.process_runtime(), {stop}, 0
    count = runtime.count

    def counting(run, **amounts):
        global inferred
        if stop and amounts.get("images_inferred") and inferred + amounts["images_inferred"] > stop:
            os.kill(os.getpid(), signal.SIGKILL)  # inferred, not yet committed
        inferred += amounts.get("images_inferred", 0)
        count(run, **amounts)

    runtime.count = counting
    found = db.query({text!r}).arrow().sort_by("id")
    print(json.dumps({{
        "inferred": inferred,
        "tensorflow": "tensorflow" in sys.modules,
        "cv2": "cv2" in sys.modules,
        "rows": found.num_rows,
        "hash": hashlib.sha256(repr(found.to_pylist()).encode()).hexdigest(),
    }}))
"""


def start(tmp_path, text, n=N, stop=0):
    code = PROCESS.format(here=str(Path(__file__).parent), n=n, stop=stop, text=text)
    environment = os.environ | {"VISTA_SQL_STORE": str(tmp_path / "store")}
    script = tmp_path / f"script{time.monotonic_ns()}.py"
    script.write_text(textwrap.dedent(code))
    out = script.with_suffix(".out").open("w+")
    return subprocess.Popen([sys.executable, str(script)], stdout=out, env=environment), out


def told(started):
    process, out = started
    with out:
        assert process.wait(timeout=120) == 0
        out.seek(0)
        return json.loads(out.read())


def test_a_killed_run_loses_at_most_a_batch_and_a_third_loads_no_tensorflow(tmp_path):
    text = statement(batch_rows="4", threads="1")
    killed, out = start(tmp_path, text, stop=N // 2)
    with out:
        assert killed.wait(timeout=120) == -9
    again = told(start(tmp_path, text))
    assert N // 2 <= again["inferred"] <= N // 2 + 4 * 2  # two calls may infer at once
    third = told(start(tmp_path, text))
    assert (third["inferred"], third["tensorflow"], third["cv2"]) == (0, False, True)
    with vista_sql.connect() as db:
        db.con.register("images", pa.table({"id": range(N), "image": [png(i) for i in range(N)]}))
        undisturbed = db.query(statement()).arrow().sort_by("id")
    digest = hashlib.sha256(repr(undisturbed.to_pylist()).encode()).hexdigest()
    assert again["hash"] == third["hash"] == digest


def test_two_processes_over_the_same_images_at_once(tmp_path):
    text = "SELECT * FROM TRANSFER(cnn => 'hog', batch_rows => 4)"  # needs no TensorFlow
    found = [told(one) for one in [start(tmp_path, text), start(tmp_path, text)]]
    assert found[0]["hash"] == found[1]["hash"]
    assert found[0]["rows"] == N
    assert N <= found[0]["inferred"] + found[1]["inferred"] <= 2 * N
    assert vista_sql.store.Store(str(tmp_path / "store")).held()[0].images == N
