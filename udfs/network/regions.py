"""A layer's map and boxes on it → each box's features, as Fast R-CNN reads them off (float32).

Girshick, Fast R-CNN (2015), section 2.1, has the pooling of regions; He et al., Mask R-CNN (2017),
section 3, the alignment. Both are as torchvision defines its operators `roi_pool` and
`roi_align(aligned=True, sampling_ratio=2)`, but that x and y have each a scale of their own, in
which the boxes are given. A box's values do not depend on what others there are: every one is
summed in one order.
"""

from __future__ import annotations

import numpy as np

from vista_sql.kernels import Region

SAMPLES = 2
"""Points along each side of a cell that `roi_align` averages."""

CELLS = {"max2x2": 2, "avg2x2": 2, "gmp": 1, "gap": 1}
"""Cells along each side of a box, by pooling."""


def pooled(feature_map: np.ndarray, boxes: np.ndarray, region: Region, pool: str) -> np.ndarray:
    """Return the features of boxes on a map.

    Args:
        feature_map: float32 (height, width, channels).
        boxes: float64 (boxes, 4): left, top, right, bottom, in places of the map; the first
            place is from 0 to 1.
        region: 'roi_pool' or 'roi_align'.
        pool: one of `vista_sql.kernels.ROI_POOLS[region]`.

    Returns:
        float32 (boxes, cells × cells × channels), rows of cells first.
    """
    cells = CELLS[pool]
    read = _aligned if region == "roi_align" else _largest
    values = cells * cells * feature_map.shape[2]
    return read(np.ascontiguousarray(feature_map), boxes, cells).reshape(len(boxes), values)


def _largest(feature_map: np.ndarray, boxes: np.ndarray, cells: int) -> np.ndarray:
    """Return the largest values of each cell, 0 of an empty one: (boxes, cells², channels)."""
    height, width, channels = feature_map.shape
    starts = _rounded(boxes[:, :2])
    sizes = np.maximum(_rounded(boxes[:, 2:]) - starts + 1, 1)
    out = np.zeros((len(boxes), cells * cells, channels), np.float32)
    steps = np.arange(cells)
    for place, ((left, top), (wide, tall)) in enumerate(zip(starts, sizes, strict=True)):
        rows = _cells(top, tall, height, steps, cells)
        columns = _cells(left, wide, width, steps, cells)
        for cell, (y, x) in enumerate((y, x) for y in rows for x in columns):
            part = feature_map[y, x]
            if part.size:
                part.max(axis=(0, 1), out=out[place, cell])
    return out


def _cells(start: int, size: int, limit: int, steps: np.ndarray, cells: int) -> list[slice]:
    """Return the places of each cell along one side; cells overlap where the side is odd."""
    first = np.floor(steps * (size / cells)).astype(int) + start
    last = np.ceil((steps + 1) * (size / cells)).astype(int) + start
    clipped = zip(np.clip(first, 0, limit), np.clip(last, 0, limit), strict=True)
    return [slice(int(begin), int(end)) for begin, end in clipped]


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return whole numbers, halves away from zero as C rounds them."""
    whole: np.ndarray = np.trunc(values + np.copysign(0.5, values)).astype(int)
    return whole


def _aligned(feature_map: np.ndarray, boxes: np.ndarray, cells: int) -> np.ndarray:
    """Return the means of each cell's samples, bilinear: (boxes, cells², channels)."""
    from scipy import sparse

    height, width, channels = feature_map.shape
    across = _weights(boxes[:, 0] - 0.5, boxes[:, 2] - 0.5, width, cells)
    down = _weights(boxes[:, 1] - 0.5, boxes[:, 3] - 0.5, height, cells)
    # of each box and cell: 4 rows and 4 columns of the map, hence 16 of its places
    rows, of_rows = (part[:, :, None, :, None] for part in down)
    columns, of_columns = (part[:, None, :, None, :] for part in across)
    places = (rows * width + columns).reshape(-1)
    weights = (of_rows * of_columns).astype(np.float32).reshape(-1)
    n_rows = len(boxes) * cells * cells
    ends = np.arange(n_rows + 1) * (4 * SAMPLES**2)
    matrix = sparse.csr_matrix((weights, places, ends), (n_rows, height * width))
    values = matrix @ feature_map.reshape(height * width, channels)
    return np.asarray(values, np.float32).reshape(len(boxes), cells * cells, channels)


def _weights(
    start: np.ndarray, end: np.ndarray, limit: int, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places along one side that each cell's samples lie between, and their weights.

    Args:
        start: float64 (boxes,): the first place's middle is at 0.
        end: likewise.
        limit: places of the map.
        cells: along the side.

    Returns:
        int and float64 (boxes, cells, 2 × SAMPLES).
    """
    fractions = (np.arange(cells)[:, None] + (np.arange(SAMPLES) + 0.5) / SAMPLES) / cells
    at = start[:, None, None] + fractions * (end - start)[:, None, None]
    is_inside = (at >= -1) & (at <= limit)
    at = np.clip(at, 0, limit - 1)
    low = np.minimum(np.floor(at).astype(int), limit - 1)
    high = np.minimum(low + 1, limit - 1)
    part = at - low
    weights = np.stack([1 - part, part], -1) * (is_inside / SAMPLES)[..., None]
    places = np.stack([low, high], -1)
    shape = (len(start), cells, 2 * SAMPLES)
    return places.reshape(shape), weights.reshape(shape)
