"""VISTA_DUPLICATES: groups of rows that show the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vista_sql.fed_runs import DATA
from vista_sql.nearest.components import connected, joined
from vista_sql.nearest.distances import distances
from vista_sql.nearest.vectors import Array
from vista_sql.neighbors.fed_rows import Feeding
from vista_sql.neighbors.searching import result

BYTES, PIXELS = slice(0, 2), slice(2, 4)  # of the digests
KINDS = ((BYTES, "same bytes"), (PIXELS, "same pixels"))


class DuplicatesRun(Feeding):
    """One VISTA_DUPLICATES."""

    def finish(self, fed: dict[str, Any] | None) -> pa.StructArray:
        """Return the rows of groups of two and more.

        They have `row`, `group` from 1 on, `representative`, the row of the least key, `kind`, NULL
        for the representative, and `distance` to that, NULL where one of both has no vector.
        """
        rank, rows = self.told(fed)[DATA], self.relations[DATA]
        n, digests = rows.n_fed, rows.digests
        groups = self._groups(digests)
        order = np.lexsort((rank, groups))
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        sizes = np.diff(starts, append=n)
        representative = np.empty(n, np.int64)
        representative[order] = np.repeat(order[starts], sizes)
        several = np.flatnonzero((np.bincount(groups, minlength=1) > 1)[groups])
        of = representative[several]
        by_rank = np.lexsort((rank[several], of, rank[of]))
        several, of = several[by_rank], of[by_rank]
        number = np.cumsum(np.diff(of, prepend=-1) != 0)
        place = np.full(n, -1)
        place[rows.numbers] = rows.places
        far = np.full(len(several), np.nan)
        both = (place[several] >= 0) & (place[of] >= 0)
        far[both] = distances(
            rows.vectors, place[several[both]], rows.vectors, place[of[both]], self.order.metric
        )
        kinds = np.full(len(several), "near", dtype=object)
        if len(digests):
            for part, kind in reversed(KINDS):
                mine = digests[several, part]
                kinds[(mine == digests[of, part]).all(axis=1) & mine.any(axis=1)] = kind
        return result(
            row=several,
            group=number,
            representative=of,
            kind=pa.array(kinds, pa.string(), mask=several == of),
            distance=pa.array(far, mask=np.isnan(far)),
        )

    def _groups(self, digests: Array) -> Array:
        """Return each row's component, by equal digests and near vectors: (rows,) int64."""
        rows = self.relations[DATA]
        n = rows.n_fed
        nodes, ends, n_nodes = [], [], n
        for part, _ in KINDS if len(digests) else ():
            known = np.flatnonzero(digests[:, part].any(axis=1))
            _, code = np.unique(digests[known, part], axis=0, return_inverse=True)
            nodes.append(known)
            ends.append(n_nodes + code.reshape(-1))
            n_nodes += len(known)
        component = connected(
            rows.vectors, self.order.metric, self.order.threshold, self.memory_bytes // 2
        )
        nodes.append(rows.numbers)
        ends.append(n_nodes + component[rows.places])
        n_nodes += len(component)
        return joined(n_nodes, np.concatenate(nodes), np.concatenate(ends))[:n]
