"""Images' values reach every row that shows them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from vista_sql.udfs.images.distinct_images import DistinctImages
from vista_sql.udfs.images.image_column import image_column
from vista_sql.udfs.passes.results import Results

from vista_sql.kernels import InferSpec


def distinct(blobs):
    images = image_column(pa.array(blobs), InferSpec("lenet5", ()), pa.nulls(len(blobs)))
    return DistinctImages(images, "")


IMAGES = distinct([b"a", b"b", None, b"a", b"c"])


def matrix(*rows):
    return np.array(rows, np.float32)


def test_batches_are_spread_over_rows_in_any_order():
    results = Results(IMAGES, 2)
    results.put([2, 0], [1], [matrix([5, 6], [1, 2])])
    results.put([1], [0, 1], [matrix([9]), matrix([3, 4])])
    first, second = results.matrices
    assert first[1].tolist() == [9]
    assert second[[0, 1, 3, 4]].tolist() == [[1, 2], [3, 4], [1, 2], [5, 6]]
    assert second.dtype == np.float32


def test_what_is_beyond_the_layers_has_no_rows():
    results = Results(IMAGES, 1)
    results.put([0], [1], [matrix([1])])
    assert results.matrices == [None]


def test_a_vector_of_another_length_is_refused():
    results = Results(IMAGES, 1)
    assert results.place(0, 0, np.ones(2, np.float32))
    assert not results.place(1, 0, np.ones(3, np.float32))
    assert results.matrices[0][[0, 3]].tolist() == [[1, 1], [1, 1]]


def test_what_another_call_gives_is_accepted_whole():
    results = Results(IMAGES, 2)
    assert not results.accept(0, None)
    assert results.accept(0, (np.ones(1, np.float32), np.zeros(2, np.float32)))
    assert [found.tolist() for found in results.of([0])] == [[[1]], [[0, 0]]]


def test_neighbouring_images_come_back_as_they_were_put():
    results = Results(distinct([b"a", b"b", b"c"]), 1)
    values = matrix([1, 2], [3, 4], [5, 6])
    results.put([0, 1, 2], [0], [values])
    assert np.array_equal(results.of([2, 0])[0], values[[2, 0]])
