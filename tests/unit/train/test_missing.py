"""missing => 'mean': what is NULL gets the mean of the training rows and a column that says so."""

import duckdb
import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture
def gaps(sql):
    """120 rows, of which 33 lack `a`; lacking it says something about y."""
    sql.con.execute(
        """CREATE TABLE gaps AS SELECT i AS id,
        CASE WHEN i % 11 < 3 THEN NULL ELSE sin(i) + 10 END AS a,
        CASE WHEN i = 7 THEN 'nan'::DOUBLE ELSE i % 7 END AS b, i % 5 = 0 AS c,
        [cos(i), sin(3 * i)]::FLOAT[2] AS v,
        (i % 11 < 3 OR sin(i) > 0.6) AS y FROM range(120) r(i)"""
    )
    return sql


def test_rows_that_are_skipped_are_said_and_how_to_keep_them(gaps):
    (row, _) = gaps.train("gaps")
    assert row["n_skipped"] == 34
    assert "34 of 120 rows are skipped" in row["warning"]
    assert "'a' in 33, 'b' in 1" in row["warning"]
    assert "missing => 'mean' fills in numbers" in row["warning"]


@pytest.mark.parametrize("limit", [{}, {"memory_limit": "40kB"}], ids=["memory", "spooled"])
def test_the_model_is_that_of_an_imputer_with_indicators(gaps, limit):
    rows = gaps.train("gaps", missing="mean", reg=0.1, l1_ratio=0, tolerance=1e-9, **limit)
    assert [(row["n_skipped"], row["dims"], row["warning"]) for row in rows] == [
        (0, 6, None),
        (0, 8, None),
    ]
    chances = {
        row["id"]: dict(row["probabilities"])["true"]
        for row in gaps("vista_predict", model="m/structured", data="gaps")
    }
    split = gaps.rows("SELECT id, a, b, c, y FROM gaps ORDER BY id")
    trains = trained_ids(gaps)
    x = np.array([[row["a"], row["b"], row["c"]] for row in split], float)
    y = np.array([row["y"] for row in split])
    lacks = np.isnan(x)
    imputer = SimpleImputer().fit(x[trains])
    whole = np.column_stack([imputer.transform(x), lacks]).astype(float)
    theirs = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / (0.1 * len(trains)), tol=1e-10, max_iter=5000)
    ).fit(whole[trains], y[trains])
    expected = theirs.predict_proba(whole)[:, 1]
    np.testing.assert_allclose([chances[i] for i in range(120)], expected, atol=1e-5)


def trained_ids(sql):
    """The rows of the training side, which is the same whatever the columns: the key decides."""
    from vista_sql import models
    from vista_sql.train.columns import Columns
    from vista_sql.train.ledger import Ledger
    from vista_sql.train.rows import RowReader

    table = sql.con.sql("SELECT id, y FROM gaps ORDER BY id").to_arrow_table()
    batch = {name: table[name].combine_chunks() for name in ("id", "y")}
    assert models.find(sql.home, "m/structured").fill is not None
    reader = RowReader(Columns("y", "BOOLEAN", "id", (), (), ()), 0)
    chunk, _ = reader.read(batch)
    ledger = Ledger(0, 0.2)
    ledger.add(chunk, None)
    moved = ledger.stratify()
    unit = np.array([moved.get(h, u) for h, u in zip(chunk.hash.tolist(), chunk.unit, strict=True)])
    return np.flatnonzero(unit >= 0.2)


def test_prediction_evaluation_and_sql_fill_in_alike(gaps):
    gaps.train("gaps", missing="mean")
    for model in ("m/structured", "m/v"):
        predicted = gaps("vista_predict", model=model, data="gaps")
        assert {row["error"] for row in predicted} == {None}
        (evaluated,) = gaps("vista_evaluate", model=model, data="gaps")
        assert (evaluated["n"], evaluated["n_skipped"]) == (120, 0)
        (made,) = gaps("vista_model_sql", model=model)
        with duckdb.connect() as plain:
            plain.execute(
                "CREATE TABLE gaps (id BIGINT, a DOUBLE, b DOUBLE, c BOOLEAN, v FLOAT[2])"
            )
            stored = gaps.rows("SELECT id, a, b, c, v FROM gaps")
            plain.executemany(
                "INSERT INTO gaps VALUES (?, ?, ?, ?, ?)", [[*row.values()] for row in stored]
            )
            plain.execute(made["sql"])
            call = f"{made['macro']}({', '.join(made['arguments'])})"
            theirs = dict(plain.execute(f"SELECT id, {call}.probabilities FROM gaps").fetchall())
        for row in predicted:
            assert theirs[row["id"]] == pytest.approx(dict(row["probabilities"]), abs=1e-9)


def test_a_layer_that_is_missing_still_skips_the_row(gaps):
    data = "SELECT * REPLACE (CASE WHEN id = 3 THEN NULL ELSE v END AS v) FROM gaps"
    rows = gaps.train(data, missing="mean", baselines=["structured", "tree"])
    assert {row["n_skipped"] for row in rows} == {1}
    assert "'v' in 1" in rows[0]["warning"]
    assert "missing" not in rows[0]["warning"]
    predicted = gaps("vista_predict", model="m/v", data=data)
    assert [row["id"] for row in predicted if row["error"]] == [3]
    tree = gaps("vista_predict", model="m/tree", data=data)
    assert not any(row["error"] for row in tree)


def test_a_model_that_skips_scores_as_before(gaps):
    gaps.train("gaps")
    predicted = gaps("vista_predict", model="m/structured", data="gaps")
    assert sum(row["error"] is not None for row in predicted) == 34
