"""Joins and sub-queries that cut a TRANSFER's rows → conditions that run below inference.

The joins and sub-queries stay where they are: a condition below is one that every row meets that
can be in the result, so that it costs time where it is needless, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from sqlglot import exp, parse_one
from sqlglot.optimizer.pushdown_projections import pushdown_projections

from vista_sql.sql.joins import JoinContext, operands, sources, tables
from vista_sql.sql.quoting import identifier
from vista_sql.sql.reading import UnresolvedError, by_sqlglot
from vista_sql.sql.resolve import ColumnsOf, Other, Resolved, StandIn
from vista_sql.sql.steady import steady_expression, steady_query

ROW = "__vista_row"
"""The alias of the rows that are cut, in conditions with a sub-query that speaks of them."""

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})

_ROWS = "_rows"
"""After a call's stand-in: its narrow rows alone, which may be read a second time."""

_STAND_IN = re.compile(rf'"?(__vista_(?:other|stand_in)_\d+(?:{_ROWS})?)"?')

_DEEPEST = 8
"""How many common table expressions are written out inside each other at most."""


class Rows(Struct, frozen=True):
    """The rows of one TRANSFER call as a SELECT reads them."""

    alias: str
    narrow: Mapping[str, str]  # the column's name there → the call's narrow column


