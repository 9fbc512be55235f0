"""Joins and sub-queries that cut a TRANSFER's rows, as conditions that run below inference.

The joins and sub-queries stay where they are: a condition below is one that every row meets that
can be in the result, so that it costs time where it is needless, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections

from vista_sql.sql.parse import DIALECT
from vista_sql.sql.resolve import Other, Resolved, StandIn

ROW = "__vista_row"
"""The alias of the rows that are cut, in conditions with a sub-query that speaks of them."""

_OTHER_SAFE = frozenset({"list_contains", "list_has_any", "list_has_all", "prefix", "suffix"})
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

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_KINDS = ("", "INNER", "CROSS", "SEMI", "ANTI", "OUTER")
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Like)


def conjuncts(condition: exp.Expr | None) -> list[exp.Expr]:
    """Return what an AND demands, one by one."""
    if condition is None:
        return []
    if isinstance(condition, (exp.Where, exp.Having, exp.Qualify)):
        condition = condition.this
    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    return [part.unnest() for part in parts]


def deterministic(node: exp.Expr) -> bool:
    """Return whether an expression without sub-queries is the same whenever it is evaluated."""
    return not any(isinstance(part, (*_VARYING, *_NESTED)) for part in node.walk()) and _known(node)


def _known(node: exp.Expr) -> bool:
    return all(str(f.this).lower() in _OTHER_SAFE for f in node.find_all(exp.Anonymous))


_SCANS = frozenset({"pandas_scan", "python_arrow_scan"})


def steady_view(definition: str) -> bool:
    """Return whether a view's functions are known, and the same whenever they are evaluated."""
    try:
        tree = parse_one(definition, dialect=DIALECT)
    except SqlglotError:
        return False
    if isinstance(tree, exp.Command) or any(
        isinstance(n, (*_FRESH, exp.Window)) for n in tree.walk()
    ):
        return False
    return all(str(f.this).lower() in _OTHER_SAFE | _SCANS for f in tree.find_all(exp.Anonymous))


def _repeatable(query: exp.Expr) -> bool:
    """Return whether a condition or query with sub-queries gives the same rows each time."""
    for node in query.walk():
        if isinstance(node, exp.Values):
            continue
        if isinstance(node, (*_VARYING, *_CHOOSING)):
            return False
        if isinstance(node, exp.AggFunc) and not isinstance(node, _EXACT):
            return False
        if isinstance(node, exp.Distinct) and node.args.get("on"):
            return False
    return _known(query)


# ── what a row needs to be in a SELECT's result ─────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Context:
    """What each row of one source must meet to be in a SELECT's result."""

    conjuncts: tuple[exp.Expr, ...]
    required: frozenset[str]  # of each of these sources, a row that meets them with it
    shown: bool  # no outer join turns the source's columns to NULL


def operands(select: exp.Select) -> list[tuple[str, exp.Expr, exp.Join | None]]:
    """Return (alias, what is read, its join) of everything that a SELECT reads, in order."""
    first = select.args.get("from_")
    joins = select.args.get("joins") or []
    found = [] if first is None else [(first.this.alias_or_name, first.this, None)]
    return [*found, *((join.this.alias_or_name, join.this, join) for join in joins)]


