"""Models beside each other: rows per penalty, lift, and the best."""

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.train import Options
from vista_sql.train.columns import Columns
from vista_sql.train.compare import fit_and_test, result_rows
from vista_sql.train.contenders import contenders
from vista_sql.train.moments import rescale
from vista_sql.train.rows import RowReader
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training_rows import TrainingRows

COLUMNS = Columns("y", "BIGINT", "id", (), ("s",), ("a",))


def sides(n=400):
    """Rows of which column s says little and layer a much of the label; a quarter tests."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    layer = (y[:, None] + rng.standard_normal((n, 3)) * 0.5).astype(np.float32)
    batch = {
        "id": pa.array(np.arange(n)),
        "s": pa.array(y + 3 * rng.standard_normal(n)),
        "a": pa.FixedSizeListArray.from_arrays(pa.array(layer.ravel()), 3),
        "y": pa.array(y),
    }
    reader = RowReader(COLUMNS, seed=0)
    chunk, _ = reader.read(batch)
    made = TrainingRows(reader.layout), TrainingRows(reader.layout)
    for rows, mask in zip(made, (chunk.unit >= 0.25, chunk.unit < 0.25), strict=True):
        rows.append(chunk.take(np.flatnonzero(mask)))
        rows.seal(np.array([reader.codes[0], reader.codes[1]]))
    rescale(*made)
    return *made, reader


def models_of(folds, **arguments):
    train_rows, test_rows, reader = sides()
    spec = TrainSpec("m", "y", folds=folds, **arguments)
    asked = contenders(COLUMNS, spec)
    return fit_and_test(train_rows, test_rows, asked, spec, Options(2, folds=folds), reader)


def test_a_trainer_with_a_penalty_has_a_row_for_each():
    models = models_of(0, baselines=("structured", "tree"), reg=(0.1, 0.01))
    rows = [model.row for model in models]
    assert [row["part"] for row in rows] == [
        "structured:0.1", "structured:0.01", "tree", "a:0.1", "a:0.01"
    ]  # fmt: skip
    assert [row["reg"] for row in rows] == [0.1, 0.01, None, 0.1, 0.01]
    assert [row["l1_ratio"] for row in rows] == [0.5, 0.5, None, 0.5, 0.5]
    assert [row["dims"] for row in rows] == [1, 1, 1, 4, 4]
    assert rows[0]["lift"] == rows[1]["lift"] == 0.0
    assert rows[3]["lift"] == rows[3]["f1_score"] - rows[0]["f1_score"] > 0.1
    assert sum(row["is_best"] for row in rows) == 1


@pytest.mark.parametrize("folds", [0, 3])
def test_hits_are_of_the_same_rows_for_all_models(folds):
    models = models_of(folds, baselines=("structured", "tree"))
    (n_test,) = {model.row["n_test"] for model in models}
    for model in models:
        assert len(model.hits) == n_test
        assert model.hits.mean() == pytest.approx(model.row["accuracy"], abs=0.02)
        assert (model.row["f1_score_std"] is None) == (folds == 0)


def test_rows_are_named_where_they_are_kept():
    document = {"name": "m", "rows": [{"part": "a"}]}
    assert result_rows(document) == [{"part": "a", "model": None}]
    assert result_rows(document | {"version": 3}) == [{"part": "a", "model": "m/a@3"}]