class Cutter(Struct, frozen=True):
    """Writes what joins and sub-queries demand of one call's rows as text that stands for itself.

    Example:
        >>> from vista_sql.sql import joins, parse, resolve
        >>> text = '''SELECT t.fc6 FROM TRANSFER('lenet5') AS t JOIN o ON t.id = o.id
        ... WHERE o.price > 2 AND t.id NOT IN (SELECT id FROM sold)'''
        >>> (statement,) = parse.parse(text)
        >>> call = StandIn({"id": "INTEGER", "fc6": "FLOAT[84]"}, frozenset({"id"}), True)
        >>> tables = {"o": {"id": "INTEGER", "price": "DOUBLE"}, "sold": {"id": "INTEGER"}}
        >>> resolved = resolve.resolve(statement, [call], tables.get)
        >>> query_columns = lambda query: {"k0": "INTEGER"}
        >>> cutter = Cutter(resolved, {}, {"id": "INTEGER"}, query_columns)
        >>> rows = Rows("t", {"id": "id"})
        >>> demanded = joins.context(resolved.tree, "t")
        >>> for condition in cutter.of_joins(resolved.tree, rows, demanded):
        ...     print(condition)
        "id" IN (SELECT "o"."id" AS "k0" FROM o AS "o" WHERE "o"."price" > 2)
        >>> print(cutter.of_condition(demanded.conjuncts[1], rows))
        NOT "id" IN (SELECT "sold"."id" AS "id" FROM sold AS "sold")
    """

    resolved: Resolved
    narrow: Mapping[str, Other]  # the stand-ins of calls, as relations of narrow columns
    types: Mapping[str, str]  # the call's narrow columns → DuckDB type
    columns_of: ColumnsOf

    def of_joins(
        self, select: exp.Select, rows: Rows, demanded: JoinContext, known: Sequence[exp.Join] = ()
    ) -> Iterator[str]:
        """Yield `key IN (SELECT … )` for the sources that each of the rows must be joined with.

        Sources that conditions connect with each other stand in one sub-query, so that a filter on
        one of them cuts through the others. Those of the joins `known` are left out.
        """
        read = operands(select)
        nodes = {operand.alias: operand.node for operand in read}
        left_out = {rows.alias, *(operand.alias for operand in read if operand.join in known)}
        parts = [part for part in demanded.conjuncts if not part.find(exp.Select)]
        for group in _connected(demanded.required - left_out, parts):
            partners = [nodes[alias] for alias in sorted(group)]
            keys = {
                rows.narrow[link.ours]: link.other
                for part in parts
                if (link := _link(part, rows.alias)) is not None
                and link.ours in rows.narrow
                and link.other.table in group
                and self._has_columns(link.other, partners)
            }
            among = [
                part
                for part in parts
                if tables(part)
                and tables(part) <= group
                and steady_expression(part)
                and self._has_columns(part, partners)
            ]
            text = self._key_condition(keys, partners, among)
            if text is not None:
                yield text

    def _key_condition(
        self,
        keys: Mapping[str, exp.Column],
        partners: Sequence[exp.Expr],
        among: Sequence[exp.Expr],
    ) -> str | None:
        """Return `key IN (SELECT key of the partners WHERE they meet what is among them)`.

        None where there is no key, or a partner cannot be read below, or a key's two types differ,
        so that IN would compare them in another way than the join does.
        """
        readable = all(isinstance(node, (exp.Table, exp.Subquery, exp.Values)) for node in partners)
        if not keys or not readable:
            return None
        first, *rest = (self._narrowed(node) for node in partners)
        query = exp.Select(
            expressions=[
                exp.alias_(column.copy(), f"k{place}", quoted=True)
                for place, column in enumerate(keys.values())
            ],
            from_=exp.From(this=first),
            joins=[exp.Join(this=node) for node in rest],
        )
        if among:
            query.set("where", exp.Where(this=exp.and_(*(part.copy() for part in among))))
        text = self._text(query)
        if text is None:
            return None
        types = list((self.columns_of(f"({text})") or {}).values())
        if len(types) != len(keys):
            return None
        if not all(
            _alike(theirs, self.types[key]) for theirs, key in zip(types, keys, strict=True)
        ):
            return None
        ours = ", ".join(identifier(key) for key in keys)
        return f"{ours if len(keys) == 1 else f'({ours})'} IN ({text})"

    def _narrowed(self, node: exp.Expr) -> exp.Expr:
        """Return a copy of a partner that reads the narrow rows alone where it is a call."""
        copy = node.copy()
        if isinstance(copy, exp.Table) and copy.name in self.narrow:
            copy.set("this", exp.to_identifier(f"{copy.name}{_ROWS}"))
        return copy

    def _has_columns(self, condition: exp.Expr, partners: Sequence[exp.Expr]) -> bool:
        """Return whether partners that are calls have the columns of a condition as narrow ones."""
        for node in partners:
            call = self.narrow.get(node.name) if isinstance(node, exp.Table) else None
            if call is not None and any(
                column.name not in call.columns
                for column in condition.find_all(exp.Column)
                if column.table == node.alias_or_name
            ):
                return False
        return True

    def of_condition(self, condition: exp.Expr, rows: Rows) -> str | None:
        """Return a condition with sub-queries that only one of the rows decides, as text.

        None where it reads what is not there below, or may differ when it is evaluated again.
        """
        if not condition.find(exp.Select) or rows.alias in sources(condition):
            return None
        if not tables(condition) <= {rows.alias}:
            return None
        return self._text(condition, rows)

    def of_join(self, join: exp.Join, rows: Rows) -> str | None:
        """Return what a semi or anti join after the rows demands, exactly, as text.

        `t ANTI JOIN o ON t.id = o.id` → `NOT EXISTS(SELECT 1 FROM o WHERE t.id = o.id)`. None: it
        is another join, or `of_condition` would say None.
        """
        if join.kind not in ("SEMI", "ANTI") or join.side or not join.args.get("on"):
            return None
        if any(column.table in ("", rows.alias) for column in join.this.find_all(exp.Column)):
            return None
        query = exp.Select(
            expressions=[exp.Literal.number(1)],
            from_=exp.From(this=join.this.copy()),
            where=exp.Where(this=join.args["on"].copy()),
        )
        exists = exp.Exists(this=query)
        return self.of_condition(exp.Not(this=exists) if join.kind == "ANTI" else exists, rows)

    def _text(self, tree: exp.Expr, rows: Rows | None = None) -> str | None:
        """Return a tree as text: tables under their own names, CTEs written out; None: it cannot.

        The columns of `rows` are those of the rows that are cut; all others must be of what the
        tree itself reads.
        """
        holder = exp.Paren(this=tree.copy())
        if not self._inline(holder):
            return None
        if isinstance(holder.this, exp.Select):
            try:
                holder.set("this", by_sqlglot(pushdown_projections, holder.this))
            except UnresolvedError:
                return None
        if not steady_query(holder.this):
            return None
        for select in holder.find_all(exp.Select):
            select.set("order", None)  # nothing chooses among the rows
        inside = sources(holder)
        for column in list(holder.find_all(exp.Column)):
            if column.table in inside:
                continue
            if rows is None or column.table != rows.alias or column.name not in rows.narrow:
                return None
            # inside a sub-query a bare name could be that of a column there
            row = ROW if column.find_ancestor(exp.Select) else None
            own = exp.to_identifier(rows.narrow[column.name], quoted=True)
            column.replace(exp.column(own, row))
        text = str(holder.this.sql(self.resolved.dialect.name))
        return _STAND_IN.sub(lambda match: self._own_name(match[1]), text)

    def _own_name(self, stand_in: str) -> str:
        table = self.resolved.tables.get(stand_in)
        return (table or self.narrow[stand_in.removesuffix(_ROWS)]).text

    def _inline(self, tree: exp.Expr, depth: int = 0) -> bool:
        """Write out the CTEs that a tree reads; return whether all it reads can be read below."""
        if depth > _DEEPEST or tree.find(exp.With):
            return False
        for table in list(tree.find_all(exp.Table)):
            if table.alias_column_names:
                return False
            if table.name in self.resolved.tables or self._is_narrowed(table):
                continue
            query = self.resolved.ctes.get(table.name)
            if query is None:  # a call of ours, or a table function
                return False
            alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
            written = exp.Subquery(this=query.copy(), alias=alias)
            if not self._inline(written, depth + 1):
                return False
            table.replace(written)
        return True

    def _is_narrowed(self, table: exp.Table) -> bool:
        """Return whether a table is what `_narrowed` makes of a call."""
        return table.name.endswith(_ROWS) and table.name.removesuffix(_ROWS) in self.narrow


