"""LIMIT, top-n, ranks and SAMPLE of a SELECT → those of its TRANSFER's rows, below inference."""

from __future__ import annotations

from msgspec import Struct
from sqlglot import exp

from vista_sql.sql import joins
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.source import Source


class Limits(Struct, frozen=True):
    """Which of a call's rows are enough: clauses over its own narrow columns, as text."""

    order: tuple[str, ...] = ()
    limit: int | None = None
    sample: str | None = None
    qualify: str | None = None


_NONE = Limits()


def limits_of(source: Source) -> Limits:
    """Return the LIMIT (and its ORDER BY), rank or SAMPLE that may run below inference.

    It may where every row of the call gives a row here, next to each other: every condition runs
    below, too, joins drop no row, and no DISTINCT, aggregate or window is between.
    """
    select, args = source.select, source.select.args
    if not _each_row_gives_rows(source):
        return _NONE
    alone = len(joins.operands(select)) == 1
    if not source.samples and alone:
        rank = _rank(source)
        if rank is not None:
            return Limits(qualify=rank)
    if args.get("qualify") or source.facts.hides_rows:
        return _NONE
    if source.samples:
        return _sampled(source)
    if args.get("limit") is not None:
        return _limited(source, args["limit"])
    # another order, and other rows at its beginning, than a LIMIT further out would see below
    if args.get("order") or args.get("offset"):
        return _NONE
    outer = source.outer()
    return _NONE if outer is None else limits_of(outer)


def _each_row_gives_rows(source: Source) -> bool:
    """Return whether each row that meets what runs below gives rows here, next to each other."""
    select, args = source.select, source.select.args
    if any(args.get(part) for part in ("laterals", "group", "having", "distinct", "windows")):
        return False
    first, *others = joins.operands(select)
    if first.alias != source.alias or joins.context(select, source.alias) is None:
        return False
    # a LEFT JOIN drops no row; a semi or anti join does, exactly as its condition below
    exact = {id(join) for join, _ in source.exact_joins()}
    added = [operand.join for operand in others if operand.join is not None]
    if not all(join.side == "LEFT" or id(join) in exact for join in added):
        return False
    return all(
        source.own_text(condition) or source.cutter.of_condition(condition, source.rows)
        for condition in joins.conjuncts(args.get("where"))
    )


# ── ranks ───────────────────────────────────────────────────────────────────────────────────────

_RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank)


def _rank(source: Source) -> str | None:
    """Return `rank() OVER (…) <= n` where all rows here, or further out, must have such a rank.

    The rows that are left then have the ranks that they have among all. None: there is none, or it
    is not of narrow columns, or something else looks at all rows.
    """
    select = source.select
    qualify = select.args.get("qualify")
    places = [*select.selects, *([qualify] if qualify else [])]
    windows = [window for place in places for window in place.find_all(exp.Window)]
    if source.facts.combines or not windows or any(other != windows[0] for other in windows):
        return None
    most = _most_allowed(source, windows[0])
    text = None if most is None else _narrow_window(source, windows[0])
    return None if text is None else f"{text} <= {most}"


def _most_allowed(source: Source, window: exp.Window) -> int | None:
    """Return the highest rank that QUALIFY, or the next SELECT outwards, lets through."""
    for condition in joins.conjuncts(source.select.args.get("qualify")):
        most = _most(condition)
        if most is not None and condition.this.unnest() == window:
            return most
    outer = source.outer()
    if outer is None or outer.node.args.get("sample"):  # it samples among all ranks
        return None
    demanded = joins.context(outer.select, outer.alias)
    if demanded is None:
        return None
    shown = {part.alias_or_name for part in source.select.selects if part.unalias() == window}
    for condition in demanded.conjuncts:
        most = _most(condition)
        if most is None:
            continue
        tested = condition.this.unnest()
        if isinstance(tested, exp.Column) and tested.table == outer.alias and tested.name in shown:
            return most
    return None


