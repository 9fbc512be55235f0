"""Which column of a row holds the image."""

from __future__ import annotations

import pyarrow as pa
import pytest
from vista_sql.udfs.images.image_column import image_column

from vista_sql.errors import ArgumentError
from vista_sql.kernels import InferSpec

SPEC = InferSpec("lenet5", (), image_key="ID")
BLOBS = pa.array([b"a", None])
TEXTS = pa.array(["a.png", "b.png"])
NUMBERS = pa.array([1, 2])


def row(**columns):
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def test_images_as_they_are():
    assert image_column(BLOBS, SPEC).equals(BLOBS.cast(pa.large_binary()))
    assert image_column(pa.chunked_array([TEXTS]), SPEC).equals(TEXTS.cast(pa.large_string()))
    assert image_column(pa.nulls(2), SPEC).null_count == 2


def test_the_only_blob_else_the_only_text_that_is_no_key():
    blobs = image_column(row(id=TEXTS, name=TEXTS, photo=BLOBS), SPEC)
    assert blobs.equals(BLOBS.cast(pa.large_binary()))
    texts = image_column(row(id=TEXTS, path=TEXTS, price=NUMBERS), SPEC)
    assert texts.equals(TEXTS.cast(pa.large_string()))


def test_a_row_that_is_null_is_no_image():
    rows = pa.array([{"photo": b"a"}, None], pa.struct([("photo", pa.binary())]))
    assert image_column(rows, SPEC).to_pylist() == [b"a", None]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (NUMBERS, "the image column holds int64, not BLOBs or paths"),
        (row(id=TEXTS, n=NUMBERS), r"no column of BLOBs or paths \(id, n\)"),
        (row(a=BLOBS, b=BLOBS), r"has 2 BLOB columns \(a, b\)"),
        (row(a=TEXTS, b=TEXTS), r"has 2 VARCHAR columns \(a, b\)"),
    ],
)
def test_what_may_not_be_the_image_is_told(columns, said):
    with pytest.raises(ArgumentError, match=said):
        image_column(columns, SPEC)


def test_another_column_than_the_planner_saw_is_told():
    spec = InferSpec("lenet5", (), image_name="photo")
    assert len(image_column(row(Photo=BLOBS), spec)) == 2
    with pytest.raises(ArgumentError, match="give image => 'picture'"):
        image_column(row(picture=BLOBS), spec)