def context(select: exp.Select, alias: str | None) -> Context | None:
    """Return what rows of the source `alias` must meet, or (None) of all that no join may null.

    Joins are taken from left to right: an inner join demands a row of its other side and its
    condition, an outer join does so of its optional side only, after which conditions may no longer
    speak of that. None: there is a join by position, by nearness, or by something unknown.
    """
    read = operands(select)
    names = [name for name, _, _ in read]
    joins = [join for _, _, join in read if join is not None]
    if len(set(names)) != len(names) or (alias is not None and alias not in names):
        return None
    if any(join.method or join.kind not in _KINDS for join in joins):
        return None
    where = conjuncts(select.args.get("where"))
    kept = alias is not None and any(_refuses_null(part, alias) for part in where)
    met: list[exp.Expr] = []
    required: set[str] = set()
    visible: set[str] = set()
    here = False  # the source is among what was joined so far
    for name, _, join in read:
        side, kind = ("", "") if join is None else (join.side, join.kind)
        own = name == alias
        demands = conjuncts(None if join is None else join.args.get("on"))
        speaks = visible | {name}
        if kind == "ANTI" and not own:
            continue
        if side == "LEFT" and not own:
            continue
        if own and side in ("RIGHT", "FULL"):
            met, required, visible = [], set(), set()
            if side == "RIGHT" or kept:
                visible = {name}
        elif own:
            met += [part for part in demands if tables(part) <= speaks]
            if (side == "" and kind not in ("SEMI", "ANTI")) or (side == "LEFT" and kept):
                visible |= {name}
        elif side == "FULL":
            if not here:
                met, required = [], set()
            if not (here and kept):
                visible = set()
        elif side == "RIGHT":
            if not here:
                met, required = [], set()
            else:
                met += [part for part in demands if tables(part) <= speaks]
            required |= {name}
            visible = visible | {name} if here and kept else {name}
        else:
            met += [part for part in demands if tables(part) <= speaks]
            required |= {name}
            visible |= {name}
        here = here or own
    if not here and alias is not None:
        return None
    found = [part for part in where if tables(part) <= visible]
    shown = alias in visible if alias is not None else True
    if alias is None:
        required = visible
    return Context((*found, *met), frozenset(required), shown)


def tables(condition: exp.Expr) -> set[str]:
    """Return the sources that a condition speaks of, those in its own sub-queries left out."""
    inside = {
        name
        for query in condition.find_all(exp.Select)
        for name, _, _ in operands(query)
    }  # fmt: skip
    return {column.table for column in condition.find_all(exp.Column)} - inside


def _refuses_null(condition: exp.Expr, alias: str) -> bool:
    """Return whether a condition certainly fails where all columns of `alias` are NULL."""
    if isinstance(condition, exp.Not) and isinstance(condition.this.unnest(), exp.Is):
        tested = condition.this.unnest()
        return isinstance(tested.expression, exp.Null) and _of(tested.this, alias)
    if isinstance(condition, exp.In) and condition.expressions:
        return _of(condition.this, alias)
    if not isinstance(condition, _COMPARISONS) or condition.find(exp.Select):
        return False
    return _of(condition.this, alias) or _of(condition.args.get("expression"), alias)


def _of(node: exp.Expr | None, alias: str) -> bool:
    return isinstance(node, exp.Column) and node.table == alias


def name_shared_columns(select: exp.Select) -> None:
    """Replace the COALESCE(a.x, b.x) that USING (x) stands for by a.x where that is the same."""
    found = context(select, None)
    if found is None:
        return
    equal = {
        frozenset((_column(part.this), _column(part.expression)))
        for _, _, join in operands(select)
        if join is not None and join.side in ("", "LEFT")
        for part in conjuncts(join.args.get("on"))
        if isinstance(part, exp.EQ)
    }
    for node in list(select.find_all(exp.Coalesce)):
        columns = [node.this, *node.expressions]
        if not all(isinstance(column, exp.Column) for column in columns):
            continue
        if columns[0].table not in found.required:
            continue
        pairs = [
            {frozenset((_column(column), _column(before))) for before in columns[:place]}
            for place, column in enumerate(columns)
        ]
        if all(earlier & equal for earlier in pairs[1:]):
            node.replace(columns[0].copy())


def _column(node: exp.Expr) -> tuple[str, str]:
    return (node.table, node.name) if isinstance(node, exp.Column) else ("", node.sql())


# ── as conditions upon the rows that are cut ────────────────────────────────────────────────────


