"""A kept model scores rows that fit, and says what does not."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.models import Model
from vista_sql.train import scorer
from vista_sql.train.scorer import Scorer


@pytest.fixture
def model(tmp_path: Path) -> Model:
    np.savez(tmp_path / "0.npz", coef=np.array([[1.0, 2.0, 3.0]]), intercept=np.array([0.5]))
    row = {
        "part": "a",
        "trainer": "logistic",
        "structured": ["S"],
        "layers": [["A", 2]],
        "file": "0.npz",
    }
    return Model(tmp_path, "m", 1, {"classes": ["x", "y"], "label": "l"}, row)


def batch(s=(1.0, 2.0), a=((1.0, 1.0), (0.0, 0.0)), kind=None):
    return {"s": pa.array(s), "a": pa.array(a, kind or pa.list_(pa.float32(), 2))}


def test_margins_are_the_trainers(model, monkeypatch):
    scored = Scorer(model).score(batch())
    assert scored.margins.tolist() == [[6.5], [2.5]]
    assert scored.usable.tolist() == [True, True]
    np.testing.assert_allclose(scored.chances.sum(axis=1), 1.0)
    monkeypatch.setattr(scorer, "MAX_VALUES", 1)  # in pieces of 64 rows
    many = Scorer(model).score(batch([1.0] * 200, [(1.0, 1.0)] * 200))
    assert (many.margins == 6.5).all()
    assert many.margins.shape == (200, 1)


def test_rows_without_a_value_say_which(model):
    scored = Scorer(model).score(batch((None, 2.0, 3.0), (None, None, (1.0, 1.0))))
    assert scored.usable.tolist() == [False, False, True]
    assert scored.reasons == [
        "column 'S' is NULL, not finite or too large",
        "column 'A' is NULL, not finite or too large",
        None,
    ]  # fmt: skip
    nothing = Scorer(model).score({"s": pa.nulls(2), "a": pa.nulls(2)})
    assert not nothing.usable.any()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"s": pa.array([1.0])}, "needs column 'A', which the data does not have"),
        (batch(s=("x", "y")), "with column 'S' as a number or BOOLEAN, and the data's is string"),
        (batch(a=((1.0,), (2.0,)), kind=pa.list_(pa.float32(), 1)), r"column 'A' as FLOAT\[2\]"),
    ],
)
def test_columns_that_do_not_fit_are_refused(model, columns, message):
    with pytest.raises(ModelError, match=message):
        Scorer(model).score(columns)
