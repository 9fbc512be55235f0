"""A kept model as one ONNX file: ONNX Runtime predicts from pixels what VISTA_PREDICT does."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import duckdb
import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from sklearn.datasets import load_digits
from vista_sql.udfs.network import keras_reader

import vista_sql
from vista_sql import models, roster, train
from vista_sql.cli import app
from vista_sql.errors import EngineWarning, HostError, ModelError

TOLERANCE = 1e-5
"""Of probabilities: ONNX Runtime sums float32 in another order than the engine."""

SOURCE = "cnn => 'lenet5', images => 'images', structured => 'facts', engine => 'openvino'"

TRAININGS = {  # model → what is trained; rows whose ink is NULL are kept or not
    "digit": "label => 'digit', layers => ['pool2', 'fc6'], baselines => ['structured', 'tree', "
    "'hog'], categorical => 'one_hot', missing => 'mean', exclude => ['high', 'size']",
    "high": "label => 'high', layers => ['conv2', 'fc6'], by_layer => false, pool => 'gem', "
    "baselines => ['structured', 'tree'], exclude => ['digit', 'size', 'pen', 'form']",
    "size": "label => 'size', trainer => 'linear', layers => ['pool2'], pool => 'none', "
    "baselines => ['structured'], categorical => 'one_hot', exclude => ['digit', 'high', 'ink']",
    "bare": "label => 'digit', layers => ['conv3'], pool => 'avg2x2', features => ['conv3']",
}
PARTS = (
    *("digit/pool2", "digit/fc6", "digit/structured", "digit/tree"),
    *("high/all", "high/structured", "high/tree", "size/pool2", "size/structured", "bare/conv3"),
)


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def scans():
    """60 digits as LeNet-5 takes them: uint8 (60, 32, 32, 1); and which they are."""
    x, y = load_digits(return_X_y=True)
    chosen = np.flatnonzero(y >= 5)[:60]
    small = np.rint(x[chosen].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)[..., None], y[chosen]


@pytest.fixture(scope="module")
def db(tmp_path_factory, scans):
    """A database with the models of TRAININGS, and `facts`, whose text columns are not by name."""
    pixels, digit = scans
    n, ink = len(digit), pixels.mean((1, 2, 3))
    facts = {
        "id": np.arange(n),
        "pen": [("thin", "bold", None, "")[i % 4] for i in range(n)],
        "ink": [None if i % 7 == 0 else float(ink[i]) for i in range(n)],
        "form": ["abc"[i % 3] for i in range(n)],
        "wide": pa.array(pixels[:, :, :12].mean((1, 2, 3)) > 20),
        "digit": pa.array(digit, pa.int32()),
        "high": pa.array(digit > 6),
        "size": np.round(ink * 10 + digit, 2),
    }
    images = {"id": np.arange(n), "image": [png(one) for one in pixels]}
    with vista_sql.connect(tmp_path_factory.mktemp("digits") / "digits.duckdb") as session:
        for name, columns in (("facts", facts), ("images", images)):
            session.con.register("given", pa.table(columns))
            session.con.execute(f"CREATE TABLE {name} AS FROM given")
            session.con.unregister("given")
        for name, arguments in TRAININGS.items():
            train_as(session, name, f"{SOURCE}, {arguments}")
        yield session


def train_as(db, name, arguments):
    db.query(
        f"FROM VISTA_TRAIN(model => '{name}', {arguments}, reg => 0.01, max_iterations => 20)"
    ).arrow()


def predicted(db, model):
    """Return VISTA_PREDICT's rows by their key; labels are texts."""
    return db.query(
        f"""SELECT CAST(predicted_label AS VARCHAR) AS label, probability, probabilities
        FROM VISTA_PREDICT(model => '{model}', images => 'images', structured => 'facts')
        ORDER BY id"""
    ).fetchall()


