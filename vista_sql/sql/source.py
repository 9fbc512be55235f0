"""The rows of one TRANSFER call as a SELECT reads them, and as the next SELECT outwards does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import exp
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.scope import Scope, traverse_scope

from vista_sql.sql import joins
from vista_sql.sql.dialect import Dialect
from vista_sql.sql.reading import by_sqlglot
from vista_sql.sql.resolve import Resolved
from vista_sql.sql.semi_joins import Cutter, Rows
from vista_sql.sql.steady import steady_expression

_MAKES_ROWS = (exp.Explode, exp.Unnest, exp.Posexplode, exp.Anonymous, exp.AnonymousAggFunc)
"""What may unnest, or be an aggregate: so may a function that is unknown here."""

_ROWS = (*_MAKES_ROWS, exp.AggFunc, exp.Window)
"""What makes a SELECT's rows depend on each other, or several of one."""


class SourceColumn(Struct, frozen=True):
    """A column of a source, by the source's alias."""

    source: str
    name: str


class SelectFacts(Struct, frozen=True):
    """What the projections of a SELECT say of its rows.

    A filter upon `kept` columns may run before the SELECT does: rows of other values neither add to
    a row that stays nor take its place.
    """

    kept: frozenset[SourceColumn] | None  # None: all
    hides_rows: bool  # one row of its source may give no row, or several, or one with others
    combines: bool  # as `hides_rows`, windows left out


class ResolvedScopes(Struct, frozen=True):
    """A resolved statement without the projections that nobody reads."""

    scopes: Sequence[Scope]
    facts: Mapping[int, SelectFacts]  # by the SELECT's id()


def read(resolved: Resolved) -> ResolvedScopes:
    """Take the projections that nobody reads out of a resolved tree, which changes; return it.

    Raises:
        UnresolvedError: sqlglot fails.
    """
    facts = {}
    for select in resolved.tree.find_all(exp.Select):
        joins.name_shared_columns(select)
        facts[id(select)] = select_facts(select)  # while all its projections are there
    tree = by_sqlglot(pushdown_projections, resolved.tree)
    return ResolvedScopes(by_sqlglot(traverse_scope, tree), facts)


def select_facts(select: exp.Select) -> SelectFacts:
    """Return what the projections of a resolved SELECT say of its rows.

    Example:
        >>> def show(text):
        ...     facts = select_facts(exp.maybe_parse(text))
        ...     kept = facts.kept and [column.name for column in facts.kept]
        ...     print(kept, facts.hides_rows, facts.combines)
        >>> show("SELECT t.a + 1 FROM t")
        None False False
        >>> show("SELECT t.a, MAX(t.b) FROM t GROUP BY t.a")
        ['a'] True True
        >>> show("SELECT RANK() OVER (PARTITION BY t.a ORDER BY t.b) FROM t")
        ['a'] True False
    """
    shown = select.selects
    makers = [node for part in shown for node in part.find_all(*_MAKES_ROWS, exp.AggFunc)]
    return SelectFacts(
        kept=_kept_columns(select),
        hides_rows=any(part.find(*_ROWS) for part in shown),
        combines=any(node.find_ancestor(exp.Window) is None for node in makers),
    )


def _kept_columns(select: exp.Select) -> frozenset[SourceColumn] | None:
    """Return the columns upon which a filter of a SELECT's rows may run before it; None: all."""
    args = select.args
    # a row takes the place of another, or the number of rows counts
    if any(args.get(part) for part in ("limit", "offset", "sample", "windows", "fetch")):
        return frozenset()
    if any(shown.find(*_MAKES_ROWS) for shown in select.selects):
        return frozenset()
    kept: list[frozenset[SourceColumn]] = []
    group, distinct = args.get("group"), args.get("distinct")
    if group is not None:
        # a row adds to its own group only; with ROLLUP and its like to several
        other_parts = (value for part, value in group.args.items() if part != "expressions")
        kept.append(frozenset() if any(other_parts) else _plain_columns(group.expressions))
    if distinct is not None and distinct.args.get("on"):
        kept.append(frozenset())  # which row of its group is left depends on the others
    places = [*select.selects, *(p for p in (args.get("having"), args.get("qualify")) if p)]
    # a window sees the rows of its own partition only
    for window in (window for place in places for window in place.find_all(exp.Window)):
        kept.append(_plain_columns(window.args.get("partition_by") or []))
    aggregates = [aggregate for place in places for aggregate in place.find_all(exp.AggFunc)]
    if group is None and not all(agg.find_ancestor(exp.Window) for agg in aggregates):
        return frozenset()  # one group of all rows
    return frozenset.intersection(*kept) if kept else None


def _plain_columns(nodes: Sequence[exp.Expr]) -> frozenset[SourceColumn]:
    return frozenset(SourceColumn(n.table, n.name) for n in nodes if isinstance(n, exp.Column))


