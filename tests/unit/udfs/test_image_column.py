"""Which column of a row holds the image, and what its values are: bytes, or text."""

from __future__ import annotations

import base64

import pyarrow as pa
import pytest
from msgspec.structs import replace
from vista_sql.udfs.images import image_column as images

from vista_sql.errors import ArgumentError
from vista_sql.kernels import InferSpec

ROWS = InferSpec("lenet5", (), image_key="ID")
PLAIN = InferSpec("lenet5", ())
BLOBS = pa.array([b"a", None])
TEXTS = pa.array(["a.png", "b.png"])
NUMBERS = pa.array([1, 2])
PAIRS = pa.array(
    [{"bytes": b"a", "path": "a.png"}, {"bytes": None, "path": "b.png"}],
    pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))


def image_column(column, spec, keys=TEXTS):
    return images.image_column(column, spec, keys)


def row(**columns):
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def values(column, spec=PLAIN):
    """Return what each row is: bytes, text or None."""
    found = image_column(column, spec)
    assert (found.blobs.type, found.texts.type) == (pa.large_binary(), pa.large_string())
    pairs = zip(found.blobs.to_pylist(), found.texts.to_pylist(), strict=True)
    both = list(pairs)
    assert not [pair for pair in both if None not in pair]
    return [text if blob is None else blob for blob, text in both]


def test_images_as_they_are():
    assert values(BLOBS) == [b"a", None]
    assert values(pa.chunked_array([TEXTS])) == ["a.png", "b.png"]
    assert values(pa.nulls(2)) == [None, None]
    assert values(pa.array([], pa.string())) == []


def test_of_hugging_faces_structs_bytes_win():
    assert values(PAIRS) == [b"a", "b.png"]
    swapped = pa.StructArray.from_arrays(PAIRS.flatten()[::-1], ["Path", "Bytes"])
    assert values(swapped) == [b"a", "b.png"]
    without = row(bytes=pa.nulls(2), path=TEXTS)
    assert values(without) == ["a.png", "b.png"]
    assert values(row(bytes=BLOBS, path=pa.nulls(2))) == [b"a", None]
    assert values(pa.array([None, PAIRS[1].as_py()], PAIRS.type)) == [None, "b.png"]


def test_enums_are_their_values_whatever_the_codes():
    chunks = [pa.array(["a.png", None]), pa.array(["b.png", "a.png"])]
    enums = pa.chunked_array([chunk.dictionary_encode() for chunk in chunks])
    assert values(enums) == ["a.png", None, "b.png", "a.png"]


def test_json_is_its_string():
    texts = pa.array(['"a\\u00e9.png"', "null", None, ' "b.png" ', '"torn', "null.png", '"'])
    assert values(texts) == ["aé.png", None, None, "b.png", '"torn', "null.png", '"']


def test_text_that_holds_an_image_is_its_bytes():
    encoded = base64.b64encode(PNG).decode()
    data = f"data:image/png;base64,{encoded}"
    wrapped = base64.encodebytes(PNG).decode()
    texts = pa.array([encoded, data, wrapped, f'"{data}"', "a.png", encoded + "!", None])
    assert values(texts) == [PNG, PNG, PNG, PNG, "a.png", encoded + "!", None]
    pairs = pa.array([{"bytes": b"a", "path": data}, {"bytes": None, "path": data}], PAIRS.type)
    assert values(pairs) == [b"a", PNG]


def test_the_only_column_of_bytes_else_the_only_text_that_is_no_key():
    assert values(row(id=TEXTS, name=TEXTS, photo=BLOBS), ROWS) == [b"a", None]
    assert values(row(id=TEXTS, name=TEXTS, photo=PAIRS), ROWS) == [b"a", "b.png"]
    assert values(row(id=TEXTS, path=TEXTS, price=NUMBERS), ROWS) == ["a.png", "b.png"]


def test_rows_that_look_like_hugging_faces_structs_are_rows():
    assert values(row(bytes=BLOBS, path=TEXTS), ROWS) == [b"a", None]


def test_a_row_that_is_null_is_no_image():
    rows = pa.array([{"photo": b"a"}, None], pa.struct([("photo", pa.binary())]))
    assert values(rows, ROWS) == [b"a", None]


@pytest.mark.parametrize(
    ("columns", "spec", "said"),
    [
        (NUMBERS, PLAIN, "the image column holds int64, not BLOBs or paths"),
        (row(a=NUMBERS), PLAIN, r"the image column holds struct<a: int64>, not BLOBs or paths"),
        (pa.array([[1]], pa.list_(pa.uint8())), PLAIN, r"become BLOBs by unhex\(list_aggregate"),
        (row(id=NUMBERS, n=NUMBERS), ROWS, r"no column of BLOBs or paths \(id, n\)"),
        (row(a=BLOBS, b=BLOBS), ROWS, r"has 2 BLOB columns \(a, b\)"),
        (row(a=BLOBS, b=PAIRS), ROWS, r"has 2 BLOB columns \(a, b\)"),
        (row(a=TEXTS, b=TEXTS), ROWS, r"has 2 VARCHAR columns \(a, b\)"),
    ],
)
def test_what_may_not_be_the_image_is_told(columns, spec, said):
    with pytest.raises(ArgumentError, match=said):
        image_column(columns, spec)


def test_another_column_than_the_planner_saw_is_told():
    spec = InferSpec("lenet5", (), image_key="id", image_name="photo")
    assert values(row(Photo=BLOBS), spec) == [b"a", None]
    with pytest.raises(ArgumentError, match="give image => 'picture'"):
        image_column(row(picture=BLOBS), spec)


def test_the_key_is_the_image_where_it_is_the_only_text():
    assert values(row(id=TEXTS, n=NUMBERS), ROWS) == TEXTS.to_pylist()


LABELS = pa.array(["cat", "dog"])


def test_labels_beside_a_key_of_paths_are_no_images():
    for column in (row(id=TEXTS, label=LABELS), LABELS):
        with pytest.raises(ArgumentError, match=r"no paths, but 'cat', .* image => 'ID'"):
            image_column(column, ROWS)


@pytest.mark.parametrize(
    ("texts", "keys", "spec"),
    [
        (LABELS, TEXTS, InferSpec("lenet5", ())),  # the user says that it is the image
        (LABELS, LABELS, ROWS),  # the key is no better
        (pa.array(["cat", "dog.png"]), TEXTS, ROWS),
        (pa.array(["s3://bucket/cat"] * 2), TEXTS, ROWS),
        (pa.array(["QUFB" * 60] * 2), TEXTS, ROWS),  # the bytes as base64
        (pa.array([None, None], pa.string()), TEXTS, ROWS),
    ],
)
def test_what_may_be_images_is_taken(texts, keys, spec):
    assert image_column(texts, spec, keys).texts.to_pylist() == texts.to_pylist()


def test_a_file_without_a_suffix_is_an_image(tmp_path):
    (tmp_path / "cat").touch()
    assert values(LABELS, replace(ROWS, folder=str(tmp_path))) == ["cat", "dog"]
