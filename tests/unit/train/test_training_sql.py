"""VISTA_TRAIN and its family, from SQL text to rows, on a plain connection."""

import duckdb
import numpy as np
import pytest

from vista_sql.errors import ArgumentError, ModelError, UnknownNameError
from vista_sql.functions import _provenance
from vista_sql.settings import Settings
from vista_sql.sql.dialect import DUCKDB

COLUMNS = [
    "model",
    "feature_set",
    "layer",
    "n_train",
    "n_test",
    "n_skipped",
    "dims",
    "reg",
    "l1_ratio",
    "fraction",
    "iterations",
    "converged",
    "accuracy",
    "precision",
    "recall",
    "f1_score",
    "roc_auc",
    "log_loss",
    "r2",
    "mae",
    "rmse",
    "lift",
    "seconds",
    "is_best",
    "warning",
]


def by_set(rows):
    return {row["feature_set"]: row for row in rows}


def figures(rows):
    """What must not depend on order, batches or threads."""
    left_out = {"seconds", "model"}
    return [{k: v for k, v in row.items() if k not in left_out} for row in rows]


def test_a_row_per_feature_set_with_the_columns_of_the_surface(digits):
    rows = digits.train("digits", exclude=["digit"])
    assert list(rows[0]) == COLUMNS
    assert [row["feature_set"] for row in rows] == [
        "structured",
        "structured+low",
        "structured+high",
    ]
    found = by_set(rows)
    assert [row["layer"] for row in rows] == [None, "low", "high"]
    assert [row["dims"] for row in rows] == [3, 51, 51]
    assert {row["n_train"] + row["n_test"] for row in rows} == {1797}
    assert abs(rows[0]["n_test"] - 1797 * 0.2) < 60
    assert found["structured"]["lift"] == 0.0
    best = max(rows, key=lambda row: row["f1_score"])
    assert [row["is_best"] for row in rows] == [row is best for row in rows]
    lift = found["structured+low"]["f1_score"] - found["structured"]["f1_score"]
    assert found["structured+low"]["lift"] == pytest.approx(lift)
    assert lift > 0.1
    assert found["structured+low"]["model"] == "m/low@1"
    assert found["structured"]["model"] == "m/structured@1"


def test_figures_equal_scikit_learn_on_the_same_split(digits):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score, log_loss, roc_auc_score
    from sklearn.preprocessing import StandardScaler

    from vista_sql.train import hashing

    row = by_set(digits.train("digits", exclude=["digit", "low"], reg=0.01, l1_ratio=0.0))
    table = digits.con.sql("SELECT * FROM digits ORDER BY id").to_arrow_table()
    keys = table["id"].combine_chunks()
    test = hashing.unit(hashing.combine([hashing.hash_column(keys)]), 0) < 0.2
    x = np.stack([table[c].to_numpy().astype(float) for c in ("ink", "half", "thick")], axis=1)
    x = np.concatenate([x, np.array(table["high"].to_pylist())], axis=1)
    y = table["y"].to_numpy()
    scaler = StandardScaler().fit(x[~test])
    theirs = LogisticRegression(C=1 / (0.01 * (~test).sum()), tol=1e-10, max_iter=5000)
    theirs.fit(scaler.transform(x[~test]), y[~test])
    z = scaler.transform(x[test])
    ours = row["structured+high"]
    assert ours["n_test"] == test.sum()
    assert ours["f1_score"] == pytest.approx(f1_score(y[test], theirs.predict(z)), abs=1e-9)
    assert ours["roc_auc"] == pytest.approx(
        roc_auc_score(y[test], theirs.decision_function(z)), abs=1e-5
    )
    assert ours["log_loss"] == pytest.approx(log_loss(y[test], theirs.predict_proba(z)), abs=1e-5)


