"""What the parser finds of our calls: values, places, statements, relations' texts."""

from __future__ import annotations

import pytest

from vista_sql.errors import ArgumentError, QueryError
from vista_sql.sql import parse
from vista_sql.sql.parse import Unresolved


def values(arguments):
    ((found,),) = (s.calls for s in parse.parse(f"SELECT * FROM TRANSFER({arguments})"))
    return dict(found.call.values)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'resnet50'", "resnet50"),
        ("$$resnet50$$", "resnet50"),
        ("$a$it's$a$", "it's"),
        ("'it''s'", "it's"),
        ("resnet50", "resnet50"),
        ("NULL", None),
        ("true", True),
        ("3", 3),
        ("-3", -3),
        ("2.5", 2.5),
        ("1e3", 1000.0),
        ("['a', 'b']", ["a", "b"]),
        ("[-1, -2]", [-1, -2]),
        ("[]", []),
        ("getvariable('x')", Unresolved("GETVARIABLE('x')")),
        ("$1", Unresolved("$1")),
        ("['a', $name]", Unresolved("['a', $name]")),
        ("'a' || 'b'", Unresolved("'a' || 'b'")),
    ],
)
@pytest.mark.parametrize("arrow", ["=>", ":="])
def test_argument_values(written, value, arrow):
    assert values(f"CNN {arrow} {written}") == {"cnn": value}


@pytest.mark.parametrize("written", [5, None, b"SELECT 1"])
def test_a_statement_is_text(written):
    with pytest.raises(QueryError, match="a statement must be text, not "):
        parse.parse(written)


def test_relations_may_be_bare_names_with_a_schema():
    found = values('images => my."Odd Name", structured => Foods')
    assert found == {"images": 'my."Odd Name"', "structured": "Foods"}


def test_positions_follow_the_functions_arguments():
    assert values("'a', ['b'], 'c'") == {"cnn": "a", "layers": ["b"], "images": "c"}


def test_an_equals_sign_is_refused_with_its_place():
    with pytest.raises(ArgumentError, match="write cnn => …") as caught:
        parse.parse("SELECT 1;\nSELECT * FROM TRANSFER(cnn = 'x')")
    assert str(caught.value).endswith("^^^")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("SELECT 1; INSERT INTO t VALUES (';'); -- end", ["select", "write"]),
        ("FROM t; (SELECT 1); WITH a AS (SELECT 1) FROM a", ["select"] * 3),
        ("CREATE VIEW v AS SELECT 1; CREATE TABLE t AS SELECT 1", ["other", "write"]),
        ("COPY t TO 'x'; BEGIN; SET a = 1; PRAGMA x", ["write", "other", "other", "other"]),
        ("-- nothing", []),
        (";;", []),
    ],
)
def test_statements_and_their_kinds(text, kinds):
    assert [statement.kind for statement in parse.parse(text)] == kinds


def test_text_that_sqlglot_cannot_read_is_left_to_duckdb():
    (statement,) = parse.parse("SELECT 1 FROM 'unclosed")
    assert statement.calls == ()


def test_a_call_is_known_by_its_place():
    text = "SELECT ')' FROM Transfer ( cnn => 'a)', layers => [')'] ) AS t, TRANSFER('b')"
    first, second = parse.parse(text)[0].calls
    assert text[first.start : first.end] == "Transfer ( cnn => 'a)', layers => [')'] )"
    assert text[second.start : second.end] == "TRANSFER('b')"
    assert (first.has_alias, second.has_alias) == (True, False)


