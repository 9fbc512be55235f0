"""SQL text → statements, each with the calls of our functions and where they stand.

The user's text stays as it was typed: a call is known by its place, and is replaced there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

from msgspec import Struct
from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError, SqlglotError

from vista_sql.errors import ArgumentError, Place, QueryError, UnknownNameError
from vista_sql.sql import calls, folders
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.reading import tokenize, tree_of, unless_sqlglot_fails

Kind = Literal["select", "write", "other"]
"""What a statement does: it returns rows; rows or tables change; anything else."""

Ctes = tuple[tuple[str, bool], ...]
"""Common table expressions that a text can name: (definition, is it recursive?) each."""


class Unresolved(Struct, frozen=True):
    """An argument value that only the host can tell: getvariable('x') or a prepared parameter."""

    sql: str


class FoundCall(Struct, frozen=True):
    """A call of one of our functions: characters [start, end) of the statement's text."""

    call: calls.Call
    start: int
    end: int
    node: exp.Table
    has_alias: bool


class Statement(Struct, frozen=True):
    """One statement; `tree` is None where sqlglot cannot read it (DuckDB may, with our macros)."""

    text: str
    tree: exp.Expr | None
    calls: tuple[FoundCall, ...]
    kind: Kind
    dialect: Dialect = DUCKDB  # that it is written in


def parse(text: str, dialect: Dialect = DUCKDB) -> tuple[Statement, ...]:
    """Split `text` into statements and find our calls in each.

    Raises:
        QueryError: one of our calls stands where it cannot (not after FROM or JOIN); it is no text,
            or texts in it do not nest.
        ArgumentError, UnknownNameError: an argument is written in a way that no host accepts.

    Example:
        >>> first, second = parse("SELECT ';'; INSERT INTO t FROM TRANSFER('lenet5') AS f")
        >>> first.text, first.kind, first.calls
        ("SELECT ';'", 'select', ())
        >>> (found,) = second.calls
        >>> second.text[found.start : found.end], found.call.values, found.has_alias
        ("TRANSFER('lenet5')", {'cnn': 'lenet5'}, True)
    """
    if not isinstance(text, str):
        raise QueryError(f"a statement must be text, not {text!r}")
    if half := re.search("[\ud800-\udfff]", text):
        raise QueryError(
            f"a statement must be text, and character {half.start() + 1} of this one is half of a "
            f"character ({half[0]!r}), as text has that was decoded with errors='surrogateescape'; "
            "decode it as UTF-8"
        )
    try:
        tokens = tokenize(text, dialect)
    except SqlglotError:
        _refuse_nested_dollars(text)
        return (Statement(text, None, (), "other", dialect),)
    return tuple(_statement(text[start:end], dialect) for start, end in _spans(tokens, text))


def _spans(tokens: Sequence[Token], text: str) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of each statement; a `;` inside a string is not a token."""
    start: int | None = None
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            if start is not None:
                yield start, token.start
            start = None
        elif start is None:
            start = token.start
    if start is not None:
        yield start, len(text.rstrip())


def _statement(text: str, dialect: Dialect) -> Statement:
    tree = _tree(text, dialect)
    kind = _kind(text, dialect)
    if tree is None:
        _refuse_nested_dollars(text)
        return Statement(text, None, (), kind, dialect)
    found = unless_sqlglot_fails(lambda: tuple(_calls(tree, text, dialect)))
    if found is None:
        return Statement(text, None, (), kind, dialect)
    return Statement(text, tree, found, kind, dialect)


def _refuse_nested_dollars(text: str) -> None:
    """Say how texts nest, where a statement that cannot be read has a $$ … $$ within another.

    Raises:
        QueryError: an argument within the first text seems to begin where that text ends.
    """
    ends = [found.start() for found in re.finditer(r"\$\$", text)]
    for begin, end in pairwise(ends[:-2]):
        if mentions(text[begin:end]) and re.search(r"(?:=>|:=|[(,])\s*$", text[begin:end]):
            raise QueryError(
                "a text in $$ … $$ ends at the next $$: write the one within it $a$ … $a$",
                Place(text, end, end + 2),
            )


def _tree(text: str, dialect: Dialect) -> exp.Expr | None:
    """Return a statement's tree; None where sqlglot cannot read it."""
    try:
        tree = tree_of(text, dialect)
    except SqlglotError:
        return None
    return None if isinstance(tree, exp.Command) else tree


