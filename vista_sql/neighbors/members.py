"""Near vectors → near rows: of rows that share a vector, in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from vista_sql.nearest.vectors import Array, Floats

MOST_PAIRS = 1 << 21  # looked at together, about 60 bytes each


class Members:
    """Which rows have each vector."""

    def __init__(self, places: Array, numbers: Array, ranks: Array, n_vectors: int) -> None:
        """Sort rows by vector, then by key.

        Args:
            places: (rows,) int64: of each row's vector.
            numbers: (rows,) int64: of the rows.
            ranks: of all rows of the relation, by number: of their keys.
            n_vectors: how many there are.
        """
        order = np.lexsort((ranks[numbers], places))
        self.rows = numbers[order]
        self.ranks = ranks[self.rows]
        self.starts = np.searchsorted(places[order], np.arange(n_vectors + 1))

    @property
    def first_ranks(self) -> Array:
        """The least rank among each vector's rows: (vectors,) int64."""
        return np.asarray(self.ranks[self.starts[:-1]])


class NearRows(Struct, frozen=True):
    """Pairs of a query and a near row: by query, the nearest first."""

    queries: Array  # (pairs,) int64: numbers of rows
    rows: Array  # (pairs,) int64: likewise
    ranks: Array  # (pairs,) int64, from 1 on
    distances: Floats  # (pairs,)


def near_rows(
    found: tuple[Floats, Array],
    members: Members,
    queries: tuple[Array, Array],
    k: int,
    *,
    without_self: bool,
) -> Iterator[NearRows]:
    """Yield the k nearest rows of each query, some queries at a time.

    Args:
        found: distances and places (vectors, m) of the nearest vectors of the queries' distinct
            vectors; -1: there is none. m is k, one more where a row itself is left out.
        members: of the data.
        queries: number of each query, and place of its vector.
        k: how many.
        without_self: whether a query is a row of the data, which is not near to itself.
    """
    distances, places = found
    most = places.shape[1]
    counts = np.minimum(np.diff(members.starts), k + without_self)
    numbers, of_vector = queries
    # a vector's nearest have at most so many rows: how many queries are looked at together
    widest = np.where(places >= 0, counts[places], 0).sum(axis=1).max(initial=1)
    step = max(1, MOST_PAIRS // int(widest))
    for start in range(0, len(numbers), step):
        chosen = of_vector[start : start + step]
        near = places[chosen].ravel()
        n = np.where(near >= 0, counts[near], 0)
        pair = np.repeat(np.arange(len(near)), n)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(n) - n, n)
        at = members.starts[near[pair]] + within
        query = pair // most
        if without_self:
            others = members.rows[at] != numbers[start + query]
            pair, at, query = pair[others], at[others], query[others]
        far = distances[chosen].ravel()[pair]
        order = np.lexsort((members.ranks[at], far, query))
        at, query, far = at[order], query[order], far[order]
        rank = np.arange(len(query)) - np.searchsorted(query, query) + 1
        kept = rank <= k
        yield NearRows(numbers[start + query[kept]], members.rows[at[kept]], rank[kept], far[kept])
