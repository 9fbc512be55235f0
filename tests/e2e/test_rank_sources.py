"""VISTA_RANK_SOURCES on real images: its scores, what it does not compute, and what it refuses."""

# ruff: noqa: E501 - a statement is a line

import numpy as np
import pytest
import variants
from inferences import Count, images_db, statement

import vista_sql
from vista_sql import datasets
from vista_sql.errors import ModelError, UnknownNameError, VistaError
from vista_sql.ranking.features import Features
from vista_sql.ranking.scores.h_score import h_score
from vista_sql.ranking.scores.knn import knn_accuracy
from vista_sql.ranking.scores.leep import leep
from vista_sql.train.arrays import rows_of

FEW = "(SELECT * FROM digits WHERE id % 5 = 0)"
OPTIONS = f"images => 'digit_images', structured => '{FEW}', label => 'digit'"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rank")
    datasets.digits(folder)
    with vista_sql.connect(folder / "demo.duckdb") as session:
        session.con.execute("SET VARIABLE vista_home = ?", [str(folder / "home")])
        yield session


def rank(db, more, options=OPTIONS):
    found = db.query(f"SELECT * FROM VISTA_RANK_SOURCES({options}, {more})")
    return found.arrow().to_pylist()


def by_layer(found):
    return {(row["cnn"], row["weights"], row["layer"]): row for row in found}


def test_scores_are_those_of_the_features(db):
    """All three kinds of score, of features that TRANSFER returns."""
    found = rank(db, "cnn => 'lenet5', layers => ['conv2', 'fc6']")
    table = db.query(
        "SELECT digit, conv2, fc6, predictions FROM TRANSFER(cnn => 'lenet5', images => "
        f"'digit_images', structured => '{FEW}', layers => ['conv2', 'fc6', 'predictions'])"
    ).arrow()
    y = np.asarray(table["digit"]) - 5
    layers = {name: np.stack(table[name].to_numpy()) for name in table.column_names[1:]}

    def features(name):
        return Features(rows_of(np.zeros((len(y), 0)), [layers[name]], y), 0, 5)

    for row in found:
        assert row["n"] == len(y)
        expected = features(row["layer"])
        assert row["knn_accuracy"] == pytest.approx(knn_accuracy(expected))
        assert row["h_score"] == pytest.approx(h_score(expected), rel=1e-9)
        assert row["leep"] == pytest.approx(leep(features("predictions")), rel=1e-6)
        assert row["p2l"] is None
    assert [row["knn_accuracy"] for row in found] == sorted(
        (row["knn_accuracy"] for row in found), reverse=True
    )
    assert list(found[0]) == [
        "cnn", "weights", "layer", "knn_accuracy", "h_score", "logme", "leep", "nce", "p2l", "n",
        "seconds", "warning",
    ]  # fmt: skip


def test_networks_and_weights_are_ranked_beside_each_other(db):
    found = by_layer(
        rank(
            db,
            "cnn => ['lenet5', 'hog'], layers => ['fc6', 'hog'], weights => ['bundled', 'random']",
        )
    )
    assert set(found) == {
        ("lenet5", "bundled", "fc6"), ("lenet5", "random", "fc6"), ("hog", "none", "hog"),
    }  # fmt: skip
    assert found["hog", "none", "hog"]["leep"] is None
    (alone,) = rank(db, "cnn => 'lenet5', layers => -1, weights => 'random'")
    beside = found["lenet5", "random", "fc6"]
    for score in ("knn_accuracy", "h_score", "logme", "leep", "nce"):
        assert beside[score] == pytest.approx(alone[score], rel=1e-9)


def test_trained_adds_what_compare_says_and_the_regret(db):
    more = "cnn => 'lenet5', layers => ['conv2', 'pool2', 'fc6'], max_iterations => 15"
    found = by_layer(rank(db, f"{more}, trained => true"))
    compared = db.query(f"SELECT layer, f1_score FROM VISTA_COMPARE({OPTIONS}, {more})").fetchall()
    expected = {layer: f1 for layer, f1 in compared if layer}
    assert {layer: row["f1_score"] for (*_, layer), row in found.items()} == expected
    best = max(expected.values())
    rows = list(found.values())
    first = max(rows, key=lambda row: row["knn_accuracy"])
    regret = dict(rows[0]["regret"])
    assert regret["knn_accuracy"] == pytest.approx(best - first["f1_score"])
    assert regret["leep"] == pytest.approx(best - np.mean(list(expected.values())))  # all alike
    assert "p2l" not in regret


def test_p2l_compares_sources(db):
    sources = """$$SELECT 'LeNet5' AS cnn, 'bundled' AS weights, [1.0 + i FOR i IN range(84)] AS mean,
                     901 AS n UNION ALL SELECT 'lenet5', 'random', [1.0 FOR i IN range(84)], 1$$"""
    found = by_layer(
        rank(db, "cnn => 'lenet5', layers => ['conv2', 'fc6'], weights => ['bundled', 'random'], "
             f"sources => {sources}")
    )  # fmt: skip
    scores = {key: row["p2l"] for key, row in found.items()}
    assert scores["lenet5", "bundled", "fc6"] == scores["lenet5", "bundled", "conv2"]
    assert abs(scores["lenet5", "bundled", "fc6"]) in (pytest.approx(0.5), pytest.approx(2.5))
    assert sum(scores.values()) == pytest.approx(0)


