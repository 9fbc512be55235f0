"""A call's rows from SELECT to SELECT outwards: which filters may pass."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import pytest
from needed import needs_of
from sqlglot import parse_one

from vista_sql.sql.source import SourceColumn, select_facts


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("SELECT price, max(fc6[1]) FROM {T} GROUP BY price HAVING price < 3", ('"price" < 3',)),
        ("SELECT m FROM (SELECT price, id, max(fc6[1]) AS m FROM {T} GROUP BY price, id) WHERE price < 3", ('"price" < 3',)),
        ("SELECT fc6 FROM (SELECT DISTINCT price, fc6 FROM {T}) WHERE price < 3", ('"price" < 3',)),
        ("SELECT r FROM (SELECT price, rank() OVER (PARTITION BY price ORDER BY fc6[1]) AS r FROM {T}) WHERE price < 3", ('"price" < 3',)),
        ("SELECT price, max(fc6[1]) FROM {T} GROUP BY price HAVING max(id) < 3", ()),
        ("SELECT price, max(fc6[1]) FROM {T} GROUP BY ROLLUP (price) HAVING price < 3", ()),
        ("SELECT m FROM (SELECT price, max(fc6[1]) AS m FROM {T} GROUP BY ROLLUP (price)) WHERE price < 3", ()),
        ("SELECT fc6 FROM (SELECT DISTINCT ON (id) id, price, fc6 FROM {T}) WHERE price < 3", ()),
        ("SELECT r FROM (SELECT price, rank() OVER (PARTITION BY id ORDER BY fc6[1]) AS r FROM {T}) WHERE price < 3", ()),
    ],
)  # fmt: skip
def test_conditions_that_pass_groups(text, predicates):
    (needs,) = needs_of(text)
    assert needs.predicates == predicates


@pytest.mark.parametrize(
    ("select", "kept"),
    [
        ("SELECT t.a, t.b * 2 FROM t", None),
        ("SELECT DISTINCT t.a FROM t", None),
        ("SELECT t.a, SUM(t.c) FROM t GROUP BY t.a, t.b", {"a", "b"}),
        ("SELECT t.a FROM t GROUP BY t.a + 1, t.b", {"b"}),
        ("SELECT RANK() OVER (PARTITION BY t.a, t.b), SUM(t.c) OVER (PARTITION BY t.b) FROM t", {"b"}),
        ("SELECT SUM(SUM(t.c)) OVER (PARTITION BY t.a) FROM t GROUP BY t.a, t.b", {"a"}),
        ("SELECT t.a FROM t QUALIFY RANK() OVER (PARTITION BY t.a ORDER BY t.b) = 1", {"a"}),
        ("SELECT RANK() OVER (ORDER BY t.a) FROM t", set()),
        ("SELECT SUM(t.c) FROM t", set()),
        ("SELECT t.a FROM t LIMIT 3", set()),
        ("SELECT t.a FROM t OFFSET 3", set()),
        ("SELECT t.a FROM t USING SAMPLE 3", set()),
        ("SELECT UNNEST(t.a) FROM t", set()),
        ("SELECT my_function(t.a) FROM t", set()),
        ("SELECT DISTINCT ON (t.a) t.a, t.b FROM t", set()),
        ("SELECT t.a, SUM(t.c) FROM t GROUP BY CUBE (t.a)", set()),
    ],
)  # fmt: skip
def test_columns_whose_filter_may_run_before(select, kept):
    facts = select_facts(parse_one(select, dialect="duckdb"))
    assert facts.kept == (None if kept is None else {SourceColumn("t", name) for name in kept})


@pytest.mark.parametrize(
    ("outer", "passes"),
    [
        ("SELECT fc6 FROM ({s}) AS q WHERE price < 3", True),
        ("WITH q AS ({s}) SELECT fc6 FROM q WHERE price < 3", True),
        ("SELECT fc6 FROM ({s}) AS q(fc6, price) WHERE price < 3", True),
        ("WITH q AS ({s}) SELECT a.fc6 FROM q AS a JOIN q AS b ON true WHERE a.price < 3", False),
        ("SELECT fc6 FROM ({s} UNION ALL {s}) AS q WHERE price < 3", False),
        ("SELECT id FROM o WHERE EXISTS ({s}) AND price < 3", False),
    ],
)  # fmt: skip
def test_one_reader_passes_its_conditions_on(outer, passes):
    needs = needs_of(outer.replace("{s}", "SELECT fc6, price FROM {T}"))[0]
    assert needs.predicates == (('"price" < 3',) if passes else ())
