"""Bad input to the VISTA_TRAIN family: one line each, and nothing is left behind."""

import re

import pytest

from vista_sql.errors import ArgumentError, QueryError, UnknownNameError


def train_error(sql, data, label="y", **arguments):
    message = sql.failure("vista_train", model="m", data=data, label=label, **arguments)
    assert sql("vista_models") == []
    return message


@pytest.fixture
def t(sql):
    sql.con.execute(
        """CREATE TABLE t AS SELECT i AS id, (i * 7919 % 100) / 100 AS a, i % 3 AS b,
        [i % 5, i % 7]::FLOAT[2] AS v, i % 2 = 0 AS y FROM range(200) r(i)"""
    )
    return sql


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        ("SELECT * REPLACE (true AS y) FROM t", {}, "label 'y' has one class, 'true', in all 200"),
        ("SELECT * REPLACE (id = 7 AS y) FROM t", {}, "class 'true' of label 'y' has one row"),
        ("SELECT * REPLACE (NULL::BOOLEAN AS y) FROM t", {}, "in 200 of them label 'y' is NULL"),
        ("SELECT * REPLACE (NULL::FLOAT[2] AS v) FROM t", {}, "exclude => ['v'] leaves it out"),
        ("SELECT * REPLACE (NULL::FLOAT[] AS v) FROM t", {}, "exclude => ['v'] leaves it out"),
        (
            "SELECT * REPLACE ('inf'::FLOAT AS a) FROM t",
            {},
            "column 'a' is NULL, not finite or too large",
        ),
        ("SELECT * FROM t WHERE false", {}, "the data to train on has no rows"),
        ("SELECT *, 'x' AS name FROM t", {}, "leave it out with exclude => ['name']"),
        ("SELECT *, DATE '2020-01-01' AS d FROM t", {}, "column 'd' has type date32"),
        ("SELECT *, 'x'::BLOB AS image FROM t", {}, "column 'image' has type binary"),
        ("SELECT *, ['x'] AS tags FROM t", {}, "exclude => ['tags']"),
        ("SELECT *, [1, 2] AS n FROM t", {}, "column 'n' has type list<l: int32>"),
        ("SELECT id, y FROM t", {}, "has no feature column beside label 'y' and key 'id'"),
        ("t", {"label": "yy"}, "unknown label column 'yy' in the data to train on; did you"),
        ("t", {"key": "idd"}, "unknown key column 'idd'"),
        ("t", {"exclude": ["aa"]}, "unknown exclude column 'aa'"),
        ("t", {"split_by": ["cc"]}, "unknown split_by column 'cc'"),
        ("t", {"features": ["w"]}, "unknown features column 'w'"),
        ("t", {"features": ["a", "y"]}, "features => […] names the label 'y'"),
        ("t", {"label": "v"}, "label column 'v' has type fixed_size_list"),
        ("SELECT id, v, y FROM t", {"baselines": ["structured"]}, "needs structured columns"),
        (
            "SELECT * REPLACE ((CASE WHEN id = 9 THEN [1.0] ELSE [1.0, 2.0] END)::FLOAT[] AS v) "
            "FROM t",
            {},
            "column 'v' holds lists of 1 and of 2 values",
        ),
        ("SELECT * REPLACE ([]::FLOAT[] AS v) FROM t", {}, "column 'v' holds empty lists"),
        (
            "SELECT i AS id, i % 9 AS a, i AS y FROM range(10000) r(i)",
            {},
            "label 'y' has more than 1,000 distinct values",
        ),
        ("t", {"memory_limit": "1kB"}, "raise memory_limit"),
        (
            "SELECT * REPLACE (id < 2 AS y), id < 2 AS g FROM t",
            {"folds": 2, "split_by": ["g"]},
            "all in one of 2 folds",
        ),
        (
            "SELECT * REPLACE (id < 2 AS y), id < 2 AS g FROM t",
            {"test_fraction": 0.95, "split_by": ["g"]},
            "on the test side of the split",
        ),
        (
            "SELECT * REPLACE (id < 2 AS y), 7 AS k FROM t WHERE id < 100",
            {"key": "k", "exclude": ["id"], "test_fraction": 0.99},
            "on the test side of the split",
        ),
    ],
)
def test_data_that_cannot_be_trained_on(t, data, arguments, message):
    assert message in train_error(t, data, **{"label": "y", **arguments})


