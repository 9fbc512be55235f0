"""Equal images are one, in the order in which they first occur."""

from __future__ import annotations

import pyarrow as pa
from vista_sql.udfs.images.distinct_images import DistinctImages
from vista_sql.udfs.images.image_column import image_column

from vista_sql import store
from vista_sql.kernels import InferSpec


def distinct(column, folder=""):
    images = image_column(column, InferSpec("lenet5", ()), pa.nulls(len(column)))
    return DistinctImages(images, folder)


def test_bytes_and_paths_of_one_column_are_numbered_as_they_come():
    rows = [(None, "b.png"), (b"a", "b.png"), None, (None, None), (b"b", None), (None, "b.png")]
    pairs = [row and dict(zip(("bytes", "path"), row, strict=True)) for row in rows]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = distinct(pa.array(pairs, kind), "/home")
    assert [images.rows(image).tolist() for image in range(len(images))] == [[0, 5], [1], [4]]
    assert images.not_null.tolist() == [True, True, False, False, True, True]
    assert images.last == 0
    assert images.identity(0) == ("path", "/home/b.png")
    assert [bytes(images.read(image)) for image in (1, 2)] == [b"a", b"b"]


def test_rows_of_each_image_ascend():
    images = distinct(pa.array([b"b", None, b"a", b"b", None, b"a"]))
    assert len(images) == 2
    assert images.rows(0).tolist() == [0, 3]
    assert images.rows(1).tolist() == [2, 5]
    assert images.not_null.tolist() == [True, False, True, True, False, True]
    assert (images.n_rows, images.n_not_null, images.last) == (6, 4, 1)
    assert images.identity(1) == store.digest(b"a")
    assert bytes(images.read(0)) == b"b"


def test_there_may_be_no_image():
    for column in (pa.array([], pa.binary()), pa.array([None, None], pa.string())):
        images = distinct(column)
        assert (len(images), images.last, images.n_not_null) == (0, -1, 0)


def test_paths_are_read_from_the_folder_and_uris_are_remote(tmp_path):
    (tmp_path / "a.png").write_bytes(b"data")
    texts = ["a.png", f"file://{tmp_path}/a.png", "memory://a.png", "zip://a.png::b.zip"]
    images = distinct(pa.array(texts), str(tmp_path))
    assert images.read(0) == images.read(1) == b"data"
    assert images.identity(0) == images.identity(1)
    assert [images.is_remote(image) for image in range(4)] == [False, False, True, True]
