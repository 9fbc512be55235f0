"""Whether an expression, a query or a view gives the same each time that it is evaluated.

What runs a second time below inference must: else it would drop rows that the statement keeps.
"""

from __future__ import annotations

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from vista_sql.sql.dialect import DUCKDB, Dialect

_OTHER_SAFE = frozenset({"list_contains", "list_has_any", "list_has_all", "prefix", "suffix"})
"""Functions of DuckDB that sqlglot has no class for; any other may be a macro, or an aggregate."""

_SCANS = frozenset({"pandas_scan", "python_arrow_scan"})
"""What a view over a registered frame or table calls."""

_FRESH = (
    exp.Rand, exp.Randn, exp.Uuid, exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp,
    exp.CurrentDatetime, exp.Localtime, exp.Localtimestamp, exp.CurrentUser,
)  # fmt: skip
_VARYING = (
    *_FRESH, exp.Window, exp.Placeholder, exp.Parameter, exp.Unnest, exp.Explode, exp.UDTF,
    exp.Lambda, exp.PositionalColumn, exp.Columns,
)  # fmt: skip
_NESTED = (exp.Subquery, exp.Select, exp.AggFunc, exp.Exists, exp.Star)
_CHOOSING = (exp.Limit, exp.Fetch, exp.Offset, exp.TableSample, exp.Pivot, exp.Lateral)
_EXACT = (exp.Count, exp.CountIf, exp.Max, exp.Min, exp.LogicalAnd, exp.LogicalOr)
"""Aggregates whose value does not depend on the order of the rows, to the last bit."""


def steady_expression(node: exp.Expr) -> bool:
    """Return whether an expression is free of sub-queries and the same for equal rows.

    Example:
        >>> [steady_expression(parse_one(text)) for text in ("a + 1 < 3", "a < RAND()", "f(a)")]
        [True, False, False]
    """
    return _knows_functions(node) and not any(
        isinstance(part, (*_VARYING, *_NESTED)) for part in node.walk()
    )


def steady_query(query: exp.Expr) -> bool:
    """Return whether a query, or a condition with sub-queries, gives the same rows each time.

    Example:
        >>> steady_query(parse_one("SELECT id, max(price) FROM o GROUP BY id"))
        True
        >>> steady_query(parse_one("SELECT id FROM o LIMIT 3"))  # which three?
        False
    """
    for node in query.walk():
        if isinstance(node, exp.Values):  # a UDTF to sqlglot
            continue
        if isinstance(node, (*_VARYING, *_CHOOSING)):
            return False
        if isinstance(node, exp.AggFunc) and not isinstance(node, _EXACT):
            return False
        if isinstance(node, exp.Distinct) and node.args.get("on"):  # which row of each group?
            return False
    return _knows_functions(query)


def steady_view(definition: str, dialect: Dialect = DUCKDB) -> bool:
    """Return whether a view's functions are known, and the same whenever they are evaluated.

    Example:
        >>> steady_view("CREATE VIEW v AS SELECT id + 1 AS id FROM o")
        True
        >>> steady_view("CREATE VIEW v AS SELECT random() AS x")
        False
    """
    try:
        tree = parse_one(definition, dialect=dialect.name)
    except SqlglotError:
        return False
    if isinstance(tree, exp.Command):  # sqlglot cannot read it
        return False
    if any(isinstance(node, (*_FRESH, exp.Window)) for node in tree.walk()):
        return False
    return _knows_functions(tree, _OTHER_SAFE | _SCANS)


def _knows_functions(node: exp.Expr, known: frozenset[str] = _OTHER_SAFE) -> bool:
    return all(str(call.this).lower() in known for call in node.find_all(exp.Anonymous))