def columns_in(node: exp.Expr) -> frozenset[SourceColumn]:
    """Return the columns that an expression speaks of."""
    return _plain_columns(list(node.find_all(exp.Column)))


class Source(Struct, frozen=True):
    """The rows of one call, as one SELECT reads them under an alias."""

    reading: ResolvedScopes
    cutter: Cutter
    scope: Scope
    select: exp.Select
    node: exp.Table | exp.Subquery  # what stands after FROM, JOIN or a comma
    rows: Rows

    @property
    def alias(self) -> str:
        """The alias."""
        return self.rows.alias

    @property
    def dialect(self) -> Dialect:
        """The statement's dialect."""
        return self.cutter.resolved.dialect

    @property
    def facts(self) -> SelectFacts:
        """What the SELECT's projections say of its rows."""
        return self.reading.facts[id(self.select)]

    @property
    def samples(self) -> list[exp.TableSample]:
        """The samples that the SELECT takes: of all its rows, and of this source's."""
        samples = (self.select.args.get("sample"), self.node.args.get("sample"))
        return [sample for sample in samples if sample]

    def own(self, node: exp.Expr) -> exp.Expr | None:
        """Return an expression over the call's own narrow columns; None where it is not one.

        The columns lose the alias, and have the names that they have in the call:
        `t.p * 2 < 3` → `"price" * 2 < 3`.
        """
        if not steady_expression(node) or not node.find(exp.Column):
            return None
        copy = node.copy()
        if isinstance(copy, exp.Paren):
            copy = copy.unnest()
        holder = exp.Paren(this=copy)  # so that a column alone can be replaced, too
        for column in list(holder.find_all(exp.Column)):
            if column.table != self.alias or column.name not in self.rows.narrow:
                return None
            name = exp.to_identifier(self.rows.narrow[column.name], quoted=True)
            column.replace(exp.column(name))
        own: exp.Expr = holder.this
        return own

    def own_text(self, node: exp.Expr) -> str | None:
        """Return an expression over the call's own narrow columns as text; None as `own`."""
        expression = self.own(node)
        return None if expression is None else str(expression.sql(self.dialect.name))

    def exact_joins(self) -> Iterator[tuple[exp.Join, str]]:
        """Yield each semi or anti join after the source that text can state, and that text."""
        after = False
        for operand in joins.operands(self.select):
            if after and operand.join is not None:
                text = self.cutter.of_join(operand.join, self.rows)
                if text is not None:
                    yield operand.join, text
            after = after or operand.alias == self.alias

    def outer(self) -> Source | None:
        """Return the one source by which another SELECT reads this SELECT's rows.

        Its narrow columns are those that this SELECT passes on as they are, and upon which a filter
        there may run here. None: there is no such source, or more than one.
        """
        if self.scope.is_set_operation or self.scope.is_subquery:
            return None
        scopes = self.reading.scopes
        if any(self.scope is part for scope in scopes for part in scope.set_operation_scopes):
            return None
        readers = [
            replace(self, scope=scope, select=select, node=node, rows=Rows(alias, {}))
            for scope in scopes
            if isinstance(select := scope.expression, exp.Select)
            for alias, origin in scope.sources.items()
            if origin is self.scope and (node := plain_operand(select, alias)) is not None
        ]
        if len(readers) != 1 or readers[0].node.alias_column_names:
            return None
        (reader,) = readers
        return replace(reader, rows=Rows(reader.alias, self._passed_on()))

    def _passed_on(self) -> dict[str, str]:
        """Return the narrow columns that the SELECT shows as they are: name shown → the call's."""
        shown = [projection.alias_or_name for projection in self.select.selects]
        kept = self.facts.kept
        return {
            projection.alias_or_name: self.rows.narrow[column.name]
            for projection in self.select.selects
            if isinstance(column := projection.unalias(), exp.Column)
            and column.table == self.alias
            and column.name in self.rows.narrow
            and (kept is None or SourceColumn(column.table, column.name) in kept)
            and shown.count(projection.alias_or_name) == 1
        }


def plain_operand(select: exp.Select, alias: str) -> exp.Table | exp.Subquery | None:
    """Return what a SELECT reads as `alias`, if it stands by itself after FROM, JOIN or a comma.

    None: it is something else, or a PIVOT or a join in parentheses makes other rows of it.

    Example:
        >>> select = exp.maybe_parse("SELECT 1 FROM a JOIN (b JOIN c ON true) ON true")
        >>> plain_operand(select, "a").sql(), plain_operand(select, "b")
        ('a', None)
    """
    for operand in joins.operands(select):
        node = operand.node
        if operand.alias == alias and isinstance(node, (exp.Table, exp.Subquery)):
            changed = any(node.args.get(part) for part in ("pivots", "joins", "laterals"))
            return None if changed else node
    return None