def _most(condition: exp.Expr) -> int | None:
    """Return the n of `… <= n`, `… < n + 1` or `… = 1`; None: it is none of them.

    Example:
        >>> texts = ("r <= 3", "r < 3", "r = 1", "r = 2", "r > 3")
        >>> [_most(exp.maybe_parse(text)) for text in texts]
        [3, 2, 1, None, None]
    """
    if not isinstance(condition, (exp.LTE, exp.LT, exp.EQ)):
        return None
    number = _integer(condition.expression)
    if number is None:
        return None
    match condition:
        case exp.LTE():
            return number
        case exp.LT():
            return number - 1
        case _:  # a rank of 1 has none before it; of any other those before would be missing
            return 1 if number == 1 else None


def _narrow_window(source: Source, window: exp.Window) -> str | None:
    """Return a rank over the call's narrow columns as text; None where it is none."""
    if not isinstance(window.this, _RANKS) or window.this.expressions:
        return None
    if any(window.args.get(part) for part in ("spec", "alias", "over_none", "first")):
        return None
    copy = window.copy()
    order = copy.args["order"].expressions if copy.args.get("order") else []
    keys = [key.this if isinstance(key, exp.Ordered) else key for key in order]
    for key in [*(copy.args.get("partition_by") or []), *keys]:
        own = source.own(key)
        if own is None:
            return None
        key.replace(own)
    return str(copy.sql(source.dialect.name))


# ── LIMIT and SAMPLE ────────────────────────────────────────────────────────────────────────────


def _limited(source: Source, limit: exp.Expr) -> Limits:
    """Return the first rows that a LIMIT can show, in its order."""
    args = source.select.args
    if not isinstance(limit, exp.Limit) or limit.args.get("limit_options"):  # LIMIT 30%, FETCH
        return _NONE
    n_rows = _integer(limit.expression)
    skipped = _integer(args["offset"].expression) if args.get("offset") else 0
    if n_rows is None or skipped is None:
        return _NONE
    order = []
    by_alias = {part.alias_or_name: part.unalias() for part in source.select.selects}
    for key in args["order"].expressions if args.get("order") else ():
        if not isinstance(key, exp.Ordered) or key.args.get("with_fill"):
            return _NONE
        expression = key.this
        if isinstance(expression, exp.Column) and not expression.table:
            expression = by_alias.get(expression.name, expression)
        own = source.own(expression)
        if own is None:
            return _NONE
        ordered = key.copy()
        ordered.set("this", own)
        order.append(ordered.sql(source.dialect.name))
    return Limits(limit=n_rows + skipped, order=tuple(order))


def _integer(node: exp.Expr | None) -> int | None:
    return int(node.this) if isinstance(node, exp.Literal) and node.is_int else None


def _sampled(source: Source) -> Limits:
    """Return a SELECT's sample; it commutes with conditions, since rows are kept one by one."""
    read = joins.operands(source.select)
    # a LEFT JOIN gives several rows for one, of which each would be kept or not by itself
    if any(operand.join is not None and operand.join.side == "LEFT" for operand in read):
        return _NONE
    is_call = isinstance(source.scope.sources[source.alias], exp.Table)
    if len(source.samples) != 1 or not is_call:
        return _NONE
    return Limits(sample=bernoulli(source.samples[0], source.dialect))


def bernoulli(sample: exp.TableSample, dialect: Dialect = DUCKDB) -> str | None:
    """Return a sample that keeps each row with a probability as text; None: it is another one.

    Example:
        >>> def show(clause):
        ...     select = exp.maybe_parse(f"SELECT * FROM t {clause}", dialect="duckdb")
        ...     print(bernoulli(select.args["sample"]))
        >>> show("USING SAMPLE 10% (system, 7)")
        TABLESAMPLE BERNOULLI(10 PERCENT) REPEATABLE (7)
        >>> show("USING SAMPLE 10 ROWS")
        None
    """
    percent, seed = sample.args.get("percent"), sample.args.get("seed")
    if not isinstance(percent, exp.Literal) or sample.args.get("size") is not None:
        return None
    text = f"TABLESAMPLE BERNOULLI({percent.sql(dialect.name)} PERCENT)"
    if isinstance(seed, exp.Literal):
        return f"{text} REPEATABLE ({seed.sql(dialect.name)})"
    return text
