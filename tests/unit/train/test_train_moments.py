"""Means and deviations, over all rows and per fold."""

import numpy as np
import pytest

from vista_sql.train.arrays import rows_of
from vista_sql.train.chunks import Chunk, Layout
from vista_sql.train.hashing import fold_of
from vista_sql.train.moments import SMALL_VALUES, block_moments, rescale
from vista_sql.train.training_rows import TrainingRows


def test_moments_per_fold_equal_numpy():
    rng = np.random.default_rng(0)
    s = rng.standard_normal((1000, 3)) * [1, 1e4, 1e-3] + [0, 1e6, 5]
    layers = [rng.standard_normal((1000, 33)), rng.random((1000, 8))]
    rows = rows_of(s, layers, rng.integers(0, 3, 1000))
    (chunk,) = rows.chunks()
    fold = fold_of(chunk.unit, 3)
    moments, counts, _ = block_moments(rows, 3, 3)
    assert counts.sum() == 1000
    for k, others in enumerate([fold != 0, fold != 1, fold != 2, np.ones(1000, bool)]):
        for block in (1, 2):
            x = chunk.blocks[block][others]
            np.testing.assert_allclose(moments[k][block].mean, x.mean(axis=0), atol=1e-6)
            np.testing.assert_allclose(moments[k][block].scale, x.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows.moments.mean, s.mean(axis=0))
    np.testing.assert_allclose(rows.moments.scale, s.std(axis=0), rtol=1e-9)


def test_constant_columns_have_no_deviation():
    rows = rows_of(np.full((50, 2), [0.0, 7.7]), [], np.arange(50) % 2)
    assert rows.moments.scale.tolist() == [0.0, 0.0]
    assert all((chunk.structured == 0).all() for chunk in rows.chunks())


def test_columns_far_from_zero_are_summed_about_their_own_values():
    rng = np.random.default_rng(0)
    n, width = SMALL_VALUES // 512 + 100, 512
    x = rng.standard_normal((n, width)).astype(np.float32)
    x[:, 7], x[:, 8], x[:, 9] = 1e4 + x[:, 7], 0.1, 0.0
    x[:, 10], x[:, 11] = 8 + x[:, 10], 1e21 * x[:, 11]  # nearly far; squares are no float32
    with np.errstate(over="ignore"):
        moments, *_ = block_moments(rows := rows_of(np.zeros((n, 0)), [x], np.arange(n) % 2), 0, 2)
    assert rows.dtype == np.float32
    wide, (_, found) = x.astype(float), moments[0]
    near = np.arange(width) != 11
    np.testing.assert_allclose(found.mean[near], wide.mean(axis=0)[near], atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(found.scale[7:11], wide.std(axis=0)[7:11], rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(found.scale[12:], wide.std(axis=0)[12:], rtol=1e-5)
    assert found.scale[8] == found.scale[9] == 0.0


@pytest.mark.parametrize("n_values", [SMALL_VALUES, SMALL_VALUES + 1024])
def test_small_trainings_are_in_float64(n_values):
    width = 1024
    rows = TrainingRows(Layout(0, (width,)))
    n = n_values // width
    x = np.zeros((n, width), np.float32)
    rows.append(Chunk(np.arange(n, dtype=np.uint64), np.zeros(n), np.zeros(n, int), x[:, :0], (x,)))
    rows.seal(np.arange(1))
    rescale(rows)
    assert rows.dtype == (np.float64 if n_values <= SMALL_VALUES else np.float32)


def test_the_rows_of_the_other_side_are_scaled_alike():
    def side(values):
        rows = TrainingRows(Layout(1, ()))
        s = np.array(values)[:, None]
        n = len(s)
        rows.append(Chunk(np.arange(n, dtype=np.uint64), np.zeros(n), np.zeros(n, int), s, ()))
        rows.seal(np.arange(1))
        return rows

    train_rows, test_rows = side([1.0, 3.0]), side([5.0])
    rescale(train_rows, test_rows)
    (chunk,) = test_rows.chunks()
    assert chunk.structured.tolist() == [[3.0]]


@pytest.mark.parametrize("folds", [0, 1, 7])
def test_every_place_has_a_fold(folds):
    fold = fold_of(np.array([0.0, 0.5, np.nextafter(1.0, 0.0)]), folds)
    assert fold.min() == 0
    assert fold.max() == max(1, folds) - 1
