"""What the VISTA_TRAIN family shares: the statements that stream rows and that score them."""

from __future__ import annotations

import json

from vista_sql import models
from vista_sql.errors import UnknownNameError
from vista_sql.models import Model
from vista_sql.sql.calls import Call, Planner
from vista_sql.sql.quoting import identifier, text_literal


def streamed(spec: str, relation: str, planner: Planner, columns: str = "*") -> str:
    """Return a SELECT that feeds a relation's rows to the run of a spec, ends it, and shows it.

    The run's id is made when the statement runs; MATERIALIZED and the volatile kernels keep it one.
    The outer join lets the run end, with an error that says so, when there are no rows.
    """
    run, fed, row, n = (planner.fresh_name(role) for role in ("run", "fed", "row", "n"))
    id_ = planner.fresh_name("id")
    run, fed, row, n, id_ = (identifier(name) for name in (run, fed, row, n, id_))
    return (
        f"WITH {run} AS MATERIALIZED (SELECT vista_begin({text_literal(spec)}) AS {id_}), "
        f"{fed} AS MATERIALIZED (SELECT {id_}, CAST(sum(vista_feed({id_}, {row})) AS BIGINT) "
        f"AS {n} FROM {run}, {planner.fenced(relation)} AS {row} GROUP BY {id_}) "
        f"SELECT {columns} FROM (SELECT unnest(vista_finish({run}.{id_}, {fed}.{n}), "
        f"recursive := true) FROM {run} LEFT JOIN {fed} ON {run}.{id_} = {fed}.{id_})"
    )


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
    row, score = (identifier(planner.fresh_name(role)) for role in ("row", "score"))
    order = json.dumps({"home": planner.home, "model": model.reference}, sort_keys=True)
    return (
        f"SELECT * EXCLUDE ({score}), "
        f"CAST({score}.predicted_label AS {model.label_type}) AS predicted_label, "
        f"{score}.probability AS probability, {score}.probabilities AS probabilities, "
        f'{score}."error" AS "error" FROM (SELECT '
        f"COLUMNS(lambda c: lower(c) <> 'error'), "
        f"vista_score({text_literal(order)}, {row}) AS {score} FROM {relation} AS {row})"
    )
