"""Trainings on Spark: the models of DuckDB, by rows that stay on the executors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import sparks

import vista_sql
from vista_sql import VistaError, models
from vista_sql.hosts.spark import training as on_spark
from vista_sql.train import training

N = 150
SELECT = """SELECT * FROM VISTA_TRAIN(model => 'm', label => 'y', data => 'toy',
    exclude => {exclude}, missing => 'mean', categorical => 'one_hot',
    max_iterations => {iterations}{more})"""
VARYING = ("model", "seconds", "iterations", "warning")


@pytest.fixture(scope="module")
def toy():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, N)
    price = rng.normal(5, 2, N) + y
    price[rng.random(N) < 0.1] = np.nan
    layer = rng.normal(size=(N, 16)) + y[:, None] * 0.5
    return pa.table(
        {
            "id": np.arange(N),
            "y": pa.array([f"c{v}" for v in y]),
            "two": y > 0,
            "price": pa.array(price, from_pandas=True),
            "city": pa.array([["Rom", "Ulm", None][i % 3] for i in range(N)]),
            "a": pa.array(list(layer.astype(np.float32)), pa.list_(pa.float32())),
        }
    )


@pytest.fixture(scope="module")
def db(spark, toy):
    sparks.view(spark, "toy", toy)
    yield vista_sql.spark(spark)
    spark.catalog.dropTempView("toy")


@pytest.fixture
def duck(toy, tmp_path):
    with vista_sql.connect() as session:
        session.con.execute(f"SET VARIABLE vista_home = '{tmp_path / 'duck'}'")
        session.con.register("toy", toy)
        yield session


@pytest.fixture
def home(db, tmp_path):
    """The registry of Spark's models."""
    db.spark.conf.set("spark.vista.home", str(tmp_path / "spark"))
    yield str(tmp_path / "spark")
    db.spark.conf.unset("spark.vista.home")


@pytest.fixture
def received(monkeypatch):
    """What came to the driver of each training: `Kept`."""
    found = []

    class Watched(on_spark.Kept):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            found.append(self)

    monkeypatch.setattr(on_spark, "Kept", Watched)
    return found


def trained(session, more="", exclude="['two']", iterations=8):
    text = SELECT.format(more=more, exclude=exclude, iterations=iterations)
    if isinstance(session, vista_sql.Session):
        return session.query(text).arrow().to_pylist()
    return session.query(text.replace("[", "array(").replace("]", ")")).toArrow().to_pylist()


def assert_same_rows(ours, theirs, tolerance=1e-6):
    for one, other in zip(ours, theirs, strict=True):
        for name, value in one.items():
            if name not in VARYING:
                wanted = pytest.approx(value, abs=tolerance) if isinstance(value, float) else value
                assert other[name] == wanted, name


def coefficients(home, part):
    return models.find(home, f"m/{part}").arrays()


def test_rows_that_do_not_fit_the_driver_stay_and_make_the_models_of_duckdb(
    db, duck, home, received, monkeypatch, tmp_path
):
    wanted = trained(duck, ", folds => 2, baselines => ['structured', 'tree']")
    monkeypatch.setattr(training, "IN_MEMORY_SHARE", 0.0)
    found = trained(db, ", folds => 2, baselines => ['structured', 'tree']")
    assert_same_rows(wanted, found)
    for part in ("structured", "a"):
        here, there = coefficients(str(tmp_path / "duck"), part), coefficients(home, part)
        for name, values in here.items():
            np.testing.assert_allclose(there[name], values, rtol=0, atol=1e-6)
    (kept,) = received
    assert kept.bytes_fetched == 0
    assert kept.bytes_received > 0
    assert kept._frame is None  # nothing is left in the cluster's memory

    text = "SELECT id, predicted_label FROM VISTA_PREDICT('m/a', 'toy') ORDER BY id"
    said = duck.query(text).fetchall()
    duck.con.execute(f"SET VARIABLE vista_home = '{home}'")  # Spark's registry, on DuckDB
    assert duck.query(text).fetchall() == said
    assert models.document(home, "m", 1)["mistakes"]


def test_few_rows_come_to_the_driver(db, duck, home, received):
    assert_same_rows(trained(duck), trained(db))
    (kept,) = received
    assert kept.bytes_fetched > N * 16 * 4
    runs = db.query("SELECT statement, rows, images, errors, seconds > 0 FROM VISTA_RUNS()")
    ((statement, *figures),) = sparks.rows(runs)
    assert statement.startswith("SELECT * FROM VISTA_TRAIN(")
    assert figures == [N, N, 0, True]


@pytest.mark.full
def test_mllib_minimizes_the_same_objective(db, duck, home):
    more, found = ", trainer => '{}', tolerance => 1e-6, reg => 0.1, by_layer => false", {}
    for trainer in ("logistic", "mllib"):
        rows = trained(db, more.format(trainer) + ", baselines => []", iterations=60)
        found[trainer] = rows, coefficients(home, "all"), models.find(home, "m/all").row
    ours, theirs = found["logistic"], found["mllib"]
    assert_same_rows(ours[0], theirs[0], 0.02)
    assert theirs[2]["converged"]
    # n - 1 rows in a deviation, not n
    assert theirs[2]["objective"] == pytest.approx(ours[2]["objective"], rel=0.01)
    for name, values in ours[1].items():  # what all classes' intercepts share says nothing
        np.testing.assert_allclose(
            theirs[1][name] - theirs[1][name].mean(0), values - values.mean(0), rtol=0, atol=0.02
        )
    duck.con.execute(f"SET VARIABLE vista_home = '{home}'")
    text = "SELECT n, accuracy > 0.6 FROM VISTA_EVALUATE('m/all@2', 'toy')"
    assert duck.query(text).fetchall() == [(N, True)]


def test_explain_says_where_rows_are(db):
    text = "SELECT * FROM VISTA_TRAIN(model => 'm', label => 'y', data => 'toy'{})"
    limited = db.explain(text.format(", memory_limit => '1GiB'"))
    assert "training: on the driver where its rows, encoded, take at most 128.0 MiB" in limited
    theirs = db.explain(text.format(", trainer => 'mllib'"))
    assert "training: on the executors (trainer => 'mllib' is the cluster's own)" in theirs


def test_mllib_is_sparks(duck, db):
    with pytest.raises(
        VistaError, match=r"trainer => 'mllib' is Spark's own .* or trainer => 'log"
    ):
        trained(duck, ", trainer => 'mllib'")
    with pytest.raises(VistaError, match="does not rank the features"):
        trained(db, ", trainer => 'mllib', select_fraction => 0.1")
