"""A call bound to what is known: layers, columns, keys, the image column; no database."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from vista_sql.errors import ArgumentError, Place, UnknownNameError
from vista_sql.planning import workload
from vista_sql.planning.workload import Relation, array_type, pooled_values
from vista_sql.roster import Layer
from vista_sql.sql.calls import Call
from vista_sql.sql.needs import Needs

IMAGES = {"id": "INTEGER", "image": "BLOB", "taken": "DATE"}
FOODS = {"ID": "INTEGER", "price": "DOUBLE"}


def bind(images=IMAGES, structured=None, **values):
    call = Call("transfer", {"cnn": "lenet5", **values}, {})
    return workload.bind(
        call,
        workload.load_cnn(call),
        Relation("images", images),
        None if structured is None else Relation("foods", structured),
        seed=0,
        device="auto",
    )


def test_without_a_structured_relation_the_images_other_columns_are_kept():
    bound = bind(layers=["f6"])
    assert dict(bound.narrow_columns) == {"id": "INTEGER", "taken": "DATE"}
    assert bound.added_columns == {"f6": "FLOAT[84]", "error": "VARCHAR"}


def test_with_one_they_are_dropped_and_the_key_has_its_spelling():
    bound = bind(structured=FOODS, layers=["f6"], prefix="x_")
    assert dict(bound.narrow_columns) == FOODS
    assert (bound.structured_key, bound.image_key) == ("ID", "id")
    assert bound.added_columns == {"x_f6": "FLOAT[84]", "x_error": "VARCHAR"}


def test_long_format_adds_two_columns():
    bound = bind(layers=["f6", "conv3"], format="long")
    assert bound.added_columns == {"layer": "VARCHAR", "features": "FLOAT[]", "error": "VARCHAR"}
    unused = replace(bound, needs=Needs(frozenset({"layer"})))
    assert (unused.used_taps, len(bound.used_taps)) == ((), 2)


def test_used_layers_come_from_the_bottom():
    bound = bind(layers=["fc6", "conv1", "conv3"])
    assert [tap.column for tap in bound.taps] == ["fc6", "conv1", "conv3"]
    assert [tap.column for tap in bound.used_taps] == ["conv1", "conv3", "fc6"]
    some = replace(bound, needs=Needs(frozenset({"fc6", "conv1"})))
    assert [tap.column for tap in some.used_taps] == ["conv1", "fc6"]
    assert not some.error_used
    assert bound.error_used


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (None, ("conv2", "pool2", "conv3", "fc6")),
        ("F6", ("F6",)),
        (-1, ("fc6",)),
        ([-2, -1], ("conv3", "fc6")),
    ],
)
def test_layers_are_named_or_counted_from_the_top_or_the_rosters(layers, names):
    call = Call("transfer", {"cnn": "lenet5", "layers": layers}, {})
    assert workload.layer_names(call, workload.load_cnn(call)) == names
    assert [tap.column for tap in bind(layers=layers).taps] == list(names)


LAYERS = Place("layers => …", 10, 11)


@pytest.mark.parametrize(
    ("layers", "kind", "says"),
    [
        ([-5], ArgumentError, "layer -5 of lenet5: numbers count from the top: -1"),
        ("f66", UnknownNameError, "unknown layer 'f66' in cnn 'lenet5'; did you mean 'f6'"),
        ("vgg16.fc66", UnknownNameError, "unknown layer 'fc66' in cnn 'vgg16'"),
        (["f6", "fc6"], ArgumentError, "layers 'f6' and 'fc6' are the same layer"),
    ],
)
def test_layers_that_are_not_there_are_refused_at_their_place(layers, kind, says):
    call = Call("transfer", {"cnn": "lenet5", "layers": layers}, {"layers": LAYERS})
    with pytest.raises(kind) as caught:
        workload.bind(
            call, workload.load_cnn(call), Relation("i", IMAGES), None, seed=0, device="auto"
        )
    assert says in str(caught.value)
    assert caught.value.place == LAYERS


def test_an_unknown_cnn_is_refused_at_its_place():
    place = Place("cnn => 'lenet6'", 7, 15)
    with pytest.raises(UnknownNameError, match="did you mean 'lenet5'") as caught:
        workload.load_cnn(Call("transfer", {"cnn": "lenet6"}, {"cnn": place}))
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"id": "INTEGER", "image": "BLOB", "note": "VARCHAR"}, "image"),
        ({"id": "VARCHAR", "path": "VARCHAR"}, "path"),
        ({"id": "INTEGER", "path": "VARCHAR", "n": "INTEGER"}, "path"),
    ],
)
def test_the_image_column_is_found(columns, found):
    assert bind(columns).image_column == found


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"id": "INTEGER", "a": "BLOB", "b": "BLOB", "c": "VARCHAR"}, "2 BLOB columns"),
        ({"id": "INTEGER", "a": "VARCHAR", "b": "VARCHAR"}, "2 VARCHAR columns"),
        ({"id": "INTEGER", "n": "INTEGER"}, "no column of BLOBs or paths"),
    ],
)
def test_an_image_column_in_doubt_is_asked_for(columns, says):
    with pytest.raises(ArgumentError, match=says):
        bind(columns)


def test_where_the_columns_cannot_be_seen_nothing_is_claimed():
    bound = bind(images=None, layers=["f6"])
    assert (bound.narrow_columns, bound.image_column) == (None, None)
    assert bind(images=None, image="pixels").image_column == "pixels"


@pytest.mark.parametrize("key", ["price", ["price", "id"], ["price"]])
def test_keys(key):
    if key == ["price", "id"]:
        bound = bind(structured=FOODS, key=key)
        assert (bound.structured_key, bound.image_key) == ("price", "id")
    else:
        with pytest.raises(UnknownNameError, match="unknown column 'price' in images => images"):
            bind(structured=FOODS, key=key)


@pytest.mark.parametrize("column", ["F6", "Error"])
def test_collisions_are_refused_in_any_case(column):
    with pytest.raises(ArgumentError, match="give prefix =>"):
        bind(structured={**FOODS, column: "INTEGER"}, layers=["f6"])
    assert bind(structured={**FOODS, column: "INTEGER"}, layers=["f6"], prefix="p")


def bound_to(names, **values):
    """Bind a call to a network whose layers have these names."""
    call = Call("transfer", {"cnn": "lenet5", **values}, {})
    layers = tuple(Layer(name, (4,), 1, 0) for name in names)
    cnn = replace(workload.load_cnn(call), catalogue=layers, aliases={}, feature_layers=names)
    images = Relation("images", IMAGES)
    return workload.bind(call, cnn, images, None, seed=0, device="auto")


def test_layers_that_differ_by_case_only_are_told_apart():
    names = ("pool", "Pool", "top")
    for name in names:
        assert [tap.layer.name for tap in bound_to(names, layers=[name]).taps] == [name]
    assert bound_to(names, layers=["TOP"]).taps[0].layer.name == "top"
    with pytest.raises(ArgumentError, match="'pool' and 'Pool' differ from it by case only"):
        bound_to(names, layers=["POOL"])
    with pytest.raises(ArgumentError, match="layer 'Pool' would be called 'Pool', and so is lay"):
        bound_to(names, layers=["pool", "Pool"])
    assert len(bound_to(names, layers=["pool", "Pool"], format="long").taps) == 2


@pytest.mark.parametrize("name", ["error", "Error"])
def test_a_layer_does_not_hide_the_reasons(name):
    for given in ({}, {"layers": [name]}, {"prefix": "cnn_"}):
        with pytest.raises(ArgumentError, match="and so is the column of reasons: take format"):
            bound_to((name, "top"), **given)
    assert bound_to((name, "top"), layers=["top"]).error_column == "error"
    assert len(bound_to((name, "top"), format="long").taps) == 2


@pytest.mark.parametrize(
    ("shape", "pool", "values"),
    [
        ((14, 14, 10), "max2x2", 40),
        ((1, 14, 10), "avg2x2", 20),
        ((1, 1, 10), "max2x2", 10),
        ((14, 14, 10), "gap", 10),
        ((14, 14, 10), "gmp", 10),
        ((14, 14, 10), "gem", 10),
        ((14, 14, 10), "none", 1960),
        ((2048,), "gap", 2048),
    ],
)
def test_pooled_values(shape, pool, values):
    assert pooled_values(shape, pool) == values


def test_arrays_end_where_duckdb_ends_them():
    assert (array_type(100_000), array_type(100_001)) == ("FLOAT[100000]", "FLOAT[]")
