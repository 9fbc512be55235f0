"""What the worker asks a shell: the columns of a relation, answered while the shell binds.

The worker cannot see the shell's database. The text that a call stands for may hold one more call,
of the same planner: DuckDB evaluates its arguments first, and one of them is the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vista_sql.sql.calls import Call
from vista_sql.sql.quoting import identifier, text_literal

ANSWERED = "answered"
"""Stands for a function's name where an answer comes back."""


class Unanswered(Exception):
    """Planning needs to know the columns of a relation."""

    def __init__(self, relation: str) -> None:
        super().__init__(relation)
        self.relation = relation


def ask(relation: str) -> Mapping[str, str] | None:
    """Raise Unanswered: nobody has asked yet."""
    raise Unanswered(relation)


def question(call: Call, variables: Mapping[str, Any], relation: str) -> str:
    """Return the SELECT that asks for a relation's columns and then plans a call.

    Example:
        >>> print(question(Call("transfer", {}, {}), {}, "t"))  # doctest: +ELLIPSIS
        FROM query(vista_plan('answered', '[...]', json_serialize_plan('SELECT * FROM t')))
    """
    asked = text_literal(json.dumps([call.function, dict(call.values), dict(variables)]))
    described = text_literal(f"SELECT * FROM {relation}")
    return f"FROM query(vista_plan('{ANSWERED}', {asked}, json_serialize_plan({described})))"


@dataclass(frozen=True, slots=True)
class Answer:
    """A call that was asked about, with the columns of the relation; None: they cannot be seen."""

    call: Call
    variables: Mapping[str, Any]
    columns: Mapping[str, str] | None

    def look(self, relation: str) -> Mapping[str, str] | None:
        """Return the columns of the one relation that was asked for."""
        del relation
        return self.columns


def answer(asked: str, plan: str) -> Answer:
    """Return what a `question` brought back.

    Args:
        asked: its second argument.
        plan: DuckDB's own account of the SELECT, as JSON; of an error where it does not bind.
    """
    function, values, variables = json.loads(asked)
    plans = json.loads(plan).get("plans") or [{}]
    columns = {
        shown["alias"]: kind(shown["return_type"]) for shown in plans[0].get("expressions", ())
    }
    return Answer(Call(function, values, {}), variables, columns or None)


def kind(shown: Mapping[str, Any]) -> str:
    """Return the DuckDB type of a column in a plan, as far as it decides what the column may be.

    Example:
        >>> child = {"id": "UTINYINT", "type_info": None}
        >>> kind({"id": "LIST", "type_info": {"child_type": child}})
        'UTINYINT[]'
    """
    name, info = str(shown["id"]), shown.get("type_info") or {}
    if info.get("alias"):
        return str(info["alias"])  # JSON's, say
    if "child_types" in info:
        fields = (
            f"{identifier(one['first'])} {kind(one['second'])}" for one in info["child_types"]
        )
        return f"{name}({', '.join(fields)})"
    if "child_type" in info:
        return f"{kind(info['child_type'])}[]"
    return f"{name}()" if name == "ENUM" else name
