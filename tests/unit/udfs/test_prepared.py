"""A prepared image gives the pixels of the original to the bit, or says why it does not."""

from __future__ import annotations

import itertools

import numpy as np
import pictures
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from vista_sql.udfs.images import decoding, digests, headers, prepared
from vista_sql.udfs.images.distinct_images import DistinctImages
from vista_sql.udfs.images.image_column import image_column
from vista_sql.udfs.images.paths import Unreadable
from vista_sql.udfs.images.prepared import HEAD_BYTES, Wanted

from vista_sql import store
from vista_sql.errors import ArgumentError
from vista_sql.kernels import InferSpec
from vista_sql.roster import Framing

ORIGINALS = {
    "jpeg": pictures.saved(pictures.RGB, "JPEG", quality=90),
    "gray jpeg": pictures.saved(pictures.L, "JPEG"),
    "turned jpeg": pictures.saved(pictures.RGB, "JPEG", exif=pictures.orientation(6)),
    "png": pictures.saved(pictures.RGB, "PNG"),
    "alpha": pictures.saved(pictures.RGBA, "PNG"),
    "palette": pictures.saved(pictures.RGB.convert("P"), "PNG"),
    "webp": pictures.saved(pictures.RGB, "WEBP"),
    "bmp": pictures.saved(pictures.RGB, "BMP"),
    "tiff": pictures.saved(pictures.RGB, "TIFF"),
}
FRAMINGS = [
    Framing(resize, fit, 0.875 if fit == "crop" else 1.0, (1, 20, 200) if fit == "pad" else ())
    for resize in ("antialias", "triangle", "bicubic", "bilinear")
    for fit in ("stretch", "crop", "pad")
]
SHAPE = (24, 20)


def decoded(data, wanted):
    out = np.full(wanted.shape, 77, np.uint8)
    assert decoding.decode(data, wanted.order, out, how=wanted.framing) is None
    return out


def wish(order, framing, shape=SHAPE):
    channels = 1 if order == "gray" else 3
    border = framing.border[:channels]
    framing = Framing(framing.resize, framing.fit, framing.crop_pct, border)
    return Wanted(order, framing, (*shape, channels))


def prepare(data, wanted):
    wanted = wanted.prepared
    pixels, head = decoded(data, wanted), np.empty(HEAD_BYTES, np.uint8)
    prepared.encode(pixels, wanted, head)
    return head.tobytes() + pixels.tobytes()


@pytest.mark.parametrize("kind", ORIGINALS)
def test_pixels_are_those_of_the_original(kind):
    data = ORIGINALS[kind]
    for order, framing in itertools.product(("rgb", "bgr", "gray"), FRAMINGS):
        wanted = wish(order, framing)
        made = prepare(data, wanted)
        assert np.array_equal(decoded(made, wanted), decoded(data, wanted)), (order, framing)


def test_networks_that_want_the_same_in_another_order_share_it():
    framing = Framing("bicubic", "crop", 0.9)
    rgb, bgr = (prepare(ORIGINALS["jpeg"], wish(order, framing)) for order in ("rgb", "bgr"))
    assert rgb == bgr


def test_the_head_is_as_documented():
    wanted = wish("rgb", Framing())
    made = prepare(ORIGINALS["png"], wanted)
    assert made[:8] == b"\x89VISTA\r\n"
    assert np.frombuffer(made[8:12], "<u2").tolist() == [1, 3]
    assert np.frombuffer(made[12:20], "<u4").tolist() == list(SHAPE)
    assert made[20:36] == store.digest(b"antialias, stretch")
    assert made[36:52] == store.digest(made[HEAD_BYTES:])
    assert made[HEAD_BYTES:] == decoded(ORIGINALS["png"], wanted).tobytes()
    header = headers.header(memoryview(made))
    assert (header.width, header.height, header.whole, header.takes()) == (20, 24, True, 0)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (wish("rgb", Framing("bicubic")), "24 × 20 pixels of RGB, bicubic, stretch"),
        (wish("rgb", Framing(), (20, 24)), "20 × 24 pixels of RGB, antialias, stretch"),
        (wish("gray", Framing()), "24 × 20 pixels of gray, antialias, stretch"),
        (wish("rgb", Framing(fit="crop", crop_pct=0.9)), "antialias, crop 0.9"),
    ],
)
def test_what_another_network_wants_is_an_error_that_says_both(other, said):
    made = prepare(ORIGINALS["jpeg"], wish("rgb", Framing()))
    out = np.empty(other.shape, np.uint8)
    with pytest.raises(ArgumentError) as caught:
        decoding.decode(made, other.order, out, how=other.framing)
    assert "prepared as 24 × 20 pixels of RGB, antialias, stretch, and" in str(caught.value)
    assert said in str(caught.value)


