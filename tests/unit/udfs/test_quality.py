"""What is measured of an image, by its definition; its mode as Pillow names it."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pictures
import pytest
from PIL import Image
from vista_sql.udfs.images import prepared, quality
from vista_sql.udfs.images.prepared import HEAD_BYTES, Wanted

from vista_sql.roster import Framing


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def test_numbers_are_those_of_the_definition():
    image = np.random.default_rng(5).integers(0, 256, (37, 61, 3), np.uint8)
    found = quality.measure(png(image))
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    around = np.pad(luma, 1, mode="edge")
    neighbours = sum(
        around[dy : dy + 37, dx : dx + 61]
        for dy in range(3)
        for dx in range(3)
        if (dy, dx) != (1, 1)
    )
    edges = np.clip(8 * luma - neighbours, 0, 255)
    shares = np.unique(luma, return_counts=True)[1] / luma.size
    assert found.brightness == pytest.approx(luma.mean() / 255)
    assert found.contrast == pytest.approx(luma.std() / 255)
    assert found.sharpness == pytest.approx(edges.std())
    assert found.entropy == pytest.approx(-(shares * np.log2(shares)).sum())
    assert found.dark == np.quantile(luma, 0.99, method="inverted_cdf") / 255
    assert found.light == np.quantile(luma, 0.05, method="inverted_cdf") / 255
    assert (found.format, found.width, found.height, found.mode) == ("PNG", 61, 37, "RGB")
    assert found.error is None


def test_one_colour_has_no_information():
    found = quality.measure(png(np.full((20, 30, 3), 255, np.uint8)))
    assert (found.brightness, found.contrast, found.sharpness, found.entropy) == (1, 0, 0, 0)
    assert (found.light, found.dark, found.gray) == (1, 1, True)


def test_one_pixel_of_colour_is_colour():
    image = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None], 30, 1).repeat(3, 2)
    assert quality.measure(png(image)).gray
    image[39, 29, 0] += 1
    assert not quality.measure(png(image)).gray


@pytest.mark.parametrize(
    ("mode", "format_", "options"),
    [
        *((mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *((mode, "JPEG", {}) for mode in ("L", "RGB", "CMYK")),
        *((mode, "TIFF", {}) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")),
        *(
            (mode, "WEBP", {"lossless": lossless})
            for mode in ("RGB", "RGBA")
            for lossless in (0, 1)
        ),
        *((mode, "BMP", {}) for mode in ("1", "P", "RGB")),
        *((mode, "PPM", {}) for mode in ("1", "L", "RGB")),
        ("P", "GIF", {}),
    ],
)
def test_the_mode_is_pillows(mode, format_, options):
    if mode == "I;16":
        image = Image.fromarray(pictures.GRAY.astype(np.uint16) * 257)
    else:
        image = pictures.RGBA.convert("LA") if mode == "LA" else pictures.RGBA.convert(mode)
    data = pictures.saved(image, format_, **options)
    assert Image.open(io.BytesIO(data)).mode == mode, "Pillow has written another one"
    found = quality.measure(data)
    assert (found.mode, found.error) == (mode, None)


def test_a_large_image_is_measured_small_and_says_its_own_size():
    data = pictures.saved(pictures.RGB.resize((2000, 1500)), "JPEG", exif=pictures.orientation(6))
    found = quality.measure(data)
    assert (found.width, found.height) == (1500, 2000)
    small = quality.measure(pictures.saved(pictures.RGB.resize((512, 384)), "PNG"))
    assert found.brightness == pytest.approx(small.brightness, abs=0.01)  # JPEG, and rounding


def test_what_cannot_be_decoded_says_what_its_header_knows():
    data = pictures.saved(pictures.RGB, "JPEG")
    found = quality.measure(data[: len(data) // 2])
    assert (found.format, found.width, found.bytes) == ("JPEG", 64, len(data) // 2)
    assert found.brightness is None
    assert "truncated" in found.error
    assert quality.measure(b"nothing") == quality.Quality(bytes=7, error="not an image (7 bytes)")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_prepared_image_of_any_size_is_measured(channels):
    pixels = pictures.COLOURS[..., :channels].copy()
    order = "gray" if channels == 1 else "rgb"
    head = np.empty(HEAD_BYTES, np.uint8)
    prepared.encode(pixels, Wanted(order, Framing(), pixels.shape), head)
    found = quality.measure(head.tobytes() + pixels.tobytes())
    same = quality.measure(png(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    assert (found.brightness, found.entropy) == (same.brightness, same.entropy)
    assert (found.mode, found.gray) == (("L", True) if channels == 1 else ("RGB", False))
