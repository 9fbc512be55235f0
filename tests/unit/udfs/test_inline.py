"""Text that holds an image is told from paths, and is held to its form."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest
from vista_sql.udfs.images import inline
from vista_sql.udfs.images.paths import Unreadable

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
FORMATS = (".jpg", ".png", ".bmp", ".tiff", ".webp", ".gif", ".avif", ".ppm", ".pgm", ".pbm")


@pytest.mark.parametrize("ending", FORMATS)
def test_base64_of_every_format_is_known_by_its_beginning(ending):
    pixels = PIXELS if ending not in (".pgm", ".pbm") else PIXELS[:, :, 0]
    encoded, data = cv2.imencode(ending, pixels)
    assert encoded
    text = base64.b64encode(data.tobytes()).decode()
    assert inline.image(text) == data.tobytes()
    assert re.match(inline.CANDIDATES, text)


@pytest.mark.parametrize(
    "text",
    [
        "a.png", "/9j/a.jpg", "photos/iVBORw0KGgo.png", "/workspace/photos/abcdefghijklmnop/1.jpg",
        "UDUK", "Qk0", "TU0/summer/holidays/at/the/sea/1.jpg", "./iVBORw0KGgoAAAANSUhEUgAAAAkAAAA",
        "file:///9j/4AAQSkZJRgABAQAAAQABAAD/2wBD", "https://example.org/iVBORw0KGgoAAAANSUhEUg",
        "data/image.png", "", "/9j/4AAQ",
    ],
)  # fmt: skip
def test_paths_are_no_images(text):
    assert inline.image(text) is None


PNG = base64.b64encode(cv2.imencode(".png", PIXELS)[1].tobytes()).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            PNG[:40] + "!" + PNG[41:],
            rf"^malformed base64 \({len(PNG):,} letters\): ! is letter 41$",
        ),
        (PNG[:40] + "\n\x07" + PNG[41:], r": \\x07 is letter 41$"),
        (PNG[:40] + "é" + PNG[41:], ": é is letter 41$"),
        (PNG[:40] + "_" + PNG[41:], ": _ is letter 41$"),
        (PNG[:41], r"malformed base64 \(41 letters\): its end is missing, or its padding"),
        (PNG[:40] + "====", "its end is missing, or its padding"),
        ("data:image/png;base64,AA=", r"malformed data: URL \(3 letters\): its end is missing"),
        ("data:image/png,%89PNG", "no data: URL of an image: it begins data:image/…;base64,"),
        ("DATA:text/plain;base64,AAAA", "no data: URL of an image"),
        ("data:", "no data: URL of an image"),
    ],
)
def test_what_begins_so_and_is_malformed_is_said_in_one_short_line(text, said):
    with pytest.raises(Unreadable, match=said) as raised:
        inline.image(text)
    assert len(str(raised.value)) <= 200
    assert str(raised.value).isprintable()
    assert re.match(inline.CANDIDATES, text)


def test_data_text_may_have_parameters_and_any_case():
    assert inline.image("Data:image/svg+xml;charset=utf-8;BASE64,AAAA") == bytes(3)
    assert inline.image("data:image/png;base64,") == b""