def test_a_failed_training_leaves_the_session_usable(t):
    train_error(t, "SELECT * REPLACE (true AS y) FROM t")
    assert len(t.train("t")) == 2


def test_constant_columns_and_infinities_are_no_errors(t):
    rows = t.train(
        "SELECT * REPLACE (CASE WHEN id = 3 THEN 'inf'::DOUBLE WHEN id = 4 THEN 'nan'::DOUBLE "
        "ELSE 1.5 END AS a, CASE WHEN id = 5 THEN ['-inf'::FLOAT, 1]::FLOAT[2] ELSE v END AS v) "
        "FROM t"
    )
    assert {row["n_skipped"] for row in rows} == {3}


def test_a_null_within_a_list_skips_the_row(t):
    data = "SELECT * REPLACE (CASE WHEN id = 3 THEN [NULL, 1] ELSE v::FLOAT[] END::{} AS v) FROM t"
    for kind in ("FLOAT[]", "FLOAT[2]"):
        rows = t.train(data.format(kind), model=kind[:-1].replace("[", "_"))
        assert {row["n_skipped"] for row in rows} == {1}


def test_values_beyond_float32_in_double_lists_skip_the_row(t):
    rows = t.train("SELECT * REPLACE ([a + CASE WHEN id = 3 THEN 1e300 ELSE 0 END] AS v) FROM t")
    assert {row["n_skipped"] for row in rows} == {1}


def test_correlated_use_is_refused(t):
    text = t.text("vista_train", model="m", label="y", data="SELECT * FROM t WHERE id % 20 = o.i")
    outer = f"SELECT * FROM (SELECT * FROM range(20) r(i)) o, LATERAL ({text}) m"
    import duckdb

    with pytest.raises(duckdb.Error, match=r"correlated|Correlated"):
        t.con.execute(outer).fetchall()
    assert t("vista_models") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "a/b"}, "a model's name is letters a to z, digits"),
        ({"model": "../x"}, "a model's name is letters a to z, digits"),
        (
            {"baselines": ["hog"]},
            "baseline 'hog' reads the images of a TRANSFER in the text of data",
        ),
        ({"baselines": ["treee"]}, "unknown baseline 'treee'; did you mean 'tree'"),
        ({"reg": -1}, "reg must be a number of at least 0, not -1"),
        ({"reg": []}, "not an empty list"),
        ({"reg": [0.1, "x"]}, "reg must be a number of at least 0, not 'x'"),
        ({"l1_ratio": 1.5}, "l1_ratio must be a number in [0, 1], not 1.5"),
        ({"folds": 1}, "folds => 1 leaves no rows to train on: give 2 folds or more"),
        ({"folds": True}, "folds must be a whole number in [0, 100], not true"),
        ({"folds": 3, "test_fraction": 0.3}, "folds and test_fraction cannot be given together"),
        ({"test_fraction": 1}, "leaves no rows to train on"),
        ({"max_iterations": 0}, "max_iterations must be a whole number of at least 1"),
        ({"max_iterations": 2.5}, "max_iterations must be a whole number"),
        ({"class_weight": "auto"}, "unknown class_weight 'auto'; there is: balanced"),
        ({"standardize": "yes"}, "standardize must be true or false"),
        ({"exclude": [1]}, "exclude must be a name or a list of names, not [1]"),
        ({"label": 3}, "label must be text, not 3"),
        ({"layer": ["a"]}, "unknown argument 'layer' in VISTA_TRAIN; did you mean 'layers'"),
        ({"layers": ["a"]}, "data and layers exclude each other: layers is of the TRANSFER"),
        ({"images": "t"}, "data and images exclude each other"),
        ({"key": ["a", "id"]}, "key => ['a', 'id'] names a column of each of two relations"),
        ({"data": None}, "VISTA_TRAIN needs data => …"),
    ],
)
def test_arguments_that_cannot_be(t, arguments, message):
    whole = {"model": "m", "label": "y", "data": "t", **arguments}
    with pytest.raises((ArgumentError, UnknownNameError)) as caught:
        t.text("vista_train", **whole)
    assert message in str(caught.value)
    assert isinstance(caught.value, QueryError)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("SELECT id, a, b FROM t", "model 'm/v@1' needs column 'v', which the data does not have"),
        ("SELECT * REPLACE ([a, a, a]::FLOAT[3] AS v) FROM t", "as FLOAT[2], and the data's is"),
        ("SELECT * REPLACE ([a]::FLOAT[] AS v) FROM t", "lists of 1 and of 2 values"),
        ("SELECT * REPLACE ('x' AS a) FROM t", "with column 'a' as a number or BOOLEAN"),
        ("SELECT *, 1 AS probability FROM t", "already has a column 'probability'"),
    ],
)
def test_data_that_a_model_cannot_score(t, data, message):
    t.train("t")
    assert message in t.failure("vista_predict", model="m/v", data=data)


