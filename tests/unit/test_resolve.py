"""Statements with every name resolved, calls and tables replaced by stand-ins."""

from __future__ import annotations

import pytest
from needed import columns_of, stand_in, statement_of

from vista_sql.sql import resolve
from vista_sql.sql.reading import UnresolvedError, by_sqlglot


def resolved(text):
    statement = statement_of(text)
    return resolve.resolve(statement, [stand_in()] * len(statement.calls), columns_of)


def test_calls_and_tables_get_stand_ins_in_order():
    found = resolved(
        "SELECT a.fc6, o.label FROM {T} AS a JOIN {T} AS b USING (id) JOIN o USING (id)"
    )
    assert found.names == ("__vista_stand_in_0", "__vista_stand_in_1")
    assert {name: table.text for name, table in found.tables.items()} == {"__vista_other_2": "o"}
    assert '"a"."fc6" AS "fc6"' in found.tree.sql("duckdb")


def test_the_statement_itself_stays_as_it_is():
    statement = statement_of("SELECT t.fc6 FROM {T} AS t JOIN o USING (id)")
    before = statement.tree.sql("duckdb")
    resolve.resolve(statement, [stand_in()], columns_of)
    assert statement.tree.sql("duckdb") == before


@pytest.mark.parametrize(
    "text",
    [
        "SELECT fc6 FROM {T}",
        "(SELECT fc6 FROM {T})",
        "CREATE TABLE x AS SELECT fc6 FROM {T}",
        "CREATE TABLE x AS (SELECT fc6 FROM {T})",
        "INSERT INTO x SELECT fc6 FROM {T}",
        "COPY (SELECT fc6 FROM {T}) TO 'x.csv'",
    ],
)
def test_the_query_of_a_statement(text):
    assert resolved(text).tree.sql("duckdb") == (
        'SELECT "transfer"."fc6" AS "fc6" FROM "__vista_stand_in_0" AS "transfer"'
    )


@pytest.mark.parametrize("text", ["UPDATE o SET price = 1 FROM {T} AS t", "DELETE FROM o"])
def test_statements_without_a_query(text):
    assert resolved(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT fc6 FROM {T} JOIN nowhere ON true", "columns of nowhere"),
        ("SELECT fc6 FROM {T} AS t(a, b)", "columns of t: they are renamed"),
        ("SELECT fc8 FROM {T}", "fc8"),
        ("INSERT INTO o (id) SELECT id FROM o RETURNING (SELECT max(id) FROM {T})", "outside"),
    ],
)
def test_what_cannot_be_resolved(text, why):
    with pytest.raises(UnresolvedError, match=why):
        resolved(text)


@pytest.mark.parametrize(
    ("text", "opaque"),
    [
        ("SELECT * FROM {T}", False),
        ("SELECT count(*) FROM {T}", False),
        ("SELECT COLUMNS('f.*') FROM {T}", True),
        ("SELECT #1 FROM {T}", True),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) "
            "SELECT fc6 FROM {T}, r",
            True,
        ),
    ],
)
def test_columns_that_are_not_named(text, opaque):
    assert resolved(text).opaque == opaque


def test_only_ctes_of_one_meaning_can_be_written_out():
    found = resolved(
        "WITH a AS (SELECT id FROM o), b AS (WITH a AS (SELECT 1 AS id) SELECT id FROM a), "
        "C AS (SELECT 2 AS id) SELECT t.fc6 FROM {T} AS t, a, b, c"
    )
    assert set(found.ctes) == {"b", "c"}
    assert found.cte_names == {"a", "b", "c"}


@pytest.mark.parametrize("kind", [KeyError, RecursionError, AssertionError, AttributeError])
def test_whatever_sqlglot_raises_is_one_error(kind):
    def optimize(*_args):
        raise kind("x")

    with pytest.raises(UnresolvedError, match=f"optimize: {kind.__name__}") as caught:
        by_sqlglot(optimize, "SELECT 1")
    assert isinstance(caught.value.__cause__, kind)


def test_interrupts_pass():
    def optimize():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_sqlglot(optimize)
