"""The k nearest vectors of each, exactly: float32 products choose candidates, float64 decides.

A query's k-th largest score so far bounds what may still be among its nearest: what scores less by
more than twice the error of a score is not. All others are candidates, and their distances are
computed again in float64. Where float32 leaves too many of a block, its products are, too.
"""

from __future__ import annotations

import threading

import numpy as np

from vista_sql.nearest.distances import distances
from vista_sql.nearest.products import Products
from vista_sql.nearest.vectors import Array, Floats, Metric, Vectors

NOTHING = np.float32(-np.inf)  # the score of what must not be near
LEAST = np.finfo(np.float32).min
TOO_MANY = 8  # candidates of a query in a block, in multiples of k
MOST_PENDING = 1 << 22  # candidates, 20 bytes each
LONG = 128  # of scores that lie beside each other and have one maximum: NumPy is fast then
FEW = 8  # a row in so many: then rows are looked at one by one
PARTS = 4  # of a block's row for each of k: their maxima tell a bound on the k-th largest score


def nearest(
    data: Vectors,
    queries: Vectors | None,
    metric: Metric,
    k: int,
    rank: Array,
    memory_bytes: int,
    owners: Array | None = None,
) -> tuple[Floats, Array]:
    """Return the nearest vectors of each query, in the order of their distances.

    Args:
        data: sealed, at least one; no zero vectors with the metric 'cosine'.
        queries: likewise; None: the data's own. A vector of the data is near to itself, too.
        metric: of distances (see `nearest.distances`).
        k: how many, at least one; no more than there are.
        rank: (data,) int64: of vectors at equal distance the one of least rank comes first.
        memory_bytes: most memory that may be taken beside the vectors.
        owners: without queries: (data,) int64; vectors of one owner are not near to each other, but
            those of owner -1 are to all.

    Returns:
        Distances (queries, k) float64, and places in the data (queries, k) int64; NaN and -1 where
        there are fewer that are not of the query's owner.
    """
    return _Search(Products(data, queries, metric, memory_bytes), k, rank, owners).run()


