"""Statement → Script: every step in its order, with a database that answers and without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from vista_sql.errors import ArgumentError, QueryError, UnknownNameError
from vista_sql.kernels import AtHand
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.database import Unseen
from vista_sql.planning.planner import plan, plan_call
from vista_sql.settings import Settings
from vista_sql.sql.parse import parse

TABLES = {
    "photos": {"id": "INTEGER", "image": "BLOB"},
    "foods": {"id": "INTEGER", "price": "DOUBLE"},
}
T = "TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], images => 'photos'"


@dataclass
class Foods:
    """A database of two tables; keeps what it is asked."""

    asked: list[str] = field(default_factory=list)

    def columns(self, query: str) -> Mapping[str, str] | None:
        self.asked.append(query)
        name = query.rpartition("SELECT * FROM ")[2].strip()
        if name in TABLES:
            return TABLES[name]
        if name.startswith("("):
            return {"id": "INTEGER", "n": "BIGINT"}
        raise QueryError(f"Table with name {name} does not exist")

    def glimpse(self, relation):
        raise AssertionError("columns are known")

    def tables(self):
        return tuple(TABLES)

    def value(self, expression):
        return {"GETVARIABLE('net')": "lenet5", "$1": 7}[expression]

    def counts(self, query):
        self.asked.append(query)
        return (100.0, 100.0, 50_000.0) if "octet_length" in query else (10.0, 10.0, 9.0)

    def images_at_hand(self, query, schemes):
        self.asked.append(query)
        return AtHand()

    def image_digests(self, query, schemes):
        self.asked.append(query)
        return ()

    def views(self):
        return {}

    def has_usual_order(self):
        return True

    def has_collations(self):
        return False

    def plan(self, query):
        raise QueryError("no plan")


def context(*, small_batches=True, sink="rows", variables=None, runs=None):
    open_run = (lambda plan: "") if runs is None else (lambda plan: runs.append(plan) or "run")
    return Context(
        Settings({"vista_store": False, **(variables or {})}, {}),
        "home",
        Capabilities(small_batches=small_batches, sink=sink),
        FreshNames("salt"),
        open_run=open_run,
    )


def script(text, database=None, **given):
    (statement,) = parse(text)
    return plan(statement, database or Foods(), context(**given))


def test_the_steps_meet_in_the_text():
    runs = []
    made = script(f"SELECT f6 FROM {T}, structured => 'foods') WHERE price < 10", runs=runs)
    (transfer,) = made.transfers
    assert [tap.column for tap in transfer.workload.used_taps] == ["f6"]  # needs
    assert transfer.workload.facts.rows == 10  # facts
    assert transfer.plan.name == "fused/after"  # choose
    assert '"price" < 10' in transfer.staged.rows  # rewrite
    assert transfer.text in made.text  # splice
    assert made.text.startswith("SELECT f6 FROM (\n")
    assert runs == ["fused/after"]


def test_rows_are_apart_where_the_host_hands_them_out():
    apart = script(f"SELECT f6 FROM {T})")
    whole = script(f"SELECT f6 FROM {T})", small_batches=False)
    assert [t.is_apart for t in (*apart.transfers, *whole.transfers)] == [True, False]
    (name,) = (t.staged.rows_name for t in apart.apart)
    assert name in apart.text
    assert whole.relations == ()
    assert apart.relations[0][0].startswith(f"{name} AS (")


def test_a_statement_that_uses_no_layer_stages_nothing():
    made = script(f"SELECT id FROM {T})")
    assert made.apart == ()
    assert "vista_infer" not in made.text


def test_calls_keep_their_order_and_their_places():
    made = script(f"SELECT * FROM {T}) AS a, {T}, prefix => 'b_') AS b")
    assert [t.workload.prefix for t in made.transfers] == ["", "b_"]
    assert made.text.index(") AS a") < made.text.index(") AS b")


def test_what_stands_inside_of_a_call_is_planned_first():
    made = script(
        "SELECT x_f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'photos', "
        f"structured => $$SELECT id, conv3 FROM {T})$$, prefix => 'x_')"
    )
    (outer,) = made.transfers
    assert outer.workload.structured.is_computed
    assert outer.workload.facts.rows is None  # to count them would infer
    assert "vista_infer_1" in outer.staged.rows


def test_equal_statements_get_equal_texts_and_names_are_not_theirs_alone():
    one, other = (script(f"SELECT f6 FROM {T})") for _ in range(2))
    assert one.text == other.text
    names = {t.staged.rows_name for t in script(f"SELECT f6 FROM {T}) AS a, {T}) AS b").transfers}
    assert len(names) == 2


def test_variables_and_parameters_are_values():
    made = script("SELECT f6 FROM TRANSFER(cnn => getvariable('net'), layers => ['f6'], "
                  "images => 'photos', batch_rows => $1)")  # fmt: skip
    assert made.transfers[0].plan.chosen.batch_rows == 7
    with pytest.raises(ArgumentError, match="number the statement's parameters"):
        script("SELECT f6 FROM TRANSFER(cnn => ?, images => 'photos')")


@pytest.mark.parametrize(
    ("arguments", "error", "place"),
    [
        ("cnn => 'lenet', images => 'photos'", UnknownNameError, "lenet"),
        ("cnn => 'lenet5', images => 'fotos'", UnknownNameError, "fotos"),
        ("cnn => 'lenet5', images => 'photos', key => 'nr'", UnknownNameError, "nr"),
        ("cnn => 'lenet5', images => 'photos', plan => 'fast'", UnknownNameError, "fast"),
        ("cnn => 'lenet5', images => 'photos', threads => -1", ArgumentError, "1"),
        ("cnn => 'lenet5', images => 'SELECT 1; SELECT 2'", ArgumentError, "SELECT 1; SELECT 2"),
    ],
)
def test_errors_stand_at_their_places(arguments, error, place):
    text = f"SELECT * FROM TRANSFER({arguments})"
    with pytest.raises(error) as raised:
        script(text)
    at = raised.value.place
    assert text[at.start : at.end].strip("'-") == place


def test_a_sample_moves_below_inference_and_leaves_its_place():
    made = script(f"SELECT f6 FROM {T}) USING SAMPLE 10 PERCENT (bernoulli)")
    if made.transfers[0].workload.needs.sample is None:
        assert "SAMPLE" in made.text
    else:
        assert "SAMPLE" in made.transfers[0].staged.rows
        assert "SAMPLE" not in made.text


def test_a_parquet_file_gets_row_groups_that_fit():
    text = f"COPY (SELECT f6 FROM {T})) TO 'f.parquet'"
    assert "ROW_GROUP_SIZE" in script(text, sink="parquet").text
    assert "ROW_GROUP_SIZE" not in script(text).text


def test_without_a_database_everything_is_needed_and_nothing_is_asked():
    made = script(
        f"SELECT f6 FROM {T}, structured => 'foods') WHERE price < 10",
        Unseen(),
        small_batches=False,
    )
    (transfer,) = made.transfers
    assert transfer.workload.needs.columns is None
    assert transfer.workload.facts.rows is None
    assert "WHERE price < 10" in made.text
    assert "COLUMNS(lambda" in made.text  # the database's binder finds the narrow columns


def test_a_call_alone_is_the_statement_of_all_its_columns():
    (statement,) = parse(f"SELECT * FROM {T})")
    alone = plan_call(statement.calls[0].call, Unseen(), context(small_batches=False))
    whole = plan(statement, Unseen(), context(small_batches=False))
    assert f'SELECT * FROM (\n{alone.text}\n) AS "transfer"' == whole.text


def test_values_that_only_the_statement_knows_are_refused_without_a_database():
    with pytest.raises(ArgumentError, match="write the value itself"):
        script("SELECT * FROM TRANSFER(cnn => $1, images => 'photos')", Unseen())