_SELECTS = ("SELECT", "FROM", "WITH", "(", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "SUMMARIZE")
_WRITES = ("CREATE", "INSERT", "COPY", "UPDATE", "DELETE", "MERGE")


def _kind(text: str, dialect: Dialect = DUCKDB) -> Kind:
    """Return what a statement does, by its first words.

    Example:
        >>> [_kind(text) for text in ("FROM t", "COPY t TO 'a'", "CREATE VIEW v AS …", "BEGIN")]
        ['select', 'write', 'other', 'other']
    """
    try:
        words = [token.text.upper() for token in tokenize(text, dialect)[:6]]
    except SqlglotError:
        return "other"
    match words:
        case ["CREATE", *more] if {"VIEW", "MACRO", "FUNCTION"} & set(more):
            return "other"  # what it defines is planned when it is used
        case [first, *_] if first in _SELECTS:
            return "select"
        case [first, *_] if first in _WRITES:
            return "write"
        case _:
            return "other"


def _calls(tree: exp.Expr, text: str, dialect: Dialect) -> Iterator[FoundCall]:
    """Yield the calls of our functions in a statement's tree, with their places in its text."""
    known = calls.names()
    for node in tree.find_all(exp.Anonymous):
        name = str(node.this).lower()
        if name not in known and not name.startswith("vista_"):
            continue
        if _stands_in_argument(node, known):
            continue  # of TABLE(…): it is read as that argument's text
        place = Place(text, node.meta["start"], node.meta["end"] + 1)
        if isinstance(node.parent, exp.Table):
            if name not in known:
                raise UnknownNameError("function", name, known, place)
            yield _call(node, node.parent, calls.load(name), place, dialect)
        elif name in known:  # any other function with our prefix is a kernel, or the user's
            raise QueryError(
                f"{name.upper()} is a table function: write it after FROM or JOIN", place
            )


def _stands_in_argument(node: exp.Expr, known: Sequence[str]) -> bool:
    """Return whether a call stands in an argument of another call of ours."""
    above = node.find_ancestor(exp.Anonymous)
    while above is not None and str(above.this).lower() not in known:
        above = above.find_ancestor(exp.Anonymous)
    return above is not None


def _call(
    node: exp.Anonymous,
    table: exp.Table,
    function: calls.TableFunction,
    place: Place,
    dialect: Dialect,
) -> FoundCall:
    """Return one call with the values of its arguments; `place` is its name's."""
    tokens = tokenize(place.text, dialect)
    start, end = _call_span(tokens, place.start)
    values: dict[str, Any] = {}
    places: dict[str, Place] = {"": place}
    for position, argument in enumerate(node.expressions):
        name, value = _argument(function, position, argument, place, dialect)
        name_place = _name_place(tokens, start, end, name, place.text) or place
        value_place = _place(argument, place.text) or name_place
        if name in values:
            raise ArgumentError(f"argument {name} is given twice", value_place)
        values[name] = _value(value, function, name, value_place, dialect)
        known_argument = any(a.name == name for a in function.arguments)
        places[name] = value_place if known_argument else name_place
    call = calls.Call(function.name, values, places)
    return FoundCall(call, start, end, table, bool(table.alias))


def _argument(
    function: calls.TableFunction,
    position: int,
    node: exp.Expr,
    place: Place,
    dialect: Dialect,
) -> tuple[str, exp.Expr]:
    """Return (name, value) of an argument, written by name or by position."""
    if isinstance(node, (exp.Kwarg, exp.PropertyEQ)):
        return node.this.name.lower(), node.expression
    if isinstance(node, exp.EQ):
        name = node.this.sql(dialect.name)
        raise ArgumentError(
            f"{name} = … is a comparison in DuckDB; write {name} => …",
            _place(node, place.text) or place,
        )
    if position >= len(function.arguments):
        raise ArgumentError(
            f"{function.name.upper()} has only {len(function.arguments)} arguments", place
        )
    return function.arguments[position].name, node


