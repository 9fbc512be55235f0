"""A SELECT's joins → what a row of one of its sources must meet to be in the result.

Sources are joined from left to right. `_EFFECTS` says what each kind of join does to what is known
of the rows of one source, "ours": conditions that they meet, sources that they need a row of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, assert_never

from msgspec import Struct
from sqlglot import exp


def conjuncts(condition: exp.Expr | None) -> list[exp.Expr]:
    """Return what an AND demands, one by one; of a WHERE, HAVING or QUALIFY what it holds.

    Example:
        >>> where = exp.maybe_parse("SELECT 1 FROM t WHERE a < 3 AND (b OR c)").args["where"]
        >>> [part.sql() for part in conjuncts(where)]
        ['a < 3', 'b OR c']
    """
    if condition is None:
        return []
    if isinstance(condition, (exp.Where, exp.Having, exp.Qualify)):
        condition = condition.this
    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    return [part.unnest() for part in parts]


class Operand(Struct, frozen=True):
    """One thing that a SELECT reads: its alias, what it is, and its join; None: it is the first."""

    alias: str
    node: exp.Expr
    join: exp.Join | None


def operands(select: exp.Select) -> list[Operand]:
    """Return everything that a SELECT reads, from left to right.

    Example:
        >>> select = exp.maybe_parse("SELECT 1 FROM a JOIN (SELECT 2) AS b ON true, c")
        >>> [operand.alias for operand in operands(select)]
        ['a', 'b', 'c']
    """
    first = select.args.get("from_")
    joined = [
        Operand(join.this.alias_or_name, join.this, join) for join in select.args.get("joins") or ()
    ]
    if first is None:
        return joined
    return [Operand(first.this.alias_or_name, first.this, None), *joined]


def sources(tree: exp.Expr) -> set[str]:
    """Return the aliases of all that the SELECTs of a tree read, whatever their depth."""
    selects = tree.find_all(exp.Select)
    return {operand.alias for select in selects for operand in operands(select)}


def tables(condition: exp.Expr) -> set[str]:
    """Return the sources that a condition speaks of, those in its own sub-queries left out.

    Example:
        >>> sorted(tables(exp.maybe_parse("t.id = o.id AND t.x IN (SELECT q.x FROM q)")))
        ['o', 't']
    """
    return {column.table for column in condition.find_all(exp.Column)} - sources(condition)


# ── what each join does ─────────────────────────────────────────────────────────────────────────

_Kind = Literal["inner", "left", "right", "full", "semi", "anti"]

_Place = Literal["ours", "before ours", "after ours"]
"""Where the source that a join adds stands: it is ours, or is joined before ours, or after."""

_Visible = Literal["nothing", "it alone", "as before", "as before, and it"]
"""The sources whose columns are, after a join, those of the row that was read: never NULL instead.

