"""What the worker asks a shell: the columns of a relation, answered while the shell binds.

The worker cannot see the shell's database. The text that a call stands for may hold one more call,
of the same planner: DuckDB evaluates its arguments first, and one of them is the answer. Planning
asks for the same relations in the same order each time: answers are told apart by their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from vista_sql.hosts.binding import Look
from vista_sql.sql.calls import Call
from vista_sql.sql.quoting import identifier, text_literal

Known: TypeAlias = Sequence[Mapping[str, str] | None]
"""The columns (name → type) of the relations that were asked for, in their order."""

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


def question(call: Call, variables: Mapping[str, Any], relation: str, known: Known = ()) -> str:
    """Return the SELECT that asks for a relation's columns and then plans a call.

    Args:
        call: as the macro has it.
        variables: of the user's connection.
        relation: what is asked about.
        known: what was answered before.

    Example:
        >>> print(question(Call("transfer", {}, {}), {}, "t"))  # doctest: +ELLIPSIS
        FROM query(vista_plan('answered', '[...]', json_serialize_plan('SELECT * FROM t')))
    """
    words = [call.function, dict(call.values), dict(variables), list(known)]
    asked = text_literal(json.dumps(words))
    described = text_literal(f"SELECT * FROM {relation}")
    return f"FROM query(vista_plan('{ANSWERED}', {asked}, json_serialize_plan({described})))"


class Answer(Struct, frozen=True):
    """A call that was asked about, with the columns of each relation; None: they are not seen."""

    call: Call
    variables: Mapping[str, Any]
    known: Known

    def looking(self) -> Look:
        """Return what answers in the order of the questions, and then raises Unanswered."""
        answers = iter(self.known)

        def look(relation: str) -> Mapping[str, str] | None:
            for columns in answers:
                return columns
            return ask(relation)

        return look


def answer(asked: str, plan: str) -> Answer:
    """Return what a `question` brought back.

    Args:
        asked: its second argument.
        plan: DuckDB's own account of the SELECT, as JSON; of an error where it does not bind.
    """
    function, values, variables, known = json.loads(asked)
    plans = json.loads(plan).get("plans") or [{}]
    columns = {
        shown["alias"]: kind(shown["return_type"]) for shown in plans[0].get("expressions", ())
    }
    return Answer(Call(function, values, {}), variables, (*known, columns or None))


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
