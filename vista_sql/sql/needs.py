"""What a statement needs of each of its TRANSFER calls: columns, rows, and how many of them.

They are read off a tree in which every name is resolved (see `stand_ins`). Only what is certainly
the same statement is claimed: where anything is in doubt, all columns and all rows are needed and
DuckDB's own optimizer does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.scope import Scope, traverse_scope

from vista_sql.sql import joins, resolve
from vista_sql.sql.joins import Cutter
from vista_sql.sql.parse import DIALECT, Statement
from vista_sql.sql.resolve import StandIn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Needs:
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
    qualify: str | None = (
        None  # a rank within some columns at most a number; alone, of the last four
    )
    cuts: tuple[str, ...] = ()  # of each semi-join that was considered: what it does, in words

    @property
    def conditions(self) -> tuple[str, ...]:
        """All conditions on the rows."""
        return (*self.predicates, *self.semi_joins)


EVERYTHING = Needs()

_ROWS = (
    exp.AggFunc,
    exp.Window,
    exp.Explode,
    exp.Unnest,
    exp.Posexplode,
    exp.Anonymous,
    exp.AnonymousAggFunc,
)  # a function unknown here may be an aggregate, or unnest
_MAKES_ROWS = (exp.Explode, exp.Unnest, exp.Posexplode, exp.Anonymous, exp.AnonymousAggFunc)


def analyse(
    statement: Statement,
    calls: Sequence[StandIn | None],
    columns_of: Callable[[str], Mapping[str, str] | None],
) -> tuple[Needs, ...]:
    """Return the needs of each call of `statement`, in the order of `statement.calls`.

    Args:
        statement: the statement, its calls at least one.
        calls: for each call its columns, or None where they are not known.
        columns_of: the columns (name → type) of any other relation, given as DuckDB text that can
            stand after FROM; None where unknown.
    """
    everything = tuple(EVERYTHING for _ in statement.calls)
    if statement.tree is None or any(stand_in is None for stand_in in calls):
        return everything
    try:
        resolved = resolve.resolve(statement, calls, columns_of)
        if resolved is None:
            return everything
        for select in resolved.tree.find_all(exp.Select):
            joins.name_shared_columns(select)
            _note(select)  # before unused projections go
        tree = pushdown_projections(resolved.tree)
        scopes = list(traverse_scope(tree))
    except resolve.UnknownColumnsError as unknown:
        log.debug("needs unknown: columns of %s", unknown)
        return everything
    except (SqlglotError, KeyError, ValueError, AttributeError, IndexError, TypeError) as error:
        log.debug("needs unknown: %s", error)
        return everything
    given = [(n, c) for n, c in zip(resolved.names, calls, strict=True) if c is not None]
    narrow = joins.narrow_relations(given, resolved)
    needs = []
    for name, stand_in in given:
        types = {column: stand_in.columns[column] for column in stand_in.narrow}
        cutter = Cutter(resolved, narrow, types, columns_of)
        needs.append(_needs(scopes, name, stand_in, cutter))
    return tuple(replace(found, columns=None) if resolved.opaque else found for found in needs)


def _needs(scopes: list[Scope], name: str, stand_in: StandIn, cutter: Cutter) -> Needs:
    """Return the needs of the one stand-in table called `name`."""
    uses = [
        (scope, alias)
        for scope in scopes
        for alias, source in scope.sources.items()
        if isinstance(source, exp.Table) and source.name == name and _source_node(scope, alias)
    ]
    if len(uses) != 1:
        return EVERYTHING
    scope, alias = uses[0]
    used = {column.name for column in scope.columns if column.table == alias}
    # a correlated sub-query's columns belong to this scope too, whatever depth they stand at
    used |= {c.name for c in scope.expression.find_all(exp.Column) if c.table == alias}
    columns = frozenset(used & {column.lower() for column in stand_in.columns})
    narrow = {column.lower(): column for column in stand_in.narrow}
    found = dict.fromkeys(_predicates(scopes, scope, alias, narrow, cutter))
    plain = tuple(text for text, nested in found if not nested)
    needs = Needs(columns, plain, tuple(text for text, nested in found if nested))
    if stand_in.one_row_each:
        needs = _cut(scopes, scope, alias, narrow, needs, cutter)
    return needs


# ── predicates ──────────────────────────────────────────────────────────────────────────────────


def _predicates(
    scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str], cutter: Cutter
) -> Iterator[tuple[str, bool]]:
    """Yield (condition, has it a sub-query?) that rows of `alias` must meet, here and further out.

    `names` maps the source's columns to the call's narrow columns.
    """
    select = scope.expression
    node = _source_node(scope, alias)
    if not isinstance(select, exp.Select) or node is None:
        return
    if any(_sample(s) is None for s in (select.args.get("sample"), node.args.get("sample")) if s):
        return
    found = joins.context(select, alias)
    if found is None:
        return
    for condition in found.conjuncts:
        text = _rewritten(condition, alias, names)
        if text is not None:
            yield text, False
        elif (text := cutter.whole(condition, alias, names)) is not None:
            yield text, True
    exact = [
        (join, text)
        for join, text in _exact_joins(select, alias, names, cutter)
        if text is not None and found.shown
    ]
    for text in cutter.joins(select, alias, names, found, [join for join, _ in exact]):
        yield text, True
    if not found.shown:
        return
    yield from ((text, True) for _, text in exact)
    kept = select.meta[_KEPT]
    for condition in joins.conjuncts(select.args.get("having")):
        if kept is not None and _columns(condition) <= kept:
            text = _rewritten(condition, alias, names)
            if text is not None:
                yield text, False
    outer = _outer(scopes, scope, alias, names)
    if outer is not None:
        yield from _predicates(scopes, *outer, cutter)


def _exact_joins(
    select: exp.Select, alias: str, names: Mapping[str, str], cutter: Cutter
) -> Iterator[tuple[exp.Join, str | None]]:
    """Yield each semi or anti join after `alias`, and what it demands as text; None: unknown."""
    after = False
    for name, _, join in joins.operands(select):
        if after and join is not None and join.kind in ("SEMI", "ANTI"):
            yield join, cutter.exists(join, alias, names)
        after = after or name == alias


def _source_node(scope: Scope, alias: str) -> exp.Expr | None:
    """Return what a SELECT reads as `alias`, if it stands by itself after FROM, JOIN or a comma."""
    if not isinstance(scope.expression, exp.Select):
        return None
    for name, node, _ in joins.operands(scope.expression):
        if name == alias and isinstance(node, (exp.Table, exp.Subquery)):
            changed = any(node.args.get(part) for part in ("pivots", "joins", "laterals"))
            return None if changed else node
    return None


def _rewritten(node: exp.Expr, alias: str, names: Mapping[str, str]) -> str | None:
    """Return an expression over the call's narrow columns as text; None where it is not one."""
    if not joins.deterministic(node) or not node.find(exp.Column):
        return None
    copy = node.copy()
    if isinstance(copy, exp.Paren):
        copy = copy.unnest()
    holder = exp.Paren(this=copy)
    for column in list(holder.find_all(exp.Column)):
        if column.table != alias or column.name not in names:
            return None
        column.replace(exp.column(exp.to_identifier(names[column.name], quoted=True)))
    return str(holder.this.sql(DIALECT))


