"""NumPy arrays → TrainingRows: what tests, benchmarks and measurements train on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vista_sql.train import hashing
from vista_sql.train.chunks import Array, Chunk, Layout
from vista_sql.train.moments import rescale
from vista_sql.train.training_rows import TrainingRows


def rows_of(
    structured: Array,
    layers: Sequence[Array],
    codes: Array,
    *,
    order: Array | None = None,
    cuts: Sequence[int] = (),
    spool: bool = False,
    seed: int = 0,
) -> TrainingRows:
    """Return sealed and rescaled rows.

    Args:
        structured: (rows, columns), any numeric type.
        layers: each (rows, values), any numeric type.
        codes: (rows,) classes 0, 1, …
        order: (rows,) the order in which rows come; as they are by default.
        cuts: where batches end.
        spool: to temporary files.
        seed: of the rows' places in [0, 1), and so of folds.
    """
    s = np.ascontiguousarray(structured, np.float64)
    parts = [np.ascontiguousarray(layer, np.float32) for layer in layers]
    code = np.asarray(codes, np.int64)
    hashed = [hashing.mix(code.view(np.uint64)), hashing.hash_matrix(s)]
    hashes = hashing.combine([*hashed, *(hashing.hash_matrix(part) for part in parts)])
    whole = Chunk(hashes, hashing.unit(hashes, seed), code, s, tuple(parts))
    rows = TrainingRows(Layout(s.shape[1], tuple(part.shape[1] for part in parts)))
    if spool:
        rows.spool()
    for index in np.split(np.arange(len(code)) if order is None else order, list(cuts)):
        rows.append(whole.take(index))
    rows.seal(np.arange(int(code.max(initial=0)) + 1))
    rescale(rows)
    return rows