_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cutter:
    """Writes conditions on one TRANSFER call's narrow rows as text that stands for itself."""

    resolved: Resolved
    narrow: Mapping[str, Other]  # the stand-ins of other calls, as relations of narrow columns
    types: Mapping[str, str]  # the call's narrow columns → DuckDB type
    columns_of: Callable[[str], Mapping[str, str] | None]

    def joins(
        self,
        select: exp.Select,
        alias: str,
        names: Mapping[str, str],
        found: Context,
        known: Sequence[exp.Join],
    ) -> Iterator[str]:
        """Yield `key IN (SELECT … )` for the sources that a row of `alias` must meet.

        Sources that conditions connect with each other stand in one sub-query, so that a filter on
        one of them cuts through the others. Those of the joins `known` are left out.
        """
        read = operands(select)
        nodes = {name: node for name, node, _ in read}
        left_out = {alias, *(name for name, _, join in read if join in known)}
        parts = [part for part in found.conjuncts if not part.find(exp.Select)]
        for group in _connected(found.required - left_out, parts):
            links = [
                link
                for part in parts
                if (link := _link(part, alias)) and link[0] in names and link[1].table in group
            ]
            among = [part for part in parts if tables(part) and tables(part) <= group]
            text = self._keys([nodes[name] for name in sorted(group)], links, names, among)
            if text is not None:
                yield text

    def _keys(
        self,
        nodes: Sequence[exp.Expr],
        links: Sequence[tuple[str, exp.Column]],
        names: Mapping[str, str],
        among: Iterable[exp.Expr],
    ) -> str | None:
        keys = {names[own]: other for own, other in links if self._has(other, nodes)}
        if not keys or not all(isinstance(n, (exp.Table, exp.Subquery, exp.Values)) for n in nodes):
            return None
        first, *rest = (node.copy() for node in nodes)
        for node in (first, *rest):
            if node.name in self.narrow and isinstance(node, exp.Table):
                node.set("this", exp.to_identifier(f"{node.name}{_ROWS}"))
        query = exp.Select(
            expressions=[
                exp.alias_(column.copy(), f"k{place}", quoted=True)
                for place, column in enumerate(keys.values())
            ],
            from_=exp.From(this=first),
            joins=[exp.Join(this=node) for node in rest],
        )
        held = [part.copy() for part in among if deterministic(part) and self._has(part, nodes)]
        if held:
            query.set("where", exp.Where(this=exp.and_(*held)))
        text = self._text(query)
        if text is None:
            return None
        types = list((self.columns_of(f"({text})") or {}).values())
        if len(types) != len(keys) or not all(map(_alike, types, (self.types[k] for k in keys))):
            return None
        own = ", ".join(_quoted(key) for key in keys)
        return f"{own if len(keys) == 1 else f'({own})'} IN ({text})"

    def _has(self, condition: exp.Expr, nodes: Sequence[exp.Expr]) -> bool:
        """Return whether sources that are calls of ours have the columns of a condition."""
        for node in nodes:
            other = self.narrow.get(node.name) if isinstance(node, exp.Table) else None
            if other is not None and any(
                column.name not in other.columns
                for column in condition.find_all(exp.Column)
                if column.table == node.alias_or_name
            ):
                return False
        return True

    def whole(self, condition: exp.Expr, alias: str, names: Mapping[str, str]) -> str | None:
        """Return a condition with sub-queries that only rows of `alias` decide, as text.

        None where it reads what is not there below, or may differ when it is evaluated again.
        """
        if not condition.find(exp.Select) or alias in _defined(condition):
            return None
        if not tables(condition) <= {alias}:
            return None
        return self._text(condition, alias, names)

    def exists(self, join: exp.Join, alias: str, names: Mapping[str, str]) -> str | None:
        """Return what a semi or anti join on the right of `alias` demands, exactly, as text."""
        if join.kind not in ("SEMI", "ANTI") or join.side or not join.args.get("on"):
            return None
        query = exp.Select(
            expressions=[exp.Literal.number(1)],
            from_=exp.From(this=join.this.copy()),
            where=exp.Where(this=join.args["on"].copy()),
        )
        held: exp.Expr = exp.Exists(this=query)
        if any(column.table in ("", alias) for column in join.this.find_all(exp.Column)):
            return None
        return self.whole(exp.Not(this=held) if join.kind == "ANTI" else held, alias, names)

    def _text(
        self, tree: exp.Expr, alias: str | None = None, names: Mapping[str, str] = _NONE
    ) -> str | None:
        """Return a tree as text: tables under their own names, CTEs written out; None: it cannot.

        The columns `names` of `alias` are those of the rows that are cut; all others must be of
        what the tree itself reads.
        """
        holder = exp.Paren(this=tree.copy())
        if not self._inline(holder, 0):
            return None
        if isinstance(holder.this, exp.Select):
            try:
                holder.set("this", pushdown_projections(holder.this))
            except (SqlglotError, KeyError, ValueError, AttributeError, TypeError):
                return None
        if not _repeatable(holder.this):
            return None
        for select in holder.find_all(exp.Select):
            select.set("order", None)
        inside = _defined(holder)
        for column in list(holder.find_all(exp.Column)):
            if column.table in inside:
                continue
            if column.table != alias or column.name not in names:
                return None
            row = ROW if column.find_ancestor(exp.Select) else None
            column.replace(exp.column(exp.to_identifier(names[column.name], quoted=True), row))
        text = str(holder.this.sql(DIALECT))
        return _STAND_IN.sub(lambda found: self._name(found[1]), text)

    def _name(self, stand_in: str) -> str:
        call = stand_in.removesuffix(_ROWS)
        return (self.resolved.tables.get(stand_in) or self.narrow[call]).text

    def _inline(self, tree: exp.Expr, depth: int) -> bool:
        """Write out the CTEs that a tree reads; return whether all it reads can be read below."""
        if depth > 8 or tree.find(exp.With):
            return False
        for table in list(tree.find_all(exp.Table)):
            known = table.name in self.resolved.tables or table.name.endswith(_ROWS)
            query = self.resolved.ctes.get(table.name)
            if table.alias_column_names or (query is None and not known):
                return False
            if known or query is None:
                continue
            alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
            written = exp.Subquery(this=query.copy(), alias=alias)
            if not self._inline(written, depth + 1):
                return False
            table.replace(written)
        return True