_KEPT, _HIDES_ROWS, _COMBINES = "vista_kept", "vista_hides_rows", "vista_combines"


def _note(select: exp.Select) -> None:
    """Note in a SELECT what its projections say of rows, while all of them are there."""
    select.meta[_HIDES_ROWS] = any(shown.find(*_ROWS) for shown in select.selects)
    select.meta[_KEPT] = _kept_columns(select)
    made = (node for shown in select.selects for node in shown.find_all(*_MAKES_ROWS, exp.AggFunc))
    select.meta[_COMBINES] = any(node.find_ancestor(exp.Window) is None for node in made)


def _kept_columns(select: exp.Select) -> set[tuple[str, str]] | None:
    """Return the columns (source, name) upon which a filter of this SELECT's rows may run before.

    Rows of other values neither add to such a row nor take its place. None: all columns.
    """
    args = select.args
    if any(args.get(part) for part in ("limit", "offset", "sample", "windows", "fetch")):
        return set()
    if any(shown.find(*_MAKES_ROWS) for shown in select.selects):
        return set()
    kept: list[set[tuple[str, str]]] = []
    group, distinct = args.get("group"), args.get("distinct")
    if group is not None:
        rest = {part: value for part, value in group.args.items() if part != "expressions"}
        kept.append(set() if any(rest.values()) else _plain(group.expressions))
    if distinct is not None and distinct.args.get("on"):
        kept.append(set())
    places = [*select.selects, *(p for p in (args.get("having"), args.get("qualify")) if p)]
    windows = [window for place in places for window in place.find_all(exp.Window)]
    kept += [_plain(window.args.get("partition_by") or []) for window in windows]
    plain = (agg.find_ancestor(exp.Window) for p in places for agg in p.find_all(exp.AggFunc))
    if group is None and not all(plain):
        return set()
    return set.intersection(*kept) if kept else None


