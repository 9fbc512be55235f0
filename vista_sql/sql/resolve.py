"""A statement with every name resolved: each table replaced by a stand-in of known columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.parse import FoundCall, Statement
from vista_sql.sql.reading import UnresolvedError, by_sqlglot

ColumnsOf = Callable[[str], Mapping[str, str] | None]
"""The columns (name → type) of a relation, given as text that can stand after FROM."""


class StandIn(Struct, frozen=True):
    """The columns of one TRANSFER call: name → DuckDB type; `narrow` ones cost no inference."""

    columns: Mapping[str, str]
    narrow: frozenset[str]
    one_row_each: bool  # one output row for each joined row: not on_error => 'skip', not long
    relation: str | None = None  # DuckDB text of a relation that has the narrow columns of each row


class Other(Struct, frozen=True):
    """A table that is not ours: its name as text, and its columns (lower case → DuckDB type)."""

    text: str
    columns: Mapping[str, str]


class Resolved(Struct, frozen=True):
    """A query whose tables are stand-ins and whose columns all say which table they are of."""

    tree: exp.Expr
    names: tuple[str, ...]  # of the stand-ins of our calls, in the order of the statement's calls
    opaque: bool  # reads columns that it does not name one by one
    tables: Mapping[str, Other]  # of the stand-ins of tables
    ctes: Mapping[str, exp.Query]  # by name; not recursive ones, nor where two have one name
    cte_names: frozenset[str]  # of all of them, lower case
    dialect: Dialect = DUCKDB


def resolve(
    statement: Statement, calls: Sequence[StandIn], columns_of: ColumnsOf
) -> Resolved | None:
    """Return the query whose rows a statement returns or writes, resolved; None: it has none.

    Args:
        statement: the statement.
        calls: the columns of each of its calls, in the order of `statement.calls`.
        columns_of: the columns of any other table.

    Raises:
        UnresolvedError: a table's columns cannot be known, or sqlglot cannot resolve the names.

    Example:
        >>> from vista_sql.sql import parse
        >>> text = "SELECT fc6, label FROM TRANSFER('lenet5') JOIN o USING (id) WHERE price < 3"
        >>> (statement,) = parse.parse(text)
        >>> types = {"id": "INTEGER", "price": "DOUBLE", "fc6": "FLOAT[84]"}
        >>> call = StandIn(types, frozenset({"id", "price"}), one_row_each=True)
        >>> tables = {"o": {"id": "INTEGER", "label": "VARCHAR"}}
        >>> print(resolve(statement, [call], tables.get).tree.sql(pretty=True))
        SELECT
          "transfer"."fc6" AS "fc6",
          "o"."label" AS "label"
        FROM "__vista_stand_in_0" AS "transfer"
        JOIN "__vista_other_1" AS "o"
          ON "transfer"."id" = "o"."id"
        WHERE
          "transfer"."price" < 3
    """
    query = None if statement.tree is None else _query(statement.tree)
    if query is None:
        return None
    schema: dict[str, object] = {}
    names = _stand_in(query, statement.calls, calls, schema)
    _alias_nameless(query)
    tables = _replace_others(query, columns_of, schema, set(names), statement.dialect)
    dialect = statement.dialect
    tree = by_sqlglot(qualify, query, schema=schema, dialect=dialect.name, quote_identifiers=True)
    opaque = _reads_unnamed_columns(tree)
    named = frozenset(cte.alias.lower() for cte in tree.find_all(exp.CTE))
    return Resolved(tree, tuple(names), opaque, tables, _ctes(tree), named, dialect)


def _alias_nameless(query: exp.Query) -> None:
    """Give projections a name that no text can mean, where DuckDB and sqlglot name them otherwise.

    To sqlglot `id::VARCHAR` is called `id`, as `upper(id)` is to neither: an ORDER BY id would sort
    by the text. A column and a field of one are called alike by both. What a condition's sub-query
    calls its columns matters to its own ORDER BY alone, and explain shows its text.

    Raises:
        UnresolvedError: ORDER BY ALL, which sorts by what DuckDB calls columns.

    Example:
        >>> query = exp.maybe_parse("SELECT id::VARCHAR, id, s.field, *, 2 AS two FROM t")
        >>> _alias_nameless(query)
        >>> [projection.alias for projection in query.selects]
        ['__vista_nameless_0', '', '', '', 'two']
    """
    for select in query.find_all(exp.Select):
        if _is_value(select) and not select.args.get("order"):
            continue
        for place, shown in enumerate(select.expressions):
            named = isinstance(shown, (exp.Alias, exp.Aliases, exp.Column, exp.Dot, exp.Star))
            if not named and not shown.is_star:
                select.expressions[place] = exp.alias_(shown, f"__vista_nameless_{place}")
                select.expressions[place].parent = select
    for ordered in query.find_all(exp.Ordered):
        key = ordered.this
        if isinstance(key, exp.Column) and key.name.lower() == "all" and not key.this.quoted:
            raise UnresolvedError("ORDER BY ALL")


def _is_value(select: exp.Select) -> bool:
    """Return whether a SELECT stands in an expression: nothing outside can name its columns.

    Example:
        >>> text = "SELECT 1 FROM (SELECT 2) WHERE a < (SELECT 3) AND EXISTS (SELECT 4)"
        >>> selects = exp.maybe_parse(text).find_all(exp.Select)
        >>> [select.sql() for select in selects if _is_value(select)]
        ['SELECT 4', 'SELECT 3']
    """
    place = select.parent
    if isinstance(place, exp.Subquery):
        place = place.parent
    return isinstance(place, exp.Condition)


def _query(tree: exp.Expr) -> exp.Query | None:
    """Return a copy of the query whose rows a statement returns or writes; None: it has none.

    Example:
        >>> texts = ("(SELECT 1)", "CREATE TABLE t AS SELECT 2", "COPY (SELECT 3) TO 'a'", "FROM t")
        >>> [str(_query(exp.maybe_parse(text))) for text in texts]
        ['SELECT 1', 'SELECT 2', 'SELECT 3', 'SELECT * FROM t']
    """
    source: exp.Expr | None = None
    if isinstance(tree, exp.Query):
        source = tree
    elif isinstance(tree, (exp.Create, exp.Insert)) and not tree.args.get("with_"):
        source = tree.expression
    elif isinstance(tree, exp.Copy):
        source = tree.this
    if isinstance(source, exp.Subquery):
        source = source.unnest()
    return source.copy() if isinstance(source, exp.Query) else None


def _stand_in(
    query: exp.Query,
    calls: Sequence[FoundCall],
    stand_ins: Sequence[StandIn],
    schema: dict[str, object],
) -> list[str]:
    """Replace each call in `query` by a stand-in table; return the stand-ins' names.

    Raises:
        UnresolvedError: a call's columns are renamed, or it stands outside of the query.
    """
    by_start = {
        node.meta.get("start"): node.parent
        for node in query.find_all(exp.Anonymous)
        if isinstance(node.parent, exp.Table)
    }
    names = []
    for index, (call, stand_in) in enumerate(zip(calls, stand_ins, strict=True)):
        table = by_start.get(call.start)
        if table is None:  # INSERT INTO t SELECT … RETURNING (SELECT … FROM TRANSFER(…))
            raise UnresolvedError("a call stands outside of the query")
        alias = table.alias or call.call.function
        if table.args.get("alias") and table.args["alias"].args.get("columns"):
            raise UnresolvedError(f"columns of {alias}: they are renamed")
        name = f"__vista_stand_in_{index}"
        table.set("this", exp.to_identifier(name))
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        schema[name] = _lower(stand_in.columns)
        names.append(name)
    return names


def _replace_others(
    query: exp.Query,
    columns_of: ColumnsOf,
    schema: dict[str, object],
    stand_ins: set[str],
    dialect: Dialect,
) -> dict[str, Other]:
    """Replace every other table by a stand-in with its columns; return the named ones.

    Raises:
        UnresolvedError: the columns of one are unknown.
    """
    tables: dict[str, Other] = {}
    ctes = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        name = table.name.lower()
        if name in stand_ins or (name in ctes and not table.args.get("db")):
            continue
        bare = table.copy()
        for argument in ("alias", "joins", "sample", "pivots", "laterals"):
            bare.set(argument, None)
        text = by_sqlglot(bare.sql, dialect.name)
        columns = columns_of(text)
        if columns is None or table.args.get("pivots"):
            raise UnresolvedError(f"columns of {text}")
        named = isinstance(table.this, exp.Identifier)  # not a table function
        stand_in = f"__vista_other_{len(schema)}"
        schema[stand_in] = _lower(columns)
        if named:
            types = {column.lower(): kind for column, kind in columns.items()}
            tables[stand_in] = Other(text, types)
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(name)))
        for argument in ("db", "catalog"):
            table.set(argument, None)
        table.set("this", exp.to_identifier(stand_in))
    return tables


def _lower(columns: Mapping[str, str]) -> dict[str, str]:
    """Return columns in lower case; their types do not matter to what is needed."""
    lower = {column.lower(): "int" for column in columns}
    if len(lower) != len(columns):  # DuckDB and sqlglot may differ on which two letters are one
        raise UnresolvedError(f"columns that differ in case only: {', '.join(columns)}")
    return lower


def _ctes(tree: exp.Expr) -> dict[str, exp.Query]:
    """Return the common table expressions that can be written out where they are read."""
    ctes = list(tree.find_all(exp.CTE))
    names = [cte.alias for cte in ctes]
    return {
        cte.alias: cte.this
        for cte in ctes
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