class _Search:
    def __init__(self, products: Products, k: int, rank: Array, owners: Array | None) -> None:
        self._products, self._k, self._rank, self._owners = products, k, rank, owners
        n = len(products.queries)
        self._best = np.full((n, k), NOTHING)  # large scores, of different vectors
        self._bound = np.full(n, NOTHING)  # the least of them
        self._error = products.error(np.float32)
        self._precise_error = products.error(np.float64)
        self._lock = threading.Lock()  # of all that follows
        self._pending: list[tuple[Array, Array, Array]] = []  # queries, places, scores
        self._n_pending = 0
        empty = np.zeros(0, np.int64)
        self._settled = (empty, empty, np.zeros(0))  # queries, places, distances

    def run(self) -> tuple[Floats, Array]:
        self._products.each(self._look)
        self._prune()
        self._settle()
        rows, places, found = self._settled
        nth = np.arange(len(rows)) - np.searchsorted(rows, rows)
        shape = self._best.shape
        all_found, all_places = np.full(shape, np.nan), np.full(shape, -1)
        all_found[rows, nth], all_places[rows, nth] = found, places
        return all_found, all_places

    def _look(self, i: int, j: int, scores: Array) -> None:
        """Take a block's scores; called from several threads."""
        self._forbid(scores, i, j)
        self._choose(scores, i, j)
        if self._products.is_symmetric and i != j:
            self._choose(scores.T, j, i)
        with self._lock:
            if self._n_pending > max(MOST_PENDING, 4 * self._best.size):
                self._prune()
                if self._n_pending > MOST_PENDING // 2:
                    self._settle()

    def _forbid(self, scores: Array, i: int, j: int) -> None:
        """Let vectors of one owner be infinitely far from each other."""
        if self._owners is None:
            return
        one = self._owners[i : i + scores.shape[0]]
        other = self._owners[j : j + scores.shape[1]]
        if np.isin(one[one >= 0], other).any():
            scores[(one[:, None] == other[None, :]) & (one >= 0)[:, None]] = -np.inf

    def _choose(self, scores: Array, i: int, j: int) -> None:
        """Keep what may be among the nearest of queries `i` …, of scores (queries, vectors)."""
        part = slice(i, i + len(scores))
        large = _large(scores, self._k)
        with self._lock:
            best = np.concatenate([self._best[part], large], axis=1)
            best.partition(best.shape[1] - self._k, axis=1)
            self._best[part] = best[:, -self._k :]
            self._bound[part] = self._best[part].min(axis=1)
            least = self._least(part)
        chosen = _where_at_least(scores, least, large)
        if len(chosen[0]) > TOO_MANY * self._k * len(scores):
            precise = self._products.precise(i, j, scores.shape)
            precise[np.isneginf(scores)] = -np.inf
            kth = _large(precise, self._k)
            kth.partition(kth.shape[1] - min(self._k, kth.shape[1]), axis=1)
            bound = kth[:, -self._k] if kth.shape[1] >= self._k else np.full(len(kth), -np.inf)
            near = precise[chosen] >= (bound - 2 * self._precise_error[part])[chosen[0]]
            chosen = chosen[0][near], chosen[1][near]
        rows, places = chosen
        with self._lock:
            self._pending.append((rows + i, places + j, scores[rows, places]))
            self._n_pending += len(rows)

    def _least(self, part: slice) -> Array:
        """Return the least score that a vector near to each query may have: (queries,) float32."""
        least = self._bound[part].astype(np.float64) - 2 * self._error[part]
        return np.maximum(np.nextafter(least.astype(np.float32), NOTHING), LEAST)

    def _prune(self) -> None:
        """Leave out candidates that later blocks showed to be none."""
        least = self._least(slice(None))
        kept = [
            (rows[near], places[near], scores[near])
            for rows, places, scores in self._pending
            for near in (scores >= least[rows],)
        ]
        self._pending = kept
        self._n_pending = sum(len(rows) for rows, _, _ in kept)

    def _settle(self) -> None:
        """Compute the candidates' distances, and leave the nearest k of each query."""
        products = self._products
        rows = np.concatenate([rows for rows, _, _ in self._pending])
        places = np.concatenate([places for _, places, _ in self._pending])
        self._pending, self._n_pending = [], 0
        order = np.argsort(rows, kind="stable")
        rows, places = rows[order], places[order]
        found = distances(products.queries, rows, products.data, places, products.metric)
        pairs = zip((rows, places, found), self._settled, strict=True)
        rows, places, found = (np.concatenate(pair) for pair in pairs)
        order = np.lexsort((self._rank[places], found, rows))
        rows, places, found = rows[order], places[order], found[order]
        first = np.searchsorted(rows, rows)  # where each one's query begins
        near = np.arange(len(rows)) - first < self._k
        self._settled = rows[near], places[near], found[near]


def _large(scores: Array, k: int) -> Array:
    """Return large scores of each row, (rows, about PARTS · k) or all; the largest is among them.

    They are the maxima of the row's parts, so they belong to different vectors.
    """
    n_rows, n = scores.shape
    size = n // (PARTS * k)
    if size < 2:
        return np.array(scores)
    n_parts = n // size
    cut, rest = np.split(scores, [n_parts * size], axis=1)
    if not scores.flags.c_contiguous:
        large = cut.T.reshape(size, n_parts, n_rows).max(axis=0).T
    elif size >= LONG:
        large = cut.reshape(n_rows, n_parts, size).max(axis=2)
    else:
        large = cut.reshape(n_rows, size, n_parts).max(axis=1)
    if rest.size:
        large = np.concatenate([large, rest.max(axis=1, keepdims=True)], axis=1)
    return np.ascontiguousarray(large)


def _where_at_least(scores: Array, least: Array, large: Array) -> tuple[Array, Array]:
    """Return rows and columns (found,) int64 of scores that are at least their row's `least`.

    Args:
        scores: (rows, vectors).
        least: (rows,).
        large: scores of each row, the largest among them: (rows, some).
    """
    having = np.flatnonzero(large.max(axis=1) >= least)
    if len(having) * FEW < len(scores):
        rows, columns = np.nonzero(scores[having] >= least[having, None])
        return having[rows], columns
    if scores.flags.c_contiguous:
        rows, columns = np.divmod(np.flatnonzero(scores >= least[:, None]), scores.shape[1])
        return rows, columns
    columns, rows = np.divmod(np.flatnonzero(least[None, :] <= scores.T), scores.shape[0])
    return rows, columns
