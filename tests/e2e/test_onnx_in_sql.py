"""cnn => 'net.onnx': in query(), on a bare connection, in models, and where it cannot be."""

from __future__ import annotations

import json
import shutil

import cv2
import duckdb
import foods
import numpy as np
import onnx_nets
import pytest

import vista_sql
from vista_sql.errors import (
    ArgumentError,
    ModelError,
    QueryError,
    SettingError,
    UnknownNameError,
    WeightsError,
)

PIXELS = "mean => [120, 110, 100], scale => 0.02"


@pytest.fixture(scope="module")
def food_db():
    with foods.connect() as db:
        yield db


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    for name in ("residual", "transformer", "without_class"):
        onnx_nets.saved(onnx_nets.NETS[name](), folder / f"{name}.onnx")
    return folder


def call(nets, name="residual", *more):
    arguments = ", ".join((f"cnn => '{nets / name}.onnx'", *more))
    return f"TRANSFER({arguments})"


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def test_query_and_macros_agree_and_are_what_the_network_computes(food_db, nets):
    text = "SELECT id, pool1, features, logits FROM {} WHERE id < 4 ORDER BY id"
    layers = "layers => ['pool1', 'features', 'logits']"
    text = text.format(call(nets, "residual", layers, PIXELS))
    found = rows(food_db, text)
    assert [len(found[0][name]) for name in ("pool1", "features", "logits")] == [32, 8, 5]
    with duckdb.connect() as con:
        foods.fill(con)
        vista_sql.attach(con)
        assert con.sql(text).to_arrow_table().to_pylist() == found
    (shown,) = rows(food_db, f"SELECT * FROM {call(nets, 'residual', PIXELS)} WHERE id = 1")
    assert {"features", "logits"} < set(shown)
    assert shown["logits"] == found[1]["logits"]
    counted = call(nets, "residual", "layers => [-1, -3]", PIXELS)
    (shown,) = rows(food_db, f"SELECT logits, len(gap) AS n FROM {counted} WHERE id = 1")
    assert shown == {"logits": found[1]["logits"], "n": 8}


def test_tokens_are_pooled(food_db, nets):
    def values(pool):
        text = call(nets, "transformer", "layers => ['tokens', 'pooled']", PIXELS, *pool)
        (row,) = rows(food_db, f"SELECT tokens, pooled FROM {text} WHERE id = 2")
        return row

    (cls, default) = values(["pool => 'cls'"]), values([])
    assert cls["tokens"] == pytest.approx(cls["pooled"], rel=1e-6)
    assert len(default["tokens"]) == 4 * len(cls["tokens"])
    assert values(["pool => 'grid'"]) == default
    assert values(["pool => 'mean'"]) == values(["pool => 'gap'"])


def test_the_numbers_beside_a_file_are_those_of_the_statement(food_db, nets, tmp_path):
    own = tmp_path / "residual.onnx"
    own.write_bytes((nets / "residual.onnx").read_bytes())
    said = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_resize": False, "size": 32}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    text = "SELECT id, logits FROM {} WHERE id < 3 ORDER BY id"
    found = rows(food_db, text.format(call(tmp_path)))
    given = "mean => 127.5, scale => [4/255, 4/255, 4/255]"
    assert np.array([row["logits"] for row in found]) == pytest.approx(
        np.array(
            [row["logits"] for row in rows(food_db, text.format(call(nets, "residual", given)))]
        ),
        rel=1e-4,
        abs=1e-4,
    )


def test_channels_stand_as_they_are_said_to(food_db, nets, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for name, pixels in (("rgb", picture), ("bgr", picture[..., ::-1])):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "it.png"), pixels)
    first, same, other = (
        rows(food_db, f"SELECT logits FROM {call(nets, 'residual', images, channels, PIXELS)}")
        for images, channels in (
            (f"images => '{tmp_path}/rgb/'", "channels => 'rgb'"),
            (f"images => '{tmp_path}/bgr/'", "channels => 'bgr'"),
            (f"images => '{tmp_path}/bgr/'", "channels => 'rgb'"),
        )
    )
    assert first == same != other


def test_how_images_come_to_size_is_said_beside_a_file_too(food_db, nets, tmp_path):
    shutil.copy(nets / "residual.onnx", tmp_path)
    own = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "crop_pct": 1.0}
    own |= {"architecture": "own", "input_size": [3, 32, 32]}
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": own}))
    (tmp_path / "photos").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photos" / "it.png"), picture)
    photos, said = f"images => '{tmp_path}/photos/'", "mean => 127.5, scale => 0.0156862745098"
    framed = (photos, said, "resize => 'bicubic', fit => 'crop'")
    text = "SELECT logits FROM {}"
    (found,) = rows(food_db, text.format(call(tmp_path, "residual", photos)))
    (same,) = rows(food_db, text.format(call(nets, "residual", *framed)))
    (other,) = rows(food_db, text.format(call(nets, "residual", photos, said)))
    assert found["logits"] == pytest.approx(same["logits"], rel=1e-5)
    assert found["logits"] != pytest.approx(other["logits"], rel=1e-3)


def test_layers_and_the_plan_are_known(food_db, nets):
    found = rows(food_db, f"FROM VISTA_LAYERS('{nets / 'residual.onnx'}')")
    assert [row["layer"] for row in found][-3:] == ["gap", "features", "logits"]
    assert [row["index_from_top"] for row in found][-2:] == [-2, -1]
    assert [row["layer"] for row in found if row["is_feature_layer"]] == ["features", "logits"]
    told = food_db.explain(f"SELECT logits FROM {call(nets, 'residual', PIXELS)}")
    assert "engine: openvino (it runs .onnx files)" in told


