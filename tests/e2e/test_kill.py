"""kill -9 at any moment: what was there, and what somebody was told is there, is there.

Each piece of work (tests/victims.py) is killed at random moments of its time. Afterwards its store,
its models and its database open, hold all that it was told they hold, and the same work done again
gives what it gives where nothing was ever killed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pytest
import victims

import vista_sql


@contextmanager
def victim_maker():
    """Yield a function (work, folder, seconds) that does work, killed after so long, if at all."""
    process = subprocess.Popen(
        [sys.executable, victims.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VISTA_SQL_STORE": "false", "PYTHONWARNINGS": "ignore"},
    )

    def do(work, folder, seconds=None):
        process.stdin.write(f"{work} {folder}\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(int(process.stdout.readline().split()[1]))
        told = folder / "told"
        return status, told.read_text().split() if told.exists() else []

    try:
        yield do
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def do():
    with victim_maker() as made:
        yield made


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A folder in which nothing was done yet."""
    folder = tmp_path_factory.mktemp("fresh")
    victims.prepare(folder)
    return folder


def stored(db):
    return {
        layer: n
        for layer, n in db.query("SELECT layer, images FROM VISTA_STORE('store')").fetchall()
    }


def of_stream(told):
    with vista_sql.connect("work.duckdb") as db:
        kept = stored(db).get("hog", 0)
        assert kept >= len(told)
        rows = db.query(victims.FEATURES).fetchall()
        (run, *_) = db.query(
            "SELECT images_from_store, images_inferred FROM VISTA_RUNS()"
        ).fetchall()
        assert run == (kept, victims.N_IMAGES - kept)
        return rows


def of_train(told):
    with vista_sql.connect("work.duckdb") as db:
        listed = [
            name for (name,) in db.query("SELECT DISTINCT model FROM VISTA_MODELS()").fetchall()
        ]
        assert set(told) <= set(listed)
        for name in listed:
            predicted = db.query(f"FROM VISTA_PREDICT(model => '{name}', data => 'labelled')")
            assert len(predicted.arrow()) == 120
    for _ in victims.train():
        pass
    with vista_sql.connect("work.duckdb") as db:
        assert len(list(Path("work.duckdb.vista").rglob("*.tmp*"))) == 0
        return db.query(
            "SELECT i, round(probability, 9) FROM (SELECT id AS i, * FROM "
            "VISTA_PREDICT(model => 'm1', data => 'labelled')) ORDER BY i"
        ).fetchall()


def of_materialize(told):
    with vista_sql.connect("work.duckdb") as db:
        if told:
            assert list(stored(db).values()) == [victims.N_IMAGES]
        return db.query(victims.MAPS).fetchall()


def of_run(told):
    with duckdb.connect("work.duckdb") as con:
        there = {
            name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        }
        assert {word for word in told if word in victims.FILES} <= there
        assert con.execute("SELECT count(*) FROM images").fetchone() == (victims.N_IMAGES,)
    told = Path("told").read_text()
    found = subprocess.run(
        [sys.executable, "-m", "vista_sql", *victims.RUN],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, (told, found.stderr)
    with duckdb.connect("work.duckdb") as con:
        names = "SELECT table_name FROM duckdb_tables() ORDER BY 1"
        return [
            (name, con.execute(f"FROM {name} ORDER BY ALL").fetchall())
            for (name,) in con.execute(names).fetchall()
        ]


def of_records(told):
    with vista_sql.connect("work.duckdb") as db:
        if Path("f.tfrecord").exists():
            (n,) = db.query("SELECT count(*) FROM VISTA_READ_TFRECORD('f.tfrecord')").fetchone()
            assert n >= 50 + int(told[-1] if told else 0)
        else:
            assert not told
    for _ in victims.records():
        pass
    with vista_sql.connect("work.duckdb") as db:
        return db.query("SELECT * FROM VISTA_READ_TFRECORD('f.tfrecord') ORDER BY id").fetchall()


AFTER = {
    "stream": of_stream, "train": of_train, "materialize": of_materialize, "run": of_run,
    "records": of_records,
}  # fmt: skip


def after(work, folder, told, monkeypatch):
    with monkeypatch.context() as here:
        here.chdir(folder)
        return AFTER[work](told)


def check(work, do, fresh, tmp_path, monkeypatch, seed, n):
    clean = tmp_path / "clean"
    shutil.copytree(fresh, clean)
    began = time.monotonic()
    assert do(work, clean)[0] == 0, (clean / "said").read_text()
    seconds = time.monotonic() - began
    want = after(work, clean, [], monkeypatch)
    chance, killed = random.Random(seed), 0
    for i in range(n):
        folder = tmp_path / str(i)
        shutil.copytree(fresh, folder)
        status, told = do(work, folder, chance.uniform(0.02, 1) * seconds)
        assert status in (-signal.SIGKILL, 0), (folder / "said").read_text()
        killed += status != 0
        assert after(work, folder, told, monkeypatch) == want
        shutil.rmtree(folder)
    assert killed > n // 3, "most of them in the middle of it"


@pytest.mark.parametrize("work", ["stream", "train"])
def test_nothing_is_lost(work, do, fresh, tmp_path, monkeypatch):
    check(work, do, fresh, tmp_path, monkeypatch, 1, 2)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("work", "n"),
    [("stream", 60), ("train", 60), ("records", 40), ("run", 30), ("materialize", 20)],
)
def test_nothing_is_lost_of_much(work, n, do, fresh, tmp_path, monkeypatch):
    check(work, do, fresh, tmp_path, monkeypatch, 2, n)
