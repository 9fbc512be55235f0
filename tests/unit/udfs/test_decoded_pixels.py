"""CNNs that take images of one size decode them once."""

import cv2
import numpy as np
import pyarrow as pa
from vista_sql.udfs.infer import infer
from vista_sql.udfs.passes import decoded_pixels
from vista_sql.udfs.passes.decoded_pixels import DecodedPixels
from vista_sql.udfs.passes.runtime import Runtime

import vista_sql
from vista_sql.kernels import InferSpec


def test_pixels_are_given_out_as_often_as_asked_and_old_ones_dropped(monkeypatch):
    held, out = DecodedPixels(), np.zeros((2, 2, 1), np.uint8)
    one = np.full((2, 2, 1), 7, np.uint8)
    held.put("a", one, 2)
    one[:] = 0
    assert held.take("a", out)
    assert held.take("a", out)
    assert not held.take("a", out)
    assert (out == 7).all()
    monkeypatch.setattr(decoded_pixels, "MAX_BYTES", 8)
    for key in "abc":
        held.put(key, one, 1)
    assert [held.take(key, out) for key in "abc"] == [False, True, True]


def called(runtime, **changes):
    spec = InferSpec("lenet5", ("f6",), run="r", batch_rows=3, **changes).to_text()
    pixels = np.random.default_rng(5).integers(0, 256, (8, 20, 20), dtype=np.uint8)
    blobs = [cv2.imencode(".png", image)[1].tobytes() for image in pixels] + [b"no image"]
    n = len(blobs)
    return infer(1, runtime, pa.array([spec] * n), pa.array(blobs), pa.array(["k"] * n))


def test_a_later_call_of_another_network_does_not_decode_again():
    alone = called(Runtime(), weights="random")
    runtime = Runtime()
    called(runtime, pixels_kept_for=1)
    before = runtime.counters("r").decoded
    assert called(runtime, weights="random", call=1, pixels_taken=True) == alone
    assert before == 9
    assert runtime.counters("r").decoded == 10  # the one that could not be read, tried again


def staged(layers, plan="fused"):
    with vista_sql.connect() as db:
        db.query("CREATE TABLE images AS SELECT 1 AS id, 'a.png' AS path").arrow()
        return db.rewrite(
            f"SELECT * FROM TRANSFER(cnn => 'resnet18', layers => {layers}, plan => '{plan}')"
        )


def test_calls_of_cnns_of_one_size_share_their_pixels():
    text = staged(["fc6", "lenet5.fc6", "resnet34.fc6", "hog"])
    assert text.count('"pixels_kept_for":1') == text.count('"pixels_taken":true') == 1
    assert text.index('"pixels_taken":true') < text.index(
        '"pixels_kept_for":1'
    )  # the outer call is the later one
    assert '"pixels_kept_for"' not in staged(["fc6", "lenet5.fc6"])
    assert '"pixels_kept_for"' not in staged(["fc6", "conv5_1", "resnet34.fc6"], "lazy")
