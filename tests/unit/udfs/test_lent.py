"""CNNs that take images of one size decode them once; those that begin alike infer that once."""

from functools import cache

import cv2
import numpy as np
import pyarrow as pa
import pytest
import toys
from vista_sql.udfs.infer import infer
from vista_sql.udfs.passes.lent import Lent
from vista_sql.udfs.passes.runtime import Runtime

import vista_sql
from vista_sql.kernels import InferSpec, Lending


def test_what_is_lent_is_given_out_as_often_as_asked_and_old_ones_are_dropped():
    held = Lent(8)
    one = np.full((2, 2, 1), 7, np.uint8)
    held.put("a", one, 2)
    one[:] = 0
    assert held.has("a")
    assert (held.take("a") == 7).all()
    assert (held.take("a") == 7).all()
    assert held.take("a") is None
    assert not held.has("a")
    for key in "abc":
        held.put(key, one, 1)
    assert [held.take(key) is not None for key in "abc"] == [False, True, True]
    for run in ("1", "1/2"):
        held.put(run, one, 2, run)
    held.forget("1/2")
    assert [held.has(run) for run in ("1", "1/2")] == [True, False]
    held.put("1/2", one, 2, "1/2")
    held.forget("1")
    assert not any(map(held.has, ("1", "1/2")))


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


@cache
def toy_runtime():
    return toys.runtime()


def begun(number, layers, blobs, **changes):
    """Call as the statement's call of a number; return its result, and what that call counted."""
    runtime = toy_runtime()
    runtime.forget(f"{number}")
    runtime._outcomes.clear()
    runtime.sharing.__init__()  # calls of other networks would find nothing there
    spec = InferSpec("residual", layers, run=f"{number}", call=number, **changes).to_text()
    n = len(blobs)
    found = infer(2, runtime, pa.array([spec] * n), blobs, pa.array(["k"] * n))
    counts = runtime.counters(f"{number}")
    return found, counts.decoded, counts.images_resumed


@pytest.mark.parametrize("has_store", [False, True])
def test_calls_of_cnns_that_begin_alike_infer_that_once(tmp_path, has_store):
    images = [cv2.imencode(".png", toys.pixels(1, i)[0])[1].tobytes() for i in range(7)]
    blobs = pa.array([*images, b"no image", None], pa.binary())
    lower, upper = ("first_relu", "mean"), ("top",)
    expected = [begun(0, layers, blobs)[0] for layers in (lower, upper)]
    lends = (Lending("block", "1", 1), Lending("block2", "2", 2))
    store = str(tmp_path) if has_store else ""
    found = begun(1, lower, blobs, lends=lends, store=store)
    assert found == (expected[0], 8, 0)
    for number, base, computation in ((2, "block", "1"), (3, "block2", "2"), (4, "block2", "2")):
        store = str(tmp_path / base) if has_store and number < 4 else ""
        found = begun(number, upper, blobs, base=base, borrows=computation, store=store)
        assert found == (expected[1], 1, 7)  # the one that could not be read, tried again
    found = begun(5, upper, blobs, base="block", borrows="1")
    assert found == (expected[1], 8, 0)  # nothing is left


def test_a_call_lends_from_where_it_starts_itself():
    blobs = pa.array([cv2.imencode(".png", toys.pixels(1, 3)[0])[1].tobytes()] * 3)
    top = ("top",)
    expected, *_ = begun(0, top, blobs, lends=(Lending("block", "1", 1),))
    lends = (Lending("first_relu", "0", 1), Lending("mean", "3", 1))  # below its start, and above
    found = begun(1, top, blobs, base="block", borrows="1", lends=lends)
    assert found == (expected, 0, 1)
    assert begun(2, top, blobs, base="mean", borrows="3") == (expected, 0, 1)
    assert begun(3, top, blobs, base="first_relu", borrows="0") == (expected, 1, 0)
