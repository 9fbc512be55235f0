"""VISTA_COMPARE on real images: which layer of which CNN, and when that is clear."""

import numpy as np
import pytest

import vista_sql
from vista_sql import datasets
from vista_sql.errors import ArgumentError, UnknownNameError

OPTIONS = "images => 'digit_images', structured => 'digits', label => 'digit', seed => 3"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    datasets.digits(folder)
    with vista_sql.connect(folder / "demo.duckdb") as session:
        session.con.execute("SET VARIABLE vista_home = ?", [str(folder / "home")])
        yield session


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def compare(db, more, options=OPTIONS):
    return rows(db, f"SELECT * FROM VISTA_COMPARE({options}, max_iterations => 15, {more})")


def figures(found, *left_out):
    hidden = {"seconds", "model", "confidence", *left_out}
    return {row["feature_set"]: {k: v for k, v in row.items() if k not in hidden} for row in found}


def test_layers_are_compared_as_vista_train_does_and_nothing_is_kept(db):
    found = compare(db, "cnn => 'lenet5', baselines => ['structured', 'hog', 'tree']")
    data = "SELECT * FROM TRANSFER('lenet5', images => 'digit_images', structured => 'digits')"
    trained = rows(
        db,
        f"SELECT * FROM VISTA_TRAIN(model => 'x', label => 'digit', data => $${data}$$, seed => 3, "
        "max_iterations => 15, baselines => ['structured', 'hog', 'tree'])",
    )
    assert figures(found) == figures(trained)
    assert len(found) == 7
    assert {row["model"] for row in found} == {None}
    scores = [row["f1_score"] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert [row["is_best"] for row in found] == [True] + [False] * 6
    assert all(0.5 <= row["confidence"] <= 1 for row in found)
    assert found[0]["confidence"] == min(row["confidence"] for row in found)
    assert {m["name"] for m in rows(db, "SELECT * FROM VISTA_MODELS()")} == {"x"}


def test_several_cnns_are_compared_over_one_stream(db):
    few = OPTIONS.replace("'digits'", "'(SELECT * FROM digits WHERE id % 8 = 0)'")
    before = rows(db, "SELECT * FROM VISTA_RUNS()")
    found = compare(
        db,
        "cnn => ['lenet5', 'hog'], layers => ['lenet5.conv3', 'fc6', 'hog'], weights => 'random'",
        few,
    )
    assert {row["layer"] for row in found} == {None, "lenet5.conv3", "lenet5.fc6", "hog"}
    (run, *_) = rows(db, "SELECT * FROM VISTA_RUNS()")
    n = rows(db, "SELECT count(*) AS n FROM digits WHERE id % 8 = 0")[0]["n"]
    assert len(rows(db, "SELECT * FROM VISTA_RUNS()")) > len(before)
    assert run["rows"] == n  # one join, read once for all CNNs
    again = compare(db, "cnn => 'lenet5', layers => [-1, -2], weights => 'random'", few)
    one, both = figures(again), figures(found)
    assert one["structured+fc6"]["f1_score"] == both["structured+lenet5.fc6"]["f1_score"]


def test_a_plain_connection_compares_the_same(db):
    here = compare(db, "cnn => 'lenet5', layers => [-1, -2]")
    con = db.con.cursor()
    vista_sql.attach(con)
    there = con.execute(
        f"SELECT feature_set, f1_score FROM VISTA_COMPARE({OPTIONS}, max_iterations => 15, "
        "cnn => 'lenet5', layers => [-1, -2])"
    ).fetchall()
    con.close()
    assert there == [(row["feature_set"], row["f1_score"]) for row in here]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("layers", ["['conv2', 'pool2', 'conv3', 'fc6']", "[-1, -2]"])
def test_with_a_budget_the_choice_is_that_of_all_rows(db, seed, layers):
    options = OPTIONS.replace("seed => 3", f"seed => {seed}")
    whole = compare(db, f"cnn => 'lenet5', layers => {layers}", options)
    found = compare(db, f"cnn => 'lenet5', layers => {layers}, budget_seconds => 500", options)
    assert found[0]["feature_set"] == whole[0]["feature_set"]
    assert found[0]["is_best"]
    assert {row["feature_set"] for row in found} == {row["feature_set"] for row in whole}


def many(db):
    """16 rows of each digit, sorted by digit: only a shuffled stream begins with all of them."""
    db.con.execute(
        "CREATE OR REPLACE TABLE many AS SELECT d.* REPLACE (d.id * 16 + i AS id) "
        "FROM digits d, range(16) t(i) ORDER BY digit"
    )
    db.con.execute(
        "CREATE OR REPLACE TABLE many_images AS SELECT d.id * 16 + i AS id, path "
        "FROM digit_images d, range(16) t(i)"
    )
    return OPTIONS.replace("digit_images", "many_images").replace("'digits'", "'many'")


def test_a_clear_winner_stops_the_stream(db):
    options = many(db)
    found = compare(db, "cnn => 'lenet5', layers => 'conv2', budget_seconds => 500", options)
    assert [row["feature_set"] for row in found] == ["structured+conv2", "structured"]
    seen = found[0]["n_train"] + found[0]["n_test"]
    assert 256 <= seen < 16 * 896 / 2
    whole = compare(db, "cnn => 'lenet5', layers => 'conv2'", options)
    assert abs(found[1]["f1_score"] - whole[1]["f1_score"]) < 0.06  # a sample, not the first digits
    assert found[0]["n_skipped"] == 0  # what is not looked at is not skipped, it did not come
    assert found[0]["confidence"] > 0.998
    runs = rows(db, "SELECT * FROM VISTA_RUNS()")  # newest first
    run = next(run for run in runs if "budget_seconds" in run["statement"])
    assert run["images"] < 16 * 896 / 2  # the rest was not even decoded


def test_the_budget_ends_it_and_says_how_sure_it_is(db):
    options = many(db)
    layers = "layers => ['pool2', 'conv3', 'fc6']"
    found = compare(db, f"cnn => 'lenet5', {layers}, budget_seconds => 0.2", options)
    seen = found[0]["n_train"] + found[0]["n_test"]
    assert 0 < seen < 16 * 896
    assert len(found) == 4
    assert found[0]["confidence"] is not None


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        ("cnn => 'lenet6'", UnknownNameError, "did you mean 'lenet5'"),
        ("cnn => ['lenet5', 'LeNet5']", ArgumentError, "names 'LeNet5' twice"),
        ("cnn => []", ArgumentError, "cnn => names no CNN"),
        ("cnn => 3", ArgumentError, "cnn must be a name or a list of names"),
        ("cnn => 'lenet5', layers => ['fc9']", UnknownNameError, "unknown layer 'fc9'"),
        ("cnn => ['lenet5', 'hog'], layers => -3", ArgumentError, "layer -3 of hog"),
        ("cnn => 'lenet5', layers => []", ArgumentError, "layers must be names"),
        ("cnn => 'lenet5', layers => ['fc6', 'f6']", ArgumentError, "are the same layer"),
        ("cnn => 'lenet5', budget_seconds => 0", ArgumentError, "budget_seconds must be a number"),
        ("cnn => 'lenet5', budget_seconds => 'x'", ArgumentError, "budget_seconds must be"),
        ("cnn => 'lenet5', model => 'm'", UnknownNameError, "unknown argument 'model'"),
        ("cnn => 'lenet5', reg => -1", ArgumentError, "reg must be a number of at least 0"),
    ],
)
def test_arguments_that_cannot_be(db, more, kind, message):
    with pytest.raises(kind) as caught:
        compare(db, more)
    assert message in str(caught.value)


def test_one_that_has_beaten_nobody_reads_all_rows(db):
    options = many(db).replace("'many'", "'(SELECT id, digit FROM many WHERE id % 8 = 0)'")
    (row,) = compare(db, "cnn => 'lenet5', layers => -1, budget_seconds => 500", options)
    assert row["n_train"] + row["n_test"] == 2 * 896


def test_confidence_is_the_chance_that_the_better_one_is_better():
    from vista_sql.train.race import ahead, judge

    best, other = np.array([True] * 9 + [False]), np.array([True] * 5 + [False] * 4 + [True])
    assert ahead(best, other) == pytest.approx((4 - 1) / 5**0.5)
    assert ahead(best, best) == 0.0
    made = [{"f1_score": f, "log_loss": 0.1, "dims": 1} for f in (0.6, 0.9)]
    assert judge(made, [other, best])[1] == 0.0
    assert made[0]["confidence"] == made[1]["confidence"] == pytest.approx(0.9101, abs=1e-4)
    lone = [{"f1_score": None, "log_loss": None, "dims": 1}]
    judge(lone, [np.zeros(0, bool)])
    assert lone[0]["confidence"] is None
