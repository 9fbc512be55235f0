"""trainer => 'linear': scikit-learn's weights, and a number all the way through SQL."""

import math
import warnings

import duckdb
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.preprocessing import StandardScaler

from vista_sql.errors import ArgumentError
from vista_sql.train import FeatureSet, Options, Task, load
from vista_sql.train.arrays import rows_of

LAYER = FeatureSet("layer", "layer", False, (0,))
STRUCTURED = FeatureSet("structured", None, True, ())


@pytest.fixture(scope="module")
def diabetes():
    """Features on several scales, and a number of 214 values around 150."""
    x, y = load_diabetes(return_X_y=True)
    return (x * np.array([1, 10, 100, 1, 1, 1000, 1, 1, 1, 0.01]) + 3).astype(np.float32), y


def fit(x, y, task, **options):
    values, codes = np.unique(y, return_inverse=True)
    empty = np.zeros((len(y), 0))
    rows = rows_of(empty, [x], codes) if task.features is LAYER else rows_of(x, [], codes)
    wanted = {"max_iterations": 5000, "tolerance": 1e-9, **options}
    (fitted,) = load("linear").fit(
        rows, [task], Options(len(values), label_values=tuple(values.tolist()), **wanted)
    )
    assert fitted.converged
    return fitted.arrays["coef"][0], float(fitted.arrays["intercept"][0])


@pytest.mark.parametrize("features", [STRUCTURED, LAYER], ids=["structured", "layer"])
@pytest.mark.parametrize(("reg", "l1_ratio"), [(0.01, 0.5), (0.3, 1.0), (0.1, 0.2)])
def test_the_weights_are_those_of_elastic_net(diabetes, features, reg, l1_ratio):
    x, y = diabetes
    coef, intercept = fit(x, y, Task(features, reg, l1_ratio))
    z = StandardScaler().fit_transform(x.astype(np.float64))
    label = (y - y.mean()) / y.std()
    theirs = ElasticNet(alpha=reg, l1_ratio=l1_ratio, tol=1e-12, max_iter=100_000).fit(z, label)
    np.testing.assert_allclose(coef * x.std(axis=0) / y.std(), theirs.coef_, atol=2e-5)
    predicted = x.astype(np.float64) @ coef + intercept
    np.testing.assert_allclose(predicted, theirs.predict(z) * y.std() + y.mean(), atol=5e-3)


def test_the_weights_are_those_of_ridge(diabetes):
    x, y = diabetes
    coef, _ = fit(x, y, Task(STRUCTURED, 0.1, 0.0))
    z = StandardScaler().fit_transform(x.astype(np.float64))
    theirs = Ridge(alpha=0.1 * len(y)).fit(z, y)  # Ridge sums errors, and does not halve them
    np.testing.assert_allclose(coef * x.std(axis=0), theirs.coef_, rtol=1e-4, atol=1e-4)


def test_without_standardizing_it_is_elastic_net_on_what_there_is():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4)) * [1, 2, 0.5, 1]
    y = np.round(7 + 3 * x[:, 0] - x[:, 2] + rng.standard_normal(200), 2)
    coef, intercept = fit(x, y, Task(STRUCTURED, 0.2, 0.5), standardize=False)
    theirs = ElasticNet(alpha=0.2, l1_ratio=0.5, tol=1e-12, max_iter=100_000).fit(x, y)
    np.testing.assert_allclose(coef, theirs.coef_, atol=1e-5)
    assert intercept == pytest.approx(theirs.intercept_, abs=1e-5)


@pytest.fixture
def prices(sql):
    sql.con.execute(
        """CREATE TABLE prices AS SELECT i AS id, (i * 7919 % 100) / 100 AS size,
        [sin(i), cos(i)]::FLOAT[2] AS v,
        round(100 + 50 * size + 20 * sin(i) + (i * 31 % 7) / 10, 2)::DECIMAL(9, 2) AS price
        FROM range(400) r(i)"""
    )
    return sql


