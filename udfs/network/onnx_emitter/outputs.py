"""The pooling of a layer's values, as a part of the model.

OpenVINO computes in float32 whatever lies between an output and the products below it, also where
it is told bfloat16: up to the sums of a residual network, which then are slower, and depend on what
is asked for. A product with one before an output ends that; only means are taken after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from vista_sql.errors import ArgumentError
from vista_sql.kernels import POOLS

from ..pools import GEM_FLOOR, GEM_POWER, halves
from ..steps import Reduction
from .writer import Value, Writer

REDUCTIONS: Mapping[str, Reduction] = {
    "max2x2": "max",
    "avg2x2": "mean",
    "gmp": "max",
    "gap": "mean",
}
POOLINGS: Mapping[Reduction, str] = {"max": "MaxPool", "mean": "AveragePool"}


def pooled(writer: Writer, value: Value, pool: str, ends_in_product: bool = False) -> Value:
    """Return features: a vector.

    Args:
        writer: of the model.
        value: a layer's.
        pool: how a map is pooled.
        ends_in_product: whether the layer's value is to be one of the model's arithmetic.

    Raises:
        ArgumentError: `pool` is none of vista_sql.kernels.POOLS.
    """
    if pool not in POOLS:
        raise ArgumentError(f"unknown pool {pool!r}; there is: {', '.join(POOLS)}")
    if not value.is_map:
        return times_one(writer, writer.flat(value)) if ends_in_product else writer.flat(value)
    is_largest = REDUCTIONS.get(pool) == "max"  # one of the values, wherever it is found
    if ends_in_product and not is_largest:
        value = times_one(writer, value)
    if pool == "none":
        return writer.flat(value)
    if pool == "gem":
        floored = writer.apply("Max", value, writer.constant(GEM_FLOOR))
        powers = writer.apply("Pow", floored, writer.constant(GEM_POWER))
        mean = over_places(writer, powers, "mean")
        return writer.apply("Pow", mean, writer.constant(1 / GEM_POWER))
    height, width, channels = value.shape
    if pool in ("gap", "gmp"):
        places = [value]
    else:
        cells = product(halves(height), halves(width))
        places = [_cut(writer, value, rows, columns) for rows, columns in cells]
    found = [over_places(writer, place, REDUCTIONS[pool]) for place in places]
    if ends_in_product and is_largest:
        found = [times_one(writer, one) for one in found]
    if len(found) == 1:
        return found[0]
    name = writer.node("Concat", [one.name for one in found], axis=1)
    return Value(name, (len(found) * channels,))


def times_one(writer: Writer, value: Value) -> Value:
    """Return a map or a vector as a product: a convolution whose only kernel is 1.

    OpenVINO keeps what a product gives in the arithmetic and in the order of memory of the network.
    """
    n_channels = value.shape[-1]
    ones = writer.constant(np.ones((n_channels, 1, 1, 1), np.float32))
    options = {"group": n_channels, "kernel_shape": (1, 1)}
    if value.is_map:
        name = writer.node("Conv", [writer.first(value).name, ones], **options)
        return Value(name, value.shape, "channels_first")
    places = writer.node("Reshape", [value.name, writer.constant((-1, n_channels, 1, 1))])
    name = writer.node("Conv", [places, ones], **options)
    return Value(writer.node("Reshape", [name, writer.constant((-1, n_channels))]), value.shape)


def over_places(
    writer: Writer, value: Value, reduction: Reduction, keep_axes: bool = False
) -> Value:
    """Return the largest or the mean value of each channel of a map.

    It is a pooling whose only window is the map: OpenVINO sums a reduction in another order where
    a map comes from a convolution than where it is the model's input, and a pooling in one.
    """
    height, width, channels = value.shape
    first = writer.first(value)
    name = writer.node(POOLINGS[reduction], [first.name], kernel_shape=(height, width))
    pooled = Value(name, (1, 1, channels), "channels_first")
    if keep_axes:
        return pooled
    shape = writer.constant((-1, channels))
    return Value(writer.node("Reshape", [name, shape]), (channels,))


def _cut(writer: Writer, value: Value, rows: tuple[int, int], columns: tuple[int, int]) -> Value:
    """Return rows and columns [start, end) of a map."""
    starts, ends = zip(rows, columns, strict=True)
    axes = writer.constant(value.spatial_axes)
    names = [value.name, writer.constant(starts), writer.constant(ends), axes]
    shape = (rows[1] - rows[0], columns[1] - columns[0], value.shape[-1])
    return Value(writer.node("Slice", names), shape, value.layout)