def test_results_do_not_depend_on_order_batches_or_threads(digits):
    digits.con.execute("CREATE TABLE shuffled AS SELECT * FROM digits ORDER BY hash(id)")
    digits.con.execute(  # many rows, so that several threads feed
        "CREATE TABLE many AS SELECT d.* REPLACE (d.id * 64 + i AS id) "
        "FROM digits d, range(64) t(i)"
    )
    arguments = {"exclude": ["digit"], "max_iterations": 5}
    plain = digits.train("digits", model="a", **arguments)
    shuffled = digits.train("shuffled", model="b", **arguments)
    filtered = digits.train("SELECT * FROM shuffled WHERE id % 1000 >= 0", model="c", **arguments)
    assert figures(plain) == figures(shuffled) == figures(filtered)
    digits.con.execute("SET threads = 4")
    many = digits.train("many", model="d", **arguments)
    digits.con.execute("SET threads = 1")
    alone = digits.train("SELECT * FROM many ORDER BY id DESC", model="e", **arguments)
    assert figures(many) == figures(alone)


def test_spooled_training_equals_training_in_memory(digits):
    arguments = {"exclude": ["digit"], "max_iterations": 10}
    memory = digits.train("digits", model="a", **arguments)
    spooled = digits.train("digits", model="b", memory_limit="1MB", **arguments)
    assert figures(memory) == figures(spooled)


def test_the_same_training_again_returns_the_kept_version(digits):
    first = digits.train("digits", exclude=["digit"])
    again = digits.train("SELECT * FROM digits ORDER BY ink", exclude=["digit"])
    assert again == first
    other = digits.train("digits", exclude=["digit"], seed=1)
    assert {row["model"][-2:] for row in other} == {"@2"}
    fewer = digits.train("SELECT * FROM digits WHERE id > 0", exclude=["digit"])
    assert {row["model"][-2:] for row in fewer} == {"@3"}
    known = [row | {"warning": None} for row in digits.train("digits", exclude=["digit"])]
    assert known == [row | {"warning": None} for row in first]


def test_a_kept_version_that_the_bare_name_does_not_mean_says_so(digits):
    first = digits.train("digits", exclude=["digit"], features=["ink"])
    digits.train("digits", exclude=["digit"], features=["ink"], seed=8)
    (again,) = digits.train("digits", exclude=["digit"], features=["ink"])
    assert again["model"] == first[0]["model"] == "m/structured@1"
    assert again["warning"] == (
        "version 1 was trained from the same data before, and 'm' is version 2: 'm@1' is this one"
    )


def test_two_trainings_in_one_statement_do_not_mix(digits):
    one = digits.text("vista_train", model="a", label="y", data="digits", exclude=["digit"])
    two = digits.text("vista_train", model="b", label="digit", data="digits", exclude=["y"])
    rows = digits.rows(f"SELECT * FROM ({one}) UNION ALL SELECT * FROM ({two}) ORDER BY model")
    assert [row["model"] for row in rows] == [
        f"{m}/{part}@1" for m in "ab" for part in ("high", "low", "structured")
    ]
    assert {row["n_train"] + row["n_test"] for row in rows} == {1797}


def test_planning_a_statement_trains_nothing(digits):
    text = digits.text("vista_train", model="m", label="y", data="digits", exclude=["digit"])
    digits.con.execute(f"EXPLAIN {text}").fetchall()
    digits.con.execute(f"DESCRIBE {text}").fetchall()
    digits.con.execute(f"PREPARE p AS {text}")
    digits.con.execute(f"CREATE VIEW v AS {text}")
    digits.con.execute(f"SELECT * FROM ({text}) LIMIT 0").fetchall()
    assert len(digits.fed_runs) == 0
    assert digits("vista_models") == []
    digits.con.execute("EXECUTE p").fetchall()
    digits.con.execute("SELECT * FROM v").fetchall()
    assert {row["version"] for row in digits("vista_models")} == {1}


