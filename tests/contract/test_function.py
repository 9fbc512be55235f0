"""What holds for every SQL function; a new one is found and checked without an edit here."""

from __future__ import annotations

import duckdb
import pytest

import vista_sql
from vista_sql.errors import ArgumentError, Place, UnknownNameError
from vista_sql.sql import calls
from vista_sql.sql.calls import Call

every_function = pytest.mark.parametrize("name", calls.names())


@pytest.fixture(scope="module")
def attached():
    with duckdb.connect() as con:
        vista_sql.attach(con)
        yield con


@every_function
def test_facts_fit_together(name):
    function = calls.load(name)
    names = [argument.name for argument in function.arguments]
    assert function.name == name == name.lower()
    assert function.meaning
    assert len(set(names)) == len(names)
    for argument in function.arguments:
        assert argument.name.isidentifier()
        assert argument.name.islower()
        assert argument.meaning
        assert argument.kind.words
        assert not (argument.required and argument.default is not None)
        assert (argument.read(None) is None) == (argument.default is None)


@every_function
def test_call_is_checked_before_it_is_expanded(name):
    function = calls.load(name)
    with pytest.raises(UnknownNameError, match="no_such_thing"):
        Call(name, {"no_such_thing": 1}, {}).checked()
    for argument in function.arguments:
        if argument.required:
            with pytest.raises(ArgumentError, match=r" needs \w+ => …: "):
                Call(name, {argument.name: None}, {}).checked()


@every_function
def test_every_argument_refuses_what_is_none_of_its_kind(name):
    for argument in calls.load(name).arguments:
        place = Place(f"{argument.name} => …", 0, 1)
        with pytest.raises((ArgumentError, UnknownNameError), match=argument.name) as caught:
            Call(name, {argument.name: [[]]}, {argument.name: place}).get(argument.name)
        assert caught.value.place == place


@every_function
def test_bare_connections_have_it_with_all_its_arguments(name, attached):
    found = attached.execute(
        "SELECT parameters FROM duckdb_functions() WHERE function_name = ? AND function_type = ?",
        [name, "table_macro"],
    ).fetchall()
    # a macro needs a parameter, or DuckDB would plan the call as soon as it is made
    assert found == [([argument.name for argument in calls.load(name).arguments] or ["_"],)]


@every_function
def test_any_case_is_the_same_function(name):
    assert calls.load(name.upper()) is calls.load(name)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in calls.names()
        if not any(a.required or a.name == "data" for a in calls.load(n).arguments)
    ],
)
def test_what_needs_no_argument_answers_everywhere(name, attached, tmp_path):
    statement = f"SELECT * FROM {name.upper()}()"
    attached.execute("SET VARIABLE vista_home = ?", [str(tmp_path)])
    there = attached.sql(statement)
    with vista_sql.connect() as db:
        here = db.query(statement)
        assert (here.columns, here.types) == (there.columns, list(map(str, there.types)))
        assert here.fetchall() == there.fetchall()
