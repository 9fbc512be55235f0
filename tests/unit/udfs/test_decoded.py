"""CNNs that take images of one size decode them once."""

import cv2
import numpy as np
import pyarrow as pa
from vista_sql.udfs.infer import infer
from vista_sql.udfs.passes import decoded
from vista_sql.udfs.passes.decoded import Decoded
from vista_sql.udfs.passes.runtime import Runtime

import vista_sql
from vista_sql.kernels import InferSpec


def test_pixels_are_given_out_as_often_as_asked_and_old_ones_dropped(monkeypatch):
    kept, out = Decoded(), np.zeros((2, 2, 1), np.uint8)
    one = np.full((2, 2, 1), 7, np.uint8)
    kept.keep("a", one, 2)
    one[:] = 0
    assert kept.take("a", out)
    assert kept.take("a", out)
    assert not kept.take("a", out)
    assert (out == 7).all()
    monkeypatch.setattr(decoded, "MAX_BYTES", 8)
    for key in "abc":
        kept.keep(key, one, 1)
    assert [kept.take(key, out) for key in "abc"] == [False, True, True]


def called(runtime, **changes):
    spec = InferSpec("lenet5", ("f6",), run="r", batch_rows=3, **changes).to_text()
    pixels = np.random.default_rng(5).integers(0, 256, (8, 20, 20), dtype=np.uint8)
    blobs = [cv2.imencode(".png", image)[1].tobytes() for image in pixels] + [b"no image"]
    n = len(blobs)
    return infer(1, runtime, pa.array([spec] * n), pa.array(blobs), pa.array(["k"] * n))


def test_a_later_call_of_another_network_does_not_decode_again():
    alone = called(Runtime(), weights="random")
    runtime = Runtime()
    called(runtime, keep=1)
    before = runtime.counters("r").decoded
    assert called(runtime, weights="random", call=1, take=True) == alone
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
    assert text.count('"keep":1') == text.count('"take":true') == 1
    assert text.index('"take":true') < text.index('"keep":1')  # the outer call is the later one
    assert '"keep"' not in staged(["fc6", "lenet5.fc6"])
    assert '"keep"' not in staged(["fc6", "conv5_1", "resnet34.fc6"], "lazy")
