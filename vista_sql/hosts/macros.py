"""Our functions as TEMP macros, most over `query(vista_plan(…))`: the text that makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from vista_sql.errors import ArgumentError
from vista_sql.functions._iou import IOU
from vista_sql.settings import SETTINGS
from vista_sql.sql import calls
from vista_sql.sql.calls import Call
from vista_sql.sql.quoting import identifier, text_literal

VARIABLES = tuple(f"vista_{setting.name}" for setting in SETTINGS)
"""The connection's variables that are settings; a macro hands them to the planner."""


def macros() -> Iterator[str]:
    """Yield a statement for each of our functions, after one that the others call."""
    yield IOU.macro
    variables = ", ".join(f"'{name}': getvariable('{name}')" for name in VARIABLES)
    yield f"CREATE OR REPLACE TEMP MACRO vista_variables() AS {{{variables}}}"
    for name in calls.names():
        # with no parameter at all, DuckDB would plan the call as soon as it makes the macro
        arguments = [argument.name for argument in calls.load(name).arguments] or ["_"]
        values = ", ".join(f"{text_literal(a)}: {identifier(a)}" for a in arguments)
        parameters = ", ".join(f"{identifier(a)} := NULL" for a in arguments)
        yield (
            f"CREATE OR REPLACE TEMP MACRO {identifier(name)}({parameters}) AS TABLE "
            f"FROM query(vista_plan({text_literal(name)}, {{{values}}}, vista_variables()))"
        )


def call_of(name: str, arguments: Mapping[str, Any]) -> Call:
    """Return the call that a macro's vista_plan(name, arguments, variables) stands for."""
    return Call(name, {k: _plain(v) for k, v in arguments.items() if v is not None}, {})


PARAMETER = "0_macro_parameters"
"""What DuckDB calls the table of a macro's parameters while it makes the macro."""


def of_parameter(call: Call) -> str | None:
    """Return what a call stands for inside a macro that is being made; None: it is in none.

    DuckDB binds the body once, when a parameter has no value yet and arrives as its own name; what
    speaks of the parameter itself it does not bind further. The macro's own calls have the values.

    Example:
        >>> of_parameter(Call("transfer", {"cnn": "0_macro_parametersfeats.net"}, {}))
        'SELECT "0_macro_parametersfeats"."net"'
    """
    values = list(call.values.values())
    for value in values:
        if isinstance(value, list):
            values += value
        elif isinstance(value, str) and value.startswith(PARAMETER):
            macro, _, name = value.partition(".")
            return f"SELECT {identifier(macro)}.{identifier(name)}"
    return None


def _plain(value: Any) -> Any:
    """Return a value as in a Call: DuckDB's 0.01 is a DECIMAL."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    return value


def kept(columns: Sequence[str], added: Sequence[str], hidden: Sequence[str]) -> list[bool]:
    """Say which columns of the narrow rows a TRANSFER shows: vista_kept(column, added, hidden).

    Args:
        columns: names.
        added: for each the columns that TRANSFER adds, a JSON list.
        hidden: for each the columns that it hides, a JSON list.

    Raises:
        ArgumentError: a column that is there already would be added.
    """
    found = []
    for name, adds, hides in zip(columns, added, hidden, strict=True):
        is_hidden = name.lower() in (n.lower() for n in json.loads(hides))
        if name.lower() in (n.lower() for n in json.loads(adds)) and not is_hidden:
            raise ArgumentError(
                f"TRANSFER adds a column {name!r}, which the relation has already; "
                "give prefix => '…' for the columns that TRANSFER adds"
            )
        found.append(not is_hidden)
    return found
