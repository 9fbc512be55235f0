"""The decision tree is scikit-learn's, also as arrays and as SQL."""

import duckdb
import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.tree import DecisionTreeClassifier

from vista_sql.errors import PlanError
from vista_sql.train import FeatureSet, Options, Task, load
from vista_sql.train.arrays import rows_of
from vista_sql.train.metrics import probabilities

TASK = Task(FeatureSet("tree", None, True, ()))
TREE = load("tree")


@pytest.fixture(scope="module")
def wine():
    x, y = load_wine(return_X_y=True)
    rows = rows_of(x, [], y)
    (fit,) = TREE.fit(rows, [TASK], Options(3))
    return rows, fit


def test_it_is_scikit_learns(wine):
    rows, fit = wine
    (chunk,) = rows.chunks()
    x = chunk.structured.astype(np.float32)
    theirs = DecisionTreeClassifier(max_depth=5, random_state=0).fit(x, chunk.code)
    ((_, (margins,)),) = TREE.score(rows, [fit])
    np.testing.assert_allclose(probabilities(margins), theirs.predict_proba(x), atol=1e-12)


def test_it_is_nested_cases_in_sql(wine):
    rows, fit = wine
    (chunk,) = rows.chunks()
    raw = chunk.structured * rows.moments.scale + rows.moments.mean
    names = [f'"column {i}"' for i in range(raw.shape[1])]
    values = ", ".join(f"{v!r} AS {name}" for v, name in zip(raw[7].tolist(), names, strict=True))
    sql = TREE.as_sql(fit.arrays, names, {})
    with duckdb.connect() as con:
        ((found,),) = con.execute(f"SELECT {sql} FROM (SELECT {values})").fetchall()
    expected = probabilities(TREE.margins(fit.arrays, raw[7:8]))[0]
    assert found == pytest.approx(expected.tolist(), abs=1e-12)


def test_rows_beyond_memory_are_refused(wine):
    rows, _ = wine
    with pytest.raises(PlanError, match="baseline 'tree' needs all structured values in memory"):
        TREE.fit(rows, [TASK], Options(3, memory_bytes=1000))