def _plain(nodes: Sequence[exp.Expr]) -> set[tuple[str, str]]:
    return {(node.table, node.name) for node in nodes if isinstance(node, exp.Column)}


def _columns(node: exp.Expr) -> set[tuple[str, str]]:
    return _plain(list(node.find_all(exp.Column)))


def _outer(
    scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str]
) -> tuple[Scope, str, dict[str, str]] | None:
    """Return the one place that reads this SELECT: (scope, alias there, its narrow columns)."""
    readers = [
        (outer, outer_alias)
        for outer in scopes
        for outer_alias, source in outer.sources.items()
        if source is scope and _source_node(outer, outer_alias) is not None
    ]
    if len(readers) != 1 or scope.is_set_operation or scope.is_subquery:
        return None
    outer, outer_alias = readers[0]
    if any(scope is child for s in scopes for child in s.set_operation_scopes):
        return None
    node = _source_node(outer, outer_alias)
    if node is None or node.alias_column_names:
        return None
    select = scope.expression
    if not isinstance(select, exp.Select):
        return None
    shown = [projection.alias_or_name for projection in select.selects]
    kept = select.meta[_KEPT]
    passed = {
        projection.alias_or_name: names[column.name]
        for projection in select.selects
        if isinstance(column := projection.unalias(), exp.Column)
        and column.table == alias
        and column.name in names
        and (kept is None or (column.table, column.name) in kept)
        and shown.count(projection.alias_or_name) == 1
    }
    return outer, outer_alias, passed


# ── LIMIT, top-n, SAMPLE ────────────────────────────────────────────────────────────────────────


def _cut(
    scopes: list[Scope],
    scope: Scope,
    alias: str,
    names: Mapping[str, str],
    needs: Needs,
    cutter: Cutter,
) -> Needs:
    """Return `needs` with the LIMIT (and its ORDER BY) or SAMPLE that may run below inference.

    It may where every row of the call gives a row here, next to each other: every condition pushed
    below, joins that drop no row, no DISTINCT, aggregate or window between.
    """
    select = scope.expression
    if not isinstance(select, exp.Select) or select.args.get("laterals"):
        return needs
    read = joins.operands(select)
    exact = {id(join): text for join, text in _exact_joins(select, alias, names, cutter)}
    lefts = [join for _, _, join in read if join is not None and join.side == "LEFT"]
    if (read and read[0][0] != alias) or joins.context(select, alias) is None:
        return needs
    if not all(join in lefts or exact.get(id(join)) for _, _, join in read if join is not None):
        return needs
    args = select.args
    if any(args.get(part) for part in ("group", "having", "distinct", "windows")):
        return needs
    for condition in joins.conjuncts(args.get("where")):
        below = _rewritten(condition, alias, names) or cutter.whole(condition, alias, names)
        if below is None:
            return needs
    node = _source_node(scope, alias)
    if node is None:
        return needs
    samples = [s for s in (args.get("sample"), node.args.get("sample")) if s]
    if not samples and len(read) == 1:
        ranked = _ranked(scopes, scope, alias, names)
        if ranked is not None:
            return replace(needs, qualify=ranked)
    if args.get("qualify") or select.meta[_HIDES_ROWS]:
        return needs
    if samples:  # of rows kept one by one: it commutes with the conditions
        here = len(samples) == 1 and isinstance(scope.sources[alias], exp.Table) and not lefts
        return replace(needs, sample=_sample(samples[0])) if here else needs
    limit = args.get("limit")
    if limit is not None:
        return _limited(select, limit, alias, names, needs)
    if args.get("order") or args.get("offset"):
        return needs
    outer = _outer(scopes, scope, alias, names)
    return needs if outer is None else _cut(scopes, *outer, needs, cutter)


