"""categorical => 'one_hot': text columns as scikit-learn's OneHotEncoder makes features of them."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vista_sql import models
from vista_sql.train import learn, sides
from vista_sql.train.columns import Columns
from vista_sql.train.hashing import fold_of
from vista_sql.train.ledger import Ledger
from vista_sql.train.rows import RowReader

ONE_HOT = {"categorical": "one_hot"}


@pytest.fixture
def shops(sql):
    """300 rows: a number with NULLs, text with NULLs, an ENUM, a layer; a class and a number."""
    sql.con.execute(
        """CREATE TABLE shops AS SELECT i AS id,
        CASE WHEN i % 7 = 0 THEN NULL ELSE sin(i) * 3 + 10 END AS size,
        CASE WHEN i % 13 = 0 THEN NULL ELSE ['Rome', 'Oslo', 'Köln', 'it''s', 'Bari', 'Ulm']
          [1 + (i * i % 31) % 6] END AS city,
        (CASE i * 7 % 3 WHEN 0 THEN 'food' WHEN 1 THEN 'toys' ELSE 'arts' END)::ENUM
          ('toys', 'food', 'arts', 'none') AS kind,
        [cos(i), sin(3 * i)]::FLOAT[2] AS v,
        (sin(i * i) + CASE WHEN city = 'Rome' OR kind = 'toys' THEN 1 ELSE 0 END > 0.6) AS y,
        round(sin(i * i) + CASE WHEN city = 'Oslo' THEN 2 ELSE 0 END + i % 7, 2) AS price
        FROM range(300) r(i)"""
    )
    return sql


def table(shops, label="y"):
    """Return x (rows, 3) object [size, city, kind], labels, and each row's place in the split."""
    rows = shops.rows(f"SELECT size, city, kind::VARCHAR AS kind, {label} FROM shops ORDER BY id")
    x = np.array([[r["size"] or np.nan, r["city"], r["kind"]] for r in rows], object)
    return x, np.array([r[label] for r in rows]), places(shops, label)


def places(shops, label):
    """Return each row's place in [0, 1), which its key and its class decide."""
    found = shops.con.sql(f"SELECT id, {label} FROM shops ORDER BY id").to_arrow_table()
    batch = {name: found[name].combine_chunks() for name in ("id", label)}
    reader = RowReader(Columns(label, "", "id", (), (), ()), 0, of_numbers=label == "price")
    chunk, _ = reader.read(batch)
    ledger = Ledger(0, 0.2)
    ledger.add(chunk, None)
    assert label == "price" or not ledger.stratify()  # classes are large
    return chunk.unit


def theirs(model, **one_hot):
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    texts = make_pipeline(OneHotEncoder(sparse_output=False, **one_hot), StandardScaler())
    return make_pipeline(make_column_transformer((numbers, [0]), (texts, [1, 2])), model)


def logistic(reg, n):
    return LogisticRegression(C=1 / (reg * n), tol=1e-10, max_iter=5000)


@pytest.mark.parametrize("most", [100, 3])
@pytest.mark.parametrize("limit", [{}, {"memory_limit": "40kB"}], ids=["memory", "spooled"])
def test_the_model_is_that_of_a_one_hot_encoder(shops, monkeypatch, most, limit):
    monkeypatch.setattr(learn, "MOST_LEVELS", most)
    exact = {"reg": 0.05, "l1_ratio": 0, "tolerance": 1e-9}
    (row, with_layer) = shops.train(
        "shops", exclude=["price"], missing="mean", **exact, **ONE_HOT, **limit
    )
    n_levels = 7 + 3 if most == 100 else 3 + 3  # NULL is a level of city
    assert (row["n_skipped"], row["dims"]) == (0, 2 + n_levels + 2)
    assert with_layer["dims"] == row["dims"] + 2
    said = "column 'city' has 7 values, of which 4, the rarest, are one: group them in the data if"
    assert (row["warning"] or "").startswith(said) == (most == 3)
    x, y, unit = table(shops)
    trains = unit >= 0.2
    made = theirs(
        logistic(0.05, trains.sum()),
        handle_unknown="infrequent_if_exist",
        max_categories=None if most == 100 else 4,
    ).fit(x[trains], y[trains])
    predicted = shops("vista_predict", model="m/structured", data="shops")
    chances = {row["id"]: dict(row["probabilities"])["true"] for row in predicted}
    np.testing.assert_allclose(
        [chances[i] for i in range(300)], made.predict_proba(x)[:, 1], atol=1e-5
    )