def test_only_visible_ctes_are_seen():
    text = (
        "WITH a AS (SELECT 1), b AS (SELECT * FROM TRANSFER('x')), c AS (SELECT 3) "
        "SELECT * FROM (WITH d AS (SELECT 4) SELECT * FROM TRANSFER('y')) JOIN TRANSFER('z')"
    )
    calls = parse.parse(text)[0].calls
    names = {
        found.call.values["cnn"]: [cte.split(" ")[0] for cte, _ in parse.visible_ctes(found)]
        for found in calls
    }
    assert names == {"x": ["a"], "y": ["a", "b", "c", "d"], "z": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("foods", "foods"),
        (" Foods ; ", "Foods"),
        ('my."odd name" -- comment', 'my."odd name"'),
        ("SELECT 1 AS id -- ends", "(SELECT 1 AS id)"),
        ("(SELECT 1 AS id);", "(SELECT 1 AS id)"),
        ("FROM foods", "(SELECT * FROM foods)"),
        ("SELECT ';--' AS a", "(SELECT ';--' AS a)"),
        ("read_csv('a.csv')", "(SELECT * FROM READ_CSV('a.csv'))"),
        ("'a.parquet'", '(SELECT * FROM "a.parquet")'),
        ("VALUES (1)", "(SELECT * FROM (VALUES (1)))"),
    ],
)
def test_relations_are_printed_again(text, cleaned):
    assert parse.clean_relation(text) == cleaned


@pytest.mark.parametrize(
    "text", ["", "  ", "a b c d", "DROP TABLE x", "a; b", "SELECT 1; SELECT 2", "1 +"]
)
def test_texts_that_are_no_relation(text):
    with pytest.raises(QueryError):
        parse.clean_relation(text)


@pytest.mark.parametrize(
    ("text", "marked", "message"),
    [
        ("SELECT transfer(1)", "transfer", "is a table function"),
        ("SELECT * FROM vista_tarin()", "vista_tarin", "VISTA_TRAIN"),
        ("SELECT * FROM TRANSFER('a', cnn => 'b')", "'b'", "is given twice"),
        ("SELECT * FROM TRANSFER(layers => (SELECT 1))", "1", "cannot be a sub-query"),
        ("SELECT * FROM TRANSFER(images => (SELECT 2))", "2", "takes a query as text"),
    ],
)
def test_what_no_host_accepts_is_told_with_its_place(text, marked, message):
    with pytest.raises(QueryError) as caught:
        parse.parse(text)
    assert message.lower() in str(caught.value).lower()
    place = caught.value.place
    assert place.text[place.start : place.end] == marked


@pytest.mark.parametrize(
    ("text", "parameters"),
    [("SELECT 1", set()), ("SELECT $1 + $ab, '$3', \"$4\"", {"1", "ab"}), ("SELECT ? + $1", None)],
)
def test_parameters(text, parameters):
    assert parse.parameters(text) == parameters


@pytest.mark.parametrize(
    ("name", "argument", "marked"),
    [
        ("fc6", "", "'fc6'"),
        ("FC6", "layers", "'fc6'"),
        ("fc6", "images", "fc6"),
        ("c6", "", None),
        ("fc6", "cnn", None),
    ],
)
def test_places_of_names_in_values(name, argument, marked):
    text = "FROM TRANSFER('lenet5', layers => ['fc66', 'fc6'], images => '(SELECT fc6 FROM i)')"
    (statement,) = parse.parse(text)
    place = parse.value_place(statement, name, argument)
    assert (place and text[place.start : place.end]) == marked


def test_tables_are_those_of_calls_too():
    (statement,) = parse.parse(
        "WITH w AS (FROM a) SELECT * FROM w, s.b, TRANSFER('x', images => 'c', "
        "structured => '(SELECT * FROM d JOIN a USING (id))')"
    )
    assert parse.table_names(statement) == ["w", "a", "c", "d"]


@pytest.mark.parametrize("text", ["a//b c", "SELECT 1 +", "x/y z.png", "SELECT FROM WHERE"])
def test_what_is_no_relation_is_told_without_the_parsers_own_names(text):
    with pytest.raises(QueryError, match="is neither a table's name nor a query") as caught:
        parse.clean_relation(text)
    assert "sqlglot" not in str(caught.value)
    assert "<class" not in str(caught.value)