MADE = prepare(ORIGINALS["jpeg"], wish("rgb", Framing()))


@settings(deadline=None)
@given(at=st.integers(0, len(MADE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_a_reason_and_another_digest(at, bit):
    wrong = bytearray(MADE)
    wrong[at] ^= 1 << bit
    out = np.empty((*SHAPE, 3), np.uint8)
    assert decoding.decode(bytes(wrong), "rgb", out) is not None
    assert digests.digest(bytes(wrong)) != digests.digest(MADE)


@pytest.mark.parametrize("length", [8, 30, HEAD_BYTES, len(MADE) - 1])
def test_a_missing_end_is_a_reason(length):
    out = np.empty((*SHAPE, 3), np.uint8)
    assert "truncated prepared image" in decoding.decode(MADE[:length], "rgb", out)
    assert prepared.digest(memoryview(MADE[:length])) is None
    assert "truncated" in prepared.place(memoryview(MADE[:length]), wish("rgb", Framing()), out)


def test_a_later_version_is_refused_by_its_number():
    later = MADE[:8] + b"\x02\0" + MADE[10:]
    reason = decoding.decode(later, "rgb", np.empty((*SHAPE, 3), np.uint8))
    assert "prepared image of version 2 is not read here" in reason


def test_it_is_known_by_its_pixels_and_preprocessing():
    assert digests.digest(MADE) == store.digest(MADE[:HEAD_BYTES])
    other = prepare(ORIGINALS["jpeg"], wish("rgb", Framing("bilinear")))
    assert digests.digest(other) != digests.digest(MADE)


def distinct(column):
    return DistinctImages(image_column(column, InferSpec("lenet5", ()), pa.nulls(len(column))), "")


def test_those_with_one_head_are_told_apart_by_all_their_bytes():
    wrong = MADE[:-1] + bytes([MADE[-1] ^ 1])
    other = prepare(ORIGINALS["png"], wish("rgb", Framing()))
    for column, rows in (
        ([MADE, wrong, None, MADE], [[0, 3], [1]]),
        ([MADE, None, other], [[0], [2]]),
        ([MADE, other, b"x"], [[0], [1], [2]]),
    ):
        images = distinct(pa.array(column, pa.binary()))
        assert [images.rows(image).tolist() for image in range(len(images))] == rows
        assert bytes(images.read(len(images) - 1)) == column[rows[-1][0]]


def test_the_reason_of_an_earlier_statement_stays():
    rows = [
        {"image": b"a", "error": None},
        {"image": None, "error": "gone"},
        {"image": None, "error": None},
        {"image": b"b", "error": "of an image that is here, it says nothing"},
        {"image": None, "error": "gone"},
    ]
    images = distinct(pa.array(rows, pa.struct([("image", pa.binary()), ("error", pa.string())])))
    assert images.not_null.tolist() == [True, True, False, True, True]
    assert images.rows(1).tolist() == [1, 4]
    assert not images.is_remote(1)
    with pytest.raises(Unreadable, match=r"^gone$"):
        images.read(1)
    assert bytes(images.read(2)) == b"b"


@pytest.mark.parametrize("order", ["rgb", "bgr", "gray"])
def test_as_a_picture_it_comes_to_any_size(order):
    """As a PNG of the same pixels does: for overlays, and to find equal ones."""
    wanted = wish("gray" if order == "gray" else "rgb", Framing("bicubic", "crop", 0.9))
    made = prepare(ORIGINALS["jpeg"], wanted)
    pixels = np.frombuffer(made, np.uint8, offset=HEAD_BYTES).reshape(wanted.shape)
    image = Image.fromarray(pixels.squeeze())
    for shape in ((24, 20), (50, 61), (10, 7)):
        outs = [np.empty((*shape, wanted.shape[2]), np.uint8) for _ in range(2)]
        for data, out in zip((made, pictures.saved(image, "PNG")), outs, strict=True):
            assert decoding.decode_picture(data, order, out) is None
        assert np.array_equal(*outs)
    assert "checksum" in decoding.decode_picture(made[:-1] + b"\0", order, outs[0])
