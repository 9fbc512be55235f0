"""What each kind of join demands of the rows of one source; DuckDB is the judge."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import re
from functools import cache
from itertools import product

import duckdb
import pytest
from needed import needs_of
from sqlglot import parse_one

from vista_sql.sql import joins


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("SELECT t.fc6 FROM {T} AS t JOIN o USING (id) WHERE id > 3", ('"id" > 3',)),
        ("SELECT t.fc6 FROM {T} AS t LEFT JOIN o USING (id) WHERE id > 3", ('"id" > 3',)),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o ON t.id = o.id WHERE t.price IS NOT NULL", ('NOT "price" IS NULL',)),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE t.price IS NULL", ()),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE coalesce(t.price, 1) < 3", ()),
        ("SELECT t.fc6 FROM o RIGHT JOIN {T} AS t USING (id) WHERE id > 3", ()),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o USING (id) WHERE id > 3", ()),
    ],
)  # fmt: skip
def test_conditions_that_pass_joins(text, predicates):
    (needs,) = needs_of(text)
    assert needs.predicates == predicates


KINDS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN")
KEYS = {"t": "1, 2, 3, 4, 4, 9", "o": "1, 2, 6, 6, 4", "p": "1, 3, 6, 4, 7"}


def database(empty=""):
    """Return SELECT → its rows, over tables with keys that are alone, shared, repeated, and NULL."""
    con = duckdb.connect(config={"threads": 1})
    for name, keys in KEYS.items():
        con.execute(
            f"CREATE TABLE {name} AS SELECT id, coalesce(id % 3, 0) AS x "
            f"FROM (SELECT unnest([{keys}, NULL]) AS id) {'LIMIT 0' if name == empty else ''}"
        )
    return cache(lambda text: sorted(con.execute(text).fetchall(), key=str))


def selects():
    """Yield (SELECT of t, o and p, its sources that are shown) for each two kinds of join."""
    for partner, *kinds in product((0, -1), KINDS, KINDS):
        text, shown = "t", ["t"]
        for kind, name in zip(kinds, "op", strict=True):
            text += f" {kind} {name} ON {shown[partner]}.id = {name}.id AND {name}.x < 2"
            if kind not in ("SEMI JOIN", "ANTI JOIN"):
                shown.append(name)
        select = f"SELECT {', '.join(f'{name}.id, {name}.x' for name in shown)} FROM {text}"
        yield select, shown
        for name in shown:
            yield f"{select} WHERE coalesce({name}.x, 7) > 6", shown  # where it is NULL instead
            if partner == -1:
                yield f"{select} WHERE {name}.x > 0", shown


def over_less(select, ours, context):
    """Return a SELECT that reads only the rows of `ours` that meet the context."""
    sources = context.required.union(*map(joins.tables, context.conjuncts)) - {ours}
    partners = ", ".join(["(SELECT 1)", *sorted(sources)])
    where = " AND ".join(["true", *(part.sql("duckdb") for part in context.conjuncts)])
    less = f"(SELECT * FROM {ours} WHERE EXISTS (SELECT 1 FROM {partners} WHERE {where}))"
    return re.sub(rf"(FROM|JOIN) {ours}\b", rf"\1 {less} AS {ours}", select)


def test_duckdb_misses_no_row_that_the_context_refuses():
    databases = [database(), *map(database, KEYS)]
    refused = 0
    for (select, shown), ours in product(selects(), KEYS):
        context = joins.context(parsed(select), ours)
        if context.shown and ours in shown:
            marked = databases[0](select.replace("SELECT ", f"SELECT {ours}.rowid, ", 1))
            assert all(row[0] is not None for row in marked), select
        if context.required or context.conjuncts:
            fewer = over_less(select, ours, context)
            for rows_of in databases[:1] if " WHERE " in select else databases:
                assert rows_of(fewer) == rows_of(select), select
            refused += 1
    assert refused > 500


@cache
def parsed(select):
    return parse_one(select, dialect="duckdb")


@pytest.mark.parametrize(
    "join",
    ["ASOF JOIN o ON t.id >= o.id", "POSITIONAL JOIN o", "JOIN o AS t ON true", "NATURAL JOIN o"],
)
def test_joins_of_which_nothing_is_known(join):
    select = parse_one(f"SELECT 1 FROM t {join} WHERE t.x < 3", dialect="duckdb")
    assert joins.context(select, "t") is None
    assert joins.never_null(select) == frozenset()


def test_a_source_that_is_not_there_has_no_context():
    assert joins.context(parse_one("SELECT 1 FROM t JOIN o ON true"), "p") is None


@pytest.mark.parametrize(
    ("join", "shown"),
    [
        ("JOIN b ON a.x = b.x", "a.x"),
        ("LEFT JOIN b ON a.x = b.x AND a.y > 1", "a.x"),
        ("LEFT JOIN b ON a.x = b.x OR a.y > 1", "COALESCE(a.x, b.x)"),
        ("RIGHT JOIN b ON a.x = b.x", "COALESCE(a.x, b.x)"),
        ("FULL JOIN b ON a.x = b.x", "COALESCE(a.x, b.x)"),
        ("JOIN b ON a.x = b.x RIGHT JOIN c ON a.x = c.x", "COALESCE(a.x, b.x)"),
        ("ANTI JOIN b ON a.x = b.x", "a.x"),
    ],
)
def test_columns_that_using_shares(join, shown):
    select = parse_one(f"SELECT COALESCE(a.x, b.x) FROM a {join}", dialect="duckdb")
    joins.name_shared_columns(select)
    assert select.selects[0].sql("duckdb") == shown
