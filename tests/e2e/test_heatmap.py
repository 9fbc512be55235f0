"""VISTA_HEATMAP: scores taken apart, over images and tables as they are."""

from __future__ import annotations

import cv2
import foods
import numpy as np
import pytest

import vista_sql
from vista_sql.errors import ArgumentError, ModelError, UnknownNameError

CALL = "VISTA_HEATMAP(model => '{}', images => 'photos', structured => 'facts'{})"

SHOWN = "SELECT pid, class, score, heatmap FROM"


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heat")
    with vista_sql.connect(folder / "heat.duckdb") as session:
        con = session.con
        con.execute("CREATE TABLE photos (pid INTEGER, photo BLOB)")
        con.execute(
            "CREATE TABLE facts AS SELECT i::INTEGER AS pid, (i * 7 % 5)::DOUBLE AS x, "
            "i % 2 = 0 AS even, i % 3 AS rest, (i * 7 % 5 + i % 3)::DOUBLE AS amount "
            "FROM range(45) AS r(i)"
        )
        rng = np.random.default_rng(0)
        for i in range(45):
            gray = rng.integers(0, 90, (28, 28), np.uint8)
            gray[4 : 12 + 4 * (i % 3), 4 : 24 - 8 * (i % 2)] += 120
            con.execute("INSERT INTO photos VALUES (?, ?)", [i, png(gray)])
        for label in ("even", "rest"):
            train(session, label, label, baselines="['structured', 'tree']")
        yield session


def train(db, model, label, pool="max2x2", layers="['pool1', 'conv3']", **options):
    more = "".join(f", {name} => {value}" for name, value in options.items())
    db.query(
        f"FROM VISTA_TRAIN(model => '{model}', label => '{label}', cnn => 'lenet5', key => 'pid', "
        f"layers => {layers}, images => 'photos', structured => 'facts', pool => '{pool}', "
        f"features => ['x', 'pool1', 'conv3'], max_iterations => 9, reg => 0.001{more})"
    ).arrow()


def rows(db, text):
    return db.query(text).arrow().to_pylist()


@pytest.mark.parametrize(
    ("pool", "label", "trainer"),
    [
        ("max2x2", "even", "logistic"),
        ("avg2x2", "rest", "logistic"),
        ("gap", "amount", "linear"),
        ("gmp", "rest", "logistic"),
        ("gem", "even", "logistic"),
        ("none", "amount", "linear"),
    ],
)
def test_the_map_adds_up_to_the_part_of_the_image(db, pool, label, trainer):
    train(db, f"{label}_{pool}", label, pool, trainer=f"'{trainer}'")
    for layer, side in (("pool1", 14), ("conv3", 1)):
        call = CALL.format(f"{label}_{pool}/{layer}", "")
        found = rows(db, f"FROM {call} WHERE pid < 6 ORDER BY pid")
        predicted = rows(
            db,
            f"FROM VISTA_PREDICT(model => '{label}_{pool}/{layer}', images => 'photos', "
            "structured => 'facts') WHERE pid < 6 ORDER BY pid",
        )
        for row, other in zip(found, predicted, strict=True):
            heat = np.array(row["heatmap"])
            assert heat.shape == (side, side)
            assert abs(heat.sum() - row["from_image"]) <= 1e-5 * np.abs(heat).sum()
            assert row["score"] == pytest.approx(row["from_image"] + row["from_columns"], abs=1e-12)
            if label == "amount":
                assert row["class"] is None
                assert row["score"] == pytest.approx(other["predicted_label"], abs=1e-9)
            else:
                assert row["class"] == other["predicted_label"]
                if label == "even":
                    odds = other["probability"] / (1 - other["probability"])
                    assert row["score"] == pytest.approx(np.log(odds), abs=1e-6)
            assert row["error"] is None


def test_scores_of_all_classes_are_those_that_probabilities_are_made_of(db):
    call = CALL.format("rest/pool1", ", class => {}")
    scores = np.array(
        [
            [r["score"] for r in rows(db, f"SELECT pid, score FROM {call.format(c)} ORDER BY pid")]
            for c in range(3)
        ]
    ).T
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    predicted = rows(
        db,
        "FROM VISTA_PREDICT(model => 'rest/pool1', images => 'photos', structured => 'facts') "
        "ORDER BY pid",
    )
    wanted = [[dict(row["probabilities"])[str(c)] for c in range(3)] for row in predicted]
    np.testing.assert_allclose(softmax, wanted, atol=1e-9)


