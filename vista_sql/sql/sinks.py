"""Where a statement's rows go, and the row groups of the Parquet file where they go into one."""

from __future__ import annotations

from vista_sql.machine.resources import Sink
from vista_sql.sql.parse import tokenize


def sink_of(text: str, tables: Sink) -> Sink:
    """Return where the rows of one statement go.

    Args:
        text: the statement.
        tables: where tables that are not temporary are kept: 'table' or 'file table'.
    """
    words = [token.text.upper() for token in tokenize(text)]
    if words[:1] == ["COPY"]:
        return "parquet" if _parquet(words) is not None else "rows"
    if not words or words[0] not in ("CREATE", "INSERT", "UPDATE", "DELETE", "MERGE"):
        return "rows"
    temporary = words[0] == "CREATE" and {"TEMP", "TEMPORARY"} & set(words[:5])
    return "table" if temporary else tables


def with_row_groups(text: str, rows: int) -> str:
    """Return a COPY to Parquet that writes row groups of `rows` rows, unless it says how many."""
    tokens = tokenize(text)
    options = _parquet([token.text.upper() for token in tokens])
    if options is None or any(word.startswith("ROW_GROUP") for word in options):
        return text
    end = tokens[-1].end
    if options:
        return f"{text[:end]}, ROW_GROUP_SIZE {rows}{text[end:]}"
    return f"{text[: end + 1]} (FORMAT parquet, ROW_GROUP_SIZE {rows}){text[end + 1 :]}"


def _parquet(words: list[str]) -> list[str] | None:
    """Return the words of the options of a COPY to Parquet; None of any other statement."""
    if words[0] != "COPY" or "TO" not in words:
        return None
    last = len(words) - words[::-1].index("TO")
    target, options = words[last], words[last + 1 :]
    if options and (options[0] != "(" or options[-1] != ")"):
        return None  # an older spelling, which has no options that could be added to
    formats = [options[i + 1] for i, word in enumerate(options) if word == "FORMAT"]
    parquet = formats[0] == "PARQUET" if formats else target.endswith(".PARQUET")
    return options if parquet else None
