"""What a statement needs of each of its TRANSFER calls: columns, rows, and how many of them.

Every call is replaced by a stand-in table of known columns, sqlglot resolves all names, and the
needs are read off the resolved tree. Only what is certainly the same statement is claimed: where
anything is in doubt, all columns and all rows are needed and DuckDB's own optimizer does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from vista_sql.parse import DIALECT, FoundCall, Statement

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StandIn:
    """The columns of one TRANSFER call: name → DuckDB type; `narrow` ones cost no inference."""

    columns: Mapping[str, str]
    narrow: frozenset[str]
    one_row_each: bool  # one output row for each joined row: not on_error => 'skip', not long


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

    @property
    def cuts_rows(self) -> bool:
        """Whether fewer than all joined rows are needed."""
        return bool(self.predicates or self.limit is not None or self.sample)


EVERYTHING = Needs()

_OTHER_SAFE = frozenset({"list_contains", "list_has_any", "list_has_all", "prefix", "suffix"})
_UNSAFE = (
    exp.Rand, exp.Randn, exp.Uuid, exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp,
    exp.CurrentUser, exp.Subquery, exp.Select, exp.AggFunc, exp.Window, exp.Exists,
    exp.Placeholder, exp.Parameter, exp.Unnest, exp.Explode, exp.UDTF, exp.Lambda,
)  # fmt: skip


def analyse(
    statement: Statement,
    stand_ins: Sequence[StandIn | None],
    columns_of: Callable[[str], Mapping[str, str] | None],
) -> tuple[Needs, ...]:
    """Return the needs of each call of `statement`, in the order of `statement.calls`.

    Args:
        statement: the statement, its calls at least one.
        stand_ins: for each call its columns, or None for a call of another function whose columns
            the stand-in need not carry (its needs are EVERYTHING).
        columns_of: the columns (name → type) of any other relation, given as DuckDB text that can
            stand after FROM; None where unknown.
    """
    everything = tuple(EVERYTHING for _ in statement.calls)
    if statement.tree is None or any(stand_in is None for stand_in in stand_ins):
        return everything
    try:
        query = _query(statement.tree.copy())
        if query is None:
            return everything
        schema: dict[str, dict[str, str]] = {}
        names = _stand_in(query, statement.calls, stand_ins, schema)
        _replace_others(query, columns_of, schema, set(names))
        tree = qualify(query, schema=schema, dialect=DIALECT, quote_identifiers=True)
        tree = pushdown_projections(tree)
        scopes = list(traverse_scope(tree))
    except _UnknownColumnsError as unknown:
        log.debug("needs unknown: columns of %s", unknown)
        return everything
    except (SqlglotError, KeyError, ValueError, AttributeError, IndexError, TypeError) as error:
        log.debug("needs unknown: %s", error)
        return everything
    return tuple(
        _needs(scopes, name, stand_in)
        for name, stand_in in zip(names, stand_ins, strict=True)
        if stand_in is not None
    )


class _UnknownColumnsError(Exception):
    pass


def _query(tree: exp.Expression) -> exp.Query | None:
    """Return the query whose rows a statement returns or writes."""
    if isinstance(tree, exp.Query):
        return tree.unnest() if isinstance(tree, exp.Subquery) else tree
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
    schema: dict[str, dict[str, str]],
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
            raise _UnknownColumnsError(alias)
        table.set("this", exp.to_identifier(name))
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        assert stand_in is not None  # noqa: S101  (checked by the caller)
        schema[name] = {column.lower(): kind for column, kind in stand_in.columns.items()}
        names.append(name)
    return names


def _replace_others(
    query: exp.Query,
    columns_of: Callable[[str], Mapping[str, str] | None],
    schema: dict[str, dict[str, str]],
    stand_ins: set[str],
) -> None:
    """Replace every other table by a stand-in with its columns."""
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
            raise _UnknownColumnsError(bare.sql(DIALECT))
        alias = table.alias or (name if isinstance(table.this, exp.Identifier) else "")
        stand_in = f"__vista_other_{len(schema)}"
        schema[stand_in] = {column.lower(): kind for column, kind in columns.items()}
        for argument in ("db", "catalog"):
            table.set(argument, None)
        table.set("this", exp.to_identifier(stand_in))
        if alias and not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))


def _needs(scopes: list[Scope], name: str, stand_in: StandIn) -> Needs:
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
    narrow = frozenset(column.lower() for column in stand_in.narrow)
    predicates = tuple(dict.fromkeys(_predicates(scopes, scope, alias, {c: c for c in narrow})))
    needs = Needs(columns, predicates)
    if stand_in.one_row_each:
        needs = _cut(scopes, scope, alias, {c: c for c in narrow}, needs)
    return needs


# ── predicates ──────────────────────────────────────────────────────────────────────────────────


def _predicates(
    scopes: list[Scope], scope: Scope, alias: str, names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the conjuncts that only rows of the source `alias` decide, here and further out.

    `names` maps the source's columns to the call's narrow columns.
    """
    select = scope.expression
    if not isinstance(select, exp.Select) or select.args.get("sample"):
        return
    joins = select.args.get("joins") or []
    own = next((join for join in joins if join.alias_or_name == alias), None)
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
        outer = _outer(scopes, scope, alias, names)
        if outer is not None and _transparent(select):
            yield from _predicates(scopes, *outer)


