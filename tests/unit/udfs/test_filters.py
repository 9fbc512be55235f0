"""Triangle and bicubic are Pillow's to the bit, however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from vista_sql.udfs.images import filters

PILLOW = {"triangle": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIDES = (  # height and width of the image, and of the result
    ((90, 120), (32, 32)),
    ((375, 500), (224, 224)),
    ((32, 20), (90, 45)),  # larger
    ((200, 30), (50, 70)),  # one side each way
    ((30, 200), (70, 50)),
    ((64, 64), (64, 64)),
    ((97, 63), (96, 64)),
    ((1, 50), (7, 7)),
    ((501, 3), (16, 9)),
    ((2000, 1500), (64, 64)),
)


def noise(sides, channels=3):
    """Pixels that hide nothing: noise, black beside white, and one smooth half."""
    height, width = sides
    shape = (height, width, channels) if channels == 3 else sides
    image = np.random.default_rng(height * width).integers(0, 256, shape, np.uint8)
    image[: height // 3] = np.where(image[: height // 3] > 127, 255, 0)
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    image[height * 2 // 3 :] = ramp[:, None] if channels == 3 else ramp
    return image


def whole(sides):
    return slice(0, sides[0]), slice(0, sides[1])


def pillow(image, sides, by):
    return np.asarray(Image.fromarray(image).resize(sides[::-1], PILLOW[by])).astype(int)


@pytest.mark.parametrize("by", PILLOW)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("sides", "to"), SIDES)
def test_resized_as_pillow_does(sides, to, channels, by):
    image = noise(sides, channels)
    found = filters.resized(image, to, whole(to), by)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pillow(image, to, by))


@pytest.mark.parametrize("by", PILLOW)
def test_a_part_is_that_of_the_whole(by):
    image, to = noise((90, 120)), (48, 64)
    all_of_it = filters.resized(image, to, whole(to), by)
    part = slice(5, 41), slice(11, 60)
    assert np.array_equal(filters.resized(image, to, part, by), all_of_it[part])


@pytest.mark.parametrize("by", PILLOW)
@pytest.mark.parametrize(("sides", "to"), [((375, 500), (224, 224)), ((200, 30), (50, 70))])
def test_bits_do_not_depend_on_how_the_work_is_cut(monkeypatch, sides, to, by):
    image = noise(sides)
    expected = filters.resized(image, to, whole(to), by)
    filters._kept.cache_clear()
    for name, value in (("PRODUCT_OPERATIONS", 1000), ("BAND_RESULTS", 3)):
        monkeypatch.setattr(filters, name, value)
        assert np.array_equal(filters.resized(image, to, whole(to), by), expected)
        filters._kept.cache_clear()


def test_a_colour_stays_that_colour():
    for level in (0, 1, 127, 254, 255):
        image = np.full((333, 77, 3), level, np.uint8)
        for by in PILLOW:
            assert (filters.resized(image, (50, 90), whole((50, 90)), by) == level).all()


@pytest.mark.parametrize("sides", [(20, 9000), (9000, 20)])
def test_a_long_side_is_resized_first_and_as_pillow_does(monkeypatch, sides):
    monkeypatch.setattr(filters, "LONG_SIDE", 1000)
    image, to = noise(sides), (40, 40)
    found = filters.resized(image, to, whole(to), "triangle")
    assert np.abs(found - pillow(image, to, "triangle")).max() <= 1