def test_of_two_classes_one_is_the_others_negated(db):
    call = CALL.format("even/pool1", ", class => {}")
    one, other = (
        rows(db, f"{SHOWN} {call.format(name)} ORDER BY pid") for name in ("true", "'false'")
    )
    for a, b in zip(one, other, strict=True):
        assert (a["class"], b["class"]) == (True, False)
        assert a["score"] == -b["score"]
        np.testing.assert_array_equal(a["heatmap"], -np.array(b["heatmap"]))


def test_a_grayed_patch_takes_off_what_prediction_says(db):
    patch, stride = 10, 11
    call = CALL.format(
        "even/conv3", f", method => 'occlusion', patch => {patch}, stride => {stride}"
    )
    (row,) = rows(db, f"{SHOWN} {call} WHERE pid = 4")
    heat = np.array(row["heatmap"])
    assert heat.shape == (3, 3)  # (32 - 10) // 11 + 1
    # at the size of the network's input, so that graying the image is graying the input
    (pixels,) = db.con.execute("SELECT photo FROM photos WHERE pid = 4").fetchone()
    image = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_GRAYSCALE)
    image = cv2.resize(image, (32, 32), interpolation=cv2.INTER_LINEAR)
    db.con.execute("CREATE OR REPLACE TABLE grayed (pid INTEGER, photo BLOB)")
    for i in range(10):
        copy = image.copy()
        if i:
            top, left = (i - 1) // 3 * stride, (i - 1) % 3 * stride
            copy[top : top + patch, left : left + patch] = 20  # lenet5's mean
        db.con.execute("INSERT INTO grayed VALUES (?, ?)", [i, png(copy)])
    given = f", class => {str(row['class']).lower()}"
    same = "(SELECT range::INTEGER AS pid, x FROM facts, range(10) WHERE pid = 4)"
    call = CALL.format("even/conv3", given).replace("'photos'", "'grayed'")
    found = rows(
        db, f"{SHOWN} {call.replace(chr(39) + 'facts' + chr(39), repr(same))} ORDER BY pid"
    )
    assert found[0]["score"] == pytest.approx(row["score"], abs=1e-9)
    falls = [found[0]["score"] - other["score"] for other in found[1:]]
    np.testing.assert_allclose(heat.ravel(), falls, atol=1e-5 * np.abs(heat).max())


@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_rows_without_an_image_or_a_number_say_why(db, method):
    db.con.execute(
        "CREATE OR REPLACE TABLE few AS SELECT 0 AS pid, photo FROM photos WHERE pid = 3 "
        "UNION ALL SELECT 1, NULL UNION ALL SELECT 2, 'no image'::BLOB "
        "UNION ALL SELECT 3, photo FROM photos WHERE pid = 3 "
        "UNION ALL SELECT NULL, photo FROM photos WHERE pid = 3"
    )
    facts = "(SELECT pid, CASE WHEN pid < 3 THEN x END AS x FROM facts)"
    call = (
        f"VISTA_HEATMAP(model => 'even/pool1', images => 'few', structured => '{facts}', "
        f"method => '{method}')"
    )
    found = rows(db, f"FROM {call} ORDER BY pid")
    assert [row["pid"] for row in found] == [0, 1, 2, 3]
    good, *others = found
    assert good["error"] is None
    assert good["picture"].startswith(b"\x89PNG")
    assert [row["error"] and row["error"][:20] for row in others] == [
        None, "not an image (8 byte", "column 'x' is NULL, "
    ]  # fmt: skip
    for row in others:
        assert {v for k, v in row.items() if k not in ("pid", "error")} == {None}


def test_pictures_show_the_image_and_the_map_over_it(db):
    for opacity in (0, 1):
        call = CALL.format("even/pool1", f", opacity => {opacity}")
        ((data, photo),) = db.query(
            f"SELECT picture, photo FROM {call} JOIN photos USING (pid) WHERE pid = 7"
        ).fetchall()
        shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        plain = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
        plain = cv2.resize(plain, (384, 384), interpolation=cv2.INTER_LINEAR)
        assert shown.shape == (384, 384, 3)
        assert (shown == plain).all() == (opacity == 0)


@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_only_the_rows_asked_for_are_inferred_and_pictures_only_if_asked(db, method):
    call = CALL.format("even/pool1", f", method => '{method}'")
    rows(db, f"SELECT pid, score, heatmap FROM {call} WHERE pid IN (3, 9)")
    run = rows(db, "FROM VISTA_RUNS()")[0]
    assert (run["rows"], run["images_inferred"]) == (2, 2)


