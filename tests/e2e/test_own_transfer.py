"""TRANSFER's arguments in place of `data`: nothing is nested, and a model remembers its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import foods
import numpy as np
import pytest

import vista_sql
from vista_sql import roster
from vista_sql.errors import ArgumentError, ModelError, UnknownNameError
from vista_sql.functions import _own_transfer, _provenance, transfer
from vista_sql.sql import calls

BUNDLED = Path(roster.__file__).parent / "lenet5_bundled.weights.h5"

OWN = (
    "cnn => 'lenet5', layers => ['fc6', 'conv3'], images => 'photos', structured => 'facts', "
    "key => 'pid', image => 'photo', pool => 'gap', prefix => 'cnn_', weights => 'random'"
)
OPTIONS = "label => 'even', seed => 3, max_iterations => 9"
NESTED = f"$$SELECT * FROM TRANSFER({OWN}, seed => 3)$$"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    with vista_sql.connect(folder / "own.duckdb") as session:
        session.con.execute("CREATE TABLE photos (pid INTEGER, photo BLOB, sketch BLOB)")
        session.con.execute(
            "CREATE TABLE facts AS SELECT i::INTEGER AS pid, (i * 7 % 5)::DOUBLE AS x, "
            "i % 2 = 0 AS even FROM range(40) AS r(i)"
        )
        for i in range(40):
            gray = np.full((28, 28), 200 * (i % 2) + i, np.uint8)
            image = cv2.imencode(".png", gray)[1].tobytes()
            session.con.execute("INSERT INTO photos VALUES (?, ?, NULL)", [i, image])
        session.query(f"FROM VISTA_TRAIN(model => 'm', {OPTIONS}, {OWN})").arrow()
        yield session


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def run(db, text):
    return rows(db, "FROM VISTA_RUNS()")[0] | {"result": rows(db, text)}


def test_it_trains_what_the_nested_text_trains(db):
    nested = rows(db, f"FROM VISTA_TRAIN(model => 'm', {OPTIONS}, data => {NESTED})")
    own = rows(db, f"FROM VISTA_TRAIN(model => 'm', {OPTIONS}, {OWN})")
    assert own == nested
    assert [row["model"] for row in own] == ["m/structured@1", "m/cnn_fc6@1", "m/cnn_conv3@1"]
    assert [row["dims"] for row in own] == [1, 1 + 84, 1 + 120]


@pytest.mark.parametrize(
    "given",
    [
        "",
        ", structured => 'facts'",
        ", cnn => 'LeNet5', pool => 'GAP', prefix => 'cnn_', seed => 3, weights => 'random'",
        ", layers => [-1, -2, -4], on_error => 'skip', batch_rows => 7",
    ],
)
def test_what_predicts_needs_no_more_than_images(db, given):
    shown = (
        "SELECT pid, predicted_label, round(probability, 9) AS probability "
        "FROM VISTA_PREDICT(model => '{}', {})"
    )
    model = "m/cnn_fc6"
    if "structured" not in given:  # a model of the layer alone
        features = "features => ['cnn_fc6']"
        db.query(f"FROM VISTA_TRAIN(model => 'f', {OPTIONS}, {OWN}, {features})").arrow()
        model = "f"
    own = rows(db, shown.format(model, f"images => 'photos'{given}"))
    nested = rows(db, shown.format(model, f"data => {NESTED}"))
    assert len(own) == 40
    assert sorted(map(str, own)) == sorted(map(str, nested))


def test_it_evaluates_and_counts_confusions_as_over_the_nested_text(db):
    images = "images => 'photos', structured => 'facts'"
    for function in ("VISTA_EVALUATE", "VISTA_CONFUSION"):
        own = rows(db, f"FROM {function}(model => 'm/cnn_conv3', {images})")
        assert own == rows(db, f"FROM {function}(model => 'm/cnn_conv3', data => {NESTED})")
    held_out = rows(db, "FROM VISTA_EVALUATE('m/cnn_conv3')")[0]["n"]
    assert 0 < held_out < 40


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("pool => 'max2x2'", "was trained with pool => 'gap', not 'max2x2': leave pool out"),
        ("cnn => 'resnet50'", "was trained with cnn => 'lenet5', not 'resnet50'"),
        ("weights => 'bundled'", "was trained with weights => 'random', not 'bundled'"),
        ("dtype => 'bfloat16'", "was trained with dtype => 'float32', not 'bfloat16'"),
        ("prefix => 'c_'", "was trained with prefix => 'cnn_', not 'c_'"),
        ("seed => 4", "was trained with seed => 3, not 4"),
        ("layers => 'conv3'", "needs layer 'fc6': leave layers out"),
        ("format => 'long'", "VISTA_PREDICT takes a column per layer: leave format => 'long' out"),
        ("pool => 'gab'", "unknown pool 'gab'; did you mean 'gap'"),
        ("image => 'foto'", "unknown column 'foto'"),
        ("key => ['pid', 'id']", "unknown column 'id'"),
        ("data => 'facts'", "data and images exclude each other: images is of the TRANSFER"),
    ],
)
def test_what_a_model_remembers_stays_as_it_is(db, given, says):
    text = f"FROM VISTA_PREDICT(model => 'm/cnn_fc6', images => 'photos', {given})"
    with pytest.raises((ArgumentError, UnknownNameError)) as caught:
        db.query(text)
    assert says in caught.value.message
    place = caught.value.place
    assert place.text == text
    wanted = "'photos'" if "data" in given else given.partition(" => ")[2]
    assert place.text[place.start : place.end] in wanted


def test_a_remembered_key_that_is_not_there_says_what_to_give(db):
    images = "images => '(SELECT pid AS no, photo FROM photos)', structured => 'facts'"
    text = f"SELECT pid FROM VISTA_PREDICT(model => 'm/cnn_fc6', {images}{{}})"
    with pytest.raises(
        ArgumentError,
        match=r"'m/cnn_fc6@1' was trained with key => 'pid', and images => \(SELECT .* has no "
        r"column 'pid' but no, photo: give key => …",
    ) as caught:
        db.query(text.format(""))
    assert caught.value.place.text == text.format("")
    assert len(rows(db, text.format(", key => ['pid', 'no']"))) == 40


@pytest.mark.parametrize(
    ("given", "says", "underlined"),
    [
        ("cnn => 'lenet6'", "unknown cnn 'lenet6'; did you mean 'lenet5'", "'lenet6'"),
        ("cnn => 'lenet5', images => 'photoz'", "unknown table 'photoz'", "'photoz'"),
        (
            "cnn => 'lenet5', images => 'photos', key => 'pid', image => 'photo', layers => 'fc9'",
            "unknown layer 'fc9'",
            "'fc9'",
        ),
        (
            "cnn => 'lenet5', images => 'photos', key => 'pid'",
            "2 BLOB columns (photo, sketch): say which",
            "'photos'",
        ),
        ("cnn => 'lenet5', images => 'photos', key => 'no'", "unknown column 'no'", "'no'"),
        ("cnn => 'lenet5', format => 'long'", "leave format => 'long' out", "'long'"),
        ("cnn => 'lenet5', data => 'facts'", "data and cnn exclude each other", "'lenet5'"),
        ("images => 'photos'", "VISTA_TRAIN needs cnn => … beside images", "VISTA_TRAIN"),
        ("seed => 3", "needs data => …, or cnn => … and images => …", "VISTA_TRAIN"),
        ("cnn => 'lenet6', baselines => 'hog'", "unknown cnn 'lenet6'", "'lenet6'"),
    ],
)
def test_errors_underline_what_the_user_wrote(db, given, says, underlined):
    text = f"FROM VISTA_TRAIN(model => 'e', label => 'even', {given})"
    with pytest.raises((ArgumentError, UnknownNameError)) as caught:
        db.query(text)
    assert says in caught.value.message
    place = caught.value.place
    assert (place.text, place.text[place.start : place.end]) == (text, underlined)
    assert rows(db, "FROM VISTA_MODELS() WHERE name = 'e'") == []
    assert rows(db, foods.LEFTOVERS) == []


@pytest.mark.parametrize("host", ["query", "connection"])
def test_a_model_without_layers_reads_no_image(db, host):
    con = db.con.cursor()
    vista_sql.attach(con)
    broken = "images => '(SELECT pid, ''gone.png'' AS photo FROM photos WHERE pid < 9)'"
    text = f"FROM VISTA_PREDICT(model => 'm/structured', {broken}, structured => 'facts')"
    result = db.query(text) if host == "query" else con.execute(text)
    found = result.fetchall()
    columns = result.columns if host == "query" else [name for name, *_ in con.description]
    con.close()
    assert columns == [
        "pid",
        "x",
        "even",
        "predicted_label",
        "probability",
        "probabilities",
        "error",
    ]
    assert len(found) == 9
    assert {row[-1] for row in found} == {None}
    evaluated = rows(
        db, f"FROM VISTA_EVALUATE(model => 'm/structured', {broken}, structured => 'facts')"
    )
    assert evaluated[0]["n"] == 9
    other = text.replace("images =>", "cnn => 'vgg16', images =>")  # lenet5's weights are not its
    assert db.query(other).fetchall() == found


def test_a_model_that_remembers_less_is_told_what_it_lacks(db):
    rows(db, f"FROM VISTA_TRAIN(model => 'old', {OPTIONS}, {OWN})")
    (file,) = Path(db.home(db.settings())).glob("models/old/1/model.json")
    text = "SELECT pid, probability FROM VISTA_PREDICT(model => 'old/cnn_fc6', {})"
    images = "images => 'photos', structured => 'facts'"
    wanted = sorted(map(str, rows(db, text.format(images))))

    def forget(change):
        whole = json.loads(file.read_text())
        change(whole["provenance"])
        file.write_text(json.dumps(whole))

    def key_and_image(provenance):
        for transfer_ in provenance["transfers"]:
            del transfer_["arguments"]["key"], transfer_["arguments"]["image"]

    forget(key_and_image)
    with pytest.raises(UnknownNameError, match=r"unknown column 'id'.* pid"):
        db.query(text.format(images))
    more = f"{images}, key => 'pid', image => 'photo'"
    assert sorted(map(str, rows(db, text.format(more)))) == wanted

    forget(lambda provenance: provenance.clear())
    with pytest.raises(ArgumentError, match="does not know how its features are made: give it"):
        db.query(text.format(more))
    assert sorted(map(str, rows(db, text.format(f"{OWN}, seed => 3")))) == wanted


@pytest.fixture
def folder(db, tmp_path, monkeypatch):
    """Folders `train/` (with `even/` and `odd/`) and `new/`, which is where the statements run."""
    monkeypatch.chdir(tmp_path)
    for pid, photo in db.con.execute("SELECT pid, photo FROM photos").fetchall():
        for place in (f"train/{('even', 'odd')[pid % 2]}", "new"):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            (tmp_path / place / f"{pid}.png").write_bytes(photo)
    (tmp_path / "labels.csv").write_text(
        "picture,x,even\n" + "".join(f"{i}.png,{i * 7 % 5},{i % 2 == 0}\n" for i in range(40))
    )
    return tmp_path


def test_a_folder_of_folders_is_trained_on_and_another_is_predicted(db, folder):
    lenet = "cnn => 'lenet5', layers => 'fc6', max_iterations => 9"
    (row,) = rows(
        db, f"FROM VISTA_TRAIN(model => 'places', label => 'folder', {lenet}, images => 'train/')"
    )
    assert (row["dims"], row["n_train"] + row["n_test"]) == (84, 40)
    found = rows(db, "SELECT file, predicted_label FROM VISTA_PREDICT('places', images => 'new/')")
    assert {row["file"]: row["predicted_label"] for row in found} == {
        f"{i}.png": ("even", "odd")[i % 2] for i in range(40)
    }


def test_layers_of_a_folder_are_compared_in_random_order_too(db, folder):
    given = "label => 'folder', cnn => 'lenet5', layers => 'fc6', max_iterations => 9"
    for budget in ("", ", budget_seconds => 60"):
        (row,) = rows(db, f"FROM VISTA_COMPARE(images => 'train/', {given}{budget})")
        assert (row["layer"], row["n_train"] + row["n_test"]) == ("fc6", 40)


def test_a_folder_is_joined_with_a_file_of_labels(db, folder):
    lenet = "cnn => 'lenet5', layers => 'fc6', max_iterations => 9"
    both = "images => 'new/', structured => 'labels.csv'"
    trained = rows(
        db,
        f"FROM VISTA_TRAIN(model => 'csv', label => 'even', {lenet}, {both}, key => 'picture')",
    )
    assert [row["dims"] for row in trained] == [1, 1 + 84]
    for images in ("new/", "new/*.png"):
        (row,) = rows(db, f"FROM VISTA_EVALUATE('csv', {both.replace('new/', images)})")
        assert row["n"] == 40


def test_a_model_of_columns_over_a_folder_alone_asks_for_its_table(db, folder):
    with pytest.raises(ArgumentError, match="needs 'x', which a folder does not have") as caught:
        db.query("FROM VISTA_PREDICT(model => 'm/cnn_fc6', images => 'new/')")
    assert "give structured => …" in str(caught.value)


def test_a_model_of_tables_predicts_a_folder(db, folder):
    facts = "structured => 'SELECT pid || ''.png'' AS pid, x FROM facts'"
    text = "SELECT probability FROM VISTA_PREDICT(model => 'm/cnn_fc6', {}) ORDER BY ALL"
    over_folder = rows(db, text.format(f"images => 'new/', {facts}"))
    over_tables = rows(db, text.format("images => 'photos', structured => 'facts'"))
    assert len(over_folder) == 40
    assert [round(row["probability"], 9) for row in over_folder] == [
        round(row["probability"], 9) for row in over_tables
    ]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras saving a network
def test_a_keras_file_may_move_and_must_be_the_same(db, tmp_path):
    def network(seed):
        keras.utils.set_random_seed(seed)
        dense = keras.layers.Dense(3, name="dense")
        flat = keras.layers.GlobalAveragePooling2D()
        return keras.Sequential([keras.Input((8, 8, 3)), flat, dense])

    import keras

    one, two, other = (tmp_path / f"{name}.keras" for name in ("one", "two", "other"))
    network(1).save(one)
    network(2).save(other)
    given = "images => 'photos', structured => 'facts', key => 'pid', image => 'photo'"
    rows(db, f"FROM VISTA_TRAIN(model => 'k', {OPTIONS}, cnn => '{one}', {given})")
    text = "FROM VISTA_EVALUATE(model => 'k/dense', images => 'photos', structured => 'facts'{})"
    before = rows(db, text.format(""))
    one.rename(two)
    with pytest.raises(vista_sql.errors.VistaError, match=r"one\.keras"):
        db.query(text.format(""))
    assert rows(db, text.format(f", cnn => '{two}'")) == before
    with pytest.raises(ModelError, match=r"trained on other features .*weights_sha256 is"):
        db.query(text.format(f", cnn => '{other}'"))


def test_a_file_of_weights_may_move_and_must_be_the_same(db, tmp_path):
    one, two, other = (tmp_path / f"{name}.weights.h5" for name in ("one", "two", "other"))
    shutil.copy(BUNDLED, one)
    given = "cnn => 'lenet5', layers => 'fc6', images => 'photos', structured => 'facts', "
    given += "key => 'pid', image => 'photo'"
    rows(db, f"FROM VISTA_TRAIN(model => 'w', {OPTIONS}, {given}, weights => '{one}')")
    text = "FROM VISTA_EVALUATE(model => 'w/fc6', images => 'photos', structured => 'facts'{})"
    before = rows(db, text.format(""))
    one.rename(two)
    with pytest.raises(vista_sql.errors.WeightsError, match=r"one\.weights\.h5"):
        db.query(text.format("")).arrow()
    assert rows(db, text.format(f", weights => '{two}'")) == before
    import h5py

    shutil.copy(two, other)
    with h5py.File(other, "r+") as file:
        file.attrs["changed"] = 1
    with pytest.raises(ModelError, match=r"trained on other features .*weights_sha256 is"):
        db.query(text.format(f", weights => '{other}'"))


# ── the arguments are written once ──────────────────────────────────────────────────────────────

EACH_TIME = {  # what a statement says anew: its rows, and how they are computed
    *("images", "structured", "join_type", "on_error", "store", "device"),
    *("plan", "placement", "batch_rows", "threads", "memory_limit", "join", "pers", "np", "cpu"),
    "base",
}
LAYERS = {"layers", "format"}  # a model's own, and a column each


def test_every_argument_of_transfer_is_remembered_or_given_each_time():
    remembered = {*_provenance.REMEMBERED, *_provenance.DEFAULTS}
    assert {a.name for a in transfer.ARGUMENTS} == remembered | EACH_TIME | LAYERS
    assert not remembered & EACH_TIME


@pytest.mark.parametrize(
    "name", ["vista_train", "vista_predict", "vista_evaluate", "vista_confusion"]
)
def test_what_takes_data_takes_every_argument_of_transfer(name):
    function = calls.load(name)
    own = [argument.name for argument in function.arguments]
    assert len(own) == len(set(own))
    assert {"data", *(a.name for a in transfer.ARGUMENTS)} <= set(own)
    assert [a.name for a in function.arguments if a.required] == [
        name for name in ("model", "label") if name in own
    ]
    assert own[own.index("images") :][:2] == ["images", "structured"]
    assert _own_transfer.FIRST[:2] == ("images", "structured")