def _value(
    node: exp.Expr, function: calls.TableFunction, name: str, place: Place, dialect: Dialect
) -> Any:
    """Return a literal as a Python value; a bare name as text; the rest as Unresolved."""
    if isinstance(node, exp.Literal):
        if node.is_string:
            return str(node.this)
        return float(node.this) if any(c in node.this for c in ".eE") else int(node.this)
    if isinstance(node, exp.RawString):
        return str(node.this)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Neg):
        value = _value(node.this, function, name, place, dialect)
        return -value if isinstance(value, (int, float)) else Unresolved(node.sql(dialect.name))
    if isinstance(node, exp.Array):
        values = [_value(item, function, name, place, dialect) for item in node.expressions]
        if any(isinstance(value, Unresolved) for value in values):
            return Unresolved(node.sql(dialect.name))
        return values
    if isinstance(node, exp.Column):
        return node.sql(dialect.name) if function.takes_relation(name) else node.name
    if _is_table(node) and dialect != DUCKDB and function.takes_relation(name):
        return node.expressions[0].sql(dialect.name)
    if isinstance(node, (exp.Subquery, exp.Select)):
        if function.takes_relation(name):
            raise ArgumentError(
                f"{name} takes a query as text: {name} => '(SELECT …)' or $$SELECT …$$", place
            )
        raise ArgumentError(f"{name} cannot be a sub-query", place)
    return Unresolved(node.sql(dialect.name))


def _is_table(node: exp.Expr) -> bool:
    """Return whether an argument is `TABLE(name)` or `TABLE(SELECT …)`, as Spark has it."""
    is_call = isinstance(node, exp.Anonymous) and str(node.this).upper() == "TABLE"
    return is_call and len(node.expressions) == 1


def _place(node: exp.Expr, text: str) -> Place | None:
    """Return the place of an argument's value, from its first part with a place to its last."""
    value = node if node.args.get("expression") is None else node.expression
    placed = [part.meta for part in value.walk() if "start" in part.meta]
    if not placed:
        return None
    start, last = min(meta["start"] for meta in placed), max(meta["end"] for meta in placed)
    return Place(text, start, last + 1)


def _name_place(
    tokens: Sequence[Token], start: int, end: int, name: str, text: str
) -> Place | None:
    """Return the place of an argument's name before its `=>` or `:=`; None: given by position."""
    inside = [token for token in tokens if start < token.start < end]
    for token, following in pairwise(inside):
        if token.text.lower() == name and following.text in ("=>", ":="):
            return Place(text, token.start, token.end + 1)
    return None


def _call_span(tokens: Sequence[Token], start: int) -> tuple[int, int]:
    """Return the span from a function's name to its closing parenthesis.

    Example:
        >>> text = "SELECT * FROM f(a => ')', b => (1)) AS t"
        >>> start, end = _call_span(tokenize(text), text.index("f("))
        >>> text[start:end]
        "f(a => ')', b => (1))"
    """
    depth = 0
    for token in tokens:
        if token.start <= start:
            continue
        if token.token_type == TokenType.L_PAREN:
            depth += 1
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                return start, token.end + 1
    raise QueryError("a call is not closed")


def mentions(text: str) -> bool:
    """Return whether `text` may hold a call of ours; False is certain.

    Example:
        >>> mentions("SELECT 'transfer'"), mentions("SELECT 1")
        (True, False)
    """
    lower = text.lower()
    return "transfer" in lower or "vista_" in lower


