"""VISTA_CNNS(): the roster."""

from __future__ import annotations

from vista_sql import roster, weights
from vista_sql.roster import Cnn
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
                _default(cnn),
                cnn.paper,
            )
        )
    return values_table(COLUMNS, rows)


def _default(cnn: Cnn) -> str | None:
    """Return the weights that a CNN has unless others are named; None: one must be named."""
    return cnn.default_weights if cnn.default_weights in (*cnn.weights, "random", "none") else None


FUNCTION = TableFunction("vista_cnns", (), expand, "the CNNs: parameters, input, weights here")
