"""Distances of pairs of vectors, in float64: the same to the last bit wherever a pair stands.

Cosine: 1 - x·y / √(x·x · y·y), cut to [0, 2]. L2: √Σ(xᵢ - yᵢ)². A vector's distance to itself is 0.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vista_sql.machine.resources import cores
from vista_sql.nearest.vectors import PIECE_VALUES, Array, Floats, Metric, Vectors, dots


def distances(
    queries: Vectors, rows: Array, data: Vectors, others: Array, metric: Metric
) -> Floats:
    """Return the distance of each pair (queries[rows[i]], data[others[i]]): (pairs,) float64.

    Pairs that stand in the order of `rows` are read fastest.
    """
    found = np.empty(len(rows))
    if metric == "cosine":
        squares = queries.squares[rows] * data.squares[others]
    step = max(1, PIECE_VALUES // max(1, data.dims))

    def fill(start: int) -> None:
        part = slice(start, start + step)
        x = queries.take(rows[part]).astype(np.float64)
        y = data.take(others[part]).astype(np.float64)
        if metric == "l2":
            x -= y
            found[part] = np.sqrt(dots(x, x))
        else:
            found[part] = np.clip(1 - dots(x, y) / np.sqrt(squares[part]), 0, 2)

    starts = range(0, len(rows), step)
    if len(starts) == 1 or queries.memory_bytes == 0 or data.memory_bytes == 0:
        for start in starts:
            fill(start)
    elif len(starts):
        with ThreadPoolExecutor(cores(), thread_name_prefix="vista-nearest") as pool:
            list(pool.map(fill, starts))
    return found