Only of them may WHERE speak, if what it demands is to be demanded of the row itself. "It" is the
source that the join adds.
"""


class _Effect(Struct, frozen=True):
    """What a join does to what is known of the rows of ours that are in the result."""

    visible: _Visible
    visible_if_kept: _Visible | None = None  # where WHERE refuses rows in which ours is NULL
    forgets: bool = False  # what the joins before it demanded and required
    demands: bool = False  # the row meets its ON
    requires: bool = False  # the row is joined with a row of it


_EFFECTS: Mapping[_Place, Mapping[_Kind, _Effect]] = {
    "ours": {
        # A row of ours without a partner is gone.
        "inner": _Effect("as before, and it", demands=True),
        # A row of ours without a partner is gone; other rows without one have NULLs for ours.
        "left": _Effect("as before", "as before, and it", demands=True),
        # Every row of ours stays; what was before is NULL where it has no partner.
        "right": _Effect("it alone", forgets=True),
        # Every row of ours stays, and other rows come with NULLs for ours.
        "full": _Effect("nothing", "it alone", forgets=True),
        # A row of ours lets its partners stay, and only them; its columns do not come through.
        "semi": _Effect("as before", demands=True),
        # A row of ours removes its partners, and only them; its columns do not come through.
        "anti": _Effect("as before", demands=True),
    },
    "before ours": {
        # What ours will be joined with has a row of it, and meets the condition.
        "inner": _Effect("as before, and it", demands=True, requires=True),
        # What was before it stays as it is; its own columns may be NULL.
        "left": _Effect("as before"),
        # Every row of it stays; what was before is NULL where it has no partner.
        "right": _Effect("it alone", forgets=True, requires=True),
        # A row may come of one side alone, the other's columns NULL.
        "full": _Effect("nothing", forgets=True),
        # As with an inner join; of its columns no later condition can speak.
        "semi": _Effect("as before, and it", demands=True, requires=True),
        # That there is no partner is no condition that one row could be tested by.
        "anti": _Effect("as before"),
    },
    "after ours": {
        # A row of ours without a partner is gone.
        "inner": _Effect("as before, and it", demands=True, requires=True),
        # Every row of ours stays; the other columns may be NULL.
        "left": _Effect("as before"),
        # A row of ours without a partner is gone; other rows without one have NULLs for ours.
        "right": _Effect("it alone", "as before, and it", demands=True, requires=True),
        # Every row of ours stays, and other rows come with NULLs for ours.
        "full": _Effect("nothing", "as before"),
        # A row of ours without a partner is gone; of its columns no later condition can speak.
        "semi": _Effect("as before, and it", demands=True, requires=True),
        # That there is no partner is no condition that one row could be tested by.
        "anti": _Effect("as before"),
    },
}


def _kind(join: exp.Join | None) -> _Kind | None:
    """Return the kind of a join; None where it goes by position or nearness, or is unknown."""
    if join is None:
        return "inner"  # the first source: every row of it, as from an inner join with one row
    if join.method:
        return None
    match join.side, join.kind:
        case "", "" | "INNER" | "CROSS":
            return "inner"
        case "LEFT", "" | "OUTER":
            return "left"
        case "RIGHT", "" | "OUTER":
            return "right"
        case "FULL", "" | "OUTER":
            return "full"
        case "", "SEMI":
            return "semi"
        case "", "ANTI":
            return "anti"
        case _:  # DuckDB has no other now
            return None


# ── what a row needs to be in a SELECT's result ─────────────────────────────────────────────────


class JoinContext(Struct, frozen=True):
    """What each row of one source must meet to be in a SELECT's result."""

    conjuncts: tuple[exp.Expr, ...]  # of WHERE first, then of the joins
    required: frozenset[str]  # the row is joined with a row of each of these sources
    shown: bool  # in the result the source's columns are the row's own, never NULL instead


def context(select: exp.Select, alias: str) -> JoinContext | None:
    """Return what rows of the source `alias` must meet to be in a SELECT's result.

    None where that is not known: sources share an alias, or a join goes by position, by nearness,
    or is unknown here.

    Example:
        >>> def show(text):
        ...     found = context(exp.maybe_parse(text), "t")
        ...     conditions = [part.sql() for part in found.conjuncts]
        ...     print(conditions, sorted(found.required), found.shown)
        >>> show("SELECT t.f FROM t JOIN o ON t.id = o.id AND t.x < 3 WHERE o.y > 2")
        ['o.y > 2', 't.id = o.id', 't.x < 3'] ['o'] True
        >>> show("SELECT t.f FROM t LEFT JOIN o ON t.id = o.id WHERE o.y > 2 AND t.x < 3")
        ['t.x < 3'] [] True
        >>> show("SELECT t.f FROM o LEFT JOIN t ON t.id = o.id WHERE coalesce(t.x, 1) < 3")
        ['t.id = o.id'] ['o'] False
        >>> show("SELECT t.f FROM t FULL JOIN o ON t.id = o.id WHERE t.x < 3")
        ['t.x < 3'] [] True
    """
    walk = _walk(select, alias)
    if walk is None or alias not in [operand.alias for operand in operands(select)]:
        return None
    where = [part for part in conjuncts(select.args.get("where")) if tables(part) <= walk.visible]
    return JoinContext((*where, *walk.met), walk.required, shown=alias in walk.visible)


def never_null(select: exp.Select) -> frozenset[str]:
    """Return the sources whose columns no join of a SELECT turns to NULL; none if not known.

    Example:
        >>> select = exp.maybe_parse("SELECT 1 FROM a JOIN b ON true LEFT JOIN c ON true")
        >>> sorted(never_null(select))
        ['a', 'b']
    """
    walk = _walk(select, None)
    return frozenset() if walk is None else walk.visible


class _Walk(Struct, frozen=True):
    """What is known after the last join of a SELECT."""

    met: tuple[exp.Expr, ...] = ()  # parts of ON conditions that a row of ours meets
    required: frozenset[str] = frozenset()  # sources that it is joined with a row of
    visible: frozenset[str] = frozenset()  # see `_Visible`