def test_bare_connections_and_folders_have_it(db, tmp_path):
    shown = "SELECT pid, class, score, heatmap FROM {} ORDER BY pid"
    wanted = db.query(shown.format(CALL.format("even/pool1", ""))).fetchall()
    with db.con.cursor() as con:
        vista_sql.attach(con)
        assert con.execute(shown.format(CALL.format("even/pool1", ""))).fetchall() == wanted
        assert con.execute(foods.LEFTOVERS).fetchall() == []
    (tmp_path / "photos").mkdir()
    for pid, photo in db.con.execute("FROM photos WHERE pid < 4").fetchall():
        (tmp_path / "photos" / f"{pid}.png").write_bytes(photo)
    facts = "(SELECT pid || ''.png'' AS file, x FROM facts)"
    found = db.query(
        "SELECT file, class, score, heatmap "
        f"FROM VISTA_HEATMAP('even/pool1', '{tmp_path}/photos/', '{facts}', 'file') ORDER BY 1"
    ).fetchall()
    assert [(f"{row[0]}.png", *row[1:]) for row in wanted[:4]] == found


@pytest.mark.parametrize(
    ("model", "given", "says", "underlined"),
    [
        ("even/structured", "", "uses no layer, so no place of an image", "'even/structured'"),
        ("even/tree", "", "fitted by trainer 'tree'", "'even/tree'"),
        ("all", "", "uses 2 layers (pool1, conv3), and a heat map is of one", "'all'"),
        ("nobody", "", "unknown model 'nobody'", "'nobody'"),
        ("even/pool1", ", class => 'maybe'", "unknown class 'maybe'", "'maybe'"),
        ("even/pool1", ", class => [1]", "class must be one of the model's classes", "1"),
        ("amount_gap/pool1", ", class => 1", "predicts a number: it has no classes", "1"),
        ("even/pool1", ", method => 'gradcam'", "unknown method 'gradcam'", "'gradcam'"),
        ("even/pool1", ", patch => 8", "patch is of method => 'occlusion'", "8"),
        ("even/pool1", ", opacity => 2", "opacity must be a number in [0, 1], not 2", "2"),
        ("even/pool1", ", stride => 0, method => 'occlusion'", "of at least 1, not 0", "0"),
        ("even/pool1", ", data => 'facts'", "unknown argument 'data'", None),
        ("even/pool1", ", pool => 'gap'", "trained with pool => 'max2x2', not 'gap'", "'gap'"),
        ("even/pool1", ", key => 'nokey'", "unknown column 'nokey'", "'nokey'"),
    ],
)
def test_errors_underline_what_the_user_wrote(db, model, given, says, underlined):
    if model == "all":
        train(db, "all", "even", by_layer="false")
    if model == "amount_gap/pool1":
        train(db, "amount_gap", "amount", "gap", trainer="'linear'")
    text = f"FROM {CALL.format(model, given)}"
    with pytest.raises((ArgumentError, UnknownNameError)) as caught:
        db.query(text)
    assert says in caught.value.message
    place = caught.value.place
    if underlined:
        assert place.text[place.start : place.end] in (underlined, f"'{model}'")
    assert rows(db, foods.LEFTOVERS) == []


def test_what_only_the_network_knows_is_an_error_too(db):
    db.query(
        "FROM VISTA_TRAIN(model => 'dense', label => 'even', cnn => 'lenet5', layers => 'fc6', "
        "images => 'photos', structured => 'facts', key => 'pid', features => ['fc6'])"
    ).arrow()
    with pytest.raises(ModelError, match=r"layer 'f6' .* has no places"):
        rows(db, f"FROM {CALL.format('dense', '')}")
    given = ", method => 'occlusion', patch => 33"
    with pytest.raises(ArgumentError, match=r"patch => 33 is larger than the input of 'lenet5'"):
        rows(db, f"FROM {CALL.format('dense', given)}")
    given = ", method => 'occlusion', patch => 32"
    (found,) = rows(db, f"FROM {CALL.format('dense', given)} WHERE pid = 1")
    assert np.array(found["heatmap"]).shape == (1, 1)
    with pytest.raises(ArgumentError, match=r"needs column 'x', which the data does not have"):
        rows(db, "FROM VISTA_HEATMAP('even/pool1', 'photos')")
