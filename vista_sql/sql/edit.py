"""A user's SQL text → the same text, changed: calls replaced, clauses removed, layers added."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from sqlglot import Token, TokenType, exp

from vista_sql.errors import QueryError
from vista_sql.sql import parse
from vista_sql.sql.calls import Call
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.parse import FoundCall, Statement
from vista_sql.sql.quoting import identifier
from vista_sql.sql.reading import tokenize

Sink = Literal["rows", "table", "file table", "parquet"]
"""Where a statement's rows go: to the caller as they come, to a table in memory, to one in a
database file, to a Parquet file."""

Span = tuple[int, int]
"""Characters [start, end) of a text."""


# ── calls and SAMPLE clauses, by their places ───────────────────────────────────────────────────


def splice(statement: Statement, texts: Sequence[str], removed: Sequence[Span] = ()) -> str:
    """Return a statement's text with each call replaced by a query, and some spans removed.

    Args:
        statement: the statement; all that is not replaced stays as it was typed.
        texts: a query for each of `statement.calls`, in their order.
        removed: spans of `statement.text` outside its calls.

    Example:
        >>> (statement,) = parse.parse("SELECT fc6 FROM TRANSFER('lenet5') USING SAMPLE 9% -- few")
        >>> span = sample_span(statement.text, statement.calls[0])
        >>> print(splice(statement, ["SELECT 1 AS fc6"], [span]))
        SELECT fc6 FROM (
        SELECT 1 AS fc6
        ) AS "transfer"...
    """
    edits = [(start, end, "") for start, end in removed]
    for found, text in zip(statement.calls, texts, strict=True):
        name = statement.dialect.identifier(found.call.function)
        alias = "" if found.has_alias else f" AS {name}"
        edits.append((found.start, found.end, f"(\n{text}\n){alias}"))
    result = statement.text
    for start, end, text in sorted(edits, reverse=True):  # from the end: places before stay valid
        result = result[:start] + text + result[end:]
    return result


def sample_span(text: str, found: FoundCall, dialect: Dialect = DUCKDB) -> Span | None:
    """Return where the SAMPLE clause stands of the SELECT that reads a call; None: there is none.

    Example:
        >>> text = "SELECT id FROM TRANSFER('lenet5') AS t TABLESAMPLE bernoulli(10%) WHERE id < 3"
        >>> start, end = sample_span(text, parse.parse(text)[0].calls[0])
        >>> text[start:end]
        'TABLESAMPLE bernoulli(10%) '
    """
    after = [token for token in tokenize(text, dialect) if token.start >= found.end]
    words = [_word(token) for token in after]
    for place, (token, depth) in enumerate(_depths(after)):
        if depth < 0:  # the SELECT's own parenthesis closes
            return None
        if depth > 0:  # inside another call, or a sub-query with a clause of its own
            continue
        match words[place : place + 2]:
            case ["TABLESAMPLE", *_]:
                return token.start, _sample_end(after[place + 1 :], text)
            case ["USING", "SAMPLE"]:
                return token.start, _sample_end(after[place + 2 :], text)
    return None


_AFTER_SAMPLE = frozenset({
    "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET", "UNION", "EXCEPT",
    "INTERSECT", ",", "JOIN", "INNER", "CROSS", "NATURAL", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI",
    "ASOF", "POSITIONAL",
})  # fmt: skip


def _sample_end(tokens: Sequence[Token], text: str) -> int:
    """Return where a SAMPLE clause ends whose first word `tokens` follow."""
    for token, depth in _depths(tokens):
        if depth < 0 or (depth == 0 and _word(token) in _AFTER_SAMPLE):
            return token.start
    return len(text)


def _depths(tokens: Iterable[Token]) -> Iterator[tuple[Token, int]]:
    """Yield each token with the number of parentheses open around it; those of a pair share it."""
    depth = 0
    for token in tokens:
        if token.token_type == TokenType.R_PAREN:
            depth -= 1
        yield token, depth
        if token.token_type == TokenType.L_PAREN:
            depth += 1


def _word(token: Token) -> str:
    """Return a keyword or a sign in upper case; of a string or a quoted name nothing."""
    quoted = token.token_type in (TokenType.STRING, TokenType.IDENTIFIER)
    return "" if quoted else token.text.upper()


# ── where rows go ───────────────────────────────────────────────────────────────────────────────


def sink_of(text: str, tables: Sink) -> Sink:
    """Return where the rows of one statement go.

    Args:
        text: the statement.
        tables: where tables that are not temporary are kept: 'table' or 'file table'.

    Example:
        >>> sink_of("COPY (SELECT 1 AS a) TO 'a.parquet'", "table")
        'parquet'
        >>> sink_of("SELECT 1 AS a", "table")
        'rows'
    """
    words = [token.text.upper() for token in tokenize(text)]
    if words[:1] == ["COPY"]:
        return "rows" if _parquet_options(words) is None else "parquet"
    if not words or words[0] not in ("CREATE", "INSERT", "UPDATE", "DELETE", "MERGE"):
        return "rows"
    temporary = words[0] == "CREATE" and {"TEMP", "TEMPORARY"} & set(words[:5])
    return "table" if temporary else tables


def with_row_groups(text: str, rows: int) -> str:
    """Return a COPY to Parquet with row groups of `rows` rows; any other statement as it is.

    One that says itself how large they are stays as it is, too.

    Example:
        >>> with_row_groups("COPY t TO 'a.parquet'", 500)
        "COPY t TO 'a.parquet' (FORMAT parquet, ROW_GROUP_SIZE 500)"
        >>> with_row_groups("COPY t TO 'a' (FORMAT parquet)", 500)
        "COPY t TO 'a' (FORMAT parquet, ROW_GROUP_SIZE 500)"
        >>> with_row_groups("COPY t TO 'a.csv'", 500)
        "COPY t TO 'a.csv'"
    """
    tokens = tokenize(text)
    options = _parquet_options([token.text.upper() for token in tokens])
    if options is None or any(word.startswith("ROW_GROUP") for word in options):
        return text
    last = tokens[-1]
    if options:  # `last` is their closing parenthesis
        return f"{text[: last.start]}, ROW_GROUP_SIZE {rows}{text[last.start :]}"
    end = last.end + 1
    return f"{text[:end]} (FORMAT parquet, ROW_GROUP_SIZE {rows}){text[end:]}"


def copied_query(text: str) -> Span | None:
    """Return where the query of a COPY stands, inside its parentheses; None: it copies a table.

    Example:
        >>> text = "COPY (SELECT ')' AS a) TO 'a.parquet'"
        >>> start, end = copied_query(text)
        >>> text[start:end]
        "SELECT ')' AS a"
    """
    tokens = tokenize(text)
    if len(tokens) < 2 or tokens[0].text.upper() != "COPY" or tokens[1].text != "(":
        return None
    depth = 0
    for token in tokens[1:]:
        if token.token_type == TokenType.L_PAREN:
            depth += 1
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                return tokens[1].end + 1, token.start
    return None


def with_lists(text: str, query: Span, columns: Mapping[str, str]) -> str:
    """Return a COPY whose query gives lists in place of arrays.

    Args:
        text: the statement.
        query: where its query stands.
        columns: the query's (name → DuckDB type).

    Example:
        >>> text = "COPY (SELECT 1 AS id, f FROM t) TO 'a.parquet'"
        >>> print(with_lists(text, copied_query(text), {"id": "INTEGER", "f": "FLOAT[3]"}))
        COPY (SELECT * REPLACE (CAST("f" AS FLOAT[]) AS "f") FROM (
        SELECT 1 AS id, f FROM t
        )) TO 'a.parquet'
    """
    arrays = {name: kind for name, kind in columns.items() if re.search(r"\[\d+\]$", kind)}
    if not arrays:
        return text
    casts = ", ".join(
        f"CAST({identifier(name)} AS {re.sub(_SIZES, '[]', kind)}) AS {identifier(name)}"
        for name, kind in arrays.items()
    )
    start, end = query
    return f"{text[:start]}SELECT * REPLACE ({casts}) FROM (\n{text[start:end]}\n){text[end:]}"


_SIZES = re.compile(r"\[\d+\]")


def _parquet_options(words: Sequence[str]) -> list[str] | None:
    """Return the options of a COPY to Parquet, word by word; None of any other statement."""
    if words[0] != "COPY" or "TO" not in words:
        return None
    last_to = max(place for place, word in enumerate(words) if word == "TO")
    target, *options = words[last_to + 1 :]
    if options and (options[0] != "(" or options[-1] != ")"):
        return None  # an older spelling, which has no options that could be added to
    formats = [options[place + 1] for place, word in enumerate(options) if word == "FORMAT"]
    parquet = formats[0] == "PARQUET" if formats else target.endswith(".PARQUET")
    return options if parquet else None


# ── one more layer ──────────────────────────────────────────────────────────────────────────────


def with_layer(
    text: str,
    layer: str,
    resolved: Callable[[Call], Call],
    layers_of: Callable[[Call], Sequence[str]],
    dialect: Dialect = DUCKDB,
) -> tuple[str, str]:
    """Return a query with one more layer in its first TRANSFER, and that layer's column.

    Every SELECT above the call passes the column on.

    Args:
        text: a relation, as the user wrote it.
        layer: the layer; a call that names it already stays as it is.
        resolved: returns a call with all values known.
        layers_of: returns the names of the layers of a call that counts them, or leaves them out.
        dialect: of the query.

    Raises:
        QueryError: there is no TRANSFER, or its rows do not reach the result one by one.

    Example:
        >>> query = "SELECT id, fc6 FROM TRANSFER('lenet5', 'fc6') AS t"
        >>> text, column = with_layer(query, "hog", lambda call: call, layers_of=lambda call: [])
        >>> print(text)
        SELECT id, fc6, "t"."hog" FROM TRANSFER('lenet5', ['fc6', 'hog']) AS t
    """
    relation = parse.clean_relation(text, dialect)
    statement = parse.parse(relation[1:-1], dialect)[0] if relation.startswith("(") else None
    calls = statement.calls if statement is not None else ()
    transfer = next((part for part in calls if part.call.function == "transfer"), None)
    if transfer is None or statement is None or statement.tree is None:
        raise QueryError("there is none")
    call = resolved(transfer.call)
    if call.get("format") != "wide":
        raise QueryError("its format is not 'wide'")
    names = call.get("layers")
    if names is None or isinstance(names[0], int):
        names = layers_of(call)
    column = f"{call.get('prefix')}{layer}"
    if layer not in [name.lower() for name in names]:
        _set_layers(transfer.node, [*names, layer])
    _pass_on(transfer.node, column, statement.tree)
    return statement.tree.sql(statement.dialect.name, comments=False), column


def _set_layers(table: exp.Table, names: Sequence[str]) -> None:
    """Give a call's argument `layers` another value."""
    value = exp.Array(expressions=[exp.Literal.string(name) for name in names])
    for position, argument in enumerate(table.this.expressions):
        if isinstance(argument, (exp.Kwarg, exp.PropertyEQ)):
            if argument.this.name.lower() == "layers":
                argument.set("expression", value)
                return
        elif position == 1:
            argument.replace(value)
            return
    table.this.append("expressions", exp.Kwarg(this=exp.var("layers"), expression=value))


