"""VISTA_CONFUSION: how often a kept model took each class for each."""

from __future__ import annotations

from vista_sql import train
from vista_sql.functions import _own_transfer
from vista_sql.functions._training import find_model, scored
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import RelationText, Text


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of expected, predicted, n; rows without label or prediction are left out."""
    model = find_model(call, planner)
    if train.load(model.trainer).learns == "numbers":
        raise call.error(
            "model",
            f"model {model.reference!r} predicts a number, so there are no classes to confuse: "
            "VISTA_EVALUATE has its r2, mae and rmse",
        )
    data = _own_transfer.relation_for(model, call, planner)
    rows = scored(model, data, planner)
    label = planner.dialect.identifier(model.label)
    return (
        f"SELECT {label} AS expected, predicted_label AS predicted, count(*) AS n FROM ({rows}) "
        f"WHERE {label} IS NOT NULL AND predicted_label IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
    )


FUNCTION = TableFunction(
    name="vista_confusion",
    arguments=_own_transfer.beside(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
        Argument("data", "labelled rows", RelationText()),
    ),
    expand=expand,
    meaning="expected, predicted, n over labelled rows",
)
