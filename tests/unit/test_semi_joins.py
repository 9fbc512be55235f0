"""Joins and sub-queries as conditions that run below inference."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import pytest
from needed import columns_of, needs_of

from vista_sql.sql import semi_joins

IN_O = '"id" IN (SELECT "o"."id" AS "k0" FROM o AS "o")'
IN_O_ABOVE_2 = '"id" IN (SELECT "o"."id" AS "k0" FROM o AS "o" WHERE "o"."price" > 2)'
IN_O_AND_B = (
    '"id" IN (SELECT "o"."id" AS "k0" FROM b AS "b", o AS "o" WHERE "o"."label" = "b"."label")'
)
IN_S = '"id" IN (SELECT "s"."id" AS "k0" FROM (SELECT "o"."id" AS "id" FROM o AS "o") AS "s")'


@pytest.mark.parametrize(
    ("text", "semi_joins"),
    [
        ("SELECT t.fc6 FROM {T} AS t JOIN o USING (id)", (IN_O,)),
        ("SELECT t.fc6 FROM {T} AS t, o WHERE o.id = t.id", (IN_O,)),
        ("SELECT t.fc6 FROM o JOIN {T} AS t ON t.id = o.id", (IN_O,)),
        ("SELECT t.fc6 FROM o CROSS JOIN {T} AS t WHERE t.id = o.id", (IN_O,)),
        ("SELECT x.fc6 FROM (SELECT * FROM {T}) AS x JOIN o ON x.id = o.id", (IN_O,)),
        ("WITH x AS (SELECT id AS k, fc6 FROM {T}) SELECT x.fc6 FROM x JOIN o ON k = o.id", (IN_O,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id AND o.price > 2", (IN_O_ABOVE_2,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id WHERE o.price > 2", (IN_O_ABOVE_2,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id AND t.price > o.price", (IN_O,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id AND t.name = o.label", ('("id", "Name") IN (SELECT "o"."id" AS "k0", "o"."label" AS "k1" FROM o AS "o")',)),
        ("SELECT t.fc6 FROM {T} AS t NATURAL JOIN (SELECT id FROM o) AS s", (IN_S,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN (SELECT id FROM o) AS s USING (id)", (IN_S,)),
        ("WITH s AS (SELECT id, price FROM o) SELECT t.fc6 FROM {T} AS t JOIN s USING (id)", (IN_S,)),
        ("WITH x AS (SELECT * FROM {T}), s AS (SELECT id FROM o) SELECT x.fc6 FROM x JOIN s USING (id)", (IN_S,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id JOIN b ON o.label = b.label", (IN_O_AND_B,)),
        ("SELECT t.fc6 FROM {T} AS t, o, b WHERE t.id = o.id AND o.label = b.label", (IN_O_AND_B,)),
        ("SELECT t.fc6 FROM {T} AS t JOIN b ON t.id = b.id", ('"id" IN (SELECT "b"."id" AS "k0" FROM b AS "b")',)),
        ("SELECT t.fc6 FROM {T} AS t JOIN (VALUES (1), (2)) AS v(id) ON v.id = t.id", ('"id" IN (SELECT "v"."id" AS "k0" FROM (VALUES (1), (2)) AS "v"("id"))',)),
        ("SELECT g.n FROM (SELECT id, count(*) AS n, max(fc6[1]) AS m FROM {T} GROUP BY id) AS g JOIN o USING (id)", (IN_O,)),
        # outer joins: TRANSFER on the optional side is cut by the other
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id", (IN_O,)),
        ("SELECT t.fc6 FROM {T} AS t RIGHT JOIN o ON t.id = o.id WHERE o.price > 2", (IN_O_ABOVE_2,)),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id JOIN b ON o.label = b.label", (IN_O_AND_B,)),
        ("SELECT t.fc6 FROM o JOIN {T} AS t ON t.id = o.id LEFT JOIN b ON o.label = b.label WHERE b.id = 3", (IN_O,)),
        ("SELECT o.label FROM o SEMI JOIN {T} AS t ON t.id = o.id AND t.fc6[1] > 0", (IN_O,)),
        ("SELECT o.label FROM o ANTI JOIN {T} AS t ON t.id = o.id AND t.fc6[1] > 0", (IN_O,)),
        # conditions with sub-queries, as they are
        ("SELECT t.fc6 FROM {T} AS t SEMI JOIN o ON t.id = o.id", ('EXISTS(SELECT 1 FROM o AS "o" WHERE __vista_row."id" = "o"."id")',)),
        ("SELECT t.fc6 FROM {T} AS t ANTI JOIN o ON t.id = o.id", ('NOT EXISTS(SELECT 1 FROM o AS "o" WHERE __vista_row."id" = "o"."id")',)),
        ("SELECT t.fc6 FROM {T} AS t WHERE id IN (SELECT id FROM o)", ('"id" IN (SELECT "o"."id" AS "id" FROM o AS "o")',)),
        ("SELECT t.fc6 FROM {T} AS t WHERE id NOT IN (SELECT id FROM o)", ('NOT "id" IN (SELECT "o"."id" AS "id" FROM o AS "o")',)),
        ("SELECT t.fc6 FROM {T} AS t WHERE price < (SELECT max(price) FROM o)", ('"price" < (SELECT MAX("o"."price") AS "_col_0" FROM o AS "o")',)),
        ("SELECT t.fc6 FROM {T} AS t WHERE NOT EXISTS (FROM o WHERE o.id = t.id)", ('NOT EXISTS(SELECT "o"."id" AS "id", "o"."price" AS "price", "o"."fc6" AS "fc6", "o"."label" AS "label" FROM o AS "o" WHERE "o"."id" = __vista_row."id")',)),
        # two calls cut each other by what is narrow in them
        ("SELECT t.fc6, u.fc6 FROM {T} AS t JOIN {T} AS u ON t.id = u.id WHERE u.price > 2 AND u.fc6[1] > 0", ('"id" IN (SELECT "u"."id" AS "k0" FROM stock AS "u" WHERE "u"."price" > 2)',)),
        # what cuts nothing, or not certainly
        ("SELECT t.fc6 FROM {T} AS t LEFT JOIN o ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM o RIGHT JOIN {T} AS t ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o ON t.id = o.id JOIN b ON t.id = b.id", ()),
        ("SELECT t.fc6 FROM {T} AS t ANTI JOIN o ON t.id = o.id AND t.fc6[1] > 0", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id OR t.price = o.price", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id < o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id + 1 = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.label", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.price = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN (SELECT * FROM o LIMIT 2) AS o ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN (SELECT *, row_number() OVER () AS r FROM o) AS o ON t.id = o.id AND o.r = 1", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN (SELECT id FROM o WHERE random() < 0.5) AS o ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN (SELECT id FROM o GROUP BY id HAVING avg(price) > 2) AS o ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN o TABLESAMPLE 5 ROWS ON t.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t JOIN range(3) AS r(id) ON t.id = r.id", ()),
        ("SELECT x.fc6 FROM (SELECT * FROM {T} LIMIT 3) AS x JOIN o ON x.id = o.id", ()),
        ("SELECT t.fc6 FROM {T} AS t WHERE id IN (SELECT id FROM o LIMIT 3)", ()),
        ("SELECT t.fc6 FROM {T} AS t WHERE id IN (SELECT id FROM o USING SAMPLE 3)", ()),
        ("SELECT t.fc6 FROM {T} AS t WHERE fc6[1] IN (SELECT price FROM o)", ()),
        ("SELECT t.fc6 FROM {T} AS t WHERE id IN (SELECT id FROM {T} AS u)", ()),
        ("SELECT t.fc6 FROM {T} AS t, (SELECT o.id FROM o WHERE o.price = t.price) AS s WHERE s.id = t.id", ()),
        ("SELECT t.fc6 FROM {T} AS t ASOF JOIN o ON t.id = o.id AND t.price >= o.price", ()),
        ("SELECT t.fc6 FROM {T} AS t POSITIONAL JOIN o WHERE t.id = o.id", ()),
        ("WITH RECURSIVE s AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM s WHERE id < 3) SELECT t.fc6 FROM {T} AS t JOIN s USING (id)", ()),
        ("SELECT o.label FROM o WHERE EXISTS (SELECT 1 FROM {T} AS t WHERE t.id = o.id AND t.fc6[1] > 0)", ()),
    ],
)  # fmt: skip
def test_joins_that_cut_rows(text, semi_joins):
    found = needs_of(text)[0]
    assert found.semi_joins == semi_joins
    assert all(
        columns_of(f"(SELECT * FROM stock AS __vista_row, (SELECT 'a' AS \"Name\") WHERE {s})")
        for s in semi_joins
    )


def test_ctes_are_written_out_whatever_their_names():
    (needs,) = needs_of(
        "WITH x AS (SELECT * FROM {T}), my_rows AS (SELECT id FROM o) "
        "SELECT fc6 FROM x WHERE id IN (SELECT id FROM my_rows)"
    )
    (condition,) = needs.semi_joins
    assert "FROM o AS" in condition
    assert "FROM my_rows" not in condition


def test_without_sqlglots_help_a_sub_query_is_left_where_it_is(monkeypatch):
    def fail(*_args, **_kwargs):
        raise KeyError("told by a test")

    monkeypatch.setattr(semi_joins, "pushdown_projections", fail)
    (needs,) = needs_of("SELECT t.fc6 FROM {T} AS t JOIN o USING (id) WHERE t.price < 3")
    assert needs.semi_joins == ()
    assert needs.predicates == ('"price" < 3',)


def test_a_deep_chain_of_ctes_is_left_where_it_is():
    chain = ", ".join(f"c{n} AS (SELECT id FROM c{n - 1})" for n in range(1, 12))
    (needs,) = needs_of(
        f"WITH c0 AS (SELECT id FROM o), {chain} SELECT t.fc6 FROM {{T}} AS t JOIN c11 USING (id)"
    )
    assert needs.semi_joins == ()