_PLAIN = ("", "INNER", "CROSS", "SEMI", "ANTI", "OUTER")


def _own(condition: exp.Expression | None, alias: str, names: Mapping[str, str]) -> Iterator[str]:
    if condition is None:
        return
    for conjunct in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        text = _rewritten(conjunct, alias, names)
        if text is not None and conjunct.find(exp.Column):
            yield text


def _rewritten(node: exp.Expression, alias: str, names: Mapping[str, str]) -> str | None:
    """Return an expression over the call's narrow columns as text; None where it is not one."""
    if not _deterministic(node):
        return None
    copy = node.copy()
    if isinstance(copy, exp.Paren):
        copy = copy.unnest()
    holder = exp.Paren(this=copy)
    for column in list(holder.find_all(exp.Column)):
        if column.table != alias or column.name not in names:
            return None
        column.replace(exp.column(exp.to_identifier(names[column.name], quoted=True)))
    return holder.this.sql(DIALECT)


def _deterministic(node: exp.Expression) -> bool:
    if any(isinstance(part, _UNSAFE) for part in node.walk()):
        return False
    return all(str(f.this).lower() in _OTHER_SAFE for f in node.find_all(exp.Anonymous))


def _transparent(select: exp.Select) -> bool:
    """Return whether a filter on plain output columns may run before this SELECT."""
    args = select.args
    return not any(
        args.get(part)
        for part in ("group", "having", "qualify", "limit", "offset", "sample", "distinct")
    ) and not any(_hides_rows(projection) for projection in select.selects)


def _hides_rows(projection: exp.Expression) -> bool:
    return bool(projection.find(exp.AggFunc, exp.Window, exp.Explode, exp.Unnest, exp.Posexplode))


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
    if len(readers) != 1 or scope.is_union or scope.is_subquery:
        return None
    outer, outer_alias = readers[0]
    if any(scope is child for s in scopes for child in s.union_scopes or ()):
        return None
    passed = {
        projection.alias_or_name: names[projection.unalias().name]
        for projection in scope.expression.selects
        if isinstance(projection.unalias(), exp.Column)
        and projection.unalias().table == alias
        and projection.unalias().name in names
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
    if not isinstance(select, exp.Select) or select.args.get("joins") or select.args.get("laterals"):
        return needs
    args = select.args
    if any(args.get(part) for part in ("group", "having", "qualify", "distinct", "windows")):
        return needs
    if any(_hides_rows(projection) for projection in select.selects):
        return needs
    where = args.get("where")
    conjuncts = where.this.flatten() if where and isinstance(where.this, exp.And) else []
    for conjunct in [*conjuncts] or ([where.this] if where else []):
        if _rewritten(conjunct, alias, names) is None:
            return needs
    table = next((t for t in select.find_all(exp.Table) if t.alias_or_name == alias), None)
    samples = [s for s in (args.get("sample"), table and table.args.get("sample")) if s]
    if samples:  # of rows kept one by one: it commutes with the conditions
        here = len(samples) == 1 and table is not None and table.name in _direct(scope)
        return replace(needs, sample=_sample(samples[0])) if here else needs
    limit = args.get("limit")
    if limit is not None:
        return _limited(select, limit, alias, names, needs)
    if args.get("order") or args.get("offset"):
        return needs
    outer = _outer(scopes, scope, alias, names)
    return needs if outer is None else _cut(scopes, *outer, needs)


def _direct(scope: Scope) -> set[str]:
    """Return the names of the tables that a scope reads itself, not through a sub-query."""
    return {source.name for source in scope.sources.values() if isinstance(source, exp.Table)}


def _limited(
    select: exp.Select, limit: exp.Expression, alias: str, names: Mapping[str, str], needs: Needs
) -> Needs:
    n_rows, offset = _whole(limit.expression), 0
    if select.args.get("offset"):
        skipped = _whole(select.args["offset"].expression)
        if skipped is None:
            return needs
        offset = skipped
    if n_rows is None or not isinstance(limit, exp.Limit):
        return needs
    order = []
    by_alias = {p.alias_or_name: p.unalias() for p in select.selects}
    for key in select.args["order"].expressions if select.args.get("order") else ():
        if not isinstance(key, exp.Ordered) or key.args.get("with_fill"):
            return needs
        expression = key.this
        if isinstance(expression, exp.Column) and not expression.table:
            expression = by_alias.get(expression.name, expression)
        if isinstance(expression, exp.Literal):
            return needs
        text = _rewritten(expression, alias, names)
        if text is None:
            return needs
        ordered = key.copy()
        ordered.set("this", exp.maybe_parse(text, dialect=DIALECT))
        order.append(ordered.sql(DIALECT))
    return replace(needs, limit=n_rows + offset, order=tuple(order))


def _whole(node: exp.Expression | None) -> int | None:
    return int(node.this) if isinstance(node, exp.Literal) and node.is_int else None


def _sample(sample: exp.TableSample) -> str | None:
    """Return a percentage sample as a bernoulli one (rows are kept one by one); else None."""
    percent, size, seed = (sample.args.get(name) for name in ("percent", "size", "seed"))
    if size is not None or percent is None:
        return None
    text = f"TABLESAMPLE BERNOULLI({percent.sql(DIALECT)} PERCENT)"
    return text if seed is None else f"{text} REPEATABLE ({seed.sql(DIALECT)})"
