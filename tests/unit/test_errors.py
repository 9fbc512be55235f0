"""Errors: what holds for every class there is, and the place that is added to one."""

from __future__ import annotations

import inspect
import pickle
import traceback
from collections.abc import Iterator

import pytest

from vista_sql import errors
from vista_sql.errors import ArgumentError, Place, PlanError, UnknownNameError, VistaError

PLACE = Place("SELECT x", 7, 8)
OTHER = Place("SELECT y", 7, 8)

VALUES = {
    "str": "text",
    "Iterable[str]": ("one", "other"),
    "int | None": 3,
    "Place | None": PLACE,
}
"""A value for each type that a constructor of the tree takes."""


def classes(kind: type[VistaError] = VistaError) -> Iterator[type[VistaError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from classes(below)


every_class = pytest.mark.parametrize("kind", list(classes()))


def made(kind: type[VistaError], *, without: str = "") -> VistaError:
    """Return an error of a class, each argument of its constructor given but `without`."""
    if not any("__init__" in vars(base) for base in kind.__mro__ if issubclass(base, VistaError)):
        return kind("what is wrong")
    parameters = list(inspect.signature(kind).parameters.values())
    values = [p.default if p.name == without else VALUES[p.annotation] for p in parameters]
    return kind(*values)


@every_class
def test_errors_survive_pickling_unchanged(kind):
    error = made(kind)
    crossed = pickle.loads(pickle.dumps(error))
    assert type(crossed) is kind
    assert (crossed.args, vars(crossed), str(crossed)) == (error.args, vars(error), str(error))


@every_class
def test_a_place_is_added_once_and_nothing_else_changes(kind):
    error = made(kind, without="place")
    assert error.at(None) is error
    located = error.at(PLACE)
    assert type(located) is kind
    assert {**vars(located), "place": None} == {**vars(error), "place": None}
    if located.place is not None:
        assert located.place == PLACE
        assert located.at(OTHER) is located
        assert pickle.loads(pickle.dumps(located)).place == PLACE


def test_errors_about_a_statement_have_a_place_and_others_none():
    assert ArgumentError("wrong").at(PLACE).place == PLACE
    assert PlanError("too large").at(PLACE).place is None


def test_a_located_error_still_says_where_it_was_raised():
    try:
        raise ArgumentError("wrong")
    except ArgumentError as error:
        frames = traceback.extract_tb(error.at(PLACE).__traceback__)
    assert [frame.name for frame in frames] == [
        test_a_located_error_still_says_where_it_was_raised.__name__
    ]


def test_a_place_is_underlined():
    error = UnknownNameError("cnn", "lenet6", ["lenet5"], Place("SELECT\n lenet6", 8, 14))
    message, line, carets = str(error).splitlines()
    assert message == "unknown cnn 'lenet6'; did you mean 'lenet5'? there is: lenet5"
    assert (line, carets) == ("LINE 2:  lenet6", "         ^^^^^^")


def test_a_long_line_is_cut_around_the_place():
    text = "SELECT " + "a, " * 200 + "x" + ", b" * 200
    place = Place(text, text.index("x"), text.index("x") + 1)
    line, carets = place.underline(60).splitlines()
    assert len(line) <= 60
    assert line[carets.index("^")] == "x"
    assert line.count("…") == 2


def test_an_unknown_name_says_which_argument_holds_it():
    assert UnknownNameError("cnn", "x", []).argument == "cnn"
    assert UnknownNameError("label column", "x", [], argument="label").argument == "label"


def test_the_docstring_shows_the_whole_tree():
    for kind in classes():
        if kind.__module__ == errors.__name__:
            assert f" {kind.__name__}" in errors.__doc__