def test_reg_values_are_rows_that_can_be_named(digits):
    rows = digits.train("digits", exclude=["digit", "high"], reg=[0.1, 0.001])
    assert [row["model"] for row in rows] == [
        "m/structured:0.1@1",
        "m/structured:0.001@1",
        "m/low:0.1@1",
        "m/low:0.001@1",
    ]
    strong = digits("vista_evaluate", model="m/low:0.1", data="digits")
    weak = digits("vista_evaluate", model="m/low:0.001", data="digits")
    assert weak[0]["log_loss"] < strong[0]["log_loss"]


def test_folds_test_every_row_and_keep_a_model_of_all(digits):
    rows = digits.train("digits", exclude=["digit"], folds=4, max_iterations=20)
    assert list(rows[0]) == [*COLUMNS[:16], "f1_score_std", *COLUMNS[16:]]
    assert {(row["n_train"], row["n_test"]) for row in rows} == {(1797, 1797)}
    assert all(0 < row["f1_score_std"] < 0.1 for row in rows)


def test_rows_with_equal_split_by_fall_on_one_side(digits):
    digits.con.execute("ALTER TABLE digits ADD COLUMN writer INTEGER")
    digits.con.execute("UPDATE digits SET writer = id // 100")
    rows = digits.train("digits", exclude=["digit"], split_by="writer", test_fraction=0.3)
    assert rows[0]["n_test"] % 100 in (0, 97)  # whole writers; the last wrote 97
    assert rows[0]["dims"] == 3  # split_by is no feature


def test_no_test_side(digits):
    rows = digits.train("digits", exclude=["digit"], test_fraction=0)
    assert {(row["n_train"], row["n_test"], row["f1_score"]) for row in rows} == {(1797, 0, None)}
    assert not any(row["is_best"] for row in rows)


def test_one_model_of_all_columns_and_a_tree(digits):
    rows = digits.train("digits", exclude=["digit"], by_layer=False, baselines=["tree"])
    assert [row["feature_set"] for row in rows] == ["tree", "all"]
    tree, whole = rows
    assert (tree["reg"], tree["iterations"], tree["converged"]) == (None, None, True)
    assert whole["dims"] == 99
    assert whole["lift"] is None


def test_features_replace_the_list_and_structured_may_be_missing(digits):
    rows = digits.train("digits", features=["LOW"])
    assert [(row["feature_set"], row["dims"], row["lift"]) for row in rows] == [("low", 48, None)]
    only = digits.train("digits", features=["ink", "thick"])
    assert [(row["feature_set"], row["dims"]) for row in only] == [("structured", 2)]


def test_text_labels_nulls_and_mixed_case_columns(digits):
    digits.con.execute(
        """CREATE TABLE "Mixed Case" AS SELECT id AS "Row Id", ink AS "Ink", low AS "Layer 1",
        CASE WHEN id % 10 = 0 THEN NULL WHEN digit < 5 THEN 'lo''w' ELSE 'high' END AS "Kind",
        CASE WHEN id % 7 = 0 THEN NULL ELSE half END AS "Half" FROM digits"""
    )
    rows = digits.train('"Mixed Case"', label="kind", key="row id", model="Mixed.Case")
    skipped = len([i for i in range(1797) if i % 10 == 0 or i % 7 == 0])
    assert {row["n_skipped"] for row in rows} == {skipped}
    found = digits("vista_predict", model="mixed.case/layer 1", data='"Mixed Case"')
    assert {row["predicted_label"] for row in found} == {"lo'w", "high", None}
    assert {row["error"] for row in found if row["Row Id"] % 7 == 0} == {
        "column 'Half' is NULL, not finite or too large"
    }
    assert all(row["error"] is None for row in found if row["Row Id"] % 7)


