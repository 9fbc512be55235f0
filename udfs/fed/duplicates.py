"""VISTA_DUPLICATES: rows in groups of two and more that show the same, by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vista_sql.fed_runs import FedKind
from vista_sql.neighbors.order import FED_TYPE, NearOrder

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from vista_sql.neighbors.duplicates import DuplicatesRun

FIELDS = (
    ("row", "BIGINT", pa.int64()),
    ("group", "BIGINT", pa.int64()),
    ("representative", "BIGINT", pa.int64()),
    ("kind", "VARCHAR", pa.string()),
    ("distance", "DOUBLE", pa.float64()),
)


def begin(fields: dict[str, Any]) -> DuplicatesRun:
    """Return a search for duplicates."""
    from vista_sql.neighbors.duplicates import DuplicatesRun

    return DuplicatesRun(NearOrder.from_fields(fields))


KIND = FedKind(begin, FIELDS, FED_TYPE)