def test_the_levels_are_kept_and_another_value_is_like_the_rare_ones(shops, monkeypatch):
    monkeypatch.setattr(learn, "MOST_LEVELS", 4)
    shops.train("shops", exclude=["price", "size"], **ONE_HOT)
    kept = models.find(shops.home, "m/structured")
    assert kept.levels["kind"] == ["arts", "food", "toys"]
    assert len(kept.levels["city"]) == 4
    assert kept.structured == ["city", "kind"]
    assert kept.document["options"]["categorical"] == "one_hot"
    rare = ({"Rome", "Oslo", "Köln", "it's", "Bari", "Ulm"} - {*kept.levels["city"]}).pop()
    data = f"""SELECT i AS id, ['{rare.replace("'", "''")}', 'Nowhere', '', 'ROME'][i] AS CITY,
        'food' AS kind FROM range(1, 5) r(i)"""
    found = shops("vista_predict", model="m/structured", data=data)
    assert {row["error"] for row in found} == {None}
    assert len({row["probability"] for row in found}) == 1


def folds_of(unit, k):
    fold = fold_of(unit, k)
    return [(fold != i, fold == i) for i in range(k)]


def test_each_fold_learns_means_and_levels_of_its_own_training_rows(shops):
    # values that are in few rows, so that folds lack some, and a number whose means differ
    shops.con.execute("UPDATE shops SET city = 'only ' || id WHERE id % 50 = 1")
    shops.con.execute("UPDATE shops SET size = 500 WHERE id IN (1, 2, 3)")
    (row, _) = shops.train(
        "shops", exclude=["price"], missing="mean", folds=4, reg=0.05, l1_ratio=0, tolerance=1e-9,
        **ONE_HOT,
    )  # fmt: skip
    x, y, unit = table(shops)
    accuracies, losses = [], []
    for trains, tests in folds_of(unit, 4):
        made = theirs(logistic(0.05, trains.sum()), handle_unknown="infrequent_if_exist")
        made.fit(x[trains], y[trains])
        accuracies.append(accuracy_score(y[tests], made.predict(x[tests])))
        losses.append(log_loss(y[tests], made.predict_proba(x[tests])))
    assert row["accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-9)
    assert row["log_loss"] == pytest.approx(np.mean(losses), abs=1e-6)


def test_each_fold_of_a_number_is_scaled_by_its_own_training_rows(shops):
    shops.con.execute("UPDATE shops SET price = 90 WHERE id IN (1, 2, 3)")
    arguments = {"exclude": ["y", "v"], "label": "price", "trainer": "linear"}
    exact = {"reg": 0.2, "l1_ratio": 0.5, "tolerance": 1e-9, "missing": "mean", **ONE_HOT}
    (row,) = shops.train("shops", folds=3, **arguments, **exact)
    x, y, unit = table(shops, "price")
    scores = []
    for trains, tests in folds_of(unit, 3):
        mean, scale = y[trains].mean(), y[trains].std()
        made = theirs(
            ElasticNet(alpha=0.2, l1_ratio=0.5, tol=1e-12, max_iter=100_000),
            handle_unknown="infrequent_if_exist",
        ).fit(x[trains], (y[trains] - mean) / scale)
        scores.append(r2_score(y[tests], made.predict(x[tests]) * scale + mean))
    assert row["r2"] == pytest.approx(np.mean(scores), abs=1e-6)
    plain = shops.train("shops", model="raw", folds=3, standardize=False, **arguments, **exact)
    assert plain[0]["r2"] is not None


def test_order_batches_and_memory_change_nothing(shops, monkeypatch):
    options = {"exclude": ["price"], "missing": "mean", "folds": 3, **ONE_HOT}
    hidden = {"seconds", "model"}

    def figures(model, data, **more):
        rows = shops.train(data, model=model, **options, **more)
        return [{k: v for k, v in row.items() if k not in hidden} for row in rows]

    plain = figures("a", "shops")
    assert plain == figures("b", "SELECT * FROM shops ORDER BY hash(id)")
    assert plain == figures("c", "SELECT * FROM shops WHERE hash(id) % 1000 >= 0", seed=0)
    monkeypatch.setattr(sides, "IN_MEMORY_SHARE", 0.0)
    spooled = figures("d", "shops")
    for one, other in zip(plain, spooled, strict=True):
        assert one["log_loss"] == pytest.approx(other["log_loss"], abs=1e-9)


@pytest.mark.parametrize("trainer", ["logistic", "linear", "tree"])
def test_every_trainer_predicts_evaluates_and_writes_sql(shops, trainer):
    label = "price" if trainer == "linear" else "y"
    left_out = ["y" if label == "price" else "price", "v"]
    options = {"trainer": trainer, "missing": "mean", "folds": 3, **ONE_HOT}
    shops.train("shops", label=label, exclude=left_out, **options)
    predicted = shops("vista_predict", model="m", data="shops")
    assert {row["error"] for row in predicted} == {None}
    (evaluated,) = shops("vista_evaluate", model="m", data="shops")
    assert (evaluated["n"], evaluated["n_skipped"]) == (300, 0)
    if trainer != "linear":
        counts = shops("vista_confusion", model="m", data="shops")
        assert sum(row["n"] for row in counts) == 300
    (made,) = shops("vista_model_sql", model="m")
    call = f"{made['macro']}({', '.join(made['arguments'])})"
    shops.con.execute(made["sql"])
    in_sql = shops.rows(f"SELECT id, {call} AS p FROM shops")  # of the ENUM as it is
    for row, other in zip(predicted, in_sql, strict=True):
        assert other["p"]["predicted_label"] == pytest.approx(row["predicted_label"], abs=1e-9)


def test_columns_of_text_stand_in_any_order(shops):
    """A model's record has its levels by the names of columns; its features are as those stand."""
    chances = []
    for name, texts in (("a", "city, kind"), ("b", "kind, city")):
        data = f"SELECT id, y, {texts} FROM shops"
        shops.train(data, model=name, reg=0.01, **ONE_HOT)
        rows = shops("vista_predict", model=name, data=data)
        chances.append([dict(row["probabilities"])["true"] for row in rows])
    assert chances[1] == pytest.approx(chances[0], abs=1e-6)


TEXTS = st.one_of(
    st.sampled_from(
        ["a", "A", "it's", '"', "$$", "\\", "NULL", "", " ", "é", "e\u0301", "\n", "%"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(texts=["a"], others=["b", None], nulls=True, most=1, seed=0)  # the only level is NULL
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=8, unique=True),
    others=st.lists(st.one_of(st.none(), TEXTS), max_size=5),
    nulls=st.booleans(),
    most=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_the_model_in_sql_scores_any_text_as_we_do(sql, texts, others, nulls, most, seed):
    levels = [*texts, None] if nulls else texts
    rng = np.random.default_rng(seed)
    texts = [*(levels[i] for i in rng.integers(len(levels), size=30)), *others]
    columns = {"id": np.arange(len(texts)), "t": pa.array(texts, pa.string())}
    columns["y"] = pa.array([i % 2 == 0 for i in range(30)] + [None] * len(others), pa.bool_())
    fill(sql.con, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "MOST_LEVELS", most)
        sql.train("data", reg=0.01, **ONE_HOT)
    ours = {r["id"]: r["probabilities"] for r in sql("vista_predict", model="m", data="data")}
    (made,) = sql("vista_model_sql", model="m")
    with duckdb.connect() as plain:
        fill(plain, columns)
        plain.execute(made["sql"])
        found = plain.execute(f"SELECT id, {made['macro']}(t).probabilities FROM data").fetchall()
    assert len(found) == len(ours) == len(texts)
    for key, chances in found:
        assert dict(chances) == pytest.approx(dict(ours[key]), abs=1e-12)


def fill(con, columns):
    con.execute("CREATE OR REPLACE TABLE data (id BIGINT, t VARCHAR COLLATE NOCASE, y BOOLEAN)")
    con.register("given", pa.table(columns))
    con.execute("INSERT INTO data FROM given")
    con.unregister("given")


def test_text_without_it_is_an_error_that_names_it(shops):
    said = shops.failure("vista_train", model="m", label="y", data="shops")
    assert "column 'city' has type text (VARCHAR) and cannot be a feature" in said
    assert "categorical => 'one_hot'" in said
    assert "exclude => ['city', 'kind']" in said
    said = shops.failure(
        "vista_train", model="m", label="y", data="SELECT *, DATE '2024-01-01' AS d FROM shops",
        **ONE_HOT,
    )  # fmt: skip
    assert "column 'd' has type date32[day] and cannot be a feature" in said
    assert "one_hot" not in said


def test_a_key_or_prose_is_no_category(sql):
    sql.con.execute(
        "CREATE TABLE t AS SELECT i AS id, 'n' || i AS s, i % 2 AS y FROM range(10002) r(i)"
    )
    said = sql.failure("vista_train", model="m", label="y", data="t", **ONE_HOT)
    assert "column 's' has more than 10,000 distinct values" in said
    assert "exclude => ['s']" in said
    long = "SELECT * REPLACE (repeat('é', 1001) AS s) FROM t"
    said = sql.failure("vista_train", model="m", label="y", data=long, **ONE_HOT)
    assert "has a value of 1,001 characters" in said


def test_a_model_of_text_refuses_numbers(shops):
    shops.train("shops", exclude=["price"], **ONE_HOT)
    data = "SELECT * REPLACE (1 AS city) FROM shops"
    said = shops.failure("vista_predict", model="m/structured", data=data)
    assert "was trained with column 'city' as text, and the data's is int32" in said