def test_the_store_knows_a_file_by_its_content(fresh_db, nets, tmp_path):
    other = tmp_path / "residual.onnx"
    other.write_bytes((nets / "residual.onnx").read_bytes())
    store = f"store => '{tmp_path / 'store'}'"
    first = rows(fresh_db, f"SELECT id, logits FROM {call(nets, 'residual', PIXELS, store)}")
    again = rows(fresh_db, f"SELECT id, logits FROM {call(tmp_path, 'residual', PIXELS, store)}")
    assert sorted(map(str, first)) == sorted(map(str, again))
    runs = rows(fresh_db, "SELECT images_inferred FROM VISTA_RUNS() LIMIT 2")
    assert runs[0]["images_inferred"] == 0 < runs[1]["images_inferred"]


def test_a_model_remembers_the_numbers(fresh_db, nets, tmp_path):
    fresh_db.con.execute(
        f"SET VARIABLE vista_home = '{tmp_path}';"
        "CREATE TABLE pictures AS SELECT row_number() OVER () AS id, image "
        "FROM images, range(4) WHERE id <> 4 AND image IS NOT NULL;"
        "CREATE TABLE facts AS SELECT id, id % 2 = 0 AS even FROM pictures"
    )
    own = f"cnn => '{nets / 'residual.onnx'}', layers => ['features'], {PIXELS}"
    rest = "images => 'pictures', structured => 'facts'"
    rows(
        fresh_db,
        f"FROM VISTA_TRAIN(model => 'even', label => 'even', max_iterations => 5, {own}, {rest})",
    )
    text = "SELECT id, probability FROM VISTA_PREDICT('even/features', {}) ORDER BY id"
    found = rows(fresh_db, text.format(rest))
    data = f"data => $$SELECT * FROM TRANSFER({own}, {rest})$$"
    assert rows(fresh_db, text.format(data)) == found
    assert rows(fresh_db, text.format(f"{rest}, scale => 0.02")) == found
    with pytest.raises(ModelError, match=r"is an \.onnx file already"):
        fresh_db.export_model("even/features", tmp_path / "model.onnx")
    with pytest.raises(QueryError, match="was trained with scale"):
        rows(fresh_db, text.format(f"{rest}, scale => 1"))


def refused(db, kind, nets, *more, name="residual"):
    text = f"SELECT * FROM {call(nets, name, *more)}"
    with pytest.raises(kind) as caught:
        rows(db, text)
    return str(caught.value)


def test_what_cannot_be_is_one_sentence(food_db, nets):
    said = refused(food_db, ArgumentError, nets)
    assert "nothing says how" in said
    assert "mean => … and scale => …" in said
    assert "preprocessor_config.json" in said
    wrong = [
        (UnknownNameError, "did you mean 'logits'", "layers => ['logit']", PIXELS),
        (ArgumentError, "does not run .onnx files", "engine => 'tensorflow'", PIXELS),
        (SettingError, "a GPU needs engine => 'tensorflow'", "device => 'gpu'", PIXELS),
        (WeightsError, "has weights of its own", "weights => 'random'", PIXELS),
        (ArgumentError, "scale must be a number other than 0", "scale => 0"),
        (ArgumentError, "and has 2", "mean => [1, 2]"),
        (ArgumentError, "mean must be a number, or a list", "mean => 'imagenet'"),
        (UnknownNameError, "unknown channels", "channels => 'rgba'", PIXELS),
        (WeightsError, "which are no 'gray'", "channels => 'gray'", PIXELS),
        (ArgumentError, "'pool1' of residual has none", "layers => ['pool1']", "pool => 'cls'",
         PIXELS),
    ]  # fmt: skip
    for kind, words, *more in wrong:
        assert words in refused(food_db, kind, nets, *more), words
    said = refused(food_db, ArgumentError, nets, "layers => ['split']", PIXELS, name="transformer")
    assert "'split' of transformer has 17×3×2×6 values, which is no vector" in said
    said = refused(
        food_db, ArgumentError, nets, "layers => ['tokens']", "pool => 'cls'", PIXELS,
        name="without_class",
    )  # fmt: skip
    assert "has no class token, but 4 × 4 places" in said


def test_the_numbers_of_a_known_cnn_are_known(food_db):
    with pytest.raises(ArgumentError, match=r"scale is of \.onnx files: how LeNet-5 takes"):
        rows(food_db, "FROM TRANSFER(cnn => 'lenet5', scale => 1)")
    with pytest.raises(ArgumentError, match="pool 'cls' is of tokens"):
        rows(food_db, "FROM TRANSFER(cnn => 'lenet5', pool => 'cls')")


def test_a_damaged_file_costs_nothing_else(fresh_db, nets, tmp_path):
    half = tmp_path / "half.onnx"
    half.write_bytes((nets / "residual.onnx").read_bytes()[:2000])
    before = rows(fresh_db, "SELECT count(*) AS n FROM duckdb_tables()")
    assert "is damaged, or no ONNX model" in refused(
        fresh_db, WeightsError, tmp_path, PIXELS, name="half"
    )
    assert rows(fresh_db, "SELECT count(*) AS n FROM duckdb_tables()") == before
    assert rows(fresh_db, f"SELECT id FROM {call(nets, 'residual', PIXELS)} LIMIT 1")