@pytest.mark.parametrize(
    ("cast", "values"),
    [
        ("digit::TINYINT", set(range(10))),
        ("digit::HUGEINT", set(range(10))),
        ("(digit < 5)", {True, False}),
        ("(digit % 3)::DOUBLE", {0.0, 1.0, 2.0}),
        ("(digit % 3)::DECIMAL(4,1)", {0, 1, 2}),
        ("DATE '2020-01-01' + (digit % 2)::INTEGER", None),
        ("(['a', 'b', 'c'])[digit % 3 + 1]::ENUM('a', 'b', 'c')", {"a", "b", "c"}),
    ],
)
def test_predicted_labels_have_the_labels_type(digits, cast, values):
    digits.con.execute(f"CREATE TABLE t AS SELECT id, low, {cast} AS l FROM digits")
    digits.train("t", label="l", max_iterations=5)
    rows = digits("vista_predict", model="m", data="t")
    found = {row["predicted_label"] for row in rows}
    assert found <= (values or {row["l"] for row in rows})
    assert {type(value) for value in found} == {type(next(iter(rows))["l"])}


def test_predictions_come_beside_every_input_column(digits):
    digits.train("digits", exclude=["digit"])
    rows = digits("vista_predict", model="m/low@1", data="digits")
    table = ["id", "ink", "half", "thick", "low", "high", "y", "digit"]
    assert list(rows[0]) == [
        *table, "predicted_label", "probability", "probabilities", "error"
    ]  # fmt: skip
    assert len(rows) == 1797
    for row in rows[:50]:
        assert set(row["probabilities"]) == {"false", "true"}
        assert sum(row["probabilities"].values()) == pytest.approx(1.0)
        chosen = row["probabilities"][str(row["predicted_label"]).lower()]
        assert row["probability"] == chosen == max(row["probabilities"].values())


def test_the_inputs_own_error_stays(digits):
    digits.con.execute("UPDATE digits SET error = 'truncated JPEG', low = NULL WHERE id = 3")
    digits.con.execute("UPDATE digits SET low = NULL WHERE id = 4")
    rows = digits.train("digits", exclude=["digit"], features=["low"])
    assert rows[0]["n_skipped"] == 2
    found = {row["id"]: row for row in digits("vista_predict", model="m", data="digits")}
    assert found[3]["error"] == "truncated JPEG"
    assert found[4]["error"] == "column 'low' is NULL, not finite or too large"
    assert found[3]["predicted_label"] is None
    assert found[3]["probabilities"] is None
    assert found[5]["error"] is None


def test_evaluation_and_confusion_agree_with_predictions(digits):
    digits.train("digits", label="digit", exclude=["y"], max_iterations=10)
    (found,) = digits("vista_evaluate", model="m", data="digits")
    confusion = digits("vista_confusion", model="m", data="digits")
    assert list(found)[:6] == [
        "precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"
    ]  # fmt: skip
    right = sum(row["n"] for row in confusion if row["expected"] == row["predicted"])
    assert sum(row["n"] for row in confusion) == found["n"] == 1797
    assert found["accuracy"] == pytest.approx(right / 1797)
    assert list(confusion[0]) == ["expected", "predicted", "n"]


@pytest.mark.parametrize("part", ["structured", "tree", "low", "high"])
@pytest.mark.parametrize("label", ["y", "digit"])
def test_a_model_as_sql_scores_without_vista_sql(digits, part, label):
    other = {"y": "digit", "digit": "y"}[label]
    arguments = {"baselines": ["structured", "tree"], "max_iterations": 10}
    digits.train("digits", label=label, exclude=[other], **arguments)
    (found,) = digits("vista_model_sql", model=f"m/{part}")
    ours = digits("vista_predict", model=f"m/{part}", data="digits")
    stored = digits.con.sql("SELECT * FROM digits").to_arrow_table()
    with duckdb.connect() as plain:
        plain.register("digits", stored)
        plain.execute(found["sql"])
        call = f"{found['macro']}({', '.join(found['arguments'])})"
        theirs = dict(plain.execute(f"SELECT id, {call} FROM digits").fetchall())
        missing = ", ".join(["NULL"] * len(found["arguments"]))
        assert plain.execute(f"SELECT {found['macro']}({missing})").fetchall() == [(None,)]
    for row in ours:
        score = theirs[row["id"]]
        assert score["predicted_label"] == row["predicted_label"]
        assert score["probability"] == pytest.approx(row["probability"], abs=1e-6)
        assert score["probabilities"] == pytest.approx(row["probabilities"], abs=1e-6)


