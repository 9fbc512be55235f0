"""Which column of a row holds the image."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from vista_sql.udfs.images import image_column as images

from vista_sql.errors import ArgumentError
from vista_sql.kernels import InferSpec

SPEC = InferSpec("lenet5", (), image_key="ID")
BLOBS = pa.array([b"a", None])
TEXTS = pa.array(["a.png", "b.png"])
NUMBERS = pa.array([1, 2])


def image_column(column, spec, keys=TEXTS):
    return images.image_column(column, spec, keys)


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
        (row(id=NUMBERS, n=NUMBERS), r"no column of BLOBs or paths \(id, n\)"),
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


def test_the_key_is_the_image_where_it_is_the_only_text():
    assert image_column(row(id=TEXTS, n=NUMBERS), SPEC).to_pylist() == TEXTS.to_pylist()


LABELS = pa.array(["cat", "dog"])


def test_labels_beside_a_key_of_paths_are_no_images():
    for column in (row(id=TEXTS, label=LABELS), LABELS):
        with pytest.raises(ArgumentError, match=r"no paths, but 'cat', .* image => 'ID'"):
            image_column(column, SPEC)


@pytest.mark.parametrize(
    ("texts", "keys", "spec"),
    [
        (LABELS, TEXTS, InferSpec("lenet5", ())),  # the user says that it is the image
        (LABELS, LABELS, SPEC),  # the key is no better
        (pa.array(["cat", "dog.png"]), TEXTS, SPEC),
        (pa.array(["s3://bucket/cat"] * 2), TEXTS, SPEC),
        (pa.array(["QUFB" * 60] * 2), TEXTS, SPEC),  # the bytes as base64
        (pa.array([None, None], pa.string()), TEXTS, SPEC),
    ],
)
def test_what_may_be_images_is_taken(texts, keys, spec):
    assert image_column(texts, spec, keys).to_pylist() == texts.to_pylist()


def test_a_file_without_a_suffix_is_an_image(tmp_path):
    (tmp_path / "cat").touch()
    assert len(image_column(LABELS, replace(SPEC, folder=str(tmp_path)))) == 2
