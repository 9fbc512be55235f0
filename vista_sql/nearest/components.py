"""Which vectors hang together by distances of a threshold at most: connected components."""

from __future__ import annotations

import threading

import numpy as np

from vista_sql.nearest.distances import distances
from vista_sql.nearest.products import Products
from vista_sql.nearest.vectors import Array, Metric, Vectors


def joined(n: int, one: Array, other: Array) -> Array:
    """Return the component (n,) int64 of each of n nodes, by edges one[i]–other[i].

    >>> joined(4, np.array([0]), np.array([3])).tolist()
    [0, 1, 2, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(one), bool), (one, other)), shape=(n, n))
    return np.asarray(connected_components(edges, directed=False)[1]).astype(np.int64)


def connected(vectors: Vectors, metric: Metric, threshold: float, memory_bytes: int) -> Array:
    """Return the component (vectors,) int64 of each vector.

    Args:
        vectors: sealed; no zero vectors with the metric 'cosine'.
        metric: of distances.
        threshold: two vectors whose distance is at most this are in one component.
        memory_bytes: most memory that may be taken beside the vectors.
    """
    n = len(vectors)
    labels = np.arange(n)
    if n < 2:
        return labels
    products = Products(vectors, None, metric, memory_bytes)
    error = float(products.error(np.float32).max())
    score = products.score(threshold)
    lock = threading.Lock()

    def look(i: int, j: int, scores: Array) -> None:
        rows, columns = np.divmod(np.flatnonzero(scores >= score - error), scores.shape[1])
        if i == j:
            above = rows < columns
            rows, columns = rows[above], columns[above]
        near = scores[rows, columns]
        rows, columns = rows + i, columns + j
        with lock:
            sure = near >= score + error
            labels[:] = _with(labels, rows[sure], columns[sure])
            apart = ~sure & (labels[rows] != labels[columns])
            rows, columns = rows[apart], columns[apart]
            close = distances(vectors, rows, vectors, columns, metric) <= threshold
            labels[:] = _with(labels, rows[close], columns[close])

    products.each(look)
    return labels


def _with(labels: Array, one: Array, other: Array) -> Array:
    """Return the components once some pairs more are connected."""
    if not len(one):
        return labels
    return np.asarray(joined(len(labels), labels[one], labels[other])[labels])
