"""Names and values as SQL text: DuckDB reads back what was written."""

from __future__ import annotations

import math

import duckdb
import pytest

from vista_sql.sql.quoting import identifier, literal, text_literal, values_table


@pytest.mark.parametrize("name", ["a", "Odd Name", 'with "quotes"', "select", "ü;--"])
def test_names_come_back(name):
    assert duckdb.sql(f"SELECT 1 AS {identifier(name)}").columns == [name]


@pytest.mark.parametrize("text", ["", "it's", "a\nb", "';--", "$1", "\\"])
def test_texts_come_back(text):
    assert duckdb.sql(f"SELECT {text_literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize(
    "value",
    [None, True, False, 7, -(2**40), 1e300, math.inf, "it's", [1, 2], ["a", None], {"k": [1]}],
)
def test_values_come_back(value):
    ((found,),) = duckdb.sql(f"SELECT {literal(value)}").fetchall()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [0.1, -2.5, 1 / 3, 5e-324])
def test_numbers_lose_nothing(value):
    """DuckDB reads 0.1 as a decimal, which a column of doubles takes exactly."""
    assert duckdb.sql(f"SELECT CAST({literal(value)} AS DOUBLE)").fetchall() == [(value,)]


def test_not_a_number_comes_back():
    ((found,),) = duckdb.sql(f"SELECT {literal(math.nan)}").fetchall()
    assert math.isnan(found)


@pytest.mark.parametrize("rows", [[], [[1, "a"]], [[1, "it's"], [None, None]]])
def test_rows_come_back_with_their_types(rows):
    found = duckdb.sql(values_table({"n": "SMALLINT", "The text": "VARCHAR"}, rows))
    assert found.columns == ["n", "The text"]
    assert [str(kind) for kind in found.types] == ["SMALLINT", "VARCHAR"]
    assert found.fetchall() == [tuple(row) for row in rows]