def test_a_number_is_trained_predicted_evaluated_and_exported(prices):
    rows = prices.train("prices", label="price", trainer="linear", reg=[0.0, 0.1])
    assert [row["feature_set"] for row in rows] == ["structured"] * 2 + ["structured+v"] * 2
    best = next(row for row in rows if row["is_best"])
    assert (best["feature_set"], best["reg"]) == ("structured+v", 0.0)
    assert best["r2"] > 0.99 > rows[0]["r2"] > 0.3
    assert best["mae"] < best["rmse"] < 1
    classes = ("accuracy", "precision", "recall", "f1_score", "roc_auc", "log_loss", "lift")
    assert {row[name] for row in rows for name in classes} == {None}
    assert {row["warning"] for row in rows} == {None}

    predicted = prices("vista_predict", model="m", data="prices")
    assert {row["probability"] for row in predicted} == {None}
    y = [float(row["price"]) for row in predicted]
    p = [row["predicted_label"] for row in predicted]
    assert all(isinstance(value, float) for value in p)
    (evaluated,) = prices("vista_evaluate", model="m", data="prices")
    assert evaluated == {
        "r2": pytest.approx(r2_score(y, p)),
        "mae": pytest.approx(mean_absolute_error(y, p)),
        "rmse": pytest.approx(root_mean_squared_error(y, p)),
        "n": 400,
        "n_skipped": 0,
    }
    (made,) = prices("vista_model_sql", model="m")
    with duckdb.connect() as plain:
        plain.execute("CREATE TABLE prices (id BIGINT, size DOUBLE, v FLOAT[2])")
        stored = prices.rows("SELECT id, size, v FROM prices")
        plain.executemany("INSERT INTO prices VALUES (?, ?, ?)", [[*r.values()] for r in stored])
        plain.execute(made["sql"])
        call = f"{made['macro']}({', '.join(made['arguments'])})"
        theirs = dict(plain.execute(f"SELECT id, {call}.predicted_label FROM prices").fetchall())
    for row in predicted:
        assert theirs[row["id"]] == pytest.approx(row["predicted_label"], abs=1e-6)


def test_folds_test_each_number_once(prices):
    rows = prices.train("prices", label="price", trainer="linear", folds=4)
    assert {row["n_test"] for row in rows} == {400}
    assert all(row["r2"] > 0.3 for row in rows)


def test_rows_without_a_number_are_skipped(prices):
    data = "SELECT * REPLACE (CASE id % 4 WHEN 0 THEN NULL WHEN 1 THEN 'nan'::DOUBLE ELSE price END AS price) FROM prices"  # noqa: E501
    rows = prices.train(data, label="price", trainer="linear")
    assert {row["n_skipped"] for row in rows} == {200}
    (evaluated,) = prices("vista_evaluate", model="m", data=data)
    assert (evaluated["n"], evaluated["n_skipped"]) == (200, 200)


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        ("SELECT * REPLACE ('x' AS price) FROM prices", {}, "has type text (VARCHAR), and trainer"),
        ("SELECT * REPLACE (id > 9 AS price) FROM prices", {}, "has type bool, and trainer"),
        ("SELECT * REPLACE (7 AS price) FROM prices", {}, "is 7.0 in all rows that can be used"),
        ("prices", {"baselines": ["tree"]}, "learns classes and trainer 'linear' numbers"),
        (
            "SELECT *, id % 2 AS g FROM prices",
            {"trainer": "tree", "label": "g"},
            "exclude => […] leaves",
        ),
        ("prices", {"trainer": "logistic"}, "trainer => 'linear'"),
    ],
)
def test_what_cannot_be_learned_as_a_number_is_said(prices, data, arguments, message):
    wanted = {"model": "m", "label": "price", "trainer": "linear", **arguments}
    assert message in prices.failure("vista_train", data=data, **wanted)


def test_numbers_have_no_classes(prices):
    with pytest.raises(ArgumentError, match="it has no classes"):
        prices.text(
            "vista_train", model="m", label="price", data="prices", trainer="linear",
            class_weight="balanced",
        )  # fmt: skip
    prices.train("prices", label="price", trainer="linear")
    with pytest.raises(ArgumentError, match="VISTA_EVALUATE has its r2"):
        prices.text("vista_confusion", model="m", data="prices")


def test_numbers_are_compared_by_r2_then_by_rmse():
    with warnings.catch_warnings():
        from vista_sql import models

        base = {"f1_score": None, "log_loss": None, "dims": 3}
        worse = {**base, "r2": -2.5, "rmse": 9.0}
        assert models.rank({**base, "r2": 0.5, "rmse": 1.0}) > models.rank(worse)
        assert models.rank(worse) > models.rank({**base, "r2": None, "rmse": None})
        assert math.isinf(models.rank({**base, "r2": None})[0])
