"""Whatever changes a user's text."""

from __future__ import annotations

from collections.abc import Sequence

from vista_sql.sql.parse import Statement
from vista_sql.sql.quoting import identifier


def splice(
    statement: Statement, texts: Sequence[str], removed: Sequence[tuple[int, int]] = ()
) -> str:
    """Return the statement's text with each call replaced where it stands."""
    edits = [(start, end, "") for start, end in removed]
    for found, text in zip(statement.calls, texts, strict=True):
        alias = "" if found.has_alias else f" AS {identifier(found.call.function)}"
        edits.append((found.start, found.end, f"(\n{text}\n){alias}"))
    result = statement.text
    for start, end, text in sorted(edits, reverse=True):
        result = result[:start] + text + result[end:]
    return result