def test_data_that_cannot_be_evaluated(t):
    t.train("t")
    assert "has no rows" in t.failure("vista_evaluate", model="m", data="SELECT * FROM t LIMIT 0")
    assert "unknown label column 'y'" in t.failure(
        "vista_evaluate", model="m", data="SELECT * EXCLUDE (y) FROM t"
    )
    assert "has the value '2', which model 'm/v@1' does not know; it knows: false, true" in (
        t.failure("vista_evaluate", model="m/v", data="SELECT * REPLACE (2 AS y) FROM t")
    )
    assert "all 200 rows" in t.failure(
        "vista_evaluate", model="m", data="SELECT * REPLACE (NULL AS y) FROM t"
    )


def test_predicting_nothing_gives_no_rows(t):
    t.train("t")
    assert t("vista_predict", model="m", data="SELECT * FROM t WHERE false") == []


def test_predict_needs_rows_or_images(t):
    t.train("t")
    with pytest.raises(ArgumentError, match="needs data => …, or images"):
        t.text("vista_predict", model="m")
    with pytest.raises(ArgumentError, match="exclude each other"):
        t.text("vista_predict", model="m", data="t", images="t")
    with pytest.raises(ArgumentError, match="uses no layer"):
        t.text("vista_predict", model="m/structured", images="t")
    with pytest.raises(
        ArgumentError, match="does not know how its features are made: give it data"
    ):
        t.text("vista_predict", model="m/v", images="t")


def test_an_error_column_that_is_no_text_is_not_lost(t):
    t.train("t")
    for value, kind in (("0.5", "decimal128"), ("id", "int64"), ("true", "bool")):
        data = f"SELECT *, {value} AS error FROM t"
        message = t.failure("vista_predict", model="m", data=data)
        assert f"has a column 'error' of type {kind}" in message
        assert "rename it there" in message
    enum = "SELECT *, 'x'::ENUM('x', 'y') AS error FROM t"
    assert {row["error"] for row in t("vista_predict", model="m", data=enum)} == {"x"}


def test_reasons_with_the_prefix_of_their_layers_are_no_features(t):
    rows = t.train("SELECT * EXCLUDE (v), v AS cnn_v, NULL::VARCHAR AS cnn_error FROM t")
    assert [row["dims"] for row in rows] == [2, 4]
    own = t.failure("vista_train", model="n", label="y", data="SELECT *, 'x' AS my_error FROM t")
    assert "'my_error' has type text" in own


def test_values_that_are_too_large_are_skipped_and_said(t):
    data = "SELECT * REPLACE (CASE WHEN id = 3 THEN 1e200 ELSE a END AS a) FROM t"
    for row in t.train(data):
        assert (row["n_skipped"], row["converged"]) == (1, True)
        assert row["log_loss"] > 0
        assert "1 of 200 rows are skipped" in row["warning"]
        assert "'a' in 1" in row["warning"]
    found = t("vista_predict", model="m", data=data)
    assert [row["error"] for row in found if row["predicted_label"] is None] == [
        "column 'a' is NULL, not finite or too large"
    ]


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        (
            "t",
            {"test_fraction": 0},
            "no row tests, so there are no figures and no best model: give",
        ),
        ("SELECT *, 1 AS g FROM t", {"split_by": ["g"]}, "no row tests, .* choose another seed"),
        ("SELECT *, id % 3 AS g FROM t", {"split_by": ["y"], "label": "g"}, "no row tests"),
        (
            "SELECT * REPLACE (b % 3 AS y), b * 10 AS g FROM t",
            {"split_by": ["g"], "seed": 5, "label": "y", "features": ["a"], "test_fraction": 0.2},
            "no (row tests|test row is of class)",
        ),
    ],
)
def test_a_test_side_that_lacks_rows_is_said(t, data, arguments, message):
    for row in t.train(data, **{"label": "y", **arguments}):
        assert re.search(message, row["warning"])
