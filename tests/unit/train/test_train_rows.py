"""Batches of Arrow columns to rows: what is used, what is skipped and why."""

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.train.columns import Columns
from vista_sql.train.rows import MAX_CLASSES, RowReader, Skip, columns_of, matrix, text_of

COLUMNS = Columns("y", "VARCHAR", "id", (), ("s",), ("a",))


def batch(ids=(1, 2, 3), s=(0.5, 1.5, 2.5), a=([1, 2], [3, 4], [5, 6]), y=("p", "q", "p")):
    return {
        "id": pa.array(ids, pa.int64()),
        "s": pa.array(s, pa.float64()),
        "a": pa.array(a, pa.list_(pa.float32())),
        "y": pa.array(y, pa.string()),
    }


def test_a_batch_becomes_a_chunk():
    reader = RowReader(COLUMNS, seed=0)
    chunk, images = reader.read(batch())
    assert chunk.code.tolist() == [0, 1, 0]
    assert chunk.structured.tolist() == [[0.5], [1.5], [2.5]]
    assert chunk.layers[0].dtype == np.float32
    assert chunk.layers[0].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert len(set(images.tolist())) == 3
    assert (reader.layout.block_widths, reader.codes) == ((1, 2), {"p": 0, "q": 1})


def test_skipped_rows_are_counted_by_what_they_lack():
    reader = RowReader(COLUMNS, seed=0)
    lacking = batch(
        ids=range(5),
        s=(0.5, None, float("inf"), 1.0, 2.0),
        a=([1, 2], [3, 4], [5, 6], None, [7, 8]),
        y=("p", None, "q", "p", "q"),
    )
    chunk, _ = reader.read(lacking)
    assert chunk.structured.tolist() == [[0.5], [2.0]]
    assert reader.skipped == {
        Skip("label", "y"): 1,
        Skip("feature", "s"): 1,
        Skip("feature", "a"): 1,
    }
    assert reader.read(batch(y=(None,) * 3)) is None
    assert reader.skipped[Skip("label", "y")] == 4


def test_a_row_has_one_place_whatever_its_batch():
    chunk, _ = RowReader(COLUMNS, seed=0).read(batch())
    alone, _ = RowReader(COLUMNS, seed=0).read(batch((3,), (2.5,), ([5, 6],), ("p",)))
    assert alone.unit[0] == chunk.unit[2]
    assert alone.hash[0] == chunk.hash[2]
    other, _ = RowReader(COLUMNS, seed=1).read(batch())
    assert (other.unit != chunk.unit).all()
    changed, _ = RowReader(COLUMNS, seed=0).read(batch(s=(9.0, 9.0, 9.0)))
    np.testing.assert_array_equal(changed.unit, chunk.unit)  # the key decides


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2)])
def test_a_matrix_marks_rows_that_cannot_be_used(kind):
    lists = pa.array([[1, 2], None, [3, None], [float("nan"), 1]], kind)
    x, usable, size = matrix("a", lists, None)
    assert x.shape == (4, 2)
    assert size == 2
    assert usable.tolist() == [True, False, False, False]
    assert x[0].tolist() == [1.0, 2.0]


def test_a_matrix_of_nulls_has_no_size_yet():
    nulls = pa.nulls(3, pa.list_(pa.float32()))
    x, usable, size = matrix("a", nulls, None)
    assert (x, usable.tolist(), size) == (None, [False] * 3, None)
    x, _, size = matrix("a", nulls, 5)
    assert (x.shape, size) == ((3, 5), 5)


@pytest.mark.parametrize(
    ("lists", "size", "message"),
    [
        ([[1.0], [1.0, 2.0]], None, "lists of 1 and of 2 values: the lists of a layer"),
        ([[1.0]], 2, "lists of 1 and of 2 values: the lists of a layer"),
        ([[]], None, "empty lists"),
    ],
)
def test_lists_of_several_lengths_are_refused(lists, size, message):
    with pytest.raises(ModelError, match=message):
        matrix("a", pa.array(lists, pa.list_(pa.float32())), size)


def test_a_label_that_is_a_key_is_refused():
    n = MAX_CLASSES + 1
    many = batch(range(n), [0.0] * n, [[1, 2]] * n, [str(i) for i in range(n)])
    with pytest.raises(ModelError, match="more than 1,000 distinct values"):
        RowReader(COLUMNS, seed=0).read(many)


def test_structs_may_come_in_chunks():
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    pieces = pa.chunked_array([table.slice(i, 1).to_struct_array().chunk(0) for i in range(2)])
    assert columns_of(pieces)["b"].to_pylist() == ["x", "y"]


def test_labels_as_duckdb_casts_them_back():
    assert [text_of(value) for value in (True, False, 1, 0.5, "a")] == [
        "true", "false", "1", "0.5", "a"
    ]  # fmt: skip
