"""An evaluation counts what it cannot score."""

import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.train.evaluation import EvaluationRun
from vista_sql.train.spec import EvaluateSpec, TrainSpec
from vista_sql.train.training import TrainingRun


def batch(a, y):
    return pa.table(
        {"a": pa.array(a, pa.float64()), "y": pa.array(y, pa.int64())}
    ).to_struct_array()


@pytest.fixture
def run(tmp_path):
    training = TrainingRun(TrainSpec("m", "y", home=str(tmp_path)))
    training.feed(batch([i % 10 for i in range(200)], [int(i % 10 > 4) for i in range(200)]))
    training.finish(200)
    return EvaluationRun(EvaluateSpec("m/structured@1", str(tmp_path)))


def test_rows_without_label_or_feature_are_counted_apart(run):
    run.feed(batch([0, 9, None], [0, 1, 1]))
    run.feed(batch([1, 2], [0, None]))
    run.spool()
    (row,) = run.finish(5)
    assert (row["n_test"], row["n_skipped"], row["accuracy"]) == (3, 2, 1.0)
    assert row["model"] == "m/structured@1"
    run.close()


def test_rows_that_went_missing_are_told(run):
    run.feed(batch([0], [0]))
    with pytest.raises(ModelError, match="2 rows were sent to VISTA_EVALUATE and 1 came"):
        run.finish(2)


def test_a_strange_label_is_told(run):
    with pytest.raises(ModelError, match="has the value '7', which model 'm/structured@1'"):
        run.feed(batch([0, 1], [0, 7]))
