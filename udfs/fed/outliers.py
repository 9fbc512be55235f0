"""VISTA_OUTLIERS: how far each row is from others, by its number; of maps each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vista_sql.fed_runs import FedKind
from vista_sql.neighbors.order import FED_TYPE, NearOrder

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from vista_sql.neighbors.map_places import PlacesRun
    from vista_sql.neighbors.searching import OutliersRun

FIELDS = (
    ("row", "BIGINT", pa.int64()),
    ("score", "DOUBLE", pa.float64()),
    ("nearest", "BIGINT", pa.int64()),
    ("heatmap", "FLOAT[][]", pa.list_(pa.list_(pa.float32()))),
)


def begin(fields: dict[str, Any]) -> OutliersRun | PlacesRun:
    """Return a search for outliers, of rows or of places."""
    from vista_sql.neighbors.map_places import PlacesRun
    from vista_sql.neighbors.searching import OutliersRun

    order = NearOrder.from_fields(fields)
    return OutliersRun(order) if order.places is None else PlacesRun(order)


KIND = FedKind(begin, FIELDS, FED_TYPE)
