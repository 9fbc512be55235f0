"""What gives the same each time it is evaluated, and what may not."""

from __future__ import annotations

import pytest
from sqlglot import parse_one

from vista_sql.sql.steady import steady_expression, steady_query, steady_view


@pytest.mark.parametrize(
    ("text", "steady"),
    [
        ("t.a + 1 < t.b", True),
        ("upper(t.a) LIKE 'x%'", True),
        ("list_contains(t.a, 3)", True),
        ("random() < 0.5", False),
        ("now() > t.a", False),
        ("uuid() = t.a", False),
        ("my_macro(t.a)", False),
        ("getvariable('x') = t.a", False),
        ("t.a < $1", False),
        ("max(t.a) > 3", False),
        ("row_number() OVER () = 1", False),
        ("t.a IN (SELECT 1)", False),
        ("list_filter(t.a, x -> x > 1)", False),
    ],
)
def test_expressions(text, steady):
    assert steady_expression(parse_one(text, dialect="duckdb")) == steady


@pytest.mark.parametrize(
    ("text", "steady"),
    [
        ("SELECT id, max(price), count(*) FROM o GROUP BY id", True),
        ("SELECT DISTINCT id FROM o ORDER BY id", True),
        ("SELECT * FROM (VALUES (1), (2)) AS v(id)", True),
        ("SELECT id FROM o WHERE id IN (SELECT id FROM p)", True),
        ("SELECT id, avg(price) FROM o GROUP BY id", False),
        ("SELECT DISTINCT ON (id) id, price FROM o", False),
        ("SELECT id FROM o LIMIT 3", False),
        ("SELECT id FROM o USING SAMPLE 3", False),
        ("SELECT rank() OVER (ORDER BY id) FROM o", False),
        ("SELECT unnest(ids) FROM o", False),
        ("SELECT id FROM o WHERE random() < 0.5", False),
    ],
)
def test_queries(text, steady):
    assert steady_query(parse_one(text, dialect="duckdb")) == steady


@pytest.mark.parametrize(
    ("definition", "steady"),
    [
        ("CREATE VIEW v AS SELECT id, avg(price) FROM o GROUP BY id;", True),
        ("CREATE VIEW v AS SELECT * FROM pandas_scan(1)", True),
        ("CREATE VIEW v AS SELECT * FROM (SELECT uuid() AS id)", False),
        ("CREATE VIEW v AS SELECT row_number() OVER () AS id FROM o", False),
        ("CREATE VIEW v AS SELECT * FROM my_function(1)", False),
        ("CREATE VIEW v AS SELECT 'unclosed", False),
        ("what sqlglot cannot read", False),
    ],
)
def test_views(definition, steady):
    assert steady_view(definition) == steady
