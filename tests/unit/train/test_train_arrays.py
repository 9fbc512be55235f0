"""Rows from arrays: what other tests train on."""

import numpy as np

from vista_sql.train.arrays import rows_of


def test_rows_are_ready_to_train_on_and_keep_their_values():
    s, a, code = np.arange(6.0)[:, None], np.arange(12).reshape(6, 2), np.arange(6) % 2
    rows = rows_of(s, [a], code)
    (chunk,) = rows.chunks()
    raw = (chunk.structured * rows.moments.scale + rows.moments.mean)[:, 0]
    order = raw.round().astype(int)
    assert sorted(order) == list(range(6))
    np.testing.assert_array_equal(chunk.layers[0], a[order])
    np.testing.assert_array_equal(chunk.code, code[order])


def test_another_seed_gives_rows_other_places():
    s, code = np.arange(6.0)[:, None], np.arange(6) % 2
    (one,), (other,) = rows_of(s, [], code).chunks(), rows_of(s, [], code, seed=1).chunks()
    np.testing.assert_array_equal(one.hash, other.hash)
    assert (one.unit != other.unit).all()