def run(file, columns, pixels):
    """Return the outputs of a file by name, from a table's columns and pixels; and its metadata."""
    onnx.checker.check_model(file, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    nulls = {one["name"]: one.get("null") for one in json.loads(said["columns"])}
    feeds = {}
    for one in session.get_inputs():
        if one.name == "pixels":
            feeds["pixels"] = pixels
        elif one.type == "tensor(string)":
            texts = [nulls[one.name] if text is None else text for text in columns[one.name]]
            feeds[one.name] = np.array(texts, object)
        else:
            feeds[one.name] = np.array(columns[one.name], np.float64)  # of None: NaN
    outputs = [one.name for one in session.get_outputs()]
    return dict(zip(outputs, session.run(None, feeds), strict=True)), said


def check(rows, found, said):
    """Compare VISTA_PREDICT's rows with a file's outputs."""
    if "value" in found:
        numbers = np.array([np.nan if row[0] is None else float(row[0]) for row in rows])
        scale = np.nanmax(np.abs(numbers))
        np.testing.assert_allclose(found["value"], numbers, rtol=0, atol=TOLERANCE * scale)
        return
    classes = json.loads(said["classes"])
    none = dict.fromkeys(classes, np.nan)
    chances = [[(none if row[2] is None else dict(row[2]))[one] for one in classes] for row in rows]
    assert found["predicted_label"].tolist() == [row[0] or "" for row in rows]
    np.testing.assert_allclose(found["probabilities"], chances, rtol=0, atol=TOLERANCE)
    highest = [np.nan if row[1] is None else row[1] for row in rows]
    np.testing.assert_allclose(found["probability"], highest, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("model", PARTS)
def test_onnx_runtime_gives_what_vista_predict_gives(db, scans, tmp_path, model):
    said = db.export_model(model, tmp_path / "model.onnx")
    facts = db.query("FROM facts ORDER BY id").arrow().to_pydict()
    found, in_file = run(tmp_path / "model.onnx", facts, scans[0])
    assert in_file == said
    rows = predicted(db, model)
    assert sum(row[0] is None for row in rows) == (9 if model in PARTS[4:7] else 0)
    check(rows, found, said)


def test_texts_that_training_never_saw_are_the_others(db, scans, tmp_path):
    db.export_model("digit/structured", tmp_path / "model.onnx")
    new = (
        "SELECT * REPLACE (concat('new', pen) AS pen, NULL::VARCHAR AS form, NULL::DOUBLE AS ink) "
        "FROM facts"
    )
    rows = db.query(
        "SELECT CAST(predicted_label AS VARCHAR), probability, probabilities "
        f"FROM VISTA_PREDICT('digit/structured', $${new}$$) ORDER BY id"
    ).fetchall()
    columns = db.query(f"{new} ORDER BY id").arrow().to_pydict()
    check(rows, *run(tmp_path / "model.onnx", columns, None))


def test_the_file_says_what_it_is(db, tmp_path):
    said = db.export_model("digit/fc6", tmp_path / "model.onnx")
    lenet = roster.load("lenet5")
    plain = {name: said[name] for name in ("model", "cnn", "pool", "weights", "trainer", "label")}
    assert plain == {
        "model": "digit/fc6@1",
        "cnn": "lenet5",
        "pool": "max2x2",
        "weights": "bundled",
        "trainer": "logistic",
        "label": "digit",
    }
    assert said["weights_sha256"] == lenet.weights["bundled"].sha256
    assert said["vista_sql"] == vista_sql.__version__
    assert (said["engine"], said["dtype"], said["seed"]) == ("openvino", "float32", "0")
    assert int(said["n_train"]) > 30
    assert json.loads(said["layers"]) == ["f6"]
    assert json.loads(said["classes"]) == ["5", "6", "7", "8", "9"]
    size = {"height": 32, "width": 32, "channels": 1, "order": "gray"}
    assert json.loads(said["pixels"]) == size
    preprocessing = json.loads(said["preprocessing"])
    assert preprocessing["mean"] == list(lenet.preprocessing.mean)
    assert {"order", "scale", "resize", "fit"} < set(preprocessing)
    pen, ink, form, wide = json.loads(said["columns"])
    levels = ["", "bold", "thin", None]
    assert pen == {"name": "pen", "kind": "text", "levels": levels, "null": "NULL"}
    assert form == {"name": "form", "kind": "text", "levels": ["a", "b", "c"], "null": ""}
    assert (wide["name"], wide["kind"], ink["kind"]) == ("wide", "number", "number")
    (mean,) = db.query("SELECT avg(ink) FROM facts").fetchall()[0]
    assert ink["missing"] == pytest.approx(mean, rel=0.1)  # of the rows that train


def test_the_same_model_is_the_same_file(db, tmp_path):
    for name in ("one.onnx", "two.onnx"):
        db.export_model("high/all", tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.onnx", "two.onnx"))
    assert one == two
    assert b"_ORT_MEM_ADDR_" not in one  # weights stand in the file


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy"  # Keras's own, when it saves
)
def test_a_users_own_network(db, tmp_path):
    keras = keras_reader.keras()
    random = np.random.default_rng(0)
    image = keras.Input((9, 9, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    keras.Model(image, keras.layers.Dense(3, name="top")(x)).save(tmp_path / "own.keras")
    pixels = random.integers(0, 256, (40, 9, 9, 3), dtype=np.uint8)
    files = [png(one[..., ::-1]) for one in pixels]  # OpenCV writes BGR
    given = pa.table({"id": range(40), "image": files, "y": pixels.mean((1, 2, 3)) > 127.5})
    db.con.register("photos", given)
    call = f"cnn => '{tmp_path / 'own.keras'}', layers => ['conv'], images => 'photos'"
    train_as(db, "own", f"label => 'y', {call}, structured => 'SELECT id, y FROM photos'")
    said = db.export_model("own/conv", tmp_path / "own.onnx")
    assert (said["cnn"], said["weights"]) == ("own.keras", "own.keras")
    assert str(tmp_path) not in "".join(said.values())
    rows = db.query(
        "SELECT CAST(predicted_label AS VARCHAR), probability, probabilities FROM VISTA_PREDICT("
        "model => 'own/conv', images => 'photos', structured => 'SELECT id FROM photos') "
        "ORDER BY id"
    ).fetchall()
    check(rows, *run(tmp_path / "own.onnx", {}, pixels))


@pytest.mark.full  # 100 MB of weights, and seconds of a real network
def test_a_real_network_takes_rgb(db, tmp_path):
    random = np.random.default_rng(0)
    assert roster.load("resnet50").preprocessing.order == "bgr"
    pixels = random.integers(0, 256, (12, 224, 224, 3), dtype=np.uint8)
    files = [png(one[..., ::-1]) for one in pixels]
    given = pa.table({"id": range(12), "image": files, "y": [i % 2 for i in range(12)]})
    db.con.register("large", given)
    call = (
        "cnn => 'resnet50', weights => 'random', layers => [-1], images => 'large', structured => "
        "'SELECT id, y FROM large', engine => 'openvino'"
    )
    train_as(db, "real", f"label => 'y', {call}")
    said = db.export_model("real", tmp_path / "real.onnx")
    assert json.loads(said["pixels"])["order"] == "rgb"
    rows = db.query(
        "SELECT CAST(predicted_label AS VARCHAR), probability, probabilities FROM VISTA_PREDICT("
        "model => 'real', images => 'large', structured => 'SELECT id FROM large') ORDER BY id"
    ).fetchall()
    check(rows, *run(tmp_path / "real.onnx", {}, pixels))


# ── what cannot be ─────────────────────────────────────────────────────────────────────────────


def refused(db, tmp_path, model, error=ModelError):
    """Return what is said where a model cannot be exported; a file that is there stays."""
    file = tmp_path / "model.onnx"
    file.write_text("old")
    with pytest.raises(error) as caught:
        db.export_model(model, file)
    assert file.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_hog_is_no_network(db, tmp_path):
    assert "uses 'hog', which is no network" in refused(db, tmp_path, "digit/hog")


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        (
            "stored",
            "label => 'digit', data => $$SELECT digit, [ink, size]::FLOAT[2] AS v FROM facts$$",
            "does not know how its features were made: train it on a TRANSFER",
        ),
        (
            "mixed",
            f"{SOURCE}, label => 'digit', layers => ['fc6', 'hog'], by_layer => false, "
            "features => ['fc6', 'hog']",
            "uses layers of several networks, and a file holds one",
        ),
        (
            "named",
            "label => 'digit', data => 'SELECT digit, size AS pixels FROM facts'",
            "uses a column 'pixels', as the file's own input or output is called: rename it",
        ),
    ],
)
def test_models_without_a_form_are_one_sentence(db, tmp_path, model, arguments, said):
    train_as(db, model, arguments)
    assert said in refused(db, tmp_path, model)


def test_a_trainer_without_a_form_in_onnx(db, tmp_path, monkeypatch):
    loaded = train.load
    monkeypatch.setattr(train, "load", lambda name: replace(loaded(name), as_onnx=None))
    said = refused(db, tmp_path, "digit/tree")
    assert "was fitted by trainer 'tree', which has no form in ONNX" in said


def test_other_weights_than_the_models_are_refused(db, tmp_path_factory, tmp_path):
    weights = tmp_path_factory.mktemp("weights") / "mine.weights.h5"
    bundled = Path(roster.__file__).parent / roster.load("lenet5").weights["bundled"].file
    weights.write_bytes(bundled.read_bytes())
    train_as(db, "mine", f"{SOURCE}, {TRAININGS['bare']}, weights => '{weights}'")
    db.export_model("mine", tmp_path / "model.onnx")
    weights.write_bytes(bundled.read_bytes() + b"\0")
    said = refused(db, tmp_path, "mine")
    assert f"was trained with weights {roster.load('lenet5').weights['bundled'].sha256} of" in said
    weights.unlink()
    assert "no weights file" in refused(db, tmp_path, "mine", vista_sql.errors.WeightsError)


@pytest.fixture
def in_bfloat16(monkeypatch):
    """Let every model have been trained in bfloat16."""
    found = models.find

    def changed(home, reference):
        model = found(home, reference)
        document = json.loads(json.dumps(model.document))
        for transfer in document["provenance"]["transfers"]:
            transfer["arguments"]["dtype"] = "bfloat16"
        return replace(model, document=document)

    monkeypatch.setattr(models, "find", changed)


def test_bfloat16_features_are_told(db, tmp_path, in_bfloat16):
    with pytest.warns(EngineWarning, match="trained on bfloat16 features, and its file computes"):
        said = db.export_model("bare", tmp_path / "model.onnx")
    assert said["dtype"] == "bfloat16"


def test_without_onnx_the_extra_is_named(db, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = refused(db, tmp_path, "digit/fc6", HostError)
    assert "pip install 'vista-sql[openvino]'" in said


def test_a_file_appears_only_whole(db, tmp_path, monkeypatch):
    def fails(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    said = refused(db, tmp_path, "digit/structured")
    assert "model.onnx cannot be written: No space left on device" in said


def test_a_path_with_a_nul_character(db, tmp_path):
    with pytest.raises(ModelError, match=r"m\\0\.onnx cannot be written: a path cannot contain"):
        db.export_model("digit/structured", tmp_path / "m\0.onnx")


def test_a_folder_that_is_missing(db, tmp_path):
    with pytest.raises(ModelError, match=r"m\.onnx cannot be written: No such file or directory"):
        db.export_model("digit/structured", tmp_path / "no" / "m.onnx")


@pytest.fixture
def vista(db, tmp_path):
    """Run the command upon a copy of the models: this process holds the database itself."""
    path, file = tmp_path / "copy.duckdb", tmp_path / "model.onnx"
    duckdb.connect(str(path)).close()
    shutil.copytree(db.home(db.settings()), f"{path}.vista")
    file.write_text("old")

    def run_command(model):
        order = ["export-model", model, "--db", str(path), "-o", str(file)]
        return file, CliRunner().invoke(app, order, prog_name="vista")

    return run_command


def test_the_command_writes_a_file_and_says_so(vista):
    file, done = vista("digit/fc6")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{file}: model digit/fc6@1, ")
    assert "probabilities" in [one.name for one in onnx.load(file).graph.output]


def test_the_command_offers_the_nearest_name(vista):
    file, done = vista("digt")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("vista: unknown model 'digt'; did you mean 'digit'?")
    assert file.read_text() == "old"


def test_the_command_tells_of_bfloat16(vista, in_bfloat16):
    _, done = vista("bare")
    assert done.exit_code == 0
    told, written = done.stderr.splitlines()
    assert told.startswith("vista: model 'bare/conv3@1' was trained on bfloat16 features")
    assert "model.onnx: model bare/conv3@1, " in written
