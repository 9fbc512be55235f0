"""VISTA_CNNS(): the roster."""

from __future__ import annotations

from vista_sql import roster, weights
from vista_sql.sql.calls import Call, Planner, TableFunction
from vista_sql.sql.quoting import values_table

COLUMNS = {
    "cnn": "VARCHAR",
    "title": "VARCHAR",
    "parameters": "BIGINT",
    "input": "VARCHAR",
    "layers": "VARCHAR[]",
    "weights": "VARCHAR[]",
    "default_weights": "VARCHAR",
    "paper": "VARCHAR",
}


def expand(call: Call, planner: Planner) -> str:
    """Return a row for each CNN; `weights` are those that can be had here now."""
    del call, planner
    rows = []
    for name in roster.names():
        cnn = roster.load(name)
        height, width, channels = cnn.input_shape
        rows.append(
            (
                name,
                cnn.title,
                cnn.parameters,
                f"{height}x{width}x{channels}",
                list(cnn.feature_layers),
                list(weights.available(cnn)),
                cnn.default_weights,
                cnn.paper,
            )
        )
    return values_table(COLUMNS, rows)


FUNCTION = TableFunction("vista_cnns", (), expand, "the CNNs: parameters, input, weights here")
