"""resize => …, fit => …: in every host; the store keeps their features apart, models remember."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import cv2
import hosts
import numpy as np
import pytest
from hosts import HOSTS
from msgspec.structs import replace

import vista_sql
from vista_sql import catalog, kernels, roster, weights
from vista_sql.errors import ModelError, QueryError
from vista_sql.kernels import Fit, Resize
from vista_sql.roster import Framing

RESIZES, FITS = get_args(Resize), get_args(Fit)
CALL = (
    "TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'photos', weights => 'random', "
    "engine => 'openvino'{})"
)
SELECT = f"SELECT id, f6 FROM {CALL} ORDER BY id"


def by(**given):
    return SELECT.format("".join(f", {name} => '{value}'" for name, value in given.items()))


def fill(con):
    """Make photos of 3 : 2, larger than the network's input, and labels."""
    con.execute("CREATE TABLE photos (id INTEGER, image BLOB)")
    for key in range(30):
        pixels = np.random.default_rng(key).integers(0, 256, (60, 90), np.uint8)
        pixels[:, 30:60] //= 1 + key % 2 * 3
        image = cv2.imencode(".png", pixels)[1].tobytes()
        con.execute("INSERT INTO photos VALUES (?, ?)", [key, image])
    con.execute("CREATE TABLE labels AS SELECT id, id % 2 = 0 AS bright FROM photos")


def rows(db, text):
    return db.query(text).arrow().to_pylist()


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with vista_sql.connect() as session:
        session.con.execute(f"SET VARIABLE vista_home = '{tmp_path_factory.mktemp('home')}'")
        fill(session.con)
        yield session


@pytest.fixture(scope="module")
def expected(db):
    """Return a function: a framing → features of what the kernels' own decoder makes of photos."""
    decoding = catalog.module(kernels.PACKAGE, "images.decoding")
    runtime = catalog.module(kernels.PACKAGE, "passes.runtime").Runtime()
    network = runtime.network(
        kernels.InferSpec("lenet5", ("f6",), weights="random", engine="openvino")
    )
    photos = db.con.execute("SELECT image FROM photos ORDER BY id").fetchall()

    def features(how):
        pixels = np.empty((len(photos), 32, 32, 1), np.uint8)
        for (data,), out in zip(photos, pixels, strict=True):
            assert decoding.decode(data, "gray", out, how=how) is None
        return network.features(["f6"], "max2x2", pixels)[0]

    return features


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("resize", RESIZES)
def test_each_gives_the_features_of_its_pixels(db, expected, resize, fit):
    found = [row["f6"] for row in rows(db, by(resize=resize, fit=fit))]
    how = roster.load("lenet5").preprocessing.asked(resize, fit).framing
    np.testing.assert_array_equal(np.array(found, np.float32), expected(how))


def test_the_default_is_antialias_and_stretch(db):
    default = rows(db, by())
    assert default == rows(db, by(resize="antialias", fit="stretch"))
    assert default == rows(db, by(resize="ANTIALIAS"))
    others = [rows(db, by(resize=resize, fit=fit)) for resize in RESIZES for fit in FITS]
    assert sum(other == default for other in others) == 1
    assert len({json.dumps(other) for other in others}) == len(others)


@pytest.fixture(scope="module")
def clients(tmp_path_factory, shell):
    with hosts.clients(tmp_path_factory.mktemp("hosts"), shell, fill) as opened:
        yield opened


@pytest.mark.parametrize("host", HOSTS)
def test_every_host_takes_them(host, clients, db):
    given = {"resize": "bicubic", "fit": "crop"}
    found = [row[1] for row in clients[host].run(by(**given)).rows]
    of_query = [row["f6"] for row in rows(db, by(**given))]
    np.testing.assert_array_equal(np.array(found, np.float32), np.array(of_query, np.float32))
    with pytest.raises(hosts.Refused, match="did you mean 'bilinear'"):
        clients[host].run(by(resize="bilinea"))
    with pytest.raises(hosts.Refused, match="unknown fit 'squash'"):
        clients[host].run(by(fit="squash"))


def test_the_store_keeps_them_apart(db, tmp_path):
    asked = [{}, {"resize": "bilinear"}, {"fit": "crop"}, {"fit": "pad"}, {"resize": "triangle"}]
    store = {"store": tmp_path / "kept"}
    first = [rows(db, by(**given, **store)) for given in asked]
    runs = rows(db, f"FROM VISTA_RUNS() LIMIT {len(asked)}")
    assert [run["images_inferred"] for run in runs] == [30] * len(asked)
    assert [rows(db, by(**given, **store)) for given in asked] == first
    runs = rows(db, f"FROM VISTA_RUNS() LIMIT {len(asked)}")
    assert [run["images_inferred"] for run in runs] == [0] * len(asked)


def test_calls_of_a_process_do_not_exchange_them(db):
    """Several TRANSFERs of one statement, which share results where they are equal."""
    default, padded = CALL.format(""), CALL.format(", fit => 'pad'")
    together = rows(
        db, f"SELECT a.f6 AS a, b.f6 AS b FROM {default} a JOIN {padded} b USING (id) ORDER BY id"
    )
    assert [row["a"] for row in together] == [row["f6"] for row in rows(db, by())]
    assert [row["b"] for row in together] == [row["f6"] for row in rows(db, by(fit="pad"))]


