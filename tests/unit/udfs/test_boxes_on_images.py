"""Where a box of an image lies in a network's input, and what is cut out of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_sql.udfs.images import decoding, framing
from vista_sql.udfs.images.regions import fault

from vista_sql.roster import Framing

FRAMINGS = {
    "stretch": Framing("antialias"),
    "crop": Framing("antialias", "crop", 0.875),
    "pad": Framing("antialias", "pad", border=(0, 0, 0)),
}
SHAPE = (48, 64)


@pytest.mark.parametrize("fit", FRAMINGS)
@pytest.mark.parametrize("sides", [(96, 256), (240, 90), (37, 41)])
def test_a_box_lies_where_its_pixels_come_to(fit, sides):
    """A bright box on a dark image: it shines in the input where `in_input` says."""
    height, width = sides
    box = (0.25 * width, 0.3 * height, 0.4 * width, 0.45 * height)
    rows, columns = framing.cut_out(box, sides)
    image = np.zeros((height, width, 3), np.uint8)
    image[rows, columns] = 255
    exact = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    out = np.empty((*SHAPE, 3), np.uint8)
    framing.frame(image, sides, FRAMINGS[fit], out)
    left, top, right, bottom = framing.in_input(exact, sides, SHAPE, FRAMINGS[fit])
    weight = out[:, :, 0] / 255.0
    ys, xs = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    # pixels are resampled: the sides' middle is off by a part of one pixel of the input
    assert (weight * xs).sum() / weight.sum() == pytest.approx((left + right) / 2, abs=0.6)
    assert (weight * ys).sum() / weight.sum() == pytest.approx((top + bottom) / 2, abs=0.6)
    assert weight.sum() == pytest.approx((right - left) * (bottom - top), rel=0.08)


@settings(deadline=None)
@given(
    st.tuples(*[st.floats(-50, 250)] * 2, *[st.floats(0.1, 300)] * 2),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.sampled_from(list(FRAMINGS)),
)
def test_no_box_leaves_what_is_seen_of_its_image(box, sides, fit):
    there = framing.in_input(box, sides, SHAPE, FRAMINGS[fit])
    whole = framing.in_input((0, 0, sides[1], sides[0]), sides, SHAPE, FRAMINGS[fit])
    if there is None:
        return
    assert framing.cut_out(box, sides) is not None
    for axis in (0, 1):
        assert whole[axis] - 1e-9 <= there[axis]  # sums in float64, in another order
        assert there[axis] < there[axis + 2] <= whole[axis + 2] + 1e-9


@pytest.mark.parametrize(
    ("box", "sides", "cut"),
    [
        ((2.2, 3.9, 2.0, 1.0), (10, 10), (slice(3, 5), slice(2, 5))),  # every pixel it touches
        ((-4, -4, 6, 5), (10, 10), (slice(0, 1), slice(0, 2))),
        ((9.5, 0, 100, 100), (10, 10), (slice(0, 10), slice(9, 10))),
        ((-4, 0, 4, 4), (10, 10), None),
        ((0, 10, 4, 4), (10, 10), None),
    ],
)
def test_pixels_of_a_box(box, sides, cut):
    assert framing.cut_out(box, sides) == cut


def test_crops_are_of_the_upright_image():
    """An image that EXIF turns a quarter: boxes are of what people see."""
    random = np.random.default_rng(1)
    seen = random.integers(0, 255, (30, 20, 3), np.uint8)
    stored = np.ascontiguousarray(np.rot90(seen))  # orientation 6 turns it back
    png = cv2.imencode(".png", stored[:, :, ::-1])[1].tobytes()
    exif = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    import struct
    import zlib

    chunk = b"eXIf" + exif
    data = png[:33] + struct.pack(">I", len(exif)) + chunk
    data += struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    outs = [np.empty((8, 6, 3), np.uint8) for _ in range(2)]
    boxes = [(2.0, 5.0, 6.0, 8.0), (14.0, 22.0, 6.0, 8.0)]
    assert decoding.decode_crops(data, "rgb", list(zip(boxes, outs, strict=True))) == [None, None]
    for (x, y, width, height), out in zip(boxes, outs, strict=True):
        part = seen[int(y) : int(y + height), int(x) : int(x + width)]
        assert np.array_equal(out, part)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((np.nan, 0, 1, 1), "the box has no x"),
        ((0, np.inf, 1, 1), "the y of the box is infinite"),
        ((0, 0, 0, 1), "the box has no "),
        ((0, 0, 1, -1), "the box has no "),
        ((0, 0, 1, np.nan), "the box has no height"),
    ],
)
def test_what_is_no_box_says_why(box, says):
    assert fault(box).startswith(says)
