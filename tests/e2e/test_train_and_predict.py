"""The paper's workload through a session: images to features to models to predictions."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import vista_sql

DATA = "SELECT * FROM TRANSFER(cnn => 'lenet5', images => 'images', structured => 'facts')"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    import cv2

    folder = tmp_path_factory.mktemp("digits")
    x, y = load_digits(return_X_y=True)
    chosen = [int(i) for i in np.flatnonzero(y >= 5)[:300]]
    with vista_sql.connect(folder / "digits.duckdb") as session:
        session.con.execute("CREATE TABLE images (id INTEGER, path VARCHAR)")
        session.con.execute("CREATE TABLE facts (id INTEGER, ink DOUBLE, y INTEGER)")
        for i in chosen:
            pixels = cv2.resize((x[i].reshape(8, 8) * 15.9).astype(np.uint8), (28, 28))
            cv2.imwrite(str(folder / f"{i}.png"), pixels)
            session.con.execute("INSERT INTO images VALUES (?, ?)", [i, str(folder / f"{i}.png")])
            session.con.execute("INSERT INTO facts VALUES (?, ?, ?)", [i, x[i].sum(), int(y[i])])
        (folder / f"{chosen[7]}.png").write_bytes(b"no image")
        yield session


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def train(db, model="d", more=""):
    return rows(
        db,
        f"SELECT * FROM VISTA_TRAIN(model => '{model}', label => 'y', data => $${DATA}$$, "
        f"max_iterations => 20{more})",
    )


def test_layers_are_compared_and_lift_is_real(db):
    found = train(db)
    assert found[0]["feature_set"] == "structured"
    assert {row["n_skipped"] for row in found} == {1}  # the unreadable image
    best = next(row for row in found if row["is_best"])
    assert best["lift"] > 0.3
    assert best["layer"] is not None
    assert train(db) == found


def test_attached_connections_train_the_same(db):
    here = train(db)
    con = db.con.cursor()
    vista_sql.attach(con)
    there = con.execute(
        f"SELECT model, f1_score FROM VISTA_TRAIN(model => 'd', label => 'y', data => $${DATA}$$, "
        "max_iterations => 20)"
    ).fetchall()
    assert there == [(row["model"], row["f1_score"]) for row in here]
    con.close()


def test_a_model_predicts_over_images_as_over_its_features(db):
    train(db)
    over_data = rows(
        db, f"SELECT id, predicted_label, probability, error FROM VISTA_PREDICT('d', $${DATA}$$)"
    )
    over_images = rows(
        db,
        "SELECT id, predicted_label, probability, error FROM "
        "VISTA_PREDICT(model => 'd', images => 'images', structured => 'facts')",
    )
    by_id = {row["id"]: row for row in over_data}
    assert len(by_id) == 300
    assert {row["id"]: row for row in over_images} == by_id
    failed = [row for row in over_data if row["error"] is not None]
    assert len(failed) == 1
    assert failed[0]["predicted_label"] is None
    (evaluated,) = rows(db, f"SELECT * FROM VISTA_EVALUATE('d', $${DATA}$$)")
    assert (evaluated["n"], evaluated["n_skipped"]) == (299, 1)
    confusion = rows(db, f"SELECT * FROM VISTA_CONFUSION('d', $${DATA}$$)")
    right = sum(row["n"] for row in confusion if row["expected"] == row["predicted"])
    assert evaluated["accuracy"] == pytest.approx(right / 299)


def test_the_registry_says_how_features_were_made(db):
    train(db)
    found = rows(db, "SELECT * FROM VISTA_MODELS() WHERE layer = 'fc6'")
    assert {row["cnn"] for row in found} == {"lenet5"}
    assert {row["cnn_layer"] for row in found} == {"f6"}
    assert {len(row["weights_sha256"]) for row in found} == {64}


def test_features_of_other_weights_are_refused(db):
    train(db)
    other = DATA.replace("'lenet5'", "'lenet5', weights => 'random'")
    with pytest.raises(vista_sql.errors.ModelError, match="weights_sha256 is 'random:0', was"):
        db.query(f"SELECT * FROM VISTA_PREDICT('d', $${other}$$)").arrow()


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        "SELECT id, ink, y, fc6 FROM TRANSFER('lenet5', -1, images => 'images', "
        "structured => 'facts')",
        "WITH f AS (SELECT id, fc6 FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'])) "
        "SELECT facts.*, fc6 FROM facts JOIN f ON facts.id = f.id",
    ],
)
def test_hog_is_a_baseline_of_the_same_images(db, data):
    found = rows(
        db,
        f"SELECT * FROM VISTA_TRAIN(model => 'h', label => 'y', data => $${data}$$, "
        "baselines => ['tree', 'hog', 'structured'], max_iterations => 20)",
    )
    sets = [row["feature_set"] for row in found]
    assert sets[:3] == ["structured", "structured+hog", "tree"]
    assert sets[-1] == "structured+fc6"
    hog = found[1]
    assert (hog["model"].partition("@")[0], hog["layer"]) == ("h/hog", "hog")
    assert (hog["dims"], hog["n_skipped"]) == (1 + 1764, 1)
    assert hog["n_train"] == found[0]["n_train"]
    assert hog["lift"] > 0.3


def test_a_hog_model_knows_how_its_features_are_made(db):
    trained = rows(
        db,
        f"SELECT * FROM VISTA_TRAIN(model => 'k', label => 'y', data => $${DATA}$$, reg => 0.1, "
        "by_layer => false, baselines => ['hog'], max_iterations => 20)",
    )
    assert [row["feature_set"] for row in trained] == ["structured+hog", "all"]
    assert trained[1]["dims"] == 1 + 64 + 64 + 120 + 84
    (kept,) = rows(db, "SELECT * FROM VISTA_MODELS() WHERE name = 'k' AND layer = 'hog'")
    assert (kept["cnn"], kept["cnn_layer"]) == ("hog", "hog")
    assert kept["weights_sha256"] == "computed:hog-1"
    wanted = "SELECT id, predicted_label, probability FROM VISTA_PREDICT(model => 'k/hog', {})"
    images = "images => 'images', structured => 'facts'"
    data = "data => $$SELECT * FROM TRANSFER(cnn => 'hog', structured => 'facts')$$"
    over_images = rows(db, wanted.format(images) + " ORDER BY id")
    assert over_images == rows(db, wanted.format(data) + " ORDER BY id")
    assert len(over_images) == 300
    (all_,) = rows(db, "SELECT * FROM VISTA_MODELS() WHERE name = 'k' AND layer IS NULL")
    assert all_["cnn"] == "lenet5"


@pytest.mark.parametrize(
    "data", ["facts", f"SELECT y, max(conv3[1]) AS c FROM ({DATA}) AS t GROUP BY y"]
)
def test_hog_without_images_to_read_is_refused(db, data):
    with pytest.raises(
        vista_sql.errors.ArgumentError, match="'hog' reads the images of a TRANSFER"
    ):
        db.query(
            f"FROM VISTA_TRAIN(model => 'e', label => 'y', data => $${data}$$, "
            "baselines => ['hog'])"
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("'lenet5'", "'lenet5', pool => 'gap'"), "pool is 'gap', was 'max2x2'"),
        (("'lenet5'", "'lenet5', dtype => 'bfloat16'"), "dtype is 'bfloat16', was 'float32'"),
        (("*", "id, ink, fc6 AS conv2"), "trained with column 'conv2' as FLOAT[64]"),
        (("'lenet5'", "'hog'"), "needs column 'conv2', which the data does not have"),
    ],
)
def test_features_made_in_another_way_are_refused(db, change, message):
    train(db)
    data = DATA.replace(*change)
    with pytest.raises(vista_sql.errors.ModelError) as caught:
        db.query(f"SELECT * FROM VISTA_PREDICT('d/conv2', $${data}$$)").arrow()
    assert message in str(caught.value)


def test_images_that_are_all_unreadable_train_nothing(db):
    data = DATA.replace("'images'", "'(SELECT id, path || ''.gone'' AS path FROM images)'")
    with pytest.raises(
        vista_sql.errors.ModelError,
        match=r"skipped all 300 rows: .* 'conv2' .*cannot be read, the first: .*relative paths",
    ):
        db.query(f"FROM VISTA_TRAIN(model => 'e', label => 'y', data => $${data}$$)").arrow()
    with pytest.warns(
        vista_sql.errors.UnreadableImagesWarning,
        match="300 of 300 images cannot be read, the first: key .*; relative paths start at /",
    ):
        assert db.query(data).arrow().num_rows == 300


def test_without_their_reasons_images_are_asked_for_and_no_column_left_out(db):
    data = DATA.replace("'images'", "'(SELECT id, path || ''.gone'' AS path FROM images)'")
    data = data.replace("SELECT *", "SELECT id, y, conv2")
    with pytest.raises(vista_sql.errors.ModelError) as caught:
        db.query(f"FROM VISTA_TRAIN(model => 'e', label => 'y', data => $${data}$$)").arrow()
    assert "column 'conv2' is NULL, not finite or too large: can its images be" in str(caught.value)
    assert f"relative paths start at {Path.cwd()}" in str(caught.value)
    assert "exclude" not in str(caught.value)


def test_text_beside_images_is_learned_from_in_every_host(db):
    db.con.execute(
        """CREATE OR REPLACE TABLE texts AS SELECT id, y, CASE WHEN ink < 300 THEN NULL
        WHEN ink < 330 THEN 'it''s' ELSE 'bold' END AS shade,
        (CASE WHEN id % 2 = 0 THEN 'even' ELSE 'odd' END)::ENUM ('odd', 'even') AS parity
        FROM facts"""
    )
    data = DATA.replace("'facts'", "'texts', layers => ['fc6']")
    call = (
        f"VISTA_TRAIN(model => 'text', label => 'y', data => $${data}$$, max_iterations => 20, "
        "categorical => 'one_hot')"
    )
    found = rows(db, f"SELECT feature_set, dims, f1_score FROM {call}")
    assert [(row["feature_set"], row["dims"]) for row in found] == [
        ("structured", 4 + 3),  # a NULL is a value
        ("structured+fc6", 4 + 3 + 84),
    ]
    con = db.con.cursor()
    vista_sql.attach(con)
    elsewhere = call.replace("'text'", "'there'")
    there = con.execute(f"SELECT feature_set, dims, f1_score FROM {elsewhere}").fetchall()
    assert there == [tuple(row.values()) for row in found]
    predict = "SELECT id, predicted_label FROM VISTA_PREDICT(model => '{}/fc6', {}) ORDER BY ALL"
    own = rows(db, predict.format("text", "images => 'images', structured => 'texts'"))
    assert len(own) == 300
    assert own == rows(db, predict.format("text", f"data => $${data}$$"))
    attached = con.execute(predict.format("there", f"data => $${data}$$")).fetchall()
    con.close()
    assert attached == [tuple(row.values()) for row in own]
    compared = rows(
        db,
        "SELECT feature_set, f1_score FROM VISTA_COMPARE(cnn => 'lenet5', layers => 'fc6', "
        "images => 'images', structured => 'texts', label => 'y', max_iterations => 20, "
        "categorical => 'one_hot') ORDER BY feature_set",
    )
    assert [row["f1_score"] for row in compared] == [row["f1_score"] for row in found]


def test_some_unreadable_images_are_told(db):
    with pytest.warns(
        vista_sql.errors.UnreadableImagesWarning,
        match=r"^1 of 300 images cannot be read, the first: key \d+: [^;]*$",
    ):
        assert db.query(DATA).arrow().num_rows == 300
    assert "1 of 300 rows are skipped" in train(db, "some")[0]["warning"]
    assert "the first image: " in train(db, "some")[0]["warning"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        db.query(f"SELECT id FROM ({DATA})").arrow()  # no image is read


def test_a_relation_shown_twice_and_a_view_train_once(db):
    stated = f"VISTA_TRAIN(model => 'v', label => 'y', data => $${DATA}$$, max_iterations => 5)"
    db.con.execute(f"CREATE OR REPLACE TEMP VIEW trained AS SELECT * FROM {stated}")
    first = rows(db, "SELECT model FROM trained")
    relation = db.query(f"SELECT model FROM {stated}")
    assert relation.arrow().to_pylist() == relation.arrow().to_pylist() == first
    assert {row["version"] for row in rows(db, "FROM VISTA_MODELS() WHERE name = 'v'")} == {1}


def test_training_with_bad_data_says_so_and_leaves_the_session_usable(db):
    with pytest.raises(vista_sql.errors.VistaError, match="unknown label column 'yy'"):
        db.query(f"FROM VISTA_TRAIN(model => 'e', label => 'yy', data => $${DATA}$$)").arrow()
    assert rows(db, "SELECT 1 AS one") == [{"one": 1}]
    assert rows(db, "SELECT * FROM VISTA_MODELS() WHERE name = 'e'") == []


@pytest.fixture(scope="module")
def by_pid(db):
    """The same relations under another key, and a TRANSFER of them with values from variables."""
    db.con.execute("CREATE TABLE pid_images AS SELECT id AS pid, path AS photo FROM images")
    db.con.execute("CREATE TABLE pid_facts AS SELECT id AS pid, ink, y FROM facts")
    db.con.execute("SET VARIABLE the_cnn = 'lenet5'")
    db.con.execute("SET VARIABLE the_prefix = 'cnn_'")
    return (
        "SELECT * FROM TRANSFER(cnn => getvariable('the_cnn'), layers => ['fc6'], "
        "images => 'pid_images', structured => 'pid_facts', key => 'pid', image => 'photo', "
        "prefix => getvariable('the_prefix'))"
    )


def test_the_key_is_that_of_the_transfer(db, by_pid):
    structured, hog, layer = rows(
        db,
        f"FROM VISTA_TRAIN(model => 'p', label => 'y', data => $${by_pid}$$, max_iterations => 9, "
        "baselines => ['structured', 'hog'])",
    )
    assert (structured["dims"], hog["dims"], layer["dims"]) == (1, 1 + 1764, 1 + 84)
    by_id = train(db, "q", ", features => ['ink', 'fc6']")  # the default key: the same split
    assert by_id[1]["n_test"] == layer["n_test"]
    assert by_id[1]["f1_score"] == pytest.approx(layer["f1_score"], abs=0.05)
    (kept,) = rows(
        db, "SELECT provenance FROM VISTA_MODELS() WHERE name = 'p' AND layer LIKE '%hog'"
    )
    assert '"key": "pid"' in kept["provenance"]


def test_a_model_remembers_key_and_image_column(db, by_pid):
    rows(
        db,
        f"FROM VISTA_TRAIN(model => 'r', label => 'y', data => $${by_pid}$$, max_iterations => 9)",
    )
    own = "images => 'pid_images', structured => 'pid_facts'"
    predicted = rows(db, f"SELECT pid, probability FROM VISTA_PREDICT(model => 'r', {own})")
    over_data = rows(db, f"SELECT pid, probability FROM VISTA_PREDICT('r', $${by_pid}$$)")
    assert sorted(map(str, predicted)) == sorted(map(str, over_data))
    (evaluated,) = rows(db, f"FROM VISTA_EVALUATE(model => 'r', {own})")
    assert evaluated["n"] == 299
    confusion = rows(db, f"FROM VISTA_CONFUSION(model => 'r', {own})")
    assert sum(row["n"] for row in confusion) == 299


@pytest.mark.parametrize(
    ("call", "underlined"),
    [
        ("VISTA_PREDICT(model => 's', images => 'imagess', structured => 'facts')", "'imagess'"),
        ("VISTA_EVALUATE(model => 's', images => 'images', image => 'foto')", "'foto'"),
        ("VISTA_PREDICT(model => 's', images => $$SELECT nix FROM images$$)", "$$SELECT nix"),
        ("VISTA_CONFUSION(model => 's', images => '(SELECT id AS no, path FROM images)')", "VISTA"),
        ("VISTA_COMPARE('images', 'facts', cnn => 'lenet5', label => 'y', key => 'ids')", "'ids'"),
    ],
)
def test_errors_underline_what_the_user_wrote(db, call, underlined):
    train(db, "s")
    with pytest.raises(vista_sql.errors.QueryError) as caught:
        db.query(f"SELECT * FROM {call}").arrow()
    place = caught.value.place
    assert place is not None
    assert place.text == f"SELECT * FROM {call}"
    assert place.text[place.start :].startswith(underlined)


def test_selected_features_make_a_model_like_any_other(db):
    found = train(db, "s", ", select_fraction => [0.01, 0.1]")
    chosen = [row for row in found if row["fraction"] is not None]
    assert [(row["feature_set"], row["fraction"]) for row in chosen] == [
        ("structured+selected", 0.01), ("structured+selected", 0.1),
    ]  # fmt: skip
    assert [row["dims"] for row in chosen] == [1 + 3, 1 + 33]  # of 64 + 64 + 120 + 84
    assert [row["model"].rpartition("@")[0] for row in chosen] == [
        "s/selected_0.01",
        "s/selected_0.1",
    ]
    others = [row for row in found if row["fraction"] is None]
    hidden = ("model", "seconds", "is_best", "fraction")
    assert [{k: v for k, v in row.items() if k not in hidden} for row in others] == [
        {k: pytest.approx(v, rel=1e-6) if isinstance(v, float) else v
         for k, v in row.items() if k not in hidden}
        for row in train(db)
    ]  # fmt: skip
    over_data, over_images = (
        rows(db, f"SELECT id, predicted_label, probability FROM VISTA_PREDICT({how}) ORDER BY id")
        for how in (
            f"'s/selected', $${DATA}$$",
            "model => 's/selected', images => 'images', structured => 'facts'",
        )
    )
    assert over_images == over_data
    (macro,) = rows(db, "SELECT * FROM VISTA_MODEL_SQL('s/selected')")
    db.con.execute(macro["sql"])
    columns = ", ".join(macro["arguments"])
    scored = rows(db, f"SELECT id, {macro['macro']}({columns}) AS s FROM ({DATA}) ORDER BY id")
    for row, expected in zip(scored, over_data, strict=True):
        if expected["probability"] is not None:
            assert row["s"]["predicted_label"] == expected["predicted_label"]
            assert row["s"]["probability"] == pytest.approx(expected["probability"], abs=1e-9)
    (evaluated,) = rows(db, "SELECT * FROM VISTA_EVALUATE('s/selected_0.01')")
    assert evaluated["f1_score"] == chosen[0]["f1_score"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", select_fraction => 0", r"a number in \[1e-06, 1\]"),
        (", select_fraction => [0.1, 2]", r"a number in \[1e-06, 1\]"),
        (", select_fraction => 'all'", r"a number in \[1e-06, 1\]"),
        (", select_fraction => 0.1, trainer => 'tree'", "'linear' or 'logistic'"),
        (", select_fraction => 0.1, features => ['ink']", "selects features of layers"),
    ],
)
def test_a_fraction_that_cannot_be_selected_is_refused(db, more, said):
    with pytest.raises(vista_sql.errors.VistaError, match=said):
        train(db, "s", more)
