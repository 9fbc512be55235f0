"""Joins that cut rows: tables joined with a TRANSFER, as conditions that run below inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from vista_sql.parse import DIALECT
from vista_sql.stand_ins import Other

Own = Callable[[exp.Expr | None, str, Mapping[str, str]], Iterator[str]]
"""(condition, alias, names) → the conjuncts that only rows of `alias` decide, as text."""


def conditions(
    scope: Scope,
    alias: str,
    names: Mapping[str, str],
    types: Mapping[str, str],
    tables: Mapping[str, Other],
    own: Own,
) -> Iterator[str]:
    """Yield `"key" IN (SELECT … FROM table WHERE …)` for each table that an inner join needs.

    A row of `alias` that no row of the table equals is not in the result, so it need not be
    inferred. Only tables and views by name, joined on columns of one type; conditions on the table
    alone go along.

    Args:
        scope: a SELECT whose joins are all inner, semi or anti, left or cross.
        alias: the source whose rows are to be cut; no outer join may null it.
        names: its columns → the call's narrow columns.
        types: the call's narrow columns → DuckDB type.
        tables: the stand-ins of tables by name.
        own: finds the conjuncts of one source.
    """
    select = scope.expression
    joins = [join for join in select.args.get("joins") or [] if join.side == ""]
    inner = [join for join in joins if join.kind in ("", "INNER", "CROSS", "SEMI")]
    where = select.args.get("where")
    needed = [c for c in (where and where.this, *(join.args.get("on") for join in inner)) if c]
    preserved = {join.alias_or_name for join in inner}
    if isinstance(select.args.get("from_"), exp.From):
        preserved.add(select.args["from_"].alias_or_name)
    for condition in needed:
        for key, other, column in _equalities(condition, alias, names):
            source = scope.sources.get(other)  # a semi join's is not among the selected ones
            if other not in preserved or not isinstance(source, exp.Table):
                continue
            table = tables.get(source.name)
            if table is None or source.args.get("sample") or source.args.get("pivots"):
                continue
            if table.columns.get(column) != types.get(names[key]):
                continue
            columns = {name: name for name in table.columns}
            among = [text for part in needed for text in own(part, other, columns)]
            filtered = f" WHERE {' AND '.join(f'({text})' for text in among)}" if among else ""
            wanted = exp.column(exp.to_identifier(column, quoted=True)).sql(DIALECT)
            cut = exp.column(exp.to_identifier(names[key], quoted=True)).sql(DIALECT)
            yield f"{cut} IN (SELECT {wanted} FROM {table.text}{filtered})"


def _equalities(
    condition: exp.Expr, alias: str, names: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield (column of `alias`, other source, its column) of the conjuncts that are `a.x = b.y`."""
    for conjunct in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        equal = conjunct.unnest()
        if not isinstance(equal, exp.EQ):
            continue
        sides = (equal.this, equal.expression)
        if not all(isinstance(side, exp.Column) for side in sides):
            continue
        for one, two in (sides, sides[::-1]):
            if one.table == alias and one.name in names and two.table not in ("", alias):
                yield one.name, two.table, two.name