def test_a_plan_says_what_is_not_usual(db):
    fact = "SELECT detail, why FROM VISTA_EXPLAIN($${}$$) WHERE item = 'resize'"
    assert rows(db, fact.format(by())) == []
    assert rows(db, fact.format(by(resize="antialias", fit="stretch"))) == []
    assert rows(db, fact.format(by(fit="pad"))) == [
        {"detail": "antialias, pad [20]", "why": "as given: fit"}
    ]
    text = by(resize="bicubic", fit="crop")
    assert "  resize: bicubic, crop 1.0 (as given: resize, fit)" in db.explain(text)


OWN = (
    "cnn => 'lenet5', layers => ['f6'], images => 'photos', structured => 'labels', "
    "weights => 'random', engine => 'openvino'"
)


def trained(db, model, given):
    return rows(
        db,
        f"FROM VISTA_TRAIN(model => '{model}', label => 'bright', max_iterations => 5, "
        f"{OWN}{given})",
    )


def test_a_model_remembers_them(db):
    assert trained(db, "framed", ", resize => 'triangle', fit => 'crop'")
    (kept,) = rows(db, "SELECT provenance FROM VISTA_MODELS() WHERE model = 'framed/f6@1'")
    recorded = json.loads(kept["provenance"])["transfers"][0]["preprocessing"]
    assert (recorded["resize"], recorded["fit"]) == ("triangle", "crop")
    predict = (
        "SELECT probability FROM VISTA_PREDICT('framed/f6', images => 'photos', "
        "structured => 'labels'{}) ORDER BY id"
    )
    nested = CALL.format(", structured => 'labels'{}")
    told = (
        "SELECT probability FROM VISTA_PREDICT('framed/f6', data => $$SELECT * FROM "
        + nested.format(", resize => 'triangle', fit => 'crop'")
        + "$$) ORDER BY id"
    )
    assert rows(db, predict.format("")) == rows(db, told)
    assert rows(db, predict.format(", fit => 'Crop'")) == rows(db, told)
    with pytest.raises(QueryError, match="was trained with fit => 'crop', not 'pad'"):
        rows(db, predict.format(", fit => 'pad'"))
    with pytest.raises(ModelError, match="resize is 'antialias', was 'triangle'"):
        rows(db, f"FROM VISTA_EVALUATE('framed/f6', $$SELECT * FROM {nested.format('')}$$)")
    evaluated = rows(
        db, "FROM VISTA_EVALUATE('framed/f6', images => 'photos', structured => 'labels')"
    )
    assert evaluated[0]["n"] == 30


def test_what_compares_and_what_keeps_maps_takes_them(db, tmp_path):
    compare = (
        "SELECT layer, log_loss FROM VISTA_COMPARE('photos', 'labels', cnn => 'lenet5', "
        "layers => ['f6'], label => 'bright', weights => 'random', max_iterations => 5{})"
    )
    assert rows(db, compare.format("")) != rows(db, compare.format(", fit => 'crop'"))
    keep = (
        "FROM VISTA_MATERIALIZE('lenet5', 'conv2', 'photos', weights => 'random', "
        f"fit => 'crop', store => '{tmp_path}')"
    )
    assert rows(db, keep)[0]["images"] == 30
    plan = db.explain(by(fit="crop", store=tmp_path))
    assert "stored c3, else image" in plan
    assert "stored c3, else image" not in db.explain(by(store=tmp_path))
    assert rows(db, by(fit="crop", store=tmp_path)) == rows(db, by(fit="crop"))


def test_weights_bring_how_they_want_images_and_a_statement_is_stronger(db, expected, monkeypatch):
    wanted = roster.load("lenet5").preprocessing.asked("triangle", "crop")
    usual = weights.preprocessing

    def published(cnn, chosen=None):
        return replace(wanted, crop_pct=0.5) if chosen == "random" else usual(cnn, chosen)

    monkeypatch.setattr(weights, "preprocessing", published)
    fact = "SELECT detail, why FROM VISTA_EXPLAIN($${}$$) WHERE item = 'resize'"
    assert rows(db, fact.format(by())) == [
        {"detail": "triangle, crop 0.5", "why": "as the weights were published"}
    ]
    own = np.array([row["f6"] for row in rows(db, by())], np.float32)
    np.testing.assert_array_equal(own, expected(Framing("triangle", "crop", 0.5)))
    given = np.array([row["f6"] for row in rows(db, by(resize="bilinear"))], np.float32)
    np.testing.assert_array_equal(given, expected(Framing("bilinear", "crop", 0.5)))


def test_a_model_of_an_earlier_version_goes_on_as_it_was_trained(db):
    """It had one way: it wrote 'bilinear', and no fit."""
    assert trained(db, "early", ", resize => 'bilinear'")
    predict = (
        "SELECT probability FROM VISTA_PREDICT('early/f6', images => 'photos', "
        "structured => 'labels') ORDER BY id"
    )
    expected = rows(db, predict)
    (home,) = db.con.execute("SELECT getvariable('vista_home')").fetchone()
    file = Path(home, "models", "early", "1", "model.json")
    document = json.loads(file.read_text())
    (transfer,) = document["provenance"]["transfers"]
    for name in ("fit", "crop_pct"):
        del transfer["preprocessing"][name]
    file.write_text(json.dumps(document))
    assert rows(db, predict) == expected