def made(cnn="resnet50", sha="abc", **arguments):
    return {
        "arguments": {"cnn": cnn, "dtype": "float32", "pool": "gap", **arguments},
        "columns": {"low": "conv5_block3_out", "high": "avg_pool"},
        "weights_sha256": sha,
    }


def test_models_are_listed_with_provenance(digits, made_by):
    made_by(made())
    digits.train("digits", exclude=["digit"], seed=5)
    rows = {row["model"]: row for row in digits("vista_models")}
    assert set(rows) == {"m/structured@1", "m/low@1", "m/high@1"}
    low = rows["m/low@1"]
    assert (low["cnn"], low["cnn_layer"]) == ("resnet50", "conv5_block3_out")
    assert (low["weights_sha256"], low["dtype"]) == ("abc", "float32")
    assert (low["seed"], low["label"], low["classes"]) == (5, "y", ["false", "true"])
    assert rows["m/structured@1"]["cnn"] is None


def test_predicting_over_images_transfers_as_the_models_own(digits, made_by):
    columns = {"f_low": "conv5_block3_out"}
    made_by(made(weights="random", seed=3, prefix="f_") | {"columns": columns})
    digits.train("SELECT id, ink, low AS f_low, y FROM digits")
    given = {"images": "photos", "structured": "(FROM f)", "key": ["a", "b"], "on_error": "skip"}
    text = digits.text("vista_predict", model="m/f_low", **given)
    assert "FROM the_transfer AS" in text
    kept = {"cnn": "resnet50", "pool": "gap", "weights": "random", "dtype": "float32", "seed": 3}
    assert digits.planner.own.values == {**kept, "prefix": "f_", "layers": ["low"], **given}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (made(cnn="vgg16", sha="abd"), "cnn is 'vgg16', was 'resnet50'; weights_sha256 is 'abd'"),
        (made(pool="max2x2"), "pool is 'max2x2', was 'gap'"),
        (made(dtype="bfloat16"), "dtype is 'bfloat16', was 'float32'"),
        (made() | {"columns": {"low": "conv4"}}, "layer of low is 'conv4'"),
    ],
)
def test_features_that_were_made_otherwise_are_refused(digits, made_by, other, message):
    made_by(made())
    digits.train("digits", exclude=["digit", "high"])
    digits.text("vista_predict", model="m/low", data="digits")
    made_by(made(sha=None))  # weights that are not here yet tell nothing
    digits.text("vista_predict", model="m/low", data="digits")
    made_by(other)
    for function in ("vista_predict", "vista_evaluate", "vista_confusion"):
        with pytest.raises(ModelError, match=r"was trained on other features") as caught:
            digits.text(function, model="m/low", data="digits")
        assert message in str(caught.value)


def test_unknown_models_offer_the_nearest(digits):
    digits.train("digits", model="healthy", exclude=["digit"])
    for wrong, right in [
        ("helthy", "'healthy'"),
        ("healthy/lov", "'healthy/low@1'"),
        ("healthy@7", "healthy@1"),
        ("", "healthy"),
    ]:
        with pytest.raises(UnknownNameError, match="unknown model") as caught:
            digits.text("vista_predict", model=wrong, data="digits")
        assert right in str(caught.value)


class SettingsOnly:
    dialect = DUCKDB

    def resolved(self, call):
        return call

    def engine(self, call):
        return "tensorflow"

    def setting(self, name, call):
        return Settings({}, {}).value(name, call.get(name))


