"""Kinds of arguments: what is read as what, and how the rest is refused."""

from __future__ import annotations

from math import inf, nan

import pytest

from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.sql.kinds import (
    ByteSize,
    Flag,
    KeyNames,
    LayerNames,
    Names,
    Number,
    Numbers,
    OneOf,
    RelationText,
    SettingValue,
    StoreChoice,
    Text,
)

SHARE, COUNT = Number(0, 1), Number(1, whole=True)


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (Text(), "a", "a"),
        (Text(), "", ""),
        (Flag(), False, False),
        (SHARE, 1, 1.0),
        (SHARE, 0.25, 0.25),
        (COUNT, 7, 7),
        (Number(whole=True), -(2**63), -(2**63)),
        (Numbers(SHARE), 0.5, (0.5,)),
        (Numbers(SHARE), [1, 0.5, 1.0], (1.0, 0.5)),
        (OneOf(("inner", "left")), "Left", "left"),
        (Names(), "a", ("a",)),
        (Names(), ["b", "a"], ("b", "a")),
        (Names(), [], ()),
        (KeyNames(), "id", ("id", "id")),
        (KeyNames(), ["id"], ("id", "id")),
        (KeyNames(), ["food", "image"], ("food", "image")),
        (LayerNames(), "fc6", ("fc6",)),
        (LayerNames(), -1, (-1,)),
        (LayerNames(), ["fc6", "fc7"], ("fc6", "fc7")),
        (LayerNames(), (-2, -1), (-2, -1)),
        (RelationText(), "SELECT 1", "SELECT 1"),
        (ByteSize(), "4GB", 4_000_000_000),
        (ByteSize(), 1.5e3, 1500),
        (SettingValue("threads"), "3", 3),
        (SettingValue("memory_limit"), "1KiB", 1024),
        (SettingValue("placement"), "Before", "before"),
        (SettingValue("device"), "", None),
        (StoreChoice(), True, True),
        (StoreChoice(), "off", False),
        (StoreChoice(), "features", "features"),
        (StoreChoice(), "", None),
    ],
)
def test_values_are_read_as_pythons(kind, written, value):
    found = kind.read("x", written)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "written", "says"),
    [
        (Text(), 3, "x must be text, not 3"),
        (Text("a name"), ["a"], "x must be a name, not ['a']"),
        (Flag(), "yes", "x must be true or false, not 'yes'"),
        (Flag(), 1, "x must be true or false, not 1"),
        (SHARE, 1.5, "x must be a number in [0, 1], not 1.5"),
        (SHARE, nan, "x must be a number in [0, 1], not nan"),
        (SHARE, "1", "x must be a number in [0, 1], not '1'"),
        (COUNT, 0, "x must be a whole number of at least 1, not 0"),
        (COUNT, 2.0, "x must be a whole number of at least 1, not 2.0"),
        (Number(whole=True), 2**63, f"x must be a whole number, not {2**63}"),
        (Numbers(SHARE), [0.5, "a"], "x must be a number in [0, 1], not 'a'"),
        (Numbers(SHARE), [], "x must be a number in [0, 1], or a list of them, not an empty list"),
        (Names(), ["a", 1], "x must be a name or a list of names, not ['a', 1]"),
        (KeyNames(), ["a", "b", "c"], "x must be 'name' or ['structured_name', 'image_name'], not"),
        (KeyNames(), [1], "x must be 'name' or"),
        (LayerNames(), [], "x must be names or negative integers, not []"),
        (LayerNames(), [1.5], "x must be names or negative integers, not [1.5]"),
        (LayerNames(), ["f6", -1], "x are all names or all integers, not both: ['f6', -1]"),
        (
            RelationText(),
            3,
            "x must be a relation as text: 'name', '(SELECT …)' or a path, not 3",
        ),
        (ByteSize(), "much", "x must be a size, like '32GB' or a number of bytes, not 'much'"),
        (ByteSize(), "0B", "x must be a size"),
        (ByteSize(), inf, "x must be a size"),
        (SettingValue("threads"), 0, "threads must be a whole number of at least 1, not 0"),
        (StoreChoice(), 3, "x must be true, false or a folder, not 3"),
    ],
)
def test_what_is_of_no_such_kind_is_refused(kind, written, says):
    with pytest.raises(ArgumentError) as caught:
        kind.read("x", written)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "kind", [Text(), SHARE, COUNT, Numbers(COUNT), Names(), KeyNames(), LayerNames()]
)
def test_a_boolean_is_nothing_but_a_flag(kind):
    with pytest.raises(ArgumentError, match=r"^x must be .*, not true$"):
        kind.read("x", True)


@pytest.mark.parametrize("written", ["outer", 3])
def test_of_a_few_words_the_nearest_is_offered(written):
    with pytest.raises(UnknownNameError, match=f"unknown join_type '{written}'.*inner, left"):
        OneOf(("inner", "left")).read("join_type", written)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (OneOf(("a",)), "'a'"),
        (OneOf(("a", "b", "c")), "'a', 'b' or 'c'"),
        (Number(), "a number"),
        (Number(2, 3, whole=True), "a whole number in [2, 3]"),
        (SettingValue("placement"), "'before' or 'after'"),
    ],
)
def test_kinds_say_what_may_be_written(kind, words):
    assert kind.words == words
