"""Columns as engines hand them over → one array; matrices → columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from vista_sql.udfs.passes import arrow

from vista_sql.errors import HostError
from vista_sql.kernels import InferSpec

PRESENT = np.array([True, False, True])
MATRIX = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_texts_of_any_kind_and_chunking_are_one_array(kind):
    chunks = pa.chunked_array([pa.array(["a"], kind), pa.array([], kind), pa.array([None], kind)])
    assert arrow.one_array(chunks).equals(pa.array(["a", None], pa.large_string()))


def test_other_columns_stay_what_they_are():
    numbers = pa.array([1, 2])
    assert arrow.one_array(numbers) is numbers
    assert arrow.one_array(pa.chunked_array([], pa.int64())).equals(pa.array([], pa.int64()))


def test_a_call_has_one_spec():
    spec = InferSpec("lenet5", ("f6",), batch_rows=3)
    assert arrow.spec_of(pa.array([spec.to_text()] * 2)) == spec
    assert arrow.spec_of(pa.array([], pa.string())) is None
    for rows in ([spec.to_text(), "{}"], [None, None], [spec.to_text(), None]):
        with pytest.raises(HostError, match="specs in one call"):
            arrow.spec_of(pa.array(rows, pa.string()))


def test_features_are_lists_where_they_are_present():
    lists = arrow.feature_lists(MATRIX, PRESENT)
    assert lists.type == arrow.FEATURES
    assert lists.to_pylist() == [[0, 1], None, [4, 5]]
    assert arrow.feature_lists(None, PRESENT).null_count == 3


def test_maps_are_blobs_and_read_again():
    blobs = arrow.map_blobs(MATRIX, PRESENT)
    assert blobs.to_pylist() == [MATRIX[0].tobytes(), None, MATRIX[2].tobytes()]
    read, present = arrow.map_rows(blobs, 2, "block")
    assert present.tolist() == PRESENT.tolist()
    assert np.array_equal(read(np.array([2, 0])), MATRIX[[2, 0]])


def test_a_blob_of_another_length_is_no_map():
    with pytest.raises(HostError, match="layer 'block' has 12 bytes, but a BLOB of 8 bytes"):
        arrow.map_rows(arrow.map_blobs(MATRIX, PRESENT), 3, "block")


def test_slots_without_a_column_are_null():
    column = arrow.feature_lists(MATRIX, PRESENT)
    made = arrow.struct([column], 2, pa.array(["e", None, None]))
    assert [field.name for field in made.type] == ["l1", "l2", "error"]
    assert made.field("l1").equals(column)
    assert made.field("l2").null_count == 3
    assert [field.name for field in arrow.struct([column], 1, None).type] == ["l1"]
