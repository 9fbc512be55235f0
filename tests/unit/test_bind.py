"""A TRANSFER call → its workload: relations, values and the store, each error at its place."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from vista_sql.errors import ArgumentError, Place, QueryError, UnknownNameError
from vista_sql.planning.bind import columns_of, located, resolved, store_of, workload_of
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.database import Naming, Unseen
from vista_sql.planning.workload import Relation
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call
from vista_sql.sql.parse import Unresolved

TABLES = {
    "photos": {"nr": "INTEGER", "image": "BLOB"},
    "foods": {"id": "INTEGER", "price": "DOUBLE"},
}


class Foods(Unseen):
    """A database of two tables."""

    def columns(self, query):
        name = query.removeprefix("SELECT * FROM ").strip('"')
        if name not in TABLES:
            raise QueryError(f"Table with name {name} does not exist")
        return TABLES[name]

    def tables(self):
        return tuple(TABLES)

    def value(self, expression):
        if expression == "$1":
            return "lenet5"
        raise QueryError("no such value")


def context(**variables):
    host = Capabilities()
    return Context(
        Settings({"vista_store": False, **variables}, {}), "home", host, FreshNames("salt")
    )


@dataclass
class Nested:
    """Relations as they are."""

    database: Naming = field(default_factory=lambda: Naming(Foods(), ()))
    context: Context = field(default_factory=context)

    @property
    def seen(self):
        return self.database

    def subquery(self, text, call, argument):
        return Relation(text, is_computed=text.startswith("("))


def transfer(**values):
    places = {name: Place("text", i, i + 1) for i, name in enumerate(["", *values])}
    return Call("transfer", {"cnn": "lenet5", "images": "photos", "key": "nr", **values}, places)


def test_relations_have_their_columns():
    work = workload_of(transfer(structured="foods", key=["id", "nr"]), Nested())
    assert work.images == Relation("photos", TABLES["photos"])
    assert work.structured == Relation("foods", TABLES["foods"])
    assert (work.structured_key, work.image_key, work.image_column) == ("id", "nr", "image")


def test_what_cannot_be_seen_is_left_open():
    nested = Nested(Naming(Unseen(lambda name: TABLES.get(name)), ()))
    work = workload_of(transfer(), nested)
    assert work.images.columns is None
    assert work.image_column == "image"  # glimpsed
    hidden = workload_of(transfer(structured="foods", key=["id", "nr"]), nested)
    assert hidden.image_column is None


def test_a_missing_table_is_named_with_those_there_are():
    with pytest.raises(UnknownNameError) as raised:
        workload_of(transfer(images="fotos"), Nested())
    assert raised.value.known == ("photos", "foods")
    assert raised.value.place is not None
    with pytest.raises(QueryError):
        columns_of("(SELECT 1)", Foods())


def test_a_relation_is_text():
    with pytest.raises(ArgumentError, match="images must be a relation as text"):
        workload_of(transfer(images=3), Nested())


def test_values_of_parameters_take_their_places():
    call = transfer(cnn=Unresolved("$1"))
    assert resolved(call, Foods()).values["cnn"] == "lenet5"
    with pytest.raises(ArgumentError, match="cnn: no such value") as raised:
        resolved(transfer(cnn=Unresolved("$2")), Foods())
    assert raised.value.place == call.places["cnn"]
    with pytest.raises(ArgumentError, match="number the statement's parameters"):
        resolved(transfer(cnn=Unresolved("?")), Foods())


def test_errors_without_a_place_get_that_of_their_argument():
    call = transfer(plan="fast")
    with pytest.raises(UnknownNameError) as raised, located(call):
        raise UnknownNameError("plan", "fast", ("lazy",))
    assert raised.value.place == call.places["plan"]
    with pytest.raises(QueryError) as raised, located(call):
        raise QueryError("something else")
    assert raised.value.place == call.places[""]
    own = Place("other", 0, 1)
    with pytest.raises(QueryError) as raised, located(call):
        raise QueryError("it knows its place", own)
    assert raised.value.place == own


def test_the_store_is_the_calls_own_or_the_sessions(tmp_path):
    folder = str(tmp_path)
    assert store_of(transfer(), context()).folder == ""
    assert store_of(transfer(), context(vista_store=folder)).folder == folder
    assert store_of(transfer(store=folder), context()).folder == folder
    with pytest.raises(ArgumentError):
        store_of(transfer(store=3), context())
