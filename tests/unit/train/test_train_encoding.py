"""Structured columns to features, and how a fold's features differ from all rows'."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_sql.train import learn
from vista_sql.train.chunks import Chunk, Layout
from vista_sql.train.hashing import fold_of
from vista_sql.train.moments import block_moments, rescale
from vista_sql.train.training_rows import TrainingRows

FOLDS = 3
TEXTS = ["b", None, "a", "é"]


def sealed(rng, n):
    """Return rows of two numbers with gaps, where they are, and a text whose "é" is rare."""
    numbers = rng.normal(5, 2, (n, 2))
    numbers[rng.random((n, 2)) < 0.3] = np.nan
    codes = np.where(rng.random(n) < 0.1, 3, rng.integers(0, 3, n))
    codes[:4] = range(4)
    stored = np.column_stack([numbers, np.isnan(numbers), codes])
    hashes = rng.permutation(n).astype(np.uint64)
    rows = TrainingRows(Layout(5, ()))
    rows.append(Chunk(hashes, rng.random(n), rng.integers(0, 2, n), stored, ()))
    rows.seal(np.arange(2))
    return rows


def expected_features(stored, trains):
    """Return the features that rows (bool) which train alone would make."""
    numbers, codes = stored[:, :2].copy(), stored[:, 4].astype(int)
    for column in numbers.T:
        there = column[trains & ~np.isnan(column)]
        column[np.isnan(column)] = there.mean() if len(there) else 0.0
    order = [2, 0, 3, 1]  # by text, NULL last
    known = [code for code in order if (codes[trains] == code).any()]
    one_hot = np.array([[code == other for other in order] for code in codes], float)
    one_hot[:, [i for i, code in enumerate(order) if code not in known]] = 0.0
    others = ~np.isin(codes, known)
    return np.column_stack([numbers, stored[:, 2:4], one_hot, others])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(8, 40))
def test_a_shift_gives_the_features_of_the_folds_own_rows(seed, n):
    rows = sealed(np.random.default_rng(seed), n)
    stored = np.concatenate([chunk.structured for chunk in rows.chunks()])
    unit = np.concatenate([chunk.unit for chunk in rows.chunks()])
    rescale(rows, texts=[TEXTS], folds=FOLDS, fills=True)
    scaled = np.concatenate([chunk.structured for chunk in rows.chunks()])
    moments, *_ = block_moments(rows, FOLDS, 2)
    rng = np.random.default_rng(seed + 1)
    for fold in range(FOLDS):
        trains = fold_of(unit, FOLDS) != fold
        if not trains.any():
            continue
        shift = rows.shift(fold)
        shifted = shift.features(scaled)
        # but for a constant, they are the features of the fold in units of all rows
        wanted = expected_features(stored, trains)
        for j, scale in enumerate(rows.moments.scale):
            of_fold = shifted[:, j] * (scale if scale > 0 else 1.0)
            if scale > 0 and wanted[trains, j].std() > 0:
                np.testing.assert_allclose(np.ptp(of_fold - wanted[:, j]), 0.0, atol=1e-9)
        np.testing.assert_allclose(moments[fold][0].mean, shifted[trains].mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(moments[fold][0].scale, shifted[trains].std(axis=0), atol=1e-7)
        w = rng.normal(size=(2, scaled.shape[1]))
        of_chunks = shift.weights(w.copy())
        np.testing.assert_allclose(shifted @ w.T, scaled @ of_chunks.T, atol=1e-9)
        residual = rng.normal(size=(2, n))
        np.testing.assert_allclose(shift.gradient(residual @ scaled), residual @ shifted, atol=1e-9)


def test_the_levels_of_most_rows_have_columns_and_ties_go_by_text(monkeypatch):
    monkeypatch.setattr(learn, "MOST_LEVELS", 2)
    texts = ["d", "c", None, "a", "never"]
    chunk = Chunk(
        np.arange(7, dtype=np.uint64), np.zeros(7), np.zeros(7, int),
        np.array([0, 1, 1, 2, 2, 2, 3.0])[:, None], (),
    )  # fmt: skip
    rows = TrainingRows(Layout(1, ()))
    rows.append(chunk)
    rows.seal(np.arange(1))
    (made, shifts) = learn.learn(rows, 0, [texts], 0, fills=False)
    (levels,) = made.levels
    assert (levels.names, levels.n_others, shifts) == (("c", None), 2, [])
    placed = made.place(chunk.structured)
    features = made.expand(placed, made.tables(None, np.dtype(np.float64)))
    assert features.argmax(axis=1).tolist() == [2, 0, 0, 1, 1, 1, 2]
    monkeypatch.setattr(learn, "MOST_LEVELS", 3)
    (levels,) = learn.learn(rows, 0, [texts], 0, fills=False)[0].levels
    assert levels.names == ("a", "c", None)  # "a" and "d" have a row each


def test_rows_that_are_not_encoded_say_so():
    rows = TrainingRows(Layout(1, ()))
    with pytest.raises(RuntimeError, match="not encoded"):
        _ = rows.encoding
