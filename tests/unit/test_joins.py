"""What each kind of join demands of the rows of one source; DuckDB is the judge."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import re
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
KEYS = {"t": "1, 2, 3, 4, 4, 9", "o": "1, 2, 5, 5, 4", "p": "1, 3, 5, 4, 8"}


@pytest.fixture(scope="module")
def databases():
    """Three small tables with keys that are alone, shared by two or all, repeated, and NULL.

    Each database is a function SELECT → its rows; in all but the first a table is empty.
    """
    return [database(empty) for empty in ("", *KEYS)]


def database(empty):
    con = duckdb.connect(config={"threads": 1})
    for name, keys in KEYS.items():
        con.execute(f"CREATE TABLE {name} AS SELECT unnest([{keys}, NULL]) AS id, id % 3 AS x")
    if empty:
        con.execute(f"DELETE FROM {empty}")
    return lambda text: sorted(con.execute(text).fetchall(), key=str)


def selects(ours):
    """Yield SELECTs of t, o and p, for each two kinds of join, with conditions and without."""
    for partner, *kinds in product((0, -1), KINDS, KINDS):
        text, shown = "t", ["t"]
        for kind, name in zip(kinds, "op", strict=True):
            text += f" {kind} {name} ON {shown[partner]}.id = {name}.id AND {name}.x < 2"
            if kind not in ("SEMI JOIN", "ANTI JOIN"):
                shown.append(name)
        columns = ", ".join(f"{name}.id, {name}.x" for name in shown)
        yield f"SELECT {columns} FROM {text}"
        conditions = [f"coalesce({name}.x, 2) > 1" for name in shown]
        conditions += [f"{ours}.x > 0"] if ours in shown else []
        for condition in conditions:
            yield f"SELECT {columns} FROM {text} WHERE {condition}"


@pytest.mark.parametrize("ours", ["t", "o", "p"])  # the first source, between others, the last
def test_duckdb_does_not_miss_what_the_context_refuses(ours, databases):
    refused = 0
    for text in selects(ours):
        context = joins.context(parse_one(text, dialect="duckdb"), ours)
        spoken = set().union(*map(joins.tables, context.conjuncts))
        if not spoken and not context.required:
            continue
        partners = ", ".join(["(SELECT 1)", *sorted(context.required | spoken - {ours})])
        where = " AND ".join(["true", *(part.sql("duckdb") for part in context.conjuncts)])
        cut = f"(SELECT * FROM {ours} WHERE EXISTS (SELECT 1 FROM {partners} WHERE {where}))"
        over_cut = re.sub(rf"(FROM|JOIN) {ours}\b", rf"\1 {cut} AS {ours}", text)
        for rows_of in databases[:1] if " WHERE " in text else databases:
            assert rows_of(over_cut) == rows_of(text), text
        refused += 1
    assert refused > 100


@pytest.mark.parametrize("ours", ["t", "o", "p"])
def test_what_is_shown_is_never_null_instead(ours, databases):
    for text in selects(ours):
        context = joins.context(parse_one(text, dialect="duckdb"), ours)
        if context.shown and f"{ours}.id" in text.partition(" FROM ")[0]:
            marked = databases[0](text.replace("SELECT ", f"SELECT {ours}.rowid, ", 1))
            assert all(row[0] is not None for row in marked), text


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
