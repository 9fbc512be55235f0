"""Progress: what a callback is told, and the bar's one line."""

import os
import pty
import queue
import subprocess
import sys
import types
import warnings

import foods
import pytest

import vista_sql
from vista_sql.progress import Progress, Watch, bar

SHOW = """
import vista_sql
from vista_sql import Progress
with vista_sql.progress_bar("features") as progress:
    for done in range(0, 101, 50):
        progress(Progress("infer" if done else "load", done, 100, done, 2, done / 50))
"""


def test_it_shows_on_a_terminal_only(capfd):
    with bar() as progress:
        progress(Progress("infer", 1, 2, 1, 0, 1.0))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("columns", [60, 100])
def test_it_is_one_line_and_goes(columns):
    primary, secondary = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], stdout=subprocess.PIPE, stderr=secondary, env=env, check=True
    )
    os.close(secondary)
    shown = os.read(primary, 1 << 16).decode()
    os.close(primary)
    assert done.stdout == b""
    for part in ("features infer", "100/100", "50/s, 0:00 left, 2 errors"):
        assert part in shown
    assert shown.count("\n") <= 1  # one line, which goes when it is done


def test_what_was_there_before_is_no_speed():
    resumed = Progress("infer", 900_200, 1_000_000, 100, 0, 2.0, before=900_000)
    assert resumed.per_second == 50
    assert resumed.seconds_left == 99_800 / 100  # two rows share an image, and may go on to
    assert Progress("infer", 900_000, 1_000_000, 7, 0, 2.0, before=900_000).seconds_left is None
    assert Progress("load", 0, 10, 0, 0, 3.0).per_second is None
    assert Progress("infer", 5, None, 5, 0, 1.0).seconds_left is None
    assert Progress("infer", 6, 8, 0, 0, 3.0).seconds_left == 1  # nothing is inferred: rows count


def test_a_callback_hears_of_stages_and_errors():
    heard = []
    with foods.connect() as db:
        rows = db.query(f"SELECT * FROM {foods.CALL}", progress=heard.append).arrow()
    assert heard[0].stage in ("load", "infer")
    last = heard[-1]
    assert (last.stage, last.done, last.total) == ("finish", rows.num_rows, rows.num_rows)
    assert last.errors == sum(value is not None for value in rows["error"].to_pylist()) > 0
    assert [one.done for one in heard] == sorted(one.done for one in heard)
    assert vista_sql.Progress is Progress


@pytest.mark.parametrize("last", [False, True], ids=["at once", "at the end"])
def test_a_callback_that_raises_is_called_no_more_and_costs_nothing(last):
    heard = []

    def report(one):
        heard.append(one)
        if one.stage == "finish" or not last:
            raise ValueError("no such widget")

    with foods.connect() as db, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # a thread's traceback would fail the test, as an error
        rows = db.query(f"SELECT * FROM {foods.CALL}", progress=report).arrow()
    assert rows.num_rows > 0
    assert (heard[-1].stage == "finish") == last
    assert last or len(heard) == 1
    (one,) = [w for w in caught if w.category is vista_sql.errors.ProgressWarning]
    said = "progress raised ValueError: no such widget; it was called no more"
    assert str(one.message) == said


def test_a_failure_never_finishes():
    heard = []
    call = foods.CALL.replace("TRANSFER(", "TRANSFER(on_error => 'raise', ")
    with foods.connect() as db:
        rows = db.query(f"SELECT * FROM {call}", progress=heard.append)
        with pytest.raises(vista_sql.VistaError):
            rows.arrow()
    assert "finish" not in {one.stage for one in heard}


@pytest.mark.parametrize(("trains", "stage"), [(True, "train"), (False, "finish")])
def test_what_follows_the_rows(trains, stage):
    clock = types.SimpleNamespace(
        infer_seconds=1.0, fetch_stall_seconds=0.5, prep_stall_seconds=0.25, rows_stall_seconds=0.25
    )
    counts = types.SimpleNamespace(clock=clock, images_inferred=0, errors=0, rows=0)
    heard = queue.Queue()
    watch = Watch(heard.put, lambda: counts, calls=1, trains=trains)
    watch.rows(4, 8)
    assert heard.get(timeout=60) == Progress("load", 0, 8, 0, 0, 0.0)
    counts.images_inferred, counts.errors, counts.rows = 3, 1, 4
    while (told := heard.get(timeout=60)).done < 4:  # it may have looked between two assignments
        continue
    assert told == Progress("infer", 4, 8, 3, 1, 2.0)
    watch.rows(8, 8)
    counts.rows = 8
    while (told := heard.get(timeout=60)).stage == "infer":
        continue
    assert told == Progress(stage, 8, 8, 3, 1, 2.0)
    watch.finish()
    if trains:
        assert heard.get(timeout=60) == Progress("finish", 8, 8, 3, 1, 2.0)
    assert heard.empty()
