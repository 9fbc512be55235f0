"""What the VISTA_TRAIN family shares: the kept model of a call, and its scores."""

from __future__ import annotations

import json

from vista_sql import models
from vista_sql.errors import UnknownNameError
from vista_sql.models import Model
from vista_sql.sql.calls import Call, Planner
from vista_sql.sql.quoting import identifier, text_literal


def find_model(call: Call, planner: Planner) -> Model:
    """Return the kept model that the argument `model` names.

    Raises:
        UnknownNameError: there is none; at its place in the text.
    """
    try:
        return models.find(planner.home, call.get("model"))
    except UnknownNameError as error:
        raise call.located(error) from None


def scored(model: Model, relation: str, planner: Planner) -> str:
    """Return a SELECT of a relation's columns, its predictions and `error`."""
    order = json.dumps({"home": planner.home, "model": model.reference}, sort_keys=True)
    if not planner.calls_in_sql:
        return planner.scored(order, relation, model.label_type)
    row, score = (identifier(planner.fresh_name(role)) for role in ("row", "score"))
    return (
        f"SELECT * EXCLUDE ({score}), "
        f"CAST({score}.predicted_label AS {model.label_type}) AS predicted_label, "
        f"{score}.probability AS probability, {score}.probabilities AS probabilities, "
        f'{score}."error" AS "error" FROM (SELECT '
        f"COLUMNS(lambda c: lower(c) <> 'error'), "
        f"vista_score({text_literal(order)}, {row}) AS {score} FROM {relation} AS {row})"
    )
