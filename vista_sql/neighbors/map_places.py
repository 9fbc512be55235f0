"""VISTA_OUTLIERS of maps: how far each place of a map is from the nearest place of other images.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection" (CVPR 2022), PatchCore, section
3.3, without what makes it approximate or smooth: all places are kept, none is averaged with those
around it, and an image's score is the largest distance of its places, unweighted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vista_sql.fed_runs import DATA
from vista_sql.nearest.search import nearest
from vista_sql.nearest.vectors import Array
from vista_sql.neighbors.fed_rows import Feeding
from vista_sql.neighbors.members import Members
from vista_sql.neighbors.order import OTHERS, NearOrder
from vista_sql.neighbors.searching import result


class PlacesRun(Feeding):
    """One VISTA_OUTLIERS of maps, each a vector for each of its places."""

    def __init__(self, order: NearOrder) -> None:
        super().__init__(order)
        self._height, self._width = order.places or (1, 1)

    @property
    def _n_places(self) -> int:
        return self._height * self._width

    def _vectors(self, x: Array) -> Array:
        """Return a vector for each place of maps (rows, height · width · channels)."""
        return super()._vectors(x).reshape(len(x) * self._n_places, x.shape[1] // self._n_places)

    def finish(self, fed: dict[str, Any] | None) -> pa.StructArray:
        """Return a row for each map: `row`, `score`, `nearest`, `heatmap` (height, width).

        All but the row are NULL where there is no other image.
        """
        reference = OTHERS if self.order.others else DATA
        ranks, alone = self.told(fed)[reference], reference == DATA
        data, memory = self.relations[DATA], self.relations[reference]
        n = len(data.numbers)
        far, near = np.full((n, self._n_places), np.nan), np.full((n, self._n_places), -1)
        images = np.repeat(memory.numbers, self._n_places)
        members = Members(memory.places, images, ranks, len(memory.vectors))
        if n and len(images):
            distances, places = nearest(
                memory.vectors,
                None if alone else data.vectors,
                "l2",
                1,
                members.first_ranks,
                self.memory_bytes // 2,
                _owners(members) if alone else None,
            )
            far = distances[data.places, 0].reshape(far.shape)
            near = places[data.places, 0].reshape(far.shape)
        known = near[:, 0] >= 0
        at = np.arange(n), np.where(known[:, None], far, 0).argmax(axis=1)
        shown = [
            _shown(members, vector, number if alone else -1)
            for vector, number in zip(near[at].tolist(), data.numbers.tolist(), strict=True)
        ]
        rows = pa.FixedSizeListArray.from_arrays(far.astype(np.float32).ravel(), self._width)
        maps = pa.FixedSizeListArray.from_arrays(rows, self._height)
        return result(
            row=data.numbers,
            score=pa.array(far[at], mask=~known),
            nearest=pa.array(shown, pa.int64()),
            heatmap=pa.array(maps.to_pylist(), pa.list_(pa.list_(pa.float32())), mask=~known),
        )


def _owners(members: Members) -> Array:
    """Return the one row that has each vector, -1 where several have it: (vectors,) int64."""
    first = members.starts[:-1]
    least = np.minimum.reduceat(members.rows, first)
    return np.where(least == np.maximum.reduceat(members.rows, first), least, -1)


def _shown(members: Members, vector: int, own: int) -> int | None:
    """Return the row of least key that has a vector and is not `own`; None: there is no vector."""
    if vector < 0:
        return None
    rows = members.rows[members.starts[vector] : members.starts[vector + 1]]
    return int(rows[rows != own][0])
