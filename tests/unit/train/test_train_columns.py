"""Which column is what, from names and types alone."""

import pyarrow as pa
import pytest

from vista_sql.errors import ArgumentError, ModelError, UnknownNameError
from vista_sql.train.columns import Columns, choose, is_layer, is_structured, resolve, sql_type
from vista_sql.train.spec import TrainSpec

LAYER = pa.list_(pa.float32(), 4)
TYPES = {"Id": pa.int64(), "a": pa.float64(), "F": LAYER, "error": pa.string(), "Y": pa.bool_()}


def test_columns_find_their_parts_in_any_case():
    assert choose(TYPES, TrainSpec("m", "y")) == Columns("Y", "BOOLEAN", "Id", (), ("a",), ("F",))
    spec = TrainSpec("m", "y", key="A", split_by=("ID",), features=("f",))
    assert choose(TYPES, spec) == Columns("Y", "BOOLEAN", "a", ("Id",), (), ("F",))
    assert choose(TYPES, TrainSpec("m", "y", exclude=("f",))).layers == ()


def test_hog_comes_beside_the_features_that_are_named():
    types = {**TYPES, "hog": LAYER}
    assert choose(types, TrainSpec("m", "y", features=("a",), hog="hog")).layers == ("hog",)


@pytest.mark.parametrize(
    ("types", "spec", "error", "message"),
    [
        (TYPES, TrainSpec("m", "z"), UnknownNameError, "label column 'z'"),
        (TYPES, TrainSpec("m", "f"), ModelError, "label column 'F' has type fixed_size_list"),
        (TYPES, TrainSpec("m", "y", features=("Y",)), ArgumentError, "names the label 'Y'"),
        (TYPES | {"t'": pa.string()}, TrainSpec("m", "y"), ModelError, r"exclude => \['t'''\]"),
        ({"y": pa.bool_()}, TrainSpec("m", "y"), ModelError, "no feature column beside label 'y'"),
    ],
)
def test_columns_without_a_part_are_told(types, spec, error, message):
    with pytest.raises(error, match=message):
        choose(types, spec)


def test_types():
    assert [is_layer(kind) for kind in (LAYER, pa.list_(pa.float64()), pa.list_(pa.int32()))] == [
        True,
        True,
        False,
    ]
    assert is_structured(pa.decimal128(9, 2))
    assert not is_structured(pa.string())
    assert sql_type(pa.decimal128(38, 0)) == "HUGEINT"
    assert sql_type(pa.decimal128(9, 2)) == "DECIMAL(9,2)"
    assert sql_type(pa.dictionary(pa.int8(), pa.string())) == "VARCHAR"
    assert sql_type(LAYER) is None


def test_an_exact_name_comes_before_one_of_another_case():
    assert resolve("a", ["A", "a"], "label", "the data") == "a"
    assert resolve("A", ["b", "a"], "label", "the data") == "a"
