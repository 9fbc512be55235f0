"""Pooled features are what their definitions say, in the stated order."""

from __future__ import annotations

import numpy as np
import pytest
from vista_sql.udfs.network.engines.tensorflow import pooling, process

from vista_sql.errors import ArgumentError
from vista_sql.kernels import POOLS
from vista_sql.planning.workload import pooled_values


def by_numpy(maps, pool):
    if pool == "none" or maps.ndim == 2:
        return maps.reshape(len(maps), -1)
    if pool in ("gap", "gmp", "gem"):
        if pool == "gmp":
            return maps.max((1, 2))
        if pool == "gap":
            return maps.mean((1, 2))
        return (np.maximum(maps, 1e-6) ** 3).mean((1, 2)) ** (1 / 3)
    cells = []
    for rows in np.array_split(np.arange(maps.shape[1]), min(2, maps.shape[1])):
        for columns in np.array_split(np.arange(maps.shape[2]), min(2, maps.shape[2])):
            middle = [(maps.shape[axis] - 1) // 2 for axis in (1, 2)]
            own_rows = sorted({*rows, middle[0]}) if maps.shape[1] % 2 else rows
            own_columns = sorted({*columns, middle[1]}) if maps.shape[2] % 2 else columns
            cell = maps[:, own_rows][:, :, own_columns]
            cells.append(cell.max((1, 2)) if pool == "max2x2" else cell.mean((1, 2)))
    return np.concatenate(cells, 1)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    "shape", [(4, 4, 3), (7, 7, 2), (5, 2, 3), (1, 1, 4), (1, 3, 2), (2, 2, 1), (6,)]
)
def test_poolings_are_their_definitions(pool, shape):
    tf, _ = process.load()
    maps = np.random.default_rng(1).standard_normal((3, *shape)).astype(np.float32)
    found = pooling.pooled(tf.constant(maps), pool).numpy()
    expected = by_numpy(maps, pool)
    assert found.dtype == np.float32
    assert found.shape == (3, pooled_values(shape, pool))
    if pool in ("max2x2", "gmp", "none"):
        assert np.array_equal(found, expected)
    else:
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_unknown_poolings_are_named():
    tf, _ = process.load()
    with pytest.raises(ArgumentError, match="unknown pool 'max3x3'; there is: max2x2"):
        pooling.pooled(tf.zeros((1, 2, 2, 1)), "max3x3")
