"""HOG is scikit-image's, whatever stands beside it in a batch, and needs no network."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from vista_sql.udfs.network.hog import Hog, hog

import vista_sql
from vista_sql import roster
from vista_sql.errors import UnknownNameError, WeightsError
from vista_sql.planning import plans

REFERENCE = np.load(Path(__file__).parent / "hog_reference.npz")  # by scripts/hog_reference.py
NAMES = sorted(name.removesuffix("_hog") for name in REFERENCE.files if name.endswith("_hog"))
TOLERANCE = 1e-5  # the contract's between implementations; float32 keeps 1e-7 of values up to 0.6


@pytest.mark.parametrize("name", NAMES)
def test_hog_equals_scikit_image(name):
    image = REFERENCE[f"{name}_image"]
    (found,) = hog((image / 255.0)[None])
    np.testing.assert_allclose(found, REFERENCE[f"{name}_hog"], atol=TOLERANCE)


def square():
    return np.stack([REFERENCE[f"{n}_image"] for n in NAMES if n != "wide"])


def test_the_layer_is_hog_of_means_of_pixels():
    images = square()
    network = Hog(roster.load("hog"))
    large = np.repeat(np.repeat(images, 4, axis=1), 4, axis=2)[:, :, :, None]
    (found,) = network.features(["hog"], "max2x2", large)
    assert found.dtype == np.float32
    assert found.shape[1] == network.size("hog") == roster.load("hog").layer("hog").size == 1764
    np.testing.assert_array_equal(found, hog(images / 255.0))
    coarse = large.copy()
    coarse[:, ::2], coarse[:, 1::2] = large[:, ::2] // 2, large[:, 1::2] // 2 + large[:, ::2] % 2
    halves = coarse.astype(float).reshape(-1, 64, 4, 64, 4).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(
        network.features(["hog"], "none", coarse)[0], hog(halves), atol=TOLERANCE
    )


def test_a_row_does_not_depend_on_its_batch():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 256, 256, 1), dtype=np.uint8)
    network = Hog(roster.load("hog"))
    (whole,) = network.features(["hog"], "none", images)
    for cuts in ([1], [7, 20], [16, 17, 33]):
        parts = [network.features(["hog"], "none", p)[0] for p in np.split(images, cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_hog_has_one_layer_and_no_weights():
    with pytest.raises(UnknownNameError, match="'fc6'"):
        Hog(roster.load("hog")).features(["fc6"], "none", np.zeros((1, 256, 256, 1), np.uint8))
    with pytest.raises(WeightsError, match="hog is computed: it has no network"):
        roster.load("hog").build()
    assert "hog" not in roster.names()  # it is no CNN


@pytest.fixture(scope="module")
def db():
    blobs = [cv2.imencode(".png", image)[1].tobytes() for image in square()]
    pictures = pa.table({"id": [*range(len(blobs)), 90, 91], "image": [*blobs, b"no image", None]})
    with vista_sql.connect() as session:
        session.con.execute("CREATE TABLE images AS SELECT * FROM pictures")
        yield session
    del pictures  # DuckDB found it by its name


def test_transfer_returns_hog(db):
    table = db.query("SELECT * FROM TRANSFER(cnn => 'hog') ORDER BY id").arrow()
    assert table.column_names == ["id", "hog", "error"]
    assert table.schema.field("hog").type == pa.list_(pa.float32(), 1764)
    rows = table.to_pylist()
    assert rows[-2]["hog"] is None
    assert "image" in rows[-2]["error"]
    assert (rows[-1]["hog"], rows[-1]["error"]) == (None, None)
    decoded = [cv2.resize(image, (256, 256), interpolation=cv2.INTER_LINEAR) for image in square()]
    expected = Hog(roster.load("hog")).features(["hog"], "none", np.stack(decoded)[..., None])[0]
    np.testing.assert_array_equal(np.array([row["hog"] for row in rows[:-2]]), expected)


@pytest.mark.parametrize("plan", plans.names())
def test_hog_stands_beside_layers_of_a_cnn(db, plan):
    alone = db.query("SELECT id, hog FROM TRANSFER(cnn => 'hog') ORDER BY id").fetchall()
    found = db.query(
        "SELECT id, fc6, hog FROM TRANSFER(cnn => 'lenet5', layers => ['hog', 'conv3', 'fc6'], "
        f"plan => '{plan}', batch_rows => 3) ORDER BY id"
    ).fetchall()
    assert [(id_, descriptor) for id_, _, descriptor in found] == alone
    assert [fc6 is None for _, fc6, _ in found] == [h is None for _, h in alone]


def test_layers_of_several_cnns_stand_in_one_table(db):
    call = "TRANSFER(cnn => 'lenet5', layers => {}, weights => 'random', seed => 4)"
    both = db.query(
        f"SELECT * FROM {call.format(['lenet5.conv2', 'resnet18.pool1', 'fc6'])} ORDER BY id"
    ).arrow()
    assert both.column_names == ["id", "lenet5.conv2", "resnet18.pool1", "fc6", "error"]
    other = db.query(
        "SELECT id, pool1 FROM TRANSFER(cnn => 'resnet18', layers => ['pool1'], "
        "weights => 'random', seed => 4) ORDER BY id"
    ).arrow()
    assert both["resnet18.pool1"].to_pylist() == other["pool1"].to_pylist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cnn => 'hog', layers => ['conv1']", "unknown layer 'conv1' in cnn 'hog'"),
        ("cnn => 'hog', layers => ['hog', 'HOG']", "are the same layer"),
        ("cnn => 'hog', weights => 'random'", "hog is computed and has no weights"),
        ("cnn => 'hogg'", "did you mean 'hog'"),
        ("cnn => 'lenet5', layers => ['resnet51.fc']", "unknown layer 'resnet51.fc'"),
        ("cnn => 'lenet5', layers => ['resnet18.fd']", "unknown layer 'fd' in cnn 'resnet18'"),
        ("cnn => 'lenet5', layers => ['fc6', 'lenet5.f6']", "are the same layer"),
    ],
)
def test_what_cannot_be_is_refused(db, call, message):
    with pytest.raises(vista_sql.errors.VistaError, match=message):
        db.query(f"SELECT * FROM TRANSFER({call})").arrow()
