"""VISTA_STORE(): what the feature store holds."""

from __future__ import annotations

from vista_sql.planning.bind import store_of
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import StoreChoice
from vista_sql.sql.quoting import values_table
from vista_sql.store import Store

COLUMNS = {
    "cnn": "VARCHAR",
    "weights": "VARCHAR",
    "layer": "VARCHAR",
    "pool": "VARCHAR",
    "dtype": "VARCHAR",
    "images": "BIGINT",
    "bytes": "BIGINT",
    "made_by": "VARCHAR",
}
SPACE = ("cnn", "weights", "layer", "pool", "dtype")


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of the spaces of the store, by CNN and layer."""
    choice = store_of(call, planner)
    stored = Store(choice.folder, choice.limit_bytes).held() if choice.folder else []
    rows = [
        [
            *(getattr(part.space, name) for name in SPACE),
            part.images,
            part.bytes,
            part.space.made_by,
        ]
        for part in stored
    ]
    return values_table(COLUMNS, rows)


FUNCTION = TableFunction(
    name="vista_store",
    arguments=(Argument("store", "another store than the session's", StoreChoice()),),
    expand=expand,
    meaning="what the feature store holds: images and bytes by CNN, layer and pooling",
)
