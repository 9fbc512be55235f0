"""What a statement needs of each of its TRANSFER calls: columns, rows, and how many of them.

They are read off a tree in which every name is resolved (see `stand_ins`). Only what is certainly
the same statement is claimed: where anything is in doubt, all columns and all rows are needed and
DuckDB's own optimizer does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.scope import Scope, traverse_scope

from vista_sql import semi_joins, stand_ins
from vista_sql.parse import DIALECT, FoundCall, Statement, tokenize
from vista_sql.stand_ins import Other, StandIn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a statement needs of one TRANSFER call.

    `predicates`, `order` and `sample` are SQL text over the call's own columns, unqualified.
    """

    columns: frozenset[str] | None = None  # lower case; None: all
    predicates: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    limit: int | None = None
    sample: str | None = None


EVERYTHING = Needs()

_OTHER_SAFE = frozenset({"list_contains", "list_has_any", "list_has_all", "prefix", "suffix"})
_UNSAFE = (
    exp.Rand, exp.Randn, exp.Uuid, exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp,
    exp.CurrentUser, exp.Subquery, exp.Select, exp.AggFunc, exp.Window, exp.Exists,
    exp.Placeholder, exp.Parameter, exp.Unnest, exp.Explode, exp.UDTF, exp.Lambda,
    exp.PositionalColumn, exp.Columns, exp.Star,
)  # fmt: skip
_ROWS = (
    exp.AggFunc,
    exp.Window,
    exp.Explode,
    exp.Unnest,
    exp.Posexplode,
    exp.Anonymous,
    exp.AnonymousAggFunc,
)


_HIDES_ROWS = "vista_hides_rows"

Joined = Callable[[Scope, str, Mapping[str, str]], Iterator[str]]
"""(scope, alias, names) → conditions on the source `alias`, as text over the narrow columns."""


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
        resolved = stand_ins.resolve(statement, calls, columns_of)
        if resolved is None:
            return everything
        for select in resolved.tree.find_all(exp.Select):  # before unused projections go
            select.meta[_HIDES_ROWS] = any(map(_hides_rows, select.selects))
        tree = pushdown_projections(resolved.tree)
        scopes = list(traverse_scope(tree))
    except stand_ins.UnknownColumnsError as unknown:
        log.debug("needs unknown: columns of %s", unknown)
        return everything
    except (SqlglotError, KeyError, ValueError, AttributeError, IndexError, TypeError) as error:
        log.debug("needs unknown: %s", error)
        return everything
    needs = (
        _needs(scopes, name, stand_in, resolved.tables)
        for name, stand_in in zip(resolved.names, calls, strict=True)
        if stand_in is not None
    )
    return tuple(replace(found, columns=None) if resolved.opaque else found for found in needs)


def _needs(scopes: list[Scope], name: str, stand_in: StandIn, tables: Mapping[str, Other]) -> Needs:
    """Return the needs of the one stand-in table called `name`."""
    uses = [
        (scope, alias)
        for scope in scopes
        for alias, source in scope.sources.items()
        if isinstance(source, exp.Table) and source.name == name and alias in scope.selected_sources
    ]
    if len(uses) != 1 or not isinstance(uses[0][0].expression, exp.Select):
        return EVERYTHING
    scope, alias = uses[0]
    used = {column.name for column in scope.columns if column.table == alias}
    # a correlated sub-query's columns belong to this scope too, whatever depth they stand at
    used |= {c.name for c in scope.expression.find_all(exp.Column) if c.table == alias}
    columns = frozenset(used & {column.lower() for column in stand_in.columns})
    narrow = {column.lower(): column for column in stand_in.narrow}
    joined = partial(semi_joins.conditions, types=stand_in.columns, tables=tables, own=_own)
    predicates = tuple(dict.fromkeys(_predicates(scopes, scope, alias, narrow, joined)))
    needs = Needs(columns, predicates)
    if stand_in.one_row_each:
        needs = _cut(scopes, scope, alias, narrow, needs)
    return needs


# ── predicates ──────────────────────────────────────────────────────────────────────────────────


def _predicates(
    scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str], joined: Joined
) -> Iterator[str]:
    """Yield the conjuncts that only rows of the source `alias` decide, here and further out.

    `names` maps the source's columns to the call's narrow columns; `joined` finds the conditions
    that inner joins with tables amount to.
    """
    select = scope.expression
    node = _source_node(scope, alias)
    if not isinstance(select, exp.Select) or node is None:
        return
    if any(_sample(s) is None for s in (select.args.get("sample"), node.args.get("sample")) if s):
        return
    joins = select.args.get("joins") or []
    own = node.parent if isinstance(node.parent, exp.Join) else None
    if any(j.side in ("RIGHT", "FULL") or j.method or j.kind not in _PLAIN for j in joins):
        return
    preserved = own is None or (own.side == "" and own.kind in ("", "INNER", "CROSS"))
    if preserved and select.args.get("where"):
        yield from _own(select.args["where"].this, alias, names)
    if own is not None and own.args.get("on"):
        yield from _own(own.args["on"], alias, names)
    if preserved:
        for join in joins:
            if join is not own and join.side == "" and join.kind in ("", "INNER", "SEMI"):
                yield from _own(join.args.get("on"), alias, names)
        yield from joined(scope, alias, names)
        outer = _outer(scopes, scope, alias, names)
        if outer is not None and _transparent(select):
            yield from _predicates(scopes, *outer, joined)


