"""What the VISTA_TRAIN family shares: reading arguments, and the statement that streams rows."""

from __future__ import annotations

import json
from typing import Any

from vista_sql import models
from vista_sql.errors import UnknownNameError
from vista_sql.models import Model
from vista_sql.sql.calls import Call, Planner
from vista_sql.sql.quoting import identifier, text_literal


def streamed(spec: str, relation: str, planner: Planner, columns: str = "*") -> str:
    """Return a SELECT that feeds a relation to the run that `spec` orders and ends it.

    The run's id is made when the statement runs; MATERIALIZED and the volatile kernels keep it one.
    The outer join lets the run end, with an error that says so, when there are no rows.
    """
    run, fed, row, n = (planner.fresh_name(role) for role in ("run", "fed", "row", "n"))
    id_ = planner.fresh_name("id")
    run, fed, row, n, id_ = (identifier(name) for name in (run, fed, row, n, id_))
    return (
        f"WITH {run} AS MATERIALIZED (SELECT vista_begin({text_literal(spec)}) AS {id_}), "
        f"{fed} AS MATERIALIZED (SELECT {id_}, CAST(sum(vista_feed({id_}, {row})) AS BIGINT) "
        f"AS {n} FROM {run}, {relation} AS {row} GROUP BY {id_}) "
        f"SELECT {columns} FROM (SELECT unnest(vista_finish({run}.{id_}, {fed}.{n}), "
        f"recursive := true) FROM {run} LEFT JOIN {fed} ON {run}.{id_} = {fed}.{id_})"
    )


def find_model(call: Call, planner: Planner) -> Model:
    """Return the kept model that the argument `model` names.

    Raises:
        UnknownNameError: there is none; at its place in the text.
    """
    try:
        return models.find(planner.home, text(call, "model") or "")
    except UnknownNameError as error:
        raise UnknownNameError(
            error.kind, error.name, error.known, call.places.get("model"), error.where
        ) from None


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


def data_of(call: Call, planner: Planner, argument: str = "data") -> str:
    """Return the relation of an argument, ready to stand after FROM."""
    return planner.relation(text(call, argument) or "", call, argument)


def text(call: Call, name: str) -> str | None:
    """Return an argument that is one text.

    Raises:
        ArgumentError: it is something else.
    """
    value = call.get(name)
    if value is not None and not isinstance(value, str):
        raise call.error(name, f"{name} => takes a text, not {value!r}")
    return value


def texts(call: Call, name: str) -> tuple[str, ...] | None:
    """Return an argument that is a list of texts, or one text as a list.

    Raises:
        ArgumentError: it is something else.
    """
    value = call.get(name)
    if value is None:
        return None
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(v, str) for v in found):
        raise call.error(name, f"{name} => takes a list of names, not {value!r}")
    return tuple(found)


def flag(call: Call, name: str) -> bool:
    """Return an argument that is true or false.

    Raises:
        ArgumentError: it is something else.
    """
    value = call.get(name)
    if not isinstance(value, bool):
        raise call.error(name, f"{name} => takes true or false, not {value!r}")
    return value


def number(call: Call, name: str, least: float, most: float, *, whole: bool = False) -> float:
    """Return a numeric argument within [least, most].

    Raises:
        ArgumentError: it is something else.
    """
    return _number(call, name, call.get(name), least, most, whole)


def numbers(call: Call, name: str, least: float, most: float) -> tuple[float, ...]:
    """Return a numeric argument, or a list of them without repeats.

    Raises:
        ArgumentError: it is something else, or the list is empty.
    """
    value = call.get(name)
    found = list(value) if isinstance(value, list | tuple) else [value]
    if not found:
        raise call.error(name, f"{name} => takes a number or a list of them, not an empty list")
    checked = [_number(call, name, one, least, most, False) for one in found]
    return tuple(dict.fromkeys(checked))


def _number(
    call: Call,
    name: str,
    value: Any,
    least: float,
    most: float,
    whole: bool,
) -> float:
    numeric = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not numeric or not least <= value <= most:
        kind = "whole number" if whole else "number"
        bounds = f"of at least {least:g}" if most == float("inf") else f"in [{least:g}, {most:g}]"
        raise call.error(name, f"{name} => takes a {kind} {bounds}, not {value!r}")
    return int(value) if whole else float(value)
