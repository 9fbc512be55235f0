"""What a statement needs of each of its TRANSFER calls: columns, rows, and how many of them.

They are read off a tree in which every name is resolved (see `resolve`). Only what is certainly
the same statement is claimed: where anything is in doubt, all columns and all rows are needed and
DuckDB's own optimizer does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import exp

from vista_sql.sql import joins
from vista_sql.sql.limits import bernoulli, limits_of
from vista_sql.sql.parse import Statement
from vista_sql.sql.reading import UnresolvedError
from vista_sql.sql.resolve import ColumnsOf, StandIn, resolve
from vista_sql.sql.semi_joins import Cutter, Rows, narrow_relations
from vista_sql.sql.source import ResolvedScopes, Source, columns_in, plain_operand, read

log = logging.getLogger(__name__)


class Needs(Struct, frozen=True):
    """What a statement needs of one TRANSFER call.

    The clauses are SQL text over the call's own columns, unqualified, or qualified with
    `semi_joins.ROW` where a sub-query speaks of them.
    """

    columns: frozenset[str] | None = None  # lower case; None: all
    predicates: tuple[str, ...] = ()
    semi_joins: tuple[str, ...] = ()  # predicates too, with a sub-query: they cost a little
    order: tuple[str, ...] = ()
    limit: int | None = None
    sample: str | None = None
    qualify: str | None = None  # `rank() OVER (…) <= n`; only where order, limit, sample are not
    cuts: tuple[str, ...] = ()  # of each semi-join that was considered: what it does, in words

    @property
    def conditions(self) -> tuple[str, ...]:
        """All conditions on the rows."""
        return (*self.predicates, *self.semi_joins)


EVERYTHING = Needs()


def analyse(
    statement: Statement, calls: Sequence[StandIn | None], columns_of: ColumnsOf
) -> tuple[Needs, ...]:
    """Return the needs of each call of `statement`, in the order of `statement.calls`.

    Args:
        statement: the statement, its calls at least one.
        calls: for each call its columns, or None where they are not known.
        columns_of: the columns (name → type) of any other relation, given as DuckDB text that can
            stand after FROM; None where unknown.

    Example:
        >>> from vista_sql.sql import parse
        >>> types = {"id": "INTEGER", "price": "DOUBLE", "fc6": "FLOAT[84]"}
        >>> call = StandIn(types, frozenset({"id", "price"}), one_row_each=True)
        >>> tables = {"o": {"id": "INTEGER", "label": "VARCHAR"}}
        >>> def columns_of(relation):  # of a table by its name, or of a query of o's keys
        ...     return tables.get(relation, {"k0": "INTEGER"})
        >>> def show(text):
        ...     (statement,) = parse.parse(text)
        ...     (needs,) = analyse(statement, [call], columns_of)
        ...     print(sorted(needs.columns), *needs.conditions, *needs.order, needs.limit)
        >>> show("SELECT id FROM TRANSFER('lenet5') WHERE price < 3 AND fc6[1] > 0")
        ['fc6', 'id', 'price'] "price" < 3 None
        >>> show("SELECT t.fc6 FROM TRANSFER('lenet5') AS t JOIN o USING (id)")
        ['fc6', 'id'] "id" IN (SELECT "o"."id" AS "k0" FROM o AS "o") None
        >>> show("SELECT fc6 FROM TRANSFER('lenet5') ORDER BY price LIMIT 3 OFFSET 1")
        ['fc6', 'price'] "price" 4
    """
    everything = tuple(EVERYTHING for _ in statement.calls)
    stand_ins = [stand_in for stand_in in calls if stand_in is not None]
    if statement.tree is None or len(stand_ins) < len(calls):
        return everything
    try:
        resolved = resolve(statement, stand_ins, columns_of)
        if resolved is None:
            return everything
        reading = read(resolved)
    except UnresolvedError as error:
        log.debug("needs unknown: %s", error)
        return everything
    by_name = dict(zip(resolved.names, stand_ins, strict=True))
    narrow = narrow_relations(by_name, resolved)
    needs = []
    for name, stand_in in by_name.items():
        types = {column: stand_in.columns[column] for column in stand_in.narrow}
        source = _only_source(reading, Cutter(resolved, narrow, types, columns_of), name, stand_in)
        needs.append(EVERYTHING if source is None else _needs_of(source, stand_in))
    return tuple(replace(one, columns=None) if resolved.opaque else one for one in needs)


def _only_source(
    reading: ResolvedScopes, cutter: Cutter, name: str, stand_in: StandIn
) -> Source | None:
    """Return the place where a statement reads the stand-in `name`; None: not exactly one."""
    narrow = {column.lower(): column for column in stand_in.narrow}
    sources = [
        Source(reading, cutter, scope, select, node, Rows(alias, narrow))
        for scope in reading.scopes
        if isinstance(select := scope.expression, exp.Select)
        for alias, table in scope.sources.items()
        if isinstance(table, exp.Table)
        and table.name == name
        and (node := plain_operand(select, alias)) is not None
    ]
    return sources[0] if len(sources) == 1 else None


def _needs_of(source: Source, stand_in: StandIn) -> Needs:
    """Return the needs of a call that is read in one place."""
    used = {column.name for column in source.scope.columns if column.table == source.alias}
    # a correlated sub-query's columns belong to this scope too, whatever depth they stand at
    used |= {column.name for column in columns_in(source.select) if column.source == source.alias}
    conditions = list(dict.fromkeys(_conditions(source)))
    needs = Needs(
        columns=frozenset(used & {column.lower() for column in stand_in.columns}),
        predicates=tuple(one.text for one in conditions if not one.nested),
        semi_joins=tuple(one.text for one in conditions if one.nested),
    )
    if not stand_in.one_row_each:  # n rows that are read may give any number of rows
        return needs
    limits = limits_of(source)
    return replace(
        needs,
        order=limits.order,
        limit=limits.limit,
        sample=limits.sample,
        qualify=limits.qualify,
    )


class _Condition(Struct, frozen=True):
    """A condition on a call's rows; nested: it has a sub-query."""

    text: str
    nested: bool


def _conditions(source: Source) -> Iterator[_Condition]:
    """Yield what the rows of a source must meet to be in the result, here and further out."""
    if any(bernoulli(sample) is None for sample in source.samples):
        return  # n rows of those that are there: it must see them all
    demanded = joins.context(source.select, source.alias)
    if demanded is None:
        return
    for condition in demanded.conjuncts:
        text = source.own_text(condition)
        if text is not None:
            yield _Condition(text, nested=False)
            continue
        text = source.cutter.of_condition(condition, source.rows)
        if text is not None:
            yield _Condition(text, nested=True)
    # where ours may be NULL instead, a semi join tests the NULLs too, and further out they matter
    exact = list(source.exact_joins()) if demanded.shown else []
    known = [join for join, _ in exact]
    for text in source.cutter.of_joins(source.select, source.rows, demanded, known):
        yield _Condition(text, nested=True)
    if not demanded.shown:
        return
    for _, text in exact:
        yield _Condition(text, nested=True)
    for condition in joins.conjuncts(source.select.args.get("having")):
        # of a group's own columns: they are the same in all of its rows
        if source.facts.kept is not None and columns_in(condition) <= source.facts.kept:
            text = source.own_text(condition)
            if text is not None:
                yield _Condition(text, nested=False)
    outer = source.outer()
    if outer is not None:
        yield from _conditions(outer)
