"""Runs that end otherwise than by vista_finish."""

import threading

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from vista_sql.udfs.passes.runtime import Runtime

from vista_sql import fed_runs
from vista_sql.errors import ModelError
from vista_sql.train.spec import TrainSpec


def begin(runs, **facts):
    return runs.begin(TrainSpec("m", "y", **facts).to_text())


def batch(n=100, start=0):
    i = np.arange(start, start + n)
    table = pa.table({"id": i, "a": np.sin(i), "y": i % 2 == 0})
    return table.to_struct_array()


def test_a_failed_statement_ends_with_its_run(digits):
    with pytest.raises(duckdb.Error, match="Could not convert"):
        digits.train("SELECT * REPLACE (('x' || id)::INTEGER AS ink) FROM digits")
    digits.fed_runs.end("statement")
    assert len(digits.fed_runs) == 0


def test_ending_a_statement_leaves_the_others():
    runs = Runtime().fed_runs
    one, other = begin(runs, run="a"), begin(runs, run="b")
    runs.end("a")
    runs.end("")
    with pytest.raises(ModelError, match="ended or failed"):
        runs.feed(one, batch())
    runs.feed(other, batch())


def test_abandoned_runs_give_up_memory_then_their_place(monkeypatch):
    runs = Runtime().fed_runs
    left = begin(runs)
    runs.feed(left, batch())
    monkeypatch.setattr(fed_runs, "SPOOL_AFTER_SECONDS", 0.0)
    begin(runs)
    rows = runs.finish(left, 100)  # spooled, not lost
    assert rows[0]["n_train"] + rows[0]["n_test"] == 100
    left = begin(runs)
    monkeypatch.setattr(fed_runs, "IDLE_SECONDS", 0.0)
    begin(runs)
    with pytest.raises(ModelError, match="ended or failed"):
        runs.feed(left, batch())


def test_the_number_of_runs_is_bounded(monkeypatch):
    monkeypatch.setattr(fed_runs, "MAX_RUNS", 3)
    runs = Runtime().fed_runs
    names = [begin(runs) for _ in range(5)]
    assert len(runs) == 3
    runs.feed(names[-1], batch())


def test_every_thread_tells_the_error_of_the_first():
    runs = Runtime().fed_runs
    name = begin(runs)
    wrong = pa.table({"a": [1.0], "name": ["x"], "y": [True]}).to_struct_array()
    for _ in range(3):
        with pytest.raises(ModelError, match="column 'name' has type text"):
            runs.feed(name, wrong)


def test_rows_that_went_missing_are_noticed():
    runs = Runtime().fed_runs
    name = begin(runs)
    runs.feed(name, batch())
    with pytest.raises(ModelError, match="150 rows were sent to VISTA_TRAIN and 100 came"):
        runs.finish(name, 150)
    assert len(runs) == 0


def test_batches_from_many_threads_are_all_there():
    runs = Runtime().fed_runs
    name = begin(runs)
    threads = [
        threading.Thread(target=runs.feed, args=(name, batch(50, 50 * i))) for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = begin(runs)
    runs.feed(alone, batch(1000))
    one, other = runs.finish(name, 1000), runs.finish(alone, 1000)
    assert {**one[0], "seconds": 0} == {**other[0], "seconds": 0}
