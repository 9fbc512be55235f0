"""What an encoded image says about itself."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from vista_sql.udfs.images import headers
from vista_sql.udfs.images.header import Header

PIXELS = np.random.default_rng(1).integers(0, 256, (7, 5, 3), dtype=np.uint8)


def encoded(ending, pixels=PIXELS):
    return cv2.imencode(ending, pixels)[1].tobytes()


def header(data):
    return headers.header(memoryview(data))


@pytest.mark.parametrize(
    ("ending", "name"),
    [(".jpg", "JPEG"), (".png", "PNG"), (".bmp", "BMP"), (".tiff", "TIFF"), (".webp", "WebP")],
)
def test_format_and_size_of_a_whole_file(ending, name):
    found = header(encoded(ending))
    assert (found.format, found.width, found.height, found.whole) == (name, 5, 7, True)


def test_gifs_and_avifs():
    gif = b"GIF89a" + struct.pack("<HH", 5, 7) + bytes(10)
    assert header(gif + b";") == Header("GIF", 5, 7, alpha=True, pixel_bytes=11, mode="P")
    avif = encoded(".avif")
    found = header(avif)
    assert (found.format, found.width, found.height, found.bits) == ("AVIF", 5, 7, 8)
    assert header(avif[:24]) == Header("AVIF", alpha=True, whole=False, changed=True)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_an_end_that_is_missing_is_seen(ending):
    data = encoded(ending)
    assert not header(data[: len(data) * 2 // 3]).whole
    assert not header(data[:12]).whole


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg():
    data = encoded(".jpg")
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data
    assert header(data[:2] + thumbnail + data[2:]).whole
    assert not header(data[:2] + thumbnail + data[2 : len(data) // 2]).whole


def test_alpha_is_expected_where_there_may_be_one():
    transparent = np.dstack([PIXELS, PIXELS[:, :, 0]])
    assert header(encoded(".png", transparent)).alpha
    assert not header(encoded(".png")).alpha
    assert not header(encoded(".jpg")).alpha


def test_sizes_of_boxes_that_no_file_has():
    avif = bytearray(encoded(".avif"))
    at = avif.index(b"meta") - 4
    avif[at : at + 4] = struct.pack(">I", 1)
    avif[at + 8 : at + 16] = b"\xff" * 8
    assert not header(bytes(avif)).whole


def test_what_is_not_an_image_is_named():
    assert header(b"hello") == Header("")
    assert header(b"%PDF-1.7") == Header("", refused="PDF", changed=True)


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (6, 6), (8, 8), (0, 1), (9, 1)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientations_are_read_in_both_byte_orders(order, value, expected):
    begin = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}IHHHIHH", 8, 1, 0x0112, 3, 1, value, 0)
    exif = begin + directory
    assert headers.orientation(exif) == expected
    assert headers.orientation(b"Exif\0\0" + exif) == expected
    assert headers.orientation(exif[:10]) == 1
