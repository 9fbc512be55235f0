"""What a statement needs of TRANSFER, read off its text; nothing runs."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import duckdb
import pytest

from vista_sql.sql import parse
from vista_sql.sql.needs import EVERYTHING, analyse
from vista_sql.sql.resolve import StandIn

NARROW = {"id": "INTEGER", "price": "DOUBLE", "Name": "VARCHAR", "tags": "INTEGER[]"}
COLUMNS = {**NARROW, "fc6": "FLOAT[84]", "fc7": "FLOAT[10]", "error": "VARCHAR"}
CON = duckdb.connect()
CON.execute(
    "CREATE TABLE o (id INTEGER, price DOUBLE, fc6 VARCHAR, label VARCHAR);"
    "CREATE TABLE b (id BIGINT, label VARCHAR); CREATE TABLE stock (id INTEGER, price DOUBLE)"
)


def columns_of(relation):
    try:
        rows = CON.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error:
        return None
    return {row[0]: row[1] for row in rows}


def of(text, *, one_row_each=True):
    """Return the needs of the calls of a statement; T stands for a TRANSFER."""
    (statement,) = parse.parse(text.replace("{T}", "TRANSFER(cnn => 'x')"))
    stand_in = StandIn(COLUMNS, frozenset(NARROW), one_row_each, "stock")
    return analyse(statement, [stand_in] * len(statement.calls), columns_of)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT id, FC6 FROM {T}", {"id", "fc6"}),
        ("SELECT t.fc6 FROM {T} AS t WHERE price < 3 ORDER BY \"NAME\"", {"fc6", "price", "name"}),
        ("SELECT * FROM {T}", {column.lower() for column in COLUMNS}),
        ("SELECT * EXCLUDE (fc6, error) FROM {T}", {"id", "price", "name", "tags", "fc7"}),
        ("SELECT count(*) FROM {T}", set()),
        ("SELECT id FROM (SELECT * FROM {T})", {"id"}),
        ("SELECT o.fc6 FROM {T} AS t JOIN o ON t.id = o.id", {"id"}),
        ("SELECT label FROM {T} AS t JOIN o USING (id)", {"id"}),
        ("SELECT id FROM (SELECT id, fc6 FROM {T} UNION ALL SELECT id, NULL FROM o)", {"id"}),
        ("SELECT id FROM (SELECT id, fc6 FROM {T} UNION SELECT id, NULL FROM o)", {"id", "fc6"}),
        ("INSERT INTO x SELECT fc6 FROM {T}", {"fc6"}),
        ("CREATE TABLE x AS SELECT fc6 FROM {T}", {"fc6"}),
        ("COPY (SELECT fc6 FROM {T}) TO 'x'", {"fc6"}),
        ("SELECT COLUMNS('f.*') FROM {T}", None),
        ("SELECT #1 FROM {T}", None),
        ("SELECT t FROM {T} AS t", None),
        ("SELECT label FROM {T} NATURAL JOIN o", {"id", "price", "fc6"}),
        ("SELECT id FROM {T} AS t(a, b)", None),
        ("SELECT fc6 FROM {T} JOIN unknown ON true", None),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT fc6 FROM {T}, r", None),
        ("UPDATE o SET price = 1 FROM {T} AS t", None),
    ],
)  # fmt: skip
def test_columns(text, columns):
    (found,) = of(text)
    assert found.columns == (None if columns is None else frozenset(columns))


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("SELECT fc6 FROM {T} WHERE price < 3 AND name = 'x'", ('"price" < 3', "\"Name\" = 'x'")),
        ("SELECT fc6 FROM {T} WHERE price < 3 OR fc6[1] > 0", ()),
        ("SELECT fc6 FROM {T} WHERE price < 3 AND fc6[1] > 0", ('"price" < 3',)),
        ("SELECT fc6 FROM {T} WHERE price < random()", ()),
        ("SELECT fc6 FROM {T} WHERE price < my_macro(3)", ()),
        ("SELECT fc6 FROM {T} WHERE price < getvariable('x')", ()),
        ("SELECT fc6 FROM {T} WHERE price < $1", ()),
        ("SELECT fc6 FROM {T} WHERE price < (SELECT max(price) FROM o)", ()),
        ("SELECT fc6 FROM {T} WHERE #1 < 3 AND COLUMNS('p.*') < 3 AND true", ()),
        ("SELECT -price AS price FROM {T} WHERE price < 3", ('"price" < 3',)),
        ("SELECT price * 2 AS p FROM {T} WHERE p < 3", ('("price" * 2) < 3',)),
        ("SELECT fc6 FROM (SELECT price AS p, fc6 FROM {T}) WHERE p < 3", ('"price" < 3',)),
        ("SELECT fc6 FROM (SELECT price * 2 AS p, fc6 FROM {T}) WHERE p < 3", ()),
        ("SELECT fc6 FROM (SELECT price, id AS price, fc6 FROM {T}) WHERE price < 3", ()),
        ("SELECT * FROM (SELECT id, price FROM {T}) AS s(price, id) WHERE price < 3", ('"id" < 3',)),
        ("SELECT fc6 FROM (SELECT * FROM {T} LIMIT 9) WHERE price < 3", ()),
        ("SELECT fc6 FROM (SELECT *, rank() OVER (ORDER BY id) AS r FROM {T}) WHERE price < 3", ()),
        ("SELECT fc6 FROM (SELECT DISTINCT * FROM {T}) WHERE price < 3", ('"price" < 3',)),
        ("SELECT n FROM (SELECT price, count(*) AS n FROM {T} GROUP BY price) WHERE price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o ON t.id = o.id AND t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id AND t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t LEFT JOIN o ON t.id = o.id AND t.price < 3", ()),
        ("SELECT t.fc6 FROM {T} AS t LEFT JOIN o ON t.id = o.id WHERE t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t RIGHT JOIN o ON t.id = o.id WHERE t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o ON t.id = o.id AND t.price < 3", ()),
        ("SELECT fc6 FROM {T} AS t ANTI JOIN o ON t.id = o.id AND t.price < 3", ()),
        ("SELECT t.fc6 FROM {T} AS t ASOF JOIN o ON t.price > o.price WHERE t.price < 3", ()),
        ("SELECT t.fc6 FROM {T} AS t POSITIONAL JOIN o WHERE t.price < 3", ()),
        ("SELECT t.fc6 FROM o LEFT JOIN ({T} AS t JOIN o AS p ON t.id = p.id) ON true WHERE t.price < 3", ()),
        ("SELECT fc6 FROM {T} USING SAMPLE 5 ROWS WHERE price < 3", ()),
        ("SELECT fc6 FROM {T} AS t TABLESAMPLE 5 ROWS WHERE price < 3", ()),
    ],
)  # fmt: skip
def test_predicates(text, predicates):
    (found,) = of(text)
    assert found.predicates == predicates


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
    found = of(text)[0]
    assert found.semi_joins == semi_joins
    assert all(
        columns_of(f"(SELECT * FROM stock AS __vista_row, (SELECT 'a' AS \"Name\") WHERE {s})")
        for s in semi_joins
    )


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("SELECT price, max(fc6[1]) FROM {T} GROUP BY price HAVING price < 3", ('"price" < 3',)),
        ("SELECT m FROM (SELECT price, id, max(fc6[1]) AS m FROM {T} GROUP BY price, id) WHERE price < 3", ('"price" < 3',)),
        ("SELECT fc6 FROM (SELECT DISTINCT price, fc6 FROM {T}) WHERE price < 3", ('"price" < 3',)),
        ("SELECT r FROM (SELECT price, rank() OVER (PARTITION BY price ORDER BY fc6[1]) AS r FROM {T}) WHERE price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t JOIN o USING (id) WHERE id > 3", ('"id" > 3',)),
        ("SELECT t.fc6 FROM {T} AS t LEFT JOIN o USING (id) WHERE id > 3", ('"id" > 3',)),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE t.price < 3", ('"price" < 3',)),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o ON t.id = o.id WHERE t.price IS NOT NULL", ('NOT "price" IS NULL',)),
        ("SELECT price, max(fc6[1]) FROM {T} GROUP BY price HAVING max(id) < 3", ()),
        ("SELECT price, max(fc6[1]) FROM {T} GROUP BY ROLLUP (price) HAVING price < 3", ()),
        ("SELECT m FROM (SELECT price, max(fc6[1]) AS m FROM {T} GROUP BY ROLLUP (price)) WHERE price < 3", ()),
        ("SELECT fc6 FROM (SELECT DISTINCT ON (id) id, price, fc6 FROM {T}) WHERE price < 3", ()),
        ("SELECT r FROM (SELECT price, rank() OVER (PARTITION BY id ORDER BY fc6[1]) AS r FROM {T}) WHERE price < 3", ()),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE t.price IS NULL", ()),
        ("SELECT t.fc6 FROM o LEFT JOIN {T} AS t ON t.id = o.id WHERE coalesce(t.price, 1) < 3", ()),
        ("SELECT t.fc6 FROM o RIGHT JOIN {T} AS t USING (id) WHERE id > 3", ()),
        ("SELECT t.fc6 FROM {T} AS t FULL JOIN o USING (id) WHERE id > 3", ()),
    ],
)  # fmt: skip
def test_conditions_that_pass_joins_and_groups(text, predicates):
    (found,) = of(text)
    assert found.predicates == predicates


@pytest.mark.parametrize(
    ("text", "limit", "order"),
    [
        ("SELECT fc6 FROM {T} LIMIT 3", 3, ()),
        ("SELECT fc6 FROM {T} LIMIT 3 OFFSET 2", 5, ()),
        ("SELECT fc6 FROM {T} WHERE price < 3 ORDER BY price DESC, id + 1 LIMIT 3", 3, ('"price" DESC', '"id" + 1')),
        ("SELECT fc6, -price AS price FROM {T} ORDER BY price LIMIT 3", 3, ('-"price"',)),
        ("SELECT fc6, price FROM {T} ORDER BY 2 LIMIT 3", 3, ('"price"',)),
        ("SELECT fc6 FROM (SELECT fc6, price AS p FROM {T}) ORDER BY p LIMIT 3", 3, ('"price"',)),
        ("WITH w AS (SELECT * FROM {T} WHERE id > 1) SELECT fc6 FROM w LIMIT 3", 3, ()),
        ("SELECT fc6 FROM {T} ORDER BY fc6 LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} ORDER BY ALL LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} ORDER BY random() LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} WHERE fc6[1] > 0 LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} WHERE #1 > 0 LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} LIMIT 30%", None, ()),
        ("SELECT fc6 FROM {T} LIMIT (1 + 2)", None, ()),
        ("SELECT DISTINCT id FROM {T} LIMIT 3", None, ()),
        ("SELECT max(id) FROM {T} LIMIT 3", None, ()),
        ("SELECT my_macro(id) FROM {T} LIMIT 3", None, ()),
        ("SELECT unnest(tags) FROM {T} LIMIT 3", None, ()),
        ("SELECT id FROM (SELECT id, unnest(tags) AS u FROM {T}) LIMIT 3", None, ()),
        ("SELECT id, count(*) OVER () FROM {T} LIMIT 3", None, ()),
        ("SELECT id FROM {T} QUALIFY rank() OVER (ORDER BY id) = 1 LIMIT 3", None, ()),
        ("SELECT id FROM {T} GROUP BY id LIMIT 3", None, ()),
        ("SELECT t.id FROM {T} AS t, o LIMIT 3", None, ()),
        ("SELECT id FROM {T} UNION ALL SELECT id FROM o LIMIT 3", None, ()),
        ("SELECT id FROM (SELECT * FROM {T} ORDER BY fc6) LIMIT 3", None, ()),
    ],
)  # fmt: skip
def test_limit(text, limit, order):
    (found,) = of(text)
    assert (found.limit, found.order) == (limit, order)
    (skipping,) = of(text, one_row_each=False)
    assert skipping.limit is None


FIRST = 'ROW_NUMBER() OVER (PARTITION BY "Name" ORDER BY "price") <= 1'
RN = "row_number() OVER (PARTITION BY name ORDER BY price)"


@pytest.mark.parametrize(
    ("text", "qualify"),
    [
        (f"SELECT fc6 FROM {{T}} QUALIFY {RN} = 1", FIRST),
        (f"SELECT fc6, {RN} AS r FROM {{T}} WHERE id > 3 QUALIFY r < 2 LIMIT 5", FIRST),
        (f"SELECT fc6 FROM (SELECT *, {RN} AS r FROM {{T}}) WHERE r = 1", FIRST),
        (f"WITH x AS (SELECT fc6, {RN} AS r FROM {{T}}) SELECT x.fc6 FROM x JOIN o ON o.price < x.fc6[1] AND x.r <= 1", FIRST),
        ("SELECT fc6 FROM {T} QUALIFY rank() OVER (ORDER BY price DESC) <= 3", 'RANK() OVER (ORDER BY "price" DESC) <= 3'),
        (f"SELECT fc6 FROM {{T}} QUALIFY {RN} = 2", None),
        (f"SELECT fc6 FROM {{T}} QUALIFY {RN} >= 1", None),
        (f"SELECT fc6 FROM {{T}} WHERE fc6[1] > 0 QUALIFY {RN} = 1", None),
        (f"SELECT fc6, count(*) OVER () AS n FROM {{T}} QUALIFY {RN} = 1", None),
        (f"SELECT name, count(*) AS n FROM {{T}} GROUP BY name, price QUALIFY {RN} = 1", None),
        (f"SELECT t.fc6, unnest(tags) FROM {{T}} AS t QUALIFY {RN} = 1", None),
        ("SELECT fc6 FROM {T} QUALIFY row_number() OVER (PARTITION BY name ORDER BY fc6) = 1", None),
        ("SELECT fc6 FROM {T} QUALIFY row_number() OVER (ORDER BY random()) = 1", None),
        ("SELECT fc6 FROM {T} QUALIFY ntile(3) OVER (ORDER BY price) = 1", None),
        (f"SELECT t.fc6 FROM {{T}} AS t JOIN o ON t.id = o.id QUALIFY {RN.replace('price', 't.price')} = 1", None),
        (f"SELECT fc6 FROM (SELECT *, {RN} AS r FROM {{T}}) TABLESAMPLE 5 ROWS WHERE r = 1", None),
        (f"SELECT o.label FROM o LEFT JOIN (SELECT *, {RN} AS r FROM {{T}}) AS x ON x.id = o.id WHERE x.r = 1 OR x.r IS NULL", None),
    ],
)  # fmt: skip
def test_ranks(text, qualify):
    (found,) = of(text)
    assert found.qualify == qualify
    (skipping,) = of(text, one_row_each=False)
    assert skipping.qualify is None


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("SELECT fc6 FROM {T} USING SAMPLE 10%", "TABLESAMPLE BERNOULLI(10 PERCENT)"),
        ("SELECT fc6 FROM {T} AS t TABLESAMPLE 10%", "TABLESAMPLE BERNOULLI(10 PERCENT)"),
        ("SELECT fc6 FROM {T} USING SAMPLE 10% (system, 7)", "TABLESAMPLE BERNOULLI(10 PERCENT) REPEATABLE (7)"),
        ("SELECT fc6 FROM {T} USING SAMPLE 10", None),
        ("SELECT fc6 FROM {T} AS t, o USING SAMPLE 10%", None),
        ("SELECT fc6 FROM (SELECT * FROM {T}) USING SAMPLE 10%", None),
        ("SELECT max(fc6) FROM {T} USING SAMPLE 10%", None),
    ],
)  # fmt: skip
def test_sample(text, sample):
    (found,) = of(text)
    assert found.sample == sample


def test_each_call_has_its_own_needs():
    first, second = of("SELECT a.fc6 FROM {T} AS a JOIN {T} AS b ON a.id = b.id WHERE b.price < 3")
    assert (first.columns, first.predicates) == ({"fc6", "id"}, ())
    assert (second.columns, second.predicates) == ({"price", "id"}, ('"price" < 3',))


def test_a_cte_read_twice_needs_what_both_read():
    (found,) = of(
        "WITH t AS (SELECT * FROM {T}) SELECT a.fc6 FROM t AS a, t AS b WHERE a.price < 3 AND b.id < 3"
    )
    assert (found.columns, found.predicates) == ({"fc6", "price", "id"}, ())


def test_columns_that_differ_only_in_unusual_letters_are_not_guessed_at():
    (statement,) = parse.parse("SELECT fc6 FROM TRANSFER(cnn => 'x')")
    stand_in = StandIn(
        {"É": "INTEGER", "é": "INTEGER", "fc6": "FLOAT[3]"}, frozenset({"É", "é"}), True
    )
    assert analyse(statement, [stand_in], columns_of) == (EVERYTHING,)