def _ranked(scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str]) -> str | None:
    """Return `rank() OVER (…) <= n` where all rows here, or further out, must have such a rank.

    The rows that are left then have the ranks that they have among all. None: there is none, or it
    is not of narrow columns, or something else looks at all rows.
    """
    select = scope.expression
    if not isinstance(select, exp.Select):
        return None
    qualify = select.args.get("qualify")
    windows = [
        window
        for place in (*select.selects, *([qualify] if qualify else []))
        for window in place.find_all(exp.Window)
    ]
    if select.meta[_COMBINES] or not windows or any(other != windows[0] for other in windows):
        return None
    window = windows[0]
    shown = {p.alias_or_name for p in select.selects if p.unalias() == window}
    demanded = [(condition, "") for condition in joins.conjuncts(qualify)]
    outer, outer_alias, _ = _outer(scopes, scope, alias, names) or (None, "", {})
    if outer is not None and isinstance(outer.expression, exp.Select):
        node = _source_node(outer, outer_alias)
        found = joins.context(outer.expression, outer_alias)
        if found is not None and node is not None and not node.args.get("sample"):
            demanded += [(condition, outer_alias) for condition in found.conjuncts]
    for condition, place in demanded:
        most = _most(condition)
        tested = condition.this.unnest() if most is not None else None
        named = isinstance(tested, exp.Column) and tested.table == place and tested.name in shown
        if tested == window or (named and place):
            text = _narrow_window(window, alias, names)
            return text and f"{text} <= {most}"
    return None


_RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank)


def _most(condition: exp.Expr) -> int | None:
    """Return the n of `… <= n`, `… < n + 1` or `… = 1`; None: it is none of them."""
    if not isinstance(condition, (exp.LTE, exp.LT, exp.EQ)):
        return None
    number = _whole(condition.expression)
    if number is None or (isinstance(condition, exp.EQ) and number != 1):
        return None
    return number - isinstance(condition, exp.LT)


def _narrow_window(window: exp.Window, alias: str, names: Mapping[str, str]) -> str | None:
    """Return a rank over narrow columns as text; None where it is none."""
    if not isinstance(window.this, _RANKS) or window.this.expressions:
        return None
    if any(window.args.get(part) for part in ("spec", "alias", "over_none", "first")):
        return None
    copy = window.copy()
    order = copy.args["order"].expressions if copy.args.get("order") else []
    keys = [key.this if isinstance(key, exp.Ordered) else key for key in order]
    for key in [*(copy.args.get("partition_by") or []), *keys]:
        text = _rewritten(key, alias, names)
        if text is None:
            return None
        key.replace(exp.maybe_parse(text, dialect=DIALECT))
    return str(copy.sql(DIALECT))


def _limited(
    select: exp.Select, limit: exp.Expr, alias: str, names: Mapping[str, str], needs: Needs
) -> Needs:
    n_rows, offset = _whole(limit.expression), 0
    if select.args.get("offset"):
        skipped = _whole(select.args["offset"].expression)
        if skipped is None:
            return needs
        offset = skipped
    if n_rows is None or not isinstance(limit, exp.Limit) or limit.args.get("limit_options"):
        return needs
    order = []
    by_alias = {p.alias_or_name: p.unalias() for p in select.selects}
    for key in select.args["order"].expressions if select.args.get("order") else ():
        if not isinstance(key, exp.Ordered) or key.args.get("with_fill"):
            return needs
        expression = key.this
        if isinstance(expression, exp.Column) and not expression.table:
            expression = by_alias.get(expression.name, expression)
        text = _rewritten(expression, alias, names)
        if text is None:
            return needs
        ordered = key.copy()
        ordered.set("this", exp.maybe_parse(text, dialect=DIALECT))
        order.append(ordered.sql(DIALECT))
    return replace(needs, limit=n_rows + offset, order=tuple(order))


def _whole(node: exp.Expr | None) -> int | None:
    return int(node.this) if isinstance(node, exp.Literal) and node.is_int else None


def _sample(sample: exp.TableSample) -> str | None:
    """Return a percentage sample as a bernoulli one (rows are kept one by one); else None."""
    percent, seed = sample.args.get("percent"), sample.args.get("seed")
    if not isinstance(percent, exp.Literal) or sample.args.get("size") is not None:
        return None
    text = f"TABLESAMPLE BERNOULLI({percent.sql(DIALECT)} PERCENT)"
    if isinstance(seed, exp.Literal):
        return f"{text} REPEATABLE ({seed.sql(DIALECT)})"
    return text
