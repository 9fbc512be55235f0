"""A statement with every name resolved: each table replaced by a stand-in of known columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from vista_sql.sql.parse import DIALECT, FoundCall, Statement

ColumnsOf = Callable[[str], Mapping[str, str] | None]
"""The columns (name → type) of a relation, given as text that can stand after FROM."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """The columns of one TRANSFER call: name → DuckDB type; `narrow` ones cost no inference."""

    columns: Mapping[str, str]
    narrow: frozenset[str]
    one_row_each: bool  # one output row for each joined row: not on_error => 'skip', not long
    relation: str | None = None  # DuckDB text of a relation that has the narrow columns of each row


@dataclass(frozen=True, slots=True)
class Other:
    """A table that is not ours: its name as text, and its columns (lower case → DuckDB type)."""

    text: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A query whose tables are stand-ins and whose columns all say which table they are of."""

    tree: exp.Expr
    names: tuple[str, ...]  # of the stand-ins of our calls, in the order of the statement's calls
    opaque: bool  # reads columns that it does not name one by one
    tables: Mapping[str, Other]  # of the stand-ins of tables
    ctes: Mapping[str, exp.Query]  # by name; not recursive ones, nor where two have one name
    cte_names: frozenset[str]  # of all of them, lower case


class UnknownColumnsError(Exception):
    """A table's columns cannot be known; the text says which."""


def resolve(
    statement: Statement, calls: Sequence[StandIn | None], columns_of: ColumnsOf
) -> Resolved | None:
    """Return the query whose rows a statement returns or writes, resolved; None: it has none.

    Raises:
        UnknownColumnsError: a table's columns cannot be known.
        SqlglotError: sqlglot cannot resolve the names.
    """
    query = None if statement.tree is None else _query(statement.tree.copy())
    if query is None:
        return None
    schema: dict[str, object] = {}
    names = _stand_in(query, statement.calls, calls, schema)
    tables = _replace_others(query, columns_of, schema, set(names))
    tree = qualify(query, schema=schema, dialect=DIALECT, quote_identifiers=True)
    opaque = _reads_unnamed_columns(tree)
    named = frozenset(cte.alias.lower() for cte in tree.find_all(exp.CTE))
    return Resolved(tree, tuple(names), opaque, tables, _ctes(tree), named)


def _ctes(tree: exp.Expr) -> dict[str, exp.Query]:
    found = list(tree.find_all(exp.CTE))
    names = [cte.alias for cte in found]
    return {
        cte.alias: cte.this
        for cte in found
        if names.count(cte.alias) == 1
        and isinstance(cte.this, exp.Query)
        and not cte.alias_column_names
        and isinstance(cte.parent, exp.With)
        and not cte.parent.recursive
    }


_OPAQUE = (exp.PositionalColumn, exp.Columns, exp.TableColumn, exp.Pivot)


def _reads_unnamed_columns(tree: exp.Expr) -> bool:
    """Return whether a resolved tree reads columns that it does not name one by one."""
    if tree.find(*_OPAQUE) or any(join.method == "NATURAL" for join in tree.find_all(exp.Join)):
        return True
    if any(with_.recursive for with_ in tree.find_all(exp.With)):
        return True  # DuckDB evaluates every column of what is joined with a recursive one
    return any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star))


def _query(tree: exp.Expr) -> exp.Query | None:
    """Return the query whose rows a statement returns or writes."""
    if isinstance(tree, exp.Query):
        inner = tree.unnest() if isinstance(tree, exp.Subquery) else tree
        return inner if isinstance(inner, exp.Query) else None
    if isinstance(tree, (exp.Create, exp.Insert)) and not tree.args.get("with_"):
        source = tree.expression
    elif isinstance(tree, exp.Copy):
        source = tree.this
    else:
        return None
    if isinstance(source, exp.Subquery):
        source = source.unnest()
    return source.copy() if isinstance(source, exp.Query) else None


def _stand_in(
    query: exp.Query,
    calls: Sequence[FoundCall],
    stand_ins: Sequence[StandIn | None],
    schema: dict[str, object],
) -> list[str]:
    """Replace each call in `query` by a stand-in table; return the stand-ins' names."""
    by_start = {
        node.meta["start"]: node.parent
        for node in query.find_all(exp.Anonymous)
        if isinstance(node.parent, exp.Table)
    }
    names = []
    for index, (call, stand_in) in enumerate(zip(calls, stand_ins, strict=True)):
        table = by_start[call.start]
        name = f"__vista_stand_in_{index}"
        alias = table.alias or call.call.function
        if table.args.get("alias") and table.args["alias"].args.get("columns"):
            raise UnknownColumnsError(alias)
        table.set("this", exp.to_identifier(name))
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        assert stand_in is not None  # noqa: S101  (checked by the caller)
        schema[name] = _lower(stand_in.columns)
        names.append(name)
    return names


def _replace_others(
    query: exp.Query,
    columns_of: ColumnsOf,
    schema: dict[str, object],
    stand_ins: set[str],
) -> dict[str, Other]:
    """Replace every other table by a stand-in with its columns; return the named ones."""
    tables: dict[str, Other] = {}
    ctes = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        name = table.name.lower()
        if name in stand_ins or (name in ctes and not table.args.get("db")):
            continue
        bare = table.copy()
        for argument in ("alias", "joins", "sample", "pivots", "laterals"):
            bare.set(argument, None)
        columns = columns_of(bare.sql(DIALECT))
        if columns is None or table.args.get("pivots"):
            raise UnknownColumnsError(bare.sql(DIALECT))
        alias = table.alias or (name if isinstance(table.this, exp.Identifier) else "")
        stand_in = f"__vista_other_{len(schema)}"
        schema[stand_in] = _lower(columns)
        if isinstance(table.this, exp.Identifier):
            types = {column.lower(): kind for column, kind in columns.items()}
            tables[stand_in] = Other(bare.sql(DIALECT), types)
        for argument in ("db", "catalog"):
            table.set(argument, None)
        table.set("this", exp.to_identifier(stand_in))
        if alias and not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return tables


def _lower(columns: Mapping[str, str]) -> dict[str, str]:
    """Return columns in lower case; their types do not matter to what is needed."""
    lower = {column.lower(): "int" for column in columns}
    if len(lower) != len(columns):
        raise UnknownColumnsError(", ".join(columns))
    return lower
