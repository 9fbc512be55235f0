"""Runs that end otherwise than by vista_finish."""

import threading

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.train import runs
from vista_sql.train.runs import Trainings
from vista_sql.train.spec import TrainSpec


def begin(trainings, **facts):
    return trainings.begin(TrainSpec("m", "y", **facts).to_text())


def batch(n=100, start=0):
    i = np.arange(start, start + n)
    table = pa.table({"id": i, "a": np.sin(i), "y": i % 2 == 0})
    return table.to_struct_array()


def test_a_failed_statement_ends_with_its_run(digits):
    with pytest.raises(duckdb.Error, match="Could not convert"):
        digits.train("SELECT * REPLACE (('x' || id)::INTEGER AS ink) FROM digits")
    digits.trainings.end("statement")
    assert len(digits.trainings) == 0


def test_ending_a_statement_leaves_the_others():
    trainings = Trainings()
    one, other = begin(trainings, run="a"), begin(trainings, run="b")
    trainings.end("a")
    trainings.end("")
    with pytest.raises(ModelError, match="ended or failed"):
        trainings.feed(one, batch())
    trainings.feed(other, batch())


def test_abandoned_runs_give_up_memory_then_their_place(monkeypatch):
    trainings = Trainings()
    left = begin(trainings)
    trainings.feed(left, batch())
    monkeypatch.setattr(runs, "SPOOL_AFTER_SECONDS", 0.0)
    begin(trainings)
    rows = trainings.finish(left, 100)  # spooled, not lost
    assert rows[0]["n_train"] + rows[0]["n_test"] == 100
    left = begin(trainings)
    monkeypatch.setattr(runs, "IDLE_SECONDS", 0.0)
    begin(trainings)
    with pytest.raises(ModelError, match="ended or failed"):
        trainings.feed(left, batch())


def test_the_number_of_runs_is_bounded(monkeypatch):
    monkeypatch.setattr(runs, "MAX_RUNS", 3)
    trainings = Trainings()
    names = [begin(trainings) for _ in range(5)]
    assert len(trainings) == 3
    trainings.feed(names[-1], batch())


def test_every_thread_tells_the_error_of_the_first():
    trainings = Trainings()
    name = begin(trainings)
    wrong = pa.table({"a": [1.0], "name": ["x"], "y": [True]}).to_struct_array()
    for _ in range(3):
        with pytest.raises(ModelError, match="column 'name' has type text"):
            trainings.feed(name, wrong)


def test_rows_that_went_missing_are_noticed():
    trainings = Trainings()
    name = begin(trainings)
    trainings.feed(name, batch())
    with pytest.raises(ModelError, match="150 rows were sent to VISTA_TRAIN and 100 came"):
        trainings.finish(name, 150)
    assert len(trainings) == 0


def test_batches_from_many_threads_are_all_there():
    trainings = Trainings()
    name = begin(trainings)
    threads = [
        threading.Thread(target=trainings.feed, args=(name, batch(50, 50 * i))) for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = begin(trainings)
    trainings.feed(alone, batch(1000))
    one, other = trainings.finish(name, 1000), trainings.finish(alone, 1000)
    assert {**one[0], "seconds": 0} == {**other[0], "seconds": 0}