def _pass_on(table: exp.Table, column: str, tree: exp.Expr) -> None:
    """Add a column of `table` to each SELECT between it and the whole query that has no star."""
    source: exp.Expr = table
    alias = table.alias or "transfer"
    while True:
        select = source.find_ancestor(exp.Select)
        if select is None or not isinstance(source.parent, (exp.From, exp.Join)):
            raise QueryError("its rows do not reach the result")
        combined = select.args.get("group") or select.args.get("distinct")
        if combined or any(_aggregates(shown) for shown in select.expressions):
            raise QueryError("a SELECT above it combines its rows")
        if not any(_passes(shown, alias, column) for shown in select.expressions):
            select.append("expressions", exp.column(column, alias or None, quoted=True))
        reader = _reader(select, tree)
        if reader is None:
            return
        source, alias = reader


def _reader(select: exp.Select, tree: exp.Expr) -> tuple[exp.Expr, str] | None:
    """Return what reads a SELECT's rows, after FROM or JOIN, and its alias; None: it is the query.

    Raises:
        QueryError: its rows are read in another way, or more than once.
    """
    above = select.parent
    while isinstance(above, exp.Subquery) and above.parent is not None and not above.alias:
        if isinstance(above.parent, (exp.From, exp.Join)):
            break
        above = above.parent  # parentheses around parentheses
    match above:
        case None:
            return None
        case exp.Subquery():
            return (above, above.alias) if above.parent is not None else None
        case exp.CTE():
            name = above.alias.lower()
            readers = [table for table in tree.find_all(exp.Table) if table.name.lower() == name]
            if len(readers) != 1:
                raise QueryError(f"{above.alias} is read {len(readers)} times")
            return readers[0], readers[0].alias or above.alias
        case _:
            raise QueryError("its rows do not reach the result")


def _passes(shown: exp.Expr, alias: str, column: str) -> bool:
    """Return whether something that a SELECT shows has a column of a source already."""
    if isinstance(shown, exp.Star) or shown.alias_or_name.lower() == column.lower():
        return True
    return isinstance(shown, exp.Column) and (
        isinstance(shown.this, exp.Star) and shown.table.lower() in ("", alias.lower())
    )


def _aggregates(shown: exp.Expr) -> bool:
    """Return whether something that a SELECT shows makes one row of several."""
    return any(
        aggregate.find_ancestor(exp.Window, exp.Subquery) is None
        for aggregate in shown.find_all(exp.AggFunc)
    )
