"""A call of a SQL function: its arguments read by their kinds, its errors at their places."""

from __future__ import annotations

import pytest

from vista_sql.errors import ArgumentError, Place, PlanError, QueryError, UnknownNameError
from vista_sql.sql import calls
from vista_sql.sql.calls import Call

TEXT = "VISTA_TRAIN(model => 'm', reg => 'x')"
WHOLE, REG = Place(TEXT, 0, 11), Place(TEXT, 33, 36)
PLACES = {"": WHOLE, "reg": REG}


def train(**values):
    return Call("vista_train", {"model": "m", "label": "y", "data": "t", **values}, PLACES)


def test_arguments_are_read_by_their_kinds_and_defaults_too():
    call = train(reg=[1, 2], exclude="a", standardize=None)
    assert call.checked() == call
    assert call.get("reg") == (1.0, 2.0)
    assert call.get("exclude") == ("a",)
    assert call.get("standardize") is True
    assert call.get("tolerance") == 1e-5
    assert call.get("split_by") is None
    assert train().get("reg") == (0.01,)


@pytest.mark.parametrize("ask", [Call.checked, lambda call: call.get("reg")])
def test_a_value_that_cannot_be_is_refused_at_its_place(ask):
    with pytest.raises(ArgumentError, match="reg must be a number") as caught:
        ask(train(reg="x"))
    assert caught.value.place == REG


@pytest.mark.parametrize(
    ("places", "value", "hint"),
    [({}, False, True), ({}, True, False), ({"": WHOLE}, False, False)],
)
def test_on_a_macro_false_may_have_been_a_comparison(places, value, hint):
    call = Call("vista_train", {"label": value}, places)
    with pytest.raises(ArgumentError, match="label must be text, not") as caught:
        call.get("label")
    assert ("label = … is a comparison in DuckDB, write label => …" in str(caught.value)) == hint


def test_a_call_is_read_whole_before_it_is_expanded():
    with pytest.raises(ArgumentError, match="folds must be"):
        train(reg=1, folds=1000).checked()


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        ({"modell": "m"}, UnknownNameError, "unknown argument 'modell' in VISTA_TRAIN; did you"),
        ({"label": None}, ArgumentError, "VISTA_TRAIN needs label => …: the column to learn"),
    ],
)
def test_arguments_are_known_and_those_required_there(values, kind, says):
    with pytest.raises(kind) as caught:
        train(**values).checked()
    assert says in str(caught.value)


def test_errors_stand_at_their_argument_else_at_the_call():
    assert train().place("reg") == REG
    assert train().error("seed", "no").place == WHOLE
    assert train().located(UnknownNameError("reg column", "x", [], argument="reg")).place == REG
    assert train().located(UnknownNameError("seed", "x", [])).place == WHOLE
    assert train().located(QueryError("no", REG)).place == REG
    assert train().located(PlanError("too large")).place is None
    assert Call("vista_train", {}, {}).error("reg", "no").place is None


def test_a_function_knows_which_of_its_arguments_are_relations():
    function = calls.load("vista_train")
    assert function.takes_relation("images")
    assert function.takes_relation("data")
    assert not function.takes_relation("label")
    assert not function.takes_relation("no_such_argument")
