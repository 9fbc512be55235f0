"""What publishers say of their images beside the weights: Hugging Face's files, and timm's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from loading import write_safetensors
from msgspec.structs import replace
from numpy.testing import assert_allclose
from vista_sql.udfs.network import networks

from vista_sql import roster, weights
from vista_sql.errors import WeightsError
from vista_sql.kernels import InferSpec
from vista_sql.roster import Preprocessing
from vista_sql.weights.published import outside, published

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
VIT = {  # google/vit-base-patch16-224
    **{"do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 2},
    **{"rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224}, **HALVES},
}
DINO = {  # facebook/dinov2-small
    **{"crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_rescale": True},
    **{"image_mean": MEAN, "image_std": DEVIATION, "resample": 3, "do_normalize": True},
    **{"rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}},
}
CONVNEXT = {  # facebook/convnext-tiny-224
    **{"crop_pct": 0.875, "do_normalize": True, "do_resize": True, "image_mean": MEAN},
    **{"image_std": DEVIATION, "resample": 3, "size": 224},
    "feature_extractor_type": "ConvNextFeatureExtractor",
}
A1 = {  # timm/resnet50.a1_in1k
    **{"input_size": [3, 224, 224], "test_input_size": [3, 288, 288], "crop_pct": 0.95},
    **{"test_crop_pct": 1.0, "interpolation": "bicubic", "crop_mode": "center"},
    **{"mean": MEAN, "std": DEVIATION},
}


def said(tmp_path, config, file="preprocessor_config.json", shape=None):
    """Return what is read of a file beside weights; a dictionary is written as it is."""
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / file).write_text(text)
    return published(tmp_path / "model.safetensors", shape)


def frame(found):
    p = found.preprocessing
    return p.resize, p.fit, p.crop_pct, found.size


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (VIT, ("triangle", "stretch", 1.0, (224, 224))),
        (VIT | {"size": 224}, ("triangle", "stretch", 1.0, (224, 224))),
        (DINO, ("bicubic", "crop", 0.875, (224, 224))),
        (DINO | {"crop_size": 224, "size": 224}, ("bicubic", "crop", 1.0, (224, 224))),
        (DINO | {"size": {"height": 224, "width": 224}}, ("bicubic", "stretch", 1.0, (224, 224))),
        (CONVNEXT, ("bicubic", "crop", 0.875, (224, 224))),
        (CONVNEXT | {"size": {"shortest_edge": 224}}, ("bicubic", "crop", 0.875, (224, 224))),
        (CONVNEXT | {"size": {"shortest_edge": 384}}, ("bicubic", "stretch", 1.0, (384, 384))),
        ({"size": {"shortest_edge": 192}}, ("triangle", "crop", 1.0, (192, 192))),
    ],
)
def test_hugging_faces_processors_are_understood(tmp_path, config, expected):
    assert frame(said(tmp_path, config)) == expected


def test_pixels_come_out_as_the_publishers(tmp_path):
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 3))

    def ours(config, **options):
        p = said(tmp_path, config, **options).preprocessing
        assert p.source
        return (pixels - p.mean) * p.scale

    assert_allclose(ours(VIT), (pixels / 255 - 0.5) / 0.5, atol=1e-6)  # a mean has 6 places
    normal = (pixels / 255 - MEAN) / DEVIATION
    assert_allclose(ours(DINO), normal, atol=1e-6)
    assert_allclose(ours(VIT | {"do_normalize": False}), pixels / 255)
    assert_allclose(ours(VIT | {"do_rescale": False}), (pixels - 0.5) / 0.5)
    (tmp_path / "preprocessor_config.json").unlink()
    assert_allclose(ours({"pretrained_cfg": A1}, file="config.json"), normal, atol=1e-6)
    flipped = said(tmp_path, {"do_flip_channel_order": True}).preprocessing  # MobileViT's
    assert (flipped.order, flipped.mean) == ("bgr", (0.0,) * 3)


@pytest.mark.parametrize(
    ("config", "side", "expected"),
    [
        (A1, 224, ("bicubic", "crop", 0.95, (224, 224))),
        (A1, 288, ("bicubic", "crop", 1.0, (224, 224))),  # the size that it was tested with
        ({"interpolation": "bilinear"}, 224, ("triangle", "crop", 0.875, None)),
        (A1 | {"crop_mode": "squash", "crop_pct": 1}, 224, ("bicubic", "stretch", 1, (224, 224))),
        (A1 | {"crop_mode": "border", "crop_pct": 1}, 224, ("bicubic", "pad", 1, (224, 224))),
    ],
)
def test_timms_configurations_are_understood(tmp_path, config, side, expected):
    config = {"architecture": "resnet50", "pretrained_cfg": config}
    found = said(tmp_path, config, "config.json", (side, side, 3))
    assert frame(found) == expected
    early = {"architecture": "resnet50", "mean": MEAN, "std": DEVIATION, "crop_pct": 0.9}
    assert frame(said(tmp_path, early, "config.json"))[2] == 0.9


def test_where_it_is_looked_for(tmp_path):
    model = tmp_path / "onnx" / "model.onnx"
    model.parent.mkdir()
    assert published(model) is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"}))  # transformers'
    assert published(model) is None
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": A1}))
    assert published(model).preprocessing.crop_pct == 0.95
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(VIT))
    assert published(model).preprocessing.fit == "stretch"
    (model.parent / "preprocessor_config.json").write_text(json.dumps(DINO))
    assert published(model).preprocessing.fit == "crop"
    assert published(tmp_path / "elsewhere" / "model.onnx") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resample": 0}, "resample 0, and known is 2 or 'bilinear'"),
        ({"resample": [3]}, r"resample \[3\]"),
        ({"do_resize": "yes"}, 'do_resize "yes", and known is true or false'),
        ({"size": {"longest_edge": 800}}, "size .*shortest_edge"),
        ({"size": {"shortest_edge": -1}}, "size .*shortest_edge"),
        ({"size": True}, "size true"),
        ({"crop_pct": 1.5}, "crop_pct 1.5, and known is a number above 0 and up to 1"),
        ({"crop_size": 512}, "crop_size 512, and known is what lies within size"),
        ({"size": {"height": 256, "width": 256}}, "crop_size .*size's own"),
        ({"image_mean": [0.5]}, r"image_mean \[0.5\], and known is a list of 3 numbers"),
        ({"image_mean": [1, 2, float("nan")]}, "image_mean .*NaN"),
        ({"image_std": [0, 1, 1]}, "image_std .*above 0"),
        ({"rescale_factor": 0}, "rescale_factor 0, and known is a number above 0"),
    ],
)
def test_what_is_not_known_is_one_sentence(tmp_path, change, message):
    with pytest.raises(WeightsError, match=rf"preprocessor_config\.json has {message}") as caught:
        said(tmp_path, DINO | change, shape=(224, 224, 3))
    assert "\n" not in str(caught.value)
    assert "take it away and say resize => …" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"crop_mode": "tenfold"},
        {"crop_mode": "squash"},
        {"input_size": 3},
        {"interpolation": "box"},
    ],
)
def test_so_is_what_timm_does_and_we_do_not(tmp_path, change):
    with pytest.raises(WeightsError, match=rf"config\.json has {next(iter(change))} "):
        said(tmp_path, {"pretrained_cfg": A1 | change}, "config.json")


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"size": ', "[" * 100_000])
def test_a_damaged_file_is_said_to_be_so(tmp_path, text):
    with pytest.raises(
        WeightsError, match=r"preprocessor_config\.json (cannot be read|is no JSON)"
    ):
        said(tmp_path, text)


# ── what becomes of it for a CNN of the roster ──────────────────────────────────────────────────


def of_file(tmp_path, name, tensor, config=None):
    """Return the preprocessing of a CNN whose weights' file has one tensor, or so it seems."""
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {tensor: np.zeros(1, np.float32)})
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": config}))
    return weights.preprocessing(roster.load(name), str(path))


