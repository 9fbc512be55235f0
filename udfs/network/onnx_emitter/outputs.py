"""The pooling of a layer's values, as a part of the model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

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


def pooled(writer: Writer, value: Value, pool: str) -> Value:
    """Return features: a vector.

    Raises:
        ArgumentError: `pool` is none of vista_sql.kernels.POOLS.
    """
    if pool not in POOLS:
        raise ArgumentError(f"unknown pool {pool!r}; there is: {', '.join(POOLS)}")
    if not value.is_map or pool == "none":
        return writer.flat(value)
    if pool == "gem":
        floored = writer.apply("Max", value, writer.constant(GEM_FLOOR))
        powers = writer.apply("Pow", floored, writer.constant(GEM_POWER))
        mean = over_places(writer, powers, "mean")
        return writer.apply("Pow", mean, writer.constant(1 / GEM_POWER))
    if pool in ("gap", "gmp"):
        return over_places(writer, value, REDUCTIONS[pool])
    height, width, channels = value.shape
    cells = [
        over_places(writer, _cut(writer, value, rows, columns), REDUCTIONS[pool]).name
        for rows, columns in product(halves(height), halves(width))
    ]
    if len(cells) == 1:
        return Value(cells[0], (channels,))
    return Value(writer.node("Concat", cells, axis=1), (len(cells) * channels,))


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
