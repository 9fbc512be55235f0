"""Equal images are one, in the order in which they first occur."""

from __future__ import annotations

import pyarrow as pa
from vista_sql.udfs.images.distinct_images import DistinctImages

from vista_sql import store


def test_rows_of_each_image_ascend():
    images = DistinctImages(pa.array([b"b", None, b"a", b"b", None, b"a"]), "")
    assert len(images) == 2
    assert images.rows(0).tolist() == [0, 3]
    assert images.rows(1).tolist() == [2, 5]
    assert images.not_null.tolist() == [True, False, True, True, False, True]
    assert (images.n_rows, images.n_not_null, images.last) == (6, 4, 1)
    assert images.identity(1) == store.digest(b"a")
    assert bytes(images.read(0)) == b"b"


def test_there_may_be_no_image():
    for column in (pa.array([], pa.binary()), pa.array([None, None], pa.string())):
        images = DistinctImages(column, "")
        assert (len(images), images.last, images.n_not_null) == (0, -1, 0)


def test_paths_are_read_from_the_folder_and_uris_are_remote(tmp_path):
    (tmp_path / "a.png").write_bytes(b"data")
    texts = ["a.png", f"file://{tmp_path}/a.png", "memory://a.png", "zip://a.png::b.zip"]
    images = DistinctImages(pa.array(texts), str(tmp_path))
    assert images.read(0) == images.read(1) == b"data"
    assert images.identity(0) == images.identity(1)
    assert [images.is_remote(image) for image in range(4)] == [False, False, True, True]
