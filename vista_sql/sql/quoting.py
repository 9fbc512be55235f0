"""Names and values as SQL text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any


def text_literal(text: str) -> str:
    """Return `text` as a SQL string literal.

    Example:
        >>> text_literal("it's")
        "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier.

    Example:
        >>> identifier("Is Healthy")
        '"Is Healthy"'
    """
    return '"' + name.replace('"', '""') + '"'


def written(name: str) -> str:
    """Return `name` as it is written in SQL, quoted where it has to be.

    Example:
        >>> written("photos"), written("x.y")
        ('photos', '"x.y"')
    """
    return name if re.fullmatch(r"[^\W\d]\w*", name) else identifier(name)


def literal(value: Any) -> str:
    """Return None, a bool, int, float, str, or a list or dict of them, as a SQL literal.

    Example:
        >>> literal([1, None, True, "a"])
        "[1, NULL, true, 'a']"
        >>> literal({"a": float("inf")})
        "MAP {'a': CAST('inf' AS DOUBLE)}"
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if isfinite(value) else f"CAST('{value}' AS DOUBLE)"
    if isinstance(value, Mapping):
        entries = ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items())
        return f"MAP {{{entries}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    return text_literal(str(value))


def values_table(columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as one SELECT with the given columns (name → DuckDB type); no rows is fine.

    Example:
        >>> print(values_table({"id": "INTEGER"}, [[1], [2]]))
        SELECT CAST("id" AS INTEGER) AS "id"
        FROM (VALUES
          (1),
          (2)
        ) AS t("id")
    """
    casts = ", ".join(
        f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}"
        for name, kind in columns.items()
    )
    names = ", ".join(map(identifier, columns))
    shown = rows or [[None] * len(columns)]
    values = ",\n  ".join(f"({', '.join(map(literal, row))})" for row in shown)
    where = "" if rows else "\nWHERE false"
    return f"SELECT {casts}\nFROM (VALUES\n  {values}\n) AS t({names}){where}"
