"""VISTA_PREDICT: a kept model's predictions beside the rows they are for."""

from __future__ import annotations

from vista_sql.functions import _own_transfer
from vista_sql.functions._training import find_model, scored
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import RelationText, Text


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of all columns of the rows, their predictions and `error`."""
    model = find_model(call, planner)
    return scored(model, _own_transfer.relation_for(model, call, planner), planner)


FUNCTION = TableFunction(
    name="vista_predict",
    arguments=_own_transfer.beside(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
        Argument("data", "the rows", RelationText()),
    ),
    expand=expand,
    meaning="every column of the rows, predicted_label, probability, probabilities, error",
)