def test_negative_transfer_is_said(db):
    given = "(SELECT id, digit, digit % 3 AS a, digit % 2 AS b FROM digits WHERE id % 5 = 0)"
    options = f"images => 'digit_images', structured => '{given}', label => 'digit'"
    for more in ("", ", trained => true, max_iterations => 15"):
        found = rank(db, f"cnn => 'lenet5', layers => ['fc6'], weights => 'random'{more}", options)
        assert "negative transfer" in found[0]["warning"]
    assert rank(db, "cnn => 'lenet5', layers => ['conv2']")[0]["warning"] is None


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ("cnn => 'lenet6'", UnknownNameError, "did you mean 'lenet5'"),
        ("cnn => 'lenet5', layers => 'fc9'", UnknownNameError, "did you mean 'fc6'"),
        ("cnn => 'lenet5', weights => ['bundled', 'randon']", VistaError, "'random'"),
        (
            "cnn => 'lenet5', sources => $$SELECT 'vgg16' AS cnn, 'x' AS weights, [1] AS mean, 1 AS n$$",
            UnknownNameError,
            "lenet5/bundled",
        ),
        (
            "cnn => 'lenet5', sources => "
            "$$SELECT 'lenet5' AS cnn, 'bundled' AS weights, NULL AS mean, 1 AS n$$",
            ModelError,
            "mean is a list of numbers",
        ),
        (
            "cnn => 'lenet5', sources => "
            "$$SELECT 'lenet5' AS cnn, 'bundled' AS weights, [1] AS mean, 0 AS n$$",
            ModelError,
            "n is how many images",
        ),
    ],
)
def test_what_is_wrong_is_said(db, more, error, said):
    with pytest.raises(error, match=said):
        rank(db, more)
    assert rank(db, "cnn => 'lenet5', layers => 'fc6'")  # the session lives on


@pytest.mark.parametrize(
    ("where", "said"), [("digit = 5", "has one class, '5'"), ("false", "no rows")]
)
def test_rows_that_nothing_can_be_told_of(db, where, said):
    options = (
        f"images => 'digit_images', structured => '(SELECT * FROM digits WHERE {where})', "
        "label => 'digit'"
    )
    with pytest.raises(ModelError, match=said):
        rank(db, "cnn => 'lenet5', layers => 'fc6'", options)


def test_features_at_hand_are_not_inferred_again(tmp_path):
    """The layers are in the store, from a TRANSFER; the classifier follows from the highest."""
    with images_db(tmp_path, "query") as session:
        session.con.execute("CREATE TABLE labelled AS SELECT id, id % 3 AS y FROM images")
        count = Count(session)
        count(statement("'conv2', 'f6'"))
        assert count.images_inferred == 60
        ask = (
            "SELECT layer, leep FROM VISTA_RANK_SOURCES(cnn => 'lenet5', layers => ['conv2', 'f6'], "
            "images => 'images', structured => 'labelled', label => 'y')"
        )
        assert all(row[1] is not None for row in count(ask))
        assert count.images_inferred == 0
        low = ask.replace("['conv2', 'f6']", "['conv2']")  # no vector that leads to the classifier
        assert all(row[1] is not None for row in count(low))
        assert count.images_inferred == 60
        count(low)
        assert count.images_inferred == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")  # Keras saving
def test_files_are_called_as_the_call_names_them(db, tmp_path, monkeypatch):
    variants.save("plain", tmp_path)
    monkeypatch.chdir(tmp_path)
    sources = """$$SELECT 'plain.keras' AS cnn, 'plain.keras' AS weights, 9 AS n,
                     [1.0 + i FOR i IN range(12)] AS mean$$"""
    more = f"cnn => ['plain.keras', 'lenet5'], layers => ['mean', 'fc6'], sources => {sources}"
    found = by_layer(rank(db, more))
    assert set(found) == {("plain.keras", "plain.keras", "mean"), ("lenet5", "bundled", "fc6")}
    assert found["plain.keras", "plain.keras", "mean"]["p2l"] is not None


def test_rows_without_a_label_are_counted(db):
    given = "(SELECT id, if(id % 10 = 0, NULL, digit) AS digit FROM digits WHERE id % 5 = 0)"
    options = f"images => 'digit_images', structured => '{given}', label => 'digit'"
    (row,) = rank(db, "cnn => 'lenet5', layers => 'fc6'", options)
    assert row["n"] == 90
    assert row["warning"].startswith("in 90 of 180 rows label 'digit' is NULL: skipped")


def test_an_unknown_label_is_told_with_the_columns_of_the_user(db):
    options = OPTIONS.replace("label => 'digit'", "label => 'digitt'")
    with pytest.raises(UnknownNameError, match=r"digitt.* mean 'digit'") as told:
        rank(db, "cnn => ['lenet5']", options)
    assert "→" not in str(told.value)
    assert "fc6" not in str(told.value)
