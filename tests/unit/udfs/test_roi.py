"""Boxes on a map: torchvision's definitions of its two operators, written as loops over numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_sql.udfs.network.regions import CELLS, pooled

from vista_sql.kernels import ROI_POOLS

SIDES = st.integers(1, 9)
ENDS = st.floats(-3, 12).flatmap(
    lambda start: st.tuples(st.just(start), st.floats(start + 0.01, start + 12))
)


def bilinear(channel, y, x):
    """Return a map's value at a point; the middle of its first place is (0, 0)."""
    height, width = channel.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = max(y, 0.0), max(x, 0.0)
    y_low, x_low = min(int(y), height - 1), min(int(x), width - 1)
    y_high, x_high = min(y_low + 1, height - 1), min(x_low + 1, width - 1)
    y, x = (float(y_low) if y_low == height - 1 else y), (float(x_low) if x_low == width - 1 else x)
    down, right = y - y_low, x - x_low
    return (
        (1 - down) * (1 - right) * channel[y_low, x_low]
        + (1 - down) * right * channel[y_low, x_high]
        + down * (1 - right) * channel[y_high, x_low]
        + down * right * channel[y_high, x_high]
    )


def roi_align(channel, box, cells):
    """Return `roi_align(aligned=True, sampling_ratio=2)`, with the half-pixel offset."""
    left, top, right, bottom = (end - 0.5 for end in box)
    wide, tall = (right - left) / cells, (bottom - top) / cells
    return [
        np.mean([
            bilinear(channel, top + (i + (a + 0.5) / 2) * tall, left + (j + (b + 0.5) / 2) * wide)
            for a in range(2)
            for b in range(2)
        ])
        for i in range(cells)
        for j in range(cells)
    ]  # fmt: skip


def roi_pool(channel, box, cells):
    """Return `roi_pool`, quantized twice: the box, and the cells in it."""
    height, width = channel.shape
    left, top, right, bottom = (math.floor(abs(v) + 0.5) * (1 if v >= 0 else -1) for v in box)
    wide, tall = max(right - left + 1, 1) / cells, max(bottom - top + 1, 1) / cells
    values = []
    for i in range(cells):
        for j in range(cells):
            rows = [math.floor(i * tall) + top, math.ceil((i + 1) * tall) + top]
            columns = [math.floor(j * wide) + left, math.ceil((j + 1) * wide) + left]
            rows = [min(max(row, 0), height) for row in rows]
            columns = [min(max(column, 0), width) for column in columns]
            part = channel[slice(*rows), slice(*columns)]
            values.append(part.max() if part.size else 0.0)
    return values


ORACLES = {"roi_align": roi_align, "roi_pool": roi_pool}
WAYS = [(region, pool) for region, pools in ROI_POOLS.items() for pool in pools]


@pytest.mark.parametrize(("region", "pool"), WAYS)
@settings(max_examples=40, deadline=None)
@given(sides=st.tuples(SIDES, SIDES), boxes=st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=4))
def test_regions_are_as_torchvision_defines_them(region, pool, sides, boxes):
    random = np.random.default_rng(len(boxes))
    feature_map = random.standard_normal((*sides, 3)).astype(np.float32)
    corners = np.array([(x[0], y[0], x[1], y[1]) for x, y in boxes])
    found = pooled(feature_map, corners, region, pool)
    assert found.dtype == np.float32
    cells = CELLS[pool]
    wanted = [
        [ORACLES[region](feature_map[:, :, c].astype(float), box, cells) for c in range(3)]
        for box in corners.tolist()
    ]
    by_cell = np.array(wanted).transpose(0, 2, 1).reshape(len(boxes), -1)
    # a mean of 16 products in float32, of values up to 4
    np.testing.assert_allclose(found, by_cell, rtol=0, atol=4e-6 if region == "roi_align" else 0)


@pytest.mark.parametrize(("region", "pool"), WAYS)
def test_a_box_has_the_same_bits_alone_and_among_others(region, pool):
    random = np.random.default_rng(0)
    feature_map = random.standard_normal((14, 11, 37)).astype(np.float32)
    start = random.uniform(-2, 9, (50, 2))
    boxes = np.concatenate([start, start + random.uniform(0.1, 9, (50, 2))], axis=1)
    together = pooled(feature_map, boxes, region, pool)
    alone = np.concatenate([pooled(feature_map, box[None], region, pool) for box in boxes])
    assert together.tobytes() == alone.tobytes()


def test_half_a_pixel_is_taken_off():
    ramp = np.arange(8, dtype=np.float32)[None, :, None] * np.ones((8, 1, 1), np.float32)
    (value,) = pooled(ramp, np.array([[2.0, 2.0, 6.0, 6.0]]), "roi_align", "gap")
    assert value == 3.5  # the middle of places 2 to 5; 4 without the offset


def test_no_box_is_no_row():
    assert (
        pooled(np.ones((3, 3, 2), np.float32), np.empty((0, 4)), "roi_align", "gap").shape[0] == 0
    )