_ROWS = "_rows"
_STAND_IN = re.compile(rf'"?(__vista_(?:other|stand_in)_\d+(?:{_ROWS})?)"?')


def _quoted(name: str) -> str:
    return str(exp.to_identifier(name, quoted=True).sql(DIALECT))


def _alike(one: str, two: str) -> bool:
    """Return whether columns of two types are equal below exactly where they are above."""
    return one == two or (one in _INTEGERS and two in _INTEGERS)


def _defined(tree: exp.Expr) -> set[str]:
    """Return the sources that the SELECTs of a tree read, by alias."""
    return {name for query in tree.find_all(exp.Select) for name, _, _ in operands(query)}


def _link(condition: exp.Expr, alias: str) -> tuple[str, exp.Column] | None:
    """Return (column of `alias`, the other source's column) of an equality; None: it is none."""
    if not isinstance(condition, exp.EQ):
        return None
    one, two = condition.this.unnest(), condition.expression.unnest()
    if not (isinstance(one, exp.Column) and isinstance(two, exp.Column)):
        return None
    if two.table == alias:
        one, two = two, one
    return (one.name, two) if one.table == alias != two.table else None


def _connected(names: Iterable[str], parts: Iterable[exp.Expr]) -> list[frozenset[str]]:
    """Return the groups of sources that conditions among them connect."""
    groups = {name: frozenset({name}) for name in names}
    for part in parts:
        spoken = tables(part)
        if spoken <= groups.keys():
            whole = frozenset().union(*(groups[name] for name in spoken))
            groups |= dict.fromkeys(whole, whole)
    return sorted(set(groups.values()), key=sorted)


def narrow_relations(calls: Iterable[tuple[str, StandIn]], resolved: Resolved) -> dict[str, Other]:
    """Return the relations of calls' narrow rows that may be read a second time, by stand-in."""
    found = {}
    for name, stand_in in calls:
        if stand_in.relation is None or not stand_in.narrow:
            continue
        try:
            tree = parse_one(f"SELECT * FROM {stand_in.relation}", dialect=DIALECT)
        except SqlglotError:
            continue
        read = {table.name.lower() for table in tree.find_all(exp.Table)}
        ours = any(isinstance(table.this, exp.Func) for table in tree.find_all(exp.Table))
        if ours or not _repeatable(tree) or read & resolved.cte_names:
            continue
        types = {column.lower(): stand_in.columns[column] for column in stand_in.narrow}
        found[name] = Other(stand_in.relation, types)
    return found
