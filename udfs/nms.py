"""vista_nms: of boxes that overlap, those that come first."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import Runtime

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]

SIDES = ("x", "y", "width", "height")
SQL_TYPES = (f"STRUCT({', '.join(f'{side} DOUBLE' for side in SIDES)})[]", "DOUBLE")
BLOCK_ROWS = 256  # of boxes that are compared with each other, then with all that follow
PIECE_ROWS = 4096  # of those that follow: 1 MiB of flags, which a core's cache holds


def suppress(runtime: Runtime, boxes: Column, threshold: Column) -> pa.Array:
    """Keep each group's first box, and each later one that overlaps none that is kept too far.

    This is greedy non-maximum suppression (Girshick et al., Rich feature hierarchies, 2014,
    section 2.1) of boxes in falling order.

    Args:
        runtime: asked whether the call is cancelled.
        boxes: each row a group, LIST<STRUCT<x, y, width, height: float64>>; a box with a NULL or a
            NaN, or without an area, overlaps nothing.
        threshold: float64 in [0, 1], the same in every row: boxes whose intersection over union is
            more exclude each other.

    Returns:
        LIST<int64>, row i for row i: places of the boxes kept in their group, from 1, ascending;
        NULL where the group is.
    """
    groups = boxes.combine_chunks() if isinstance(boxes, pa.ChunkedArray) else boxes
    kept = [
        None if not group.is_valid else _kept(runtime, group.values, limit.as_py()) + 1
        for group, limit in zip(groups, threshold, strict=True)
    ]
    return pa.array(kept, pa.list_(pa.int64()))


def _kept(runtime: Runtime, boxes: pa.StructArray, threshold: float) -> Array:
    """Return the places of the boxes that are kept: (kept,) int64, ascending."""
    columns = (pc.fill_null(column, np.nan) for column in boxes.flatten())
    x, y, width, height = (column.to_numpy(zero_copy_only=False) for column in columns)
    sides = np.stack([x, y, x + width, y + height, width * height])
    xs, ys, xe, ye, _ = sides
    has_area = (xs < xe) & (ys < ye)
    left = np.flatnonzero(has_area)
    kept = [np.flatnonzero(~has_area)]
    while len(left):
        runtime.raise_if_cancelled()
        first, left = left[:BLOCK_ROWS], left[BLOCK_ROWS:]
        block = sides[:, first]
        excluded = _exclude(block, block, threshold)
        stays = np.ones(len(first), bool)
        for place, row in enumerate(excluded):
            if stays[place]:
                stays[place + 1 :] &= ~row[place + 1 :]
        kept.append(first[stays])
        pieces = [left[i : i + PIECE_ROWS] for i in range(0, len(left), PIECE_ROWS)]
        above = block[:, stays]
        left = np.concatenate(
            [p[~_exclude(above, sides[:, p], threshold).any(axis=0)] for p in pieces]
            or [left]
        )  # fmt: skip
    return np.sort(np.concatenate(kept))


def _exclude(high: Floats, low: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Return which boxes overlap by more than the threshold: (high, low).

    Args:
        high: (xs, ys, xe, ye, area; boxes), all with an area.
        low: likewise.
        threshold: of the intersection over union.
    """
    xs, ys, xe, ye, _ = high[:, :, None]
    excluded = (xs < low[2]) & (low[0] < xe)
    excluded &= ys < low[3]
    excluded &= low[1] < ye
    above, below = np.nonzero(excluded)
    one, other = high[:, above], low[:, below]
    shared = np.minimum(one[2:4], other[2:4]) - np.maximum(one[:2], other[:2])
    both = shared[0] * shared[1]
    with np.errstate(invalid="ignore", divide="ignore"):  # of infinite and of tiny boxes
        excluded[above, below] = both / (one[4] + other[4] - both) > threshold
    return np.asarray(excluded)


KERNELS = (Kernel("vista_nms_kept", SQL_TYPES, "BIGINT[]", suppress),)