def clean_relation(text: str, dialect: Dialect = DUCKDB) -> str:
    """Return a relation's text as DuckDB text that can stand after FROM.

    A name stays a name; a query comes back in parentheses, parsed and printed again, so that a
    trailing comment or `;` cannot reach what follows; so do folders, globs and paths of files.

    Raises:
        QueryError: the text is neither a name nor a query, nor a path.

    Example:
        >>> clean_relation('my."Odd Name" -- note')
        'my."Odd Name"'
        >>> clean_relation("SELECT 1 AS a; -- end")
        '(SELECT 1 AS a)'
        >>> clean_relation("read_csv('a.csv')")
        "(SELECT * FROM READ_CSV('a.csv'))"
    """
    stripped = text.strip()
    if not stripped:
        raise QueryError("it is empty, not a table's name or a query")
    if folders.is_folder(stripped):
        return f"({folders.select(stripped)})"
    try:
        tokens = list(tokenize(stripped, dialect))
        if tokens and tokens[-1].token_type == TokenType.SEMICOLON:
            stripped, tokens = stripped[: tokens[-1].start], tokens[:-1]
        if any(token.token_type == TokenType.SEMICOLON for token in tokens):
            raise QueryError(f"{text!r} is more than one statement, not a table's name or a query")
        if _is_name(tokens):
            table = tree_of(f"SELECT * FROM {stripped}\n", dialect)
            name = table.find(exp.Table)
            if name is not None:
                return name.sql(dialect.name, comments=False)
        if folders.is_table_file(stripped):
            return f"({folders.table_file(stripped)})"
        tree = tree_of(stripped, dialect)
    except SqlglotError as error:
        raise QueryError(
            f"{text!r} is neither a table's name nor a query: {_first(error)}"
        ) from None
    if isinstance(tree, exp.Subquery) and not tree.alias:
        tree = tree.unnest()
    if not isinstance(tree, exp.Query):
        with contextlib.suppress(SqlglotError):
            tree = tree_of(f"SELECT * FROM {stripped}\n", dialect)
    if not isinstance(tree, exp.Query) or _names_no_table(tree):
        raise QueryError(
            f"{text!r} is neither a table's name nor a query; "
            "pass 'name', 'folder/' or '(SELECT …)'"
        )
    return f"({tree.sql(dialect.name, comments=False)})"


def _names_no_table(tree: exp.Expr) -> bool:
    """Return whether sqlglot took for a table, or for its alias, what can be none.

    Example:
        >>> texts = ("s3://", "m@1", "foods f", '"a b"', "é")
        >>> [_names_no_table(tree_of(f"SELECT * FROM {text}", DUCKDB)) for text in texts]
        [True, True, False, False, False]
    """
    for table in tree.find_all(exp.Table):
        name, alias = table.this, table.args.get("alias")
        if isinstance(name, exp.Identifier) and not name.quoted and _NO_WORD.search(name.name):
            return True
        if alias is not None and not isinstance(alias.this, exp.Identifier | None):
            return True
    return False


_NO_WORD = re.compile(r"(?![\w$])[\x00-\x7f]")


def _is_name(tokens: Sequence[Token]) -> bool:
    """Return whether tokens are `name`, `schema.name` or `catalog.schema.name`.

    Example:
        >>> texts = ("foods", 'my."Foods"', "my.", "'a.csv'", "FROM a")
        >>> [_is_name(tokenize(text)) for text in texts]
        [True, True, False, False, False]
    """
    no_names = (TokenType.DOT, TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN)
    return (
        len(tokens) % 2 == 1
        and all(token.token_type == TokenType.DOT for token in tokens[1::2])
        and not any(token.token_type in no_names for token in tokens[::2])
    )


_TOKEN = re.compile(r"<Token token_type: TokenType\.\w+, text: (.*?), line: .*?>")


def _first(error: SqlglotError) -> str:
    """Return what an error says first, its tokens shown as text, in words of a reader of SQL.

    Example:
        >>> for text in ("SELECT 1 +", "SELECT (1"):
        ...     try:
        ...         tree_of(text, DUCKDB)
        ...     except SqlglotError as error:
        ...         print(_first(error))
        something is missing at '+'
        Expecting )
    """
    first = _TOKEN.sub(r"'\1'", str(error).splitlines()[0])
    if first.startswith("Required keyword"):
        (known, *_) = error.errors if isinstance(error, ParseError) else [{}]
        return f"something is missing at {known.get('highlight', '')!r}"
    return re.sub(r"\.? Line \d+, Col: \d+\.$", "", first)


