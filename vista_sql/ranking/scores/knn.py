"""k-NN accuracy, leave one out: the share of rows whose nearest other row is of their class.

k = 1, cosine. Of 23 scores this simplest one ranked sources best in 42,000 experiments (arXiv
2503.18528, 2025); `kNN(k=1, metric='cosine')` of dbolya/parc computes the same, in percent. A row
of zeros has the cosine 0 with all others.
"""

from __future__ import annotations

import numpy as np

from vista_sql.nearest.search import nearest
from vista_sql.nearest.vectors import Array, Vectors
from vista_sql.ranking.features import Features


def knn_accuracy(features: Features) -> float | None:
    """Return the accuracy in [0, 1]; None: there are not two rows. Ties go to the earlier row."""
    n = features.n
    if n < 2:
        return None
    codes, zero = np.empty(n, np.int64), np.empty(n, bool)
    vectors, place = Vectors(), 0
    try:
        if 4 * n * features.d > features.memory_bytes:
            vectors.spool()
        for x, code in features.chunks():
            rows = slice(place, place + len(x))
            codes[rows], zero[rows] = code, ~x.any(axis=1)
            vectors.add(x[~zero[rows]].astype(np.float32))
            place += len(x)
        vectors.seal()
        return float((codes[_nearest(vectors, zero, features.memory_bytes)] == codes).mean())
    finally:
        vectors.close()


def _nearest(vectors: Vectors, zero: Array, memory_bytes: int) -> Array:
    """Return the number of each row's nearest other row (rows,) int64.

    Args:
        vectors: of the rows that are not `zero`, in their order.
        zero: (rows,) bool: of which rows all features are 0; their cosine with any row is 0.
        memory_bytes: most memory that may be taken.
    """
    near = np.zeros(len(zero), np.int64)  # of rows of zeros, the first row
    near[0] = 1
    there, zeros = np.flatnonzero(~zero), np.flatnonzero(zero)
    if len(there) > 1:
        itself = np.arange(len(there))
        distances, places = nearest(vectors, None, "cosine", 1, itself, memory_bytes, itself)
        found = there[places[:, 0]]
        if len(zeros):
            found = np.where(distances[:, 0] > 1, zeros[0], found)
        near[there] = found
    return near
