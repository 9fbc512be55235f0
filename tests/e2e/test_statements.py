"""A statement over TRANSFER gives what it gives over the table of TRANSFER's whole result."""

from __future__ import annotations

from pathlib import Path

import foods
import pytest

FOLDER = Path(__file__).with_name("statements")
STATEMENTS = FOLDER.joinpath("statements.sql").read_text().splitlines()
PREDICATES = FOLDER.joinpath("predicates.sql").read_text().splitlines()


def over_table(db, text):
    with foods.arrays_in_outer_joins():
        return foods.sorted_rows(db.con.sql(text.replace("{T}", "transfer")).fetchall())


def over_transfer(db, text):
    with foods.arrays_in_outer_joins():
        return foods.sorted_rows(db.query(text.replace("{T}", foods.CALL)).fetchall())


@pytest.mark.parametrize("text", STATEMENTS)
def test_statement_planned_whole(foods_db, text):
    assert over_transfer(foods_db, text) == over_table(foods_db, text)


@pytest.mark.parametrize("text", STATEMENTS)
def test_statement_on_a_bare_connection(foods_db, text):
    if "transfer." in text:
        pytest.skip("a macro without an alias has no name there")
    with foods.arrays_in_outer_joins():
        found = foods_db.con.sql(text.replace("{T}", foods.CALL)).fetchall()
    assert foods.sorted_rows(found) == over_table(foods_db, text)


@pytest.mark.parametrize("predicate", PREDICATES)
def test_predicate(foods_db, predicate):
    text = f"SELECT id, price, name FROM {{T}} WHERE {predicate}"
    assert over_transfer(foods_db, text) == over_table(foods_db, text)


@pytest.mark.full
@pytest.mark.parametrize("predicate", PREDICATES)
def test_predicate_below_top_n_with_features(foods_db, predicate):
    text = (
        f"SELECT id, price, name, f6 FROM {{T}} WHERE {predicate} ORDER BY price, name, f6 LIMIT 2"
    )
    assert over_transfer(foods_db, text) == over_table(foods_db, text)


@pytest.mark.parametrize(
    "clause",
    [
        "ORDER BY price, name, f6",
        "ORDER BY price DESC, name, f6 LIMIT 5",
        "ORDER BY f6 NULLS FIRST, name",
    ],
)
def test_order_is_kept(foods_db, clause):
    text = f"SELECT id, price, name FROM {{T}} {clause}"
    ours = foods_db.query(text.replace("{T}", foods.CALL)).fetchall()
    assert ours == foods_db.con.sql(text.replace("{T}", "transfer")).fetchall()


@pytest.mark.parametrize("where", ["", "WHERE price > 3"])
@pytest.mark.parametrize("sample", ["USING SAMPLE 50%", "TABLESAMPLE BERNOULLI(50 PERCENT)"])
@pytest.mark.parametrize("placement", ["after", "before"])
def test_a_percentage_sample_keeps_some_rows_and_not_others(foods_db, where, sample, placement):
    call = foods.CALL.replace("layers", f"placement => '{placement}', layers")
    counts = set()
    for _ in range(12):
        text = f"SELECT name, f6 FROM {call} t {sample} {where}"
        if sample.startswith("USING"):
            text = f"SELECT name, f6 FROM {call} t {where} {sample}"
        counts.add(len(foods_db.query(text)))
    assert len(counts) > 1
    assert max(counts) <= 14


def test_limit_below_inference_returns_rows_of_the_statement(foods_db):
    whole = over_table(foods_db, "SELECT name, f6 FROM {T} WHERE price > 2")
    some = over_transfer(foods_db, "SELECT name, f6 FROM {T} WHERE price > 2 LIMIT 4 OFFSET 1")
    assert len(some) == 4
    assert set(some) <= set(whole)
