"""Sums over all rows: the same on any number of cores."""

import numpy as np
import pytest

from vista_sql.train import lanes
from vista_sql.train.arrays import rows_of
from vista_sql.train.lanes import LANES, accumulate


def total(rows):
    def add(sums, chunk):
        sums += chunk.layers[0].sum(axis=0)

    parts = accumulate(rows, lambda: np.zeros(300, np.float32), add)
    assert len(parts) == LANES
    return sum(parts)


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 300)).astype(np.float32)
    return np.zeros((20_000, 0)), [x], rng.integers(0, 2, 20_000)


def test_sums_are_the_same_bits_on_any_cores_and_from_files(arrays, monkeypatch):
    rows, spooled = rows_of(*arrays), rows_of(*arrays, spool=True)
    assert rows.n_chunks > LANES
    monkeypatch.setattr(lanes, "SMALL_VALUES", 0)
    monkeypatch.setattr(lanes, "cores", lambda: 4)
    together = total(rows)
    monkeypatch.setattr(lanes, "cores", lambda: 1)
    np.testing.assert_array_equal(total(rows), together)
    np.testing.assert_array_equal(total(spooled), together)
    np.testing.assert_allclose(together, arrays[1][0].sum(axis=0), rtol=1e-2, atol=1e-2)
    spooled.close()


def test_an_error_in_a_lane_comes_out(arrays, monkeypatch):
    monkeypatch.setattr(lanes, "SMALL_VALUES", 0)
    monkeypatch.setattr(lanes, "cores", lambda: 2)

    def add(sums, chunk):
        raise ValueError("in a thread")

    with pytest.raises(ValueError, match="in a thread"):
        accumulate(rows_of(*arrays), list, add)