def test_files_without_a_word_are_taken_as_their_source_evaluates_them(tmp_path):
    resnet = of_file(tmp_path, "resnet50_v1_5", "conv1.weight")
    assert (resnet.resize, resnet.fit, resnet.crop_pct) == ("triangle", "crop", 224 / 256)
    theirs = of_file(tmp_path, "convnextsmall", "features.0.0.weight")
    assert (theirs.resize, theirs.fit, theirs.crop_pct) == ("triangle", "crop", 224 / 230)
    timms = of_file(tmp_path, "convnextsmall", "stem.0.weight")
    assert (timms.resize, timms.fit, timms.crop_pct) == ("bicubic", "crop", 0.875)
    for one in (theirs, timms):  # the network itself scales the pixels
        assert (one.mean, one.scale) == ((0.0,) * 3, (1.0,) * 3)


def test_what_is_said_beside_a_file_wins(tmp_path):
    found = of_file(tmp_path, "resnet50_v1_5", "conv1.weight", A1)
    assert (found.resize, found.crop_pct) == ("bicubic", 0.95)
    clips = A1 | {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    left = of_file(tmp_path, "convnexttiny", "stem.0.weight", clips)
    inside = roster.load("convnexttiny").torch_names[0].inside
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 3))
    entering = (pixels - left.mean) * left.scale
    assert_allclose(
        (entering - inside.mean) * inside.scale,
        (pixels / 255 - clips["mean"]) / clips["std"],
        atol=1e-6,
    )


def test_kernels_obey_it_but_for_what_a_statement_asks(tmp_path):
    of_file(tmp_path, "resnet50_v1_5", "conv1.weight", A1)
    spec = InferSpec("resnet50_v1_5", (), weights=str(tmp_path / "model.safetensors"))
    opened = networks.open_cnn(spec).cnn.preprocessing
    assert (opened.resize, opened.fit, opened.crop_pct) == ("bicubic", "crop", 0.95)
    asked = networks.open_cnn(replace(spec, resize="bilinear")).cnn.preprocessing
    assert (asked.resize, asked.fit) == ("bilinear", "crop")
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": A1 | {"std": [1, 1, 1]}}))
    assert networks.open_cnn(spec).cnn.preprocessing.scale != opened.scale


def test_nothing_is_read_for_other_weights(tmp_path):
    resnet = roster.load("resnet50")
    (tmp_path / "config.json").write_text("damaged")
    (tmp_path / "w.safetensors").write_bytes(b"")
    files = (str(tmp_path / "w.h5"), str(tmp_path / "w.safetensors"))
    for given in (None, "random", "imagenet", *files):
        assert weights.preprocessing(resnet, given) is resnet.preprocessing
    basic = roster.load("resnet18")
    assert weights.preprocessing(basic, str(tmp_path / "gone.safetensors")) is basic.preprocessing


def test_a_part_and_the_rest_make_the_whole():
    whole = Preprocessing("rgb", (10.0, 20.0, 30.0), (0.1, 0.2, 0.3))
    inside = Preprocessing("rgb", (1.0, 2.0, 3.0), (0.5, 0.25, 2.0))
    left = outside(whole, inside)
    x = np.float64([[0, 100, 255], [7, 8, 9]])
    entering = (x - left.mean) * left.scale
    assert_allclose((entering - inside.mean) * inside.scale, (x - whole.mean) * whole.scale)