def _alike(one: str, other: str) -> bool:
    """Return whether columns of two types are equal below exactly where they are above."""
    return one == other or {one, other} <= _INTEGERS


class _Link(Struct, frozen=True):
    """An equality of a column of ours and a column of another source."""

    ours: str
    other: exp.Column


def _link(condition: exp.Expr, alias: str) -> _Link | None:
    """Return the columns that an equality links `alias` with another source by; None: it is none.

    Example:
        >>> _link(exp.maybe_parse("o.key = t.id"), "t").ours
        'id'
        >>> _link(exp.maybe_parse("t.id = 3"), "t") is None
        True
    """
    if not isinstance(condition, exp.EQ):
        return None
    left, right = condition.this.unnest(), condition.expression.unnest()
    if not (isinstance(left, exp.Column) and isinstance(right, exp.Column)):
        return None
    if left.table == alias != right.table:
        return _Link(left.name, right)
    if right.table == alias != left.table:
        return _Link(right.name, left)
    return None


def _connected(aliases: Iterable[str], parts: Iterable[exp.Expr]) -> list[frozenset[str]]:
    """Return the groups of sources that conditions among them connect.

    Example:
        >>> groups = _connected(["a", "b", "c"], [exp.maybe_parse("a.x = c.x")])
        >>> [sorted(group) for group in groups]
        [['a', 'c'], ['b']]
    """
    groups = {alias: frozenset({alias}) for alias in aliases}
    for part in parts:
        spoken = tables(part)
        if spoken <= groups.keys():
            union = frozenset().union(*(groups[alias] for alias in spoken))
            groups |= dict.fromkeys(union, union)
    return sorted(set(groups.values()), key=sorted)


def narrow_relations(calls: Mapping[str, StandIn], resolved: Resolved) -> dict[str, Other]:
    """Return the relations of calls' narrow rows that may be read a second time, by stand-in.

    Example:
        >>> def readable(relation):
        ...     call = StandIn({"id": "INTEGER"}, frozenset({"id"}), True, relation)
        ...     resolved = Resolved(exp.Select(), ("s",), False, {}, {}, frozenset({"w"}))
        ...     return "s" in narrow_relations({"s": call}, resolved)
        >>> [readable(text) for text in ("foods", "w", "range(3)", "(SELECT * FROM foods LIMIT 3)")]
        [True, False, False, False]
    """
    relations = {}
    for name, stand_in in calls.items():
        if stand_in.relation is None or not stand_in.narrow:
            continue
        try:
            text = f"SELECT * FROM {stand_in.relation}"
            tree = by_sqlglot(parse_one, text, dialect=resolved.dialect.name)
        except UnresolvedError:
            continue
        read = list(tree.find_all(exp.Table))
        if any(isinstance(table.this, exp.Func) for table in read) or not steady_query(tree):
            continue
        if {table.name.lower() for table in read} & resolved.cte_names:
            continue  # below, the name may stand for a table
        types = {column.lower(): stand_in.columns[column] for column in stand_in.narrow}
        relations[name] = Other(stand_in.relation, types)
    return relations
