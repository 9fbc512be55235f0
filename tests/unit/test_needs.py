"""What a statement needs of TRANSFER, read off its text; nothing runs."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import pytest
from needed import COLUMNS, columns_of, needs_of, stand_in, statement_of

from vista_sql.sql import limits, needs, resolve, source
from vista_sql.sql.needs import EVERYTHING, analyse
from vista_sql.sql.resolve import StandIn


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
    (found,) = needs_of(text)
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
    (found,) = needs_of(text)
    assert found.predicates == predicates


def test_each_call_has_its_own_needs():
    first, second = needs_of(
        "SELECT a.fc6 FROM {T} AS a JOIN {T} AS b ON a.id = b.id WHERE b.price < 3"
    )
    assert (first.columns, first.predicates) == ({"fc6", "id"}, ())
    assert (second.columns, second.predicates) == ({"price", "id"}, ('"price" < 3',))


def test_a_cte_read_twice_needs_what_both_read():
    (found,) = needs_of(
        "WITH t AS (SELECT * FROM {T}) SELECT a.fc6 FROM t AS a, t AS b WHERE a.price < 3 AND b.id < 3"
    )
    assert (found.columns, found.predicates) == ({"fc6", "price", "id"}, ())


def test_columns_that_differ_only_in_unusual_letters_are_not_guessed_at():
    statement = statement_of("SELECT fc6 FROM {T}")
    odd = StandIn({"É": "INTEGER", "é": "INTEGER", "fc6": "FLOAT[3]"}, frozenset({"É", "é"}), True)
    assert analyse(statement, [odd], columns_of) == (EVERYTHING,)


def test_a_call_of_unknown_columns_makes_all_needs_unknown():
    statement = statement_of("SELECT a.fc6 FROM {T} AS a JOIN {T} AS b USING (id)")
    assert analyse(statement, [stand_in(), None], columns_of) == (EVERYTHING, EVERYTHING)


SELECT = (
    "SELECT t.fc6 FROM {T} AS t SEMI JOIN o USING (id) WHERE t.price < 3 ORDER BY t.price LIMIT 3"
)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (resolve, "_stand_in"),
        (source, "select_facts"),
        (needs, "narrow_relations"),
        (needs, "_conditions"),
        (limits, "_limited"),
    ],
)
@pytest.mark.parametrize("kind", [KeyError, AttributeError, TypeError])
def test_an_error_of_ours_is_raised(module, name, kind, monkeypatch):
    monkeypatch.setattr(module, name, fails(kind))
    with pytest.raises(kind):
        needs_of(SELECT)


@pytest.mark.parametrize(
    ("module", "name"),
    [(resolve, "qualify"), (source, "pushdown_projections"), (source, "traverse_scope")],
)
@pytest.mark.parametrize("kind", [KeyError, RecursionError, AssertionError])
def test_what_sqlglot_raises_makes_needs_unknown(module, name, kind, monkeypatch):
    assert needs_of(SELECT) != (EVERYTHING,)
    monkeypatch.setattr(module, name, fails(kind))
    assert needs_of(SELECT) == (EVERYTHING,)


def fails(kind):
    def fail(*_args, **_kwargs):
        raise kind("told by a test")

    return fail