def test_a_record_says_how_each_column_was_made():
    calls = _provenance.transfer_calls(
        "SELECT t.*, u.* FROM TRANSFER('LeNet5', layers => ['fc6', 'conv3'], prefix => 'a_') t "
        "JOIN transfer(cnn := 'lenet5', layers := 'conv1', weights := 'random', seed := 3, "
        "pool := 'gap', dtype := 'bfloat16') u USING (id); -- the end",
        SettingsOnly(),
    )
    record = _provenance.record(calls, SettingsOnly())
    one, other = record["transfers"]
    assert one["arguments"] == {
        "cnn": "lenet5",
        "weights": "bundled",
        "pool": "max2x2",
        "dtype": "float32",
        "engine": "tensorflow",
        "prefix": "a_",
        "key": "id",
        "image": None,
        "boxes": "",
        "region": "",
    }
    assert len(one["columns"]) == 2
    assert one["columns"]["a_fc6"] == "f6"  # the network's own name
    assert len(one["weights_sha256"]) == 64
    assert one["preprocessing"]["order"] == "gray"
    assert other["arguments"]["seed"] == 3
    assert (other["arguments"]["pool"], other["arguments"]["dtype"]) == ("gap", "bfloat16")
    assert other["weights_sha256"] == "random:3"
    assert "vista-sql" in record["versions"]


@pytest.mark.parametrize("text", ["features", '"transfer"', "SELECT * FROM vista_things"])
def test_a_relation_without_transfers_has_no_record(text):
    calls = _provenance.transfer_calls(text, SettingsOnly())
    assert _provenance.record(calls, SettingsOnly()) == {}


def test_every_kind_of_number_is_a_feature(digits):
    rows = digits.train(
        "SELECT id, y, ink::DECIMAL(12, 3) AS a, half::HUGEINT AS b, digit::UTINYINT AS c, "
        "ink::UBIGINT AS d, half::FLOAT AS e, thick, high::DOUBLE[] AS f, low::DOUBLE[48] AS g "
        "FROM digits"
    )
    assert [(row["feature_set"], row["dims"]) for row in rows] == [
        ("structured", 6),
        ("structured+f", 54),
        ("structured+g", 54),
    ]


def test_without_a_key_the_split_follows_the_content(digits):
    digits.con.execute("CREATE TABLE twice AS SELECT * EXCLUDE (id) FROM digits")
    digits.con.execute("INSERT INTO twice SELECT * FROM twice")
    once = digits.train("SELECT * EXCLUDE (id) FROM digits", exclude=["digit"], model="a")
    twice = digits.train("twice", exclude=["digit"], model="b")
    assert twice[0]["n_test"] == 2 * once[0]["n_test"]  # equal rows stand on one side


def test_a_model_alone_is_evaluated_by_the_rows_held_out(digits):
    rows = digits.train("digits", exclude=["digit"], max_iterations=20)
    best = next(row for row in rows if row["is_best"])
    (found,) = digits("vista_evaluate", model="m")
    assert list(found) == [
        "precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc", "n", "n_skipped",
    ]  # fmt: skip
    assert found["n"] == best["n_test"]
    for name in ("precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"):
        assert found[name] == pytest.approx(best[name])
    digits.train("digits", model="n", label="ink", trainer="linear", max_iterations=20)
    (numbers,) = digits("vista_evaluate", model="n")
    assert list(numbers) == ["r2", "mae", "rmse", "n", "n_skipped"]
    digits.train("digits", model="u", exclude=["digit"], test_fraction=0, features=["ink"])
    with pytest.raises(ArgumentError, match="had no test rows"):
        digits.text("vista_evaluate", model="u")


def test_few_rows_of_a_wide_layer_converge(sql):
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(0)
    z = rng.standard_normal((72, 25))
    x = np.maximum(z @ rng.standard_normal((25, 512)) + 2, 0).astype(np.float32)
    layer = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 512)
    table = pa.table({"id": np.arange(72), "a": z[:, 1], "v": layer, "y": z[:, 0] > 0})
    sql.con.register("few", table)
    for row in sql.train("few"):
        assert (row["converged"], row["warning"]) == (True, None)
