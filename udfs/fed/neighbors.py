"""VISTA_NEIGHBORS: the nearest rows of each row, by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vista_sql.fed_runs import FedKind
from vista_sql.neighbors.order import FED_TYPE, NearOrder

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from vista_sql.neighbors.searching import NeighborsRun

FIELDS = (
    ("row", "BIGINT", pa.int64()),
    ("neighbor", "BIGINT", pa.int64()),
    ("rank", "BIGINT", pa.int64()),
    ("distance", "DOUBLE", pa.float64()),
)


def begin(fields: dict[str, Any]) -> NeighborsRun:
    """Return a search."""
    from vista_sql.neighbors.searching import NeighborsRun

    return NeighborsRun(NearOrder.from_fields(fields))


KIND = FedKind(begin, FIELDS, FED_TYPE)