def _walk(select: exp.Select, ours: str | None) -> _Walk | None:
    """Go through a SELECT's joins as `_EFFECTS` says; every source is before ours if that is None.

    None as in `context`.
    """
    read = operands(select)
    if len({operand.alias for operand in read}) != len(read):
        return None
    where = conjuncts(select.args.get("where"))
    kept = ours is not None and any(_refuses_null(part, ours) for part in where)
    walk = _Walk()
    place: _Place = "before ours"
    for operand in read:
        kind = _kind(operand.join)
        if kind is None:
            return None
        if place == "ours":
            place = "after ours"
        elif operand.alias == ours:
            place = "ours"
        walk = _step(walk, operand, _EFFECTS[place][kind], kept)
    return walk


def _step(walk: _Walk, operand: Operand, effect: _Effect, kept: bool) -> _Walk:
    """Return what is known after one more join."""
    it = frozenset({operand.alias})
    met, required = ((), frozenset()) if effect.forgets else (walk.met, walk.required)
    if effect.demands and operand.join is not None:
        spoken = walk.visible | it
        demanded = conjuncts(operand.join.args.get("on"))
        met += tuple(part for part in demanded if tables(part) <= spoken)
    if effect.requires:
        required |= it
    visible = effect.visible
    if kept and effect.visible_if_kept is not None:
        visible = effect.visible_if_kept
    match visible:
        case "nothing":
            return _Walk(met, required, frozenset())
        case "it alone":
            return _Walk(met, required, it)
        case "as before":
            return _Walk(met, required, walk.visible)
        case "as before, and it":
            return _Walk(met, required, walk.visible | it)
        case _:
            assert_never(visible)


_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Like)


def _refuses_null(condition: exp.Expr, alias: str) -> bool:
    """Return whether a condition certainly fails where all columns of `alias` are NULL.

    Example:
        >>> texts = ("t.x < 3", "NOT t.x IS NULL", "t.x IN (1, 2)", "t.x IS NULL", "t.x + 1 < 3")
        >>> [_refuses_null(exp.maybe_parse(text), "t") for text in texts]  # sums are not looked at
        [True, True, True, False, False]
    """
    if isinstance(condition, exp.Not) and isinstance(condition.this.unnest(), exp.Is):
        tested = condition.this.unnest()
        return isinstance(tested.expression, exp.Null) and _is_column_of(tested.this, alias)
    if isinstance(condition, exp.In) and condition.expressions:
        return _is_column_of(condition.this, alias)
    if not isinstance(condition, _COMPARISONS) or condition.find(exp.Select):
        return False
    sides = (condition.this, condition.args.get("expression"))
    return any(_is_column_of(side, alias) for side in sides)


def _is_column_of(node: exp.Expr | None, alias: str) -> bool:
    return isinstance(node, exp.Column) and node.table == alias


# ── columns that USING shares ───────────────────────────────────────────────────────────────────


def name_shared_columns(select: exp.Select) -> None:
    """Replace the COALESCE(a.x, b.x) that USING (x) stands for by a.x, where that is the same.

    It is where the joins demand a.x = b.x and none turns a.x to NULL.

    Example:
        >>> def show(join):
        ...     text = f"SELECT COALESCE(a.x, b.x) AS x FROM a {join} b ON a.x = b.x"
        ...     select = exp.maybe_parse(text)
        ...     name_shared_columns(select)
        ...     print(select.sql())
        >>> show("LEFT JOIN")
        SELECT a.x AS x FROM a LEFT JOIN b ON a.x = b.x
        >>> show("RIGHT JOIN")
        SELECT COALESCE(a.x, b.x) AS x FROM a RIGHT JOIN b ON a.x = b.x
    """
    firm = never_null(select)
    equal = {
        frozenset((_key(part.this), _key(part.expression)))
        for operand in operands(select)
        if operand.join is not None and operand.join.side in ("", "LEFT")
        for part in conjuncts(operand.join.args.get("on"))
        if isinstance(part, exp.EQ)
    }
    for coalesce in list(select.find_all(exp.Coalesce)):
        columns = [coalesce.this, *coalesce.expressions]
        if not all(isinstance(column, exp.Column) for column in columns):
            continue
        if columns[0].table not in firm:
            continue
        # each further column equals one of those before it
        pairs = [
            {frozenset((_key(column), _key(before))) for before in columns[:place]}
            for place, column in enumerate(columns)
        ]
        if all(earlier & equal for earlier in pairs[1:]):
            coalesce.replace(columns[0].copy())


def _key(node: exp.Expr) -> tuple[str, str]:
    return (node.table, node.name) if isinstance(node, exp.Column) else ("", node.sql())
