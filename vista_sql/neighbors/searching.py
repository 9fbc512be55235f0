"""VISTA_NEIGHBORS and VISTA_OUTLIERS of rows: the nearest rows of each, and how far the k-th is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from vista_sql.fed_runs import DATA
from vista_sql.nearest.search import nearest
from vista_sql.nearest.vectors import Array
from vista_sql.neighbors.fed_rows import Feeding
from vista_sql.neighbors.members import Members, NearRows, near_rows
from vista_sql.neighbors.order import OTHERS


def searched(run: Feeding, ranks: Array, *, data: str, queries: str) -> Iterator[NearRows]:
    """Yield the nearest rows of each query.

    Args:
        run: fed, its vectors sealed.
        ranks: of the keys of `data`, by number.
        data: the relation that is searched.
        queries: the relation of the queries; the same one: a row is not near to itself.
    """
    one, other = run.relations[data], run.relations[queries]
    if not len(one.vectors) or not len(other.vectors):
        return
    alone = data == queries
    k = min(run.order.k, run.relations[data].n_fed)
    members = Members(one.places, one.numbers, ranks, len(one.vectors))
    found = nearest(
        one.vectors,
        None if alone else other.vectors,
        run.order.metric,
        min(k + alone, len(one.vectors)),
        members.first_ranks,
        run.memory_bytes // 2,
    )
    yield from near_rows(found, members, (other.numbers, other.places), k, without_self=alone)


class NeighborsRun(Feeding):
    """One VISTA_NEIGHBORS."""

    def finish(self, fed: dict[str, Any] | None) -> pa.StructArray:
        """Return a row for each query and neighbour: `row`, `neighbor`, `rank`, `distance`."""
        ranks = self.told(fed)[DATA]
        parts = list(
            searched(self, ranks, data=DATA, queries=OTHERS if self.order.others else DATA)
        )
        return result(
            row=_joined([part.queries for part in parts]),
            neighbor=_joined([part.rows for part in parts]),
            rank=_joined([part.ranks for part in parts]),
            distance=_joined([part.distances for part in parts]).astype(np.float64),
        )


class OutliersRun(Feeding):
    """One VISTA_OUTLIERS of rows, each a vector."""

    def finish(self, fed: dict[str, Any] | None) -> pa.StructArray:
        """Return a row for each row of the data: `row`, `score`, `nearest`.

        Score and nearest are NULL where there is no other row.
        """
        reference = OTHERS if self.order.others else DATA
        ranks = self.told(fed)[reference]
        rows = self.relations[DATA].numbers
        place = np.full(self.relations[DATA].n_fed, -1)
        place[rows] = np.arange(len(rows))
        score, first = np.full(len(rows), np.nan), np.full(len(rows), -1)
        for part in searched(self, ranks, data=reference, queries=DATA):
            ends = np.flatnonzero(np.diff(part.queries, append=-1))
            score[place[part.queries[ends]]] = part.distances[ends]
            nearest_ones = part.ranks == 1
            first[place[part.queries[nearest_ones]]] = part.rows[nearest_ones]
        return result(
            row=rows,
            score=pa.array(score, mask=np.isnan(score)),
            nearest=pa.array(first, mask=first < 0),
            heatmap=pa.nulls(len(rows)),
        )


def _joined(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def result(**columns: Array | pa.Array) -> pa.StructArray:
    """Return result rows from columns of equal length, by name."""
    return pa.StructArray.from_arrays(
        [pa.array(column) for column in columns.values()], names=list(columns)
    )