def _source_node(scope: Scope, alias: str) -> exp.Expr | None:
    """Return what a SELECT reads as `alias`, if it stands by itself after FROM, JOIN or a comma."""
    node: exp.Expr = scope.selected_sources[alias][0]
    if isinstance(node.parent, exp.Subquery) and isinstance(node, exp.Query):
        node = node.parent
    plain = isinstance(node.parent, (exp.From, exp.Join)) and node.parent.parent is scope.expression
    changed = any(node.args.get(part) for part in ("pivots", "joins", "laterals"))
    return node if plain and not changed else None


_PLAIN = ("", "INNER", "CROSS", "SEMI", "ANTI", "OUTER")


def _own(condition: exp.Expr | None, alias: str, names: Mapping[str, str]) -> Iterator[str]:
    if condition is None:
        return
    for conjunct in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        text = _rewritten(conjunct, alias, names)
        if text is not None:
            yield text


def _rewritten(node: exp.Expr, alias: str, names: Mapping[str, str]) -> str | None:
    """Return an expression over the call's narrow columns as text; None where it is not one."""
    if not _deterministic(node) or not node.find(exp.Column):
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


def _deterministic(node: exp.Expr) -> bool:
    if any(isinstance(part, _UNSAFE) for part in node.walk()):
        return False
    return all(str(f.this).lower() in _OTHER_SAFE for f in node.find_all(exp.Anonymous))


def _transparent(select: exp.Select) -> bool:
    """Return whether a filter on plain output columns may run before this SELECT."""
    args = select.args
    return (
        not any(
            args.get(part)
            for part in ("group", "having", "qualify", "limit", "offset", "sample", "distinct")
        )
        and not select.meta[_HIDES_ROWS]
    )


def _hides_rows(projection: exp.Expr) -> bool:
    return bool(projection.find(*_ROWS))  # a function unknown here may be an aggregate, or unnest


def _outer(
    scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str]
) -> tuple[Scope, str, dict[str, str]] | None:
    """Return the one place that reads this SELECT: (scope, alias there, its narrow columns)."""
    readers = [
        (outer, outer_alias)
        for outer in scopes
        for outer_alias, source in outer.sources.items()
        if source is scope and outer_alias in outer.selected_sources
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
    passed = {
        projection.alias_or_name: names[column.name]
        for projection in select.selects
        if isinstance(column := projection.unalias(), exp.Column)
        and column.table == alias
        and column.name in names
        and shown.count(projection.alias_or_name) == 1
    }
    return outer, outer_alias, passed


# ── LIMIT, top-n, SAMPLE ────────────────────────────────────────────────────────────────────────


def _cut(
    scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str], needs: Needs
) -> Needs:
    """Return `needs` with the LIMIT (and its ORDER BY) or SAMPLE that may run below inference.

    It may where every row here is one row of the call: one source, every condition pushed below,
    no DISTINCT, aggregate or window between.
    """
    select = scope.expression
    if (
        not isinstance(select, exp.Select)
        or select.args.get("joins")
        or select.args.get("laterals")
    ):
        return needs
    args = select.args
    if any(args.get(part) for part in ("group", "having", "qualify", "distinct", "windows")):
        return needs
    if select.meta[_HIDES_ROWS]:
        return needs
    where = args.get("where")
    conjuncts = where.this.flatten() if where and isinstance(where.this, exp.And) else []
    for conjunct in [*conjuncts] or ([where.this] if where else []):
        if _rewritten(conjunct, alias, names) is None:
            return needs
    node = _source_node(scope, alias)
    if node is None:
        return needs
    samples = [s for s in (args.get("sample"), node.args.get("sample")) if s]
    if samples:  # of rows kept one by one: it commutes with the conditions
        here = len(samples) == 1 and isinstance(scope.sources[alias], exp.Table)
        return replace(needs, sample=_sample(samples[0])) if here else needs
    limit = args.get("limit")
    if limit is not None:
        return _limited(select, limit, alias, names, needs)
    if args.get("order") or args.get("offset"):
        return needs
    outer = _outer(scopes, scope, alias, names)
    return needs if outer is None else _cut(scopes, *outer, needs)


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


def sample_span(text: str, found: FoundCall) -> tuple[int, int] | None:
    """Return the span of the SAMPLE clause of the SELECT that reads a call; None: there is none."""
    tokens = [t for t in tokenize(text) if t.start >= found.end]
    depth = 0
    for index, token in enumerate(tokens):
        word = token.text.upper()
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth < 0:
            return None
        following = tokens[index + 1].text.upper() if index + 1 < len(tokens) else ""
        if depth == 0 and (word == "TABLESAMPLE" or (word == "USING" and following == "SAMPLE")):
            return token.start, _sample_end(tokens[index + 1 + (word == "USING") :], text)
    return None


_AFTER_SAMPLE = frozenset({
    "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET", "UNION", "EXCEPT",
    "INTERSECT", "JOIN", ",", ")",
})  # fmt: skip


def _sample_end(tokens: Sequence[Token], text: str) -> int:
    depth = 0
    for token in tokens:
        if depth == 0 and token.text.upper() in _AFTER_SAMPLE:
            return token.start
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
    return len(text)