def identifiers(text: str, dialect: Dialect = DUCKDB) -> set[str]:
    """Return every word of `text` that could name something, lower case; strings are not words.

    Example:
        >>> sorted(identifiers("SELECT Id, 'x' FROM my_table -- note") - {","})
        ['from', 'id', 'my_table', 'select']
    """
    return {
        token.text.lower()
        for token in tokenize(text, dialect)
        if token.token_type not in (TokenType.STRING, TokenType.NUMBER)
    }


def parameters(text: str, dialect: Dialect = DUCKDB) -> set[str] | None:
    """Return the names or numbers of the parameters in `text`; None if there is a `?`.

    Example:
        >>> sorted(parameters("SELECT $1, $name, '$2'")), parameters("SELECT ?")
        (['1', 'name'], None)
    """
    tokens = tokenize(text, dialect)
    if any(token.token_type == TokenType.PLACEHOLDER for token in tokens):
        return None
    return {
        name.text
        for sign, name in pairwise(tokens)
        if sign.token_type == TokenType.PARAMETER and name.start == sign.end + 1
    }


def word_span(text: str, word: str, dialect: Dialect = DUCKDB) -> tuple[int, int] | None:
    """Return where an identifier first stands in `text`; None where it does not.

    Example:
        >>> word_span("SELECT 'id', Id FROM t", "id")
        (13, 15)
    """
    for token in tokenize(text, dialect):
        if token.token_type != TokenType.STRING and token.text.lower() == word.lower():
            return token.start, token.end + 1
    return None


def value_place(statement: Statement, name: str, argument: str = "") -> Place | None:
    """Return where a name stands in a value of our calls; None where it does not.

    Args:
        statement: the statement.
        name: the name, as it is written in the value.
        argument: look only there; empty: in all.

    Example:
        >>> (statement,) = parse("FROM TRANSFER(cnn => 'lenet5', layers => ['fc6', 'fc66'])")
        >>> place = value_place(statement, "fc66")
        >>> statement.text[place.start : place.end]
        "'fc66'"
    """
    word = re.compile(rf"'{re.escape(name)}'|(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    for found in statement.calls:
        for key, place in found.call.places.items():
            if key in found.call.values and argument in ("", key):
                at = word.search(place.text, place.start, place.end)
                if at is not None:
                    return Place(place.text, *at.span())
    return None


def table_names(statement: Statement) -> list[str]:
    """Return the unqualified names in a statement that may be tables, our calls' included.

    Example:
        >>> table_names(parse("FROM a JOIN my.b ON true, TRANSFER('x', images => 'FROM c')")[0])
        ['a', 'c']
    """
    trees: list[exp.Expr] = [] if statement.tree is None else [statement.tree]
    for found in statement.calls:
        function = calls.load(found.call.function)
        for name, text in found.call.values.items():
            if function.takes_relation(name) and isinstance(text, str):
                with contextlib.suppress(SqlglotError, QueryError):
                    relation = clean_relation(text, statement.dialect)
                    trees.append(tree_of(f"SELECT * FROM {relation}", statement.dialect))
    names = [
        table.name
        for tree in trees
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and not table.args.get("db")
    ]
    return list(dict.fromkeys(names))


def visible_ctes(found: FoundCall, dialect: Dialect = DUCKDB) -> Ctes:
    """Return the common table expressions that a call can name, outer ones first.

    Example:
        >>> text = "WITH a AS (SELECT 1), b AS (FROM TRANSFER('x')), c AS (SELECT 3) FROM b"
        >>> visible_ctes(parse(text)[0].calls[0])
        (('a AS (SELECT 1)', False),)
    """
    ctes: Ctes = ()
    parent: exp.Expr | None = found.node.parent
    while parent is not None:
        with_ = parent.args.get("with_")
        if isinstance(with_, exp.With):
            before: list[tuple[str, bool]] = []
            for cte in with_.expressions:
                if any(part is found.node for part in cte.walk()):
                    break
                before.append((cte.sql(dialect.name), bool(with_.recursive)))
            ctes = (*before, *ctes)
        parent = parent.parent
    return ctes
