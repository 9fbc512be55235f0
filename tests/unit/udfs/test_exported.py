"""A kept model in ONNX: what no statement over small networks shows."""

from __future__ import annotations

import described
import numpy as np
import onnxruntime
import pytest
import toys
from msgspec.structs import asdict
from vista_sql.udfs.exported import backbone, export
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.networks import OpenCnn
from vista_sql.udfs.network.steps import Foreign, Image, Step

from vista_sql import models
from vista_sql.errors import PlanError
from vista_sql.train.metrics import probabilities


def kept(home, layers, structured, coef, record=()):
    """Keep a logistic regression with weights `coef`, and return it."""
    row = {
        "part": "p",
        "trainer": "logistic",
        "feature_set": "p",
        "structured": structured,
        "layers": layers,
        "n_train": 1,
    }
    facts = {"label": "y", "label_type": "VARCHAR", "classes": ["a", "b"], "created": "today"}
    facts |= {"options": {"seed": 0}, "provenance": {"transfers": [*record]}, "rows": [row]}
    arrays = {"coef": np.array([coef]), "intercept": np.array([0.25])}
    models.publish(str(home), "m", facts, [arrays])
    return next(models.entries(str(home)))


def run(file, **feeds):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], feeds)[0]


def test_pixels_are_rgb_whatever_the_network_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(backbone, "open_cnn", toys.open_toy)
    preprocessing = asdict(toys.cnn("inception").preprocessing)
    assert preprocessing.pop("order") == "bgr"
    record = {
        "arguments": {"cnn": "inception", "weights": "random", "pool": "gap", "dtype": "float32"},
        "columns": {"joined": "joined"},
        "preprocessing": {"order": "bgr", **preprocessing},
    }
    pixels = toys.pixels(4)
    (x,) = toys.lowered("inception").features(["joined"], "gap", pixels)
    coef = np.random.default_rng(0).normal(size=x.shape[1]) / np.abs(x).max()
    model = kept(tmp_path, [["joined", x.shape[1]]], [], coef, [record])
    export(model, tmp_path / "m.onnx")
    wanted = probabilities((x.astype(np.float64) @ coef + 0.25)[:, None])
    assert np.ptp(wanted[:, 0]) > 1e-3
    found = run(tmp_path / "m.onnx", pixels=np.ascontiguousarray(pixels[..., ::-1]))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)  # float32 sums in another order


def test_a_layer_for_which_onnx_has_no_operation(tmp_path, monkeypatch):
    image = Step("image", Image(), (), (7, 7, 3))
    foreign = Step("fourier", Foreign("FFT"), ("image",), (7, 7, 3))
    graph = Graph("net", [image, foreign], "fourier")
    opened = OpenCnn(described.CNN, "net", lambda: graph)
    monkeypatch.setattr(backbone, "open_cnn", lambda spec: opened)
    record = {
        "arguments": {"cnn": "net", "weights": "random", "pool": "gap", "dtype": "float32"},
        "columns": {"fourier": "fourier"},
        "preprocessing": asdict(described.CNN.preprocessing),
    }
    model = kept(tmp_path, [["fourier", 3]], [], [1.0, 2.0, 3.0], [record])
    with pytest.raises(PlanError, match=r"layer 'fourier' \(FFT\) cannot be written in ONNX"):
        export(model, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_columns_may_be_called_as_nodes_are(tmp_path):
    names = ["constant_1", "unsqueeze_2", "a b", "größe"]
    coef = [0.5, -0.25, 1.0, 2.0]
    export(kept(tmp_path, [], names, coef), tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(5, 4))
    found = run(tmp_path / "m.onnx", **dict(zip(names, x.T, strict=True)))
    wanted = probabilities((x @ coef + 0.25)[:, None])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)  # rounded to float32 in the end


def test_no_rows_are_none(tmp_path):
    export(kept(tmp_path, [], ["a"], [1.0]), tmp_path / "m.onnx")
    assert run(tmp_path / "m.onnx", a=np.zeros(0)).shape == (0, 2)


def test_numbers_that_vista_predict_does_not_score_are_nan(tmp_path):
    export(kept(tmp_path, [], ["a"], [1.0]), tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", a=np.array([np.nan, np.inf, -np.inf, 1e101, -1e99, 0.0]))
    assert np.isnan(found[:, 0]).tolist() == [True] * 4 + [False] * 2
    assert found[4].tolist() == [1.0, 0.0]
