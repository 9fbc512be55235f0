"""Selected features: the planted ones, of training rows only, as models of whole layers."""

import numpy as np
import pytest

from vista_sql.train import FeatureSet, Options, Task, load, selection
from vista_sql.train.arrays import rows_of
from vista_sql.train.selection import n_kept

SIZES = (40, 7, 33)
PLANTED = (3, 20, 41, 60)  # among the 80 values side by side


def data(n=1200, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    structured = rng.standard_normal((n, 2))
    wide = rng.standard_normal((n, sum(SIZES)))
    margins = wide[:, PLANTED] @ (3 * rng.standard_normal((len(PLANTED), classes)))
    return structured, np.split(wide, np.cumsum(SIZES)[:-1], axis=1), margins.argmax(axis=1)


def task(fraction, layers=(0, 1, 2), fold=None, reg=0.01, structured=True):
    return Task(
        FeatureSet("structured+selected", None, structured, layers, fraction), reg, 0.5, fold
    )


def fitted(rows, tasks, trainer="logistic", **options):
    return selection.fit(load(trainer), rows, tasks, Options(**{"n_classes": 3} | options))


def used(fit, sizes=SIZES):
    """Places of weights that are not zero, among the values of all layers."""
    weights = np.abs(fit.arrays["coef"]).sum(axis=0)[2:]
    starts = np.cumsum([0, *sizes])
    places = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in fit.task.features.layers])
    return set(places[weights > 0].tolist())


def test_the_planted_features_are_found():
    (fit,) = fitted(rows_of(*data()), [task(0.05)])
    assert used(fit) == set(PLANTED)
    assert fit.task.features.layers == (0, 1, 2)
    assert fit.task.features.n_kept == 4
    assert fit.arrays["coef"].shape == (3, 2 + sum(SIZES))


def test_a_layer_without_a_kept_feature_is_not_read():
    structured, layers, _ = data()
    codes = (layers[2][:, 5] > 0).astype(int)
    (fit,) = fitted(rows_of(structured, layers, codes), [task(0.0125)], n_classes=2)
    assert fit.task.features.layers == (2,)
    assert fit.arrays["coef"].shape == (1, 2 + SIZES[2])


def test_fractions_are_nested_and_beside_others():
    rows = rows_of(*data())
    plain = Task(FeatureSet("structured+b", "b", True, (1,)), 0.01, 0.5)
    fits = fitted(rows, [task(0.5), plain, task(0.05), task(0.2)])
    assert [fit.task.features.n_kept for fit in fits] == [40, None, 4, 16]
    assert used(fits[2]) <= used(fits[3]) | set(PLANTED)
    (alone,) = load("logistic").fit(rows, [plain], Options(n_classes=3))
    np.testing.assert_allclose(fits[1].arrays["coef"], alone.arrays["coef"], atol=1e-6)


def test_all_features_are_the_model_of_all_layers():
    rows = rows_of(*data())
    (fit,) = fitted(rows, [task(1.0)])
    whole = Task(FeatureSet("all", None, True, (0, 1, 2)), 0.01, 0.5)
    (theirs,) = load("logistic").fit(rows, [whole], Options(n_classes=3))
    np.testing.assert_allclose(fit.arrays["coef"], theirs.arrays["coef"], atol=1e-5)


@pytest.mark.parametrize("memory_bytes", [1 << 30, 1 << 20], ids=["fits", "stays on disk"])
def test_spooled_rows_give_the_same(memory_bytes):
    structured, layers, y = data(4000)
    expected = fitted(rows_of(structured, layers, y), [task(0.4), task(0.05)])
    rows = rows_of(structured, layers, y, spool=True)
    kept = rows.select([np.arange(32)], memory_bytes // 2)
    assert kept.spooled == (memory_bytes == 1 << 20)
    kept.close()
    for one, other in zip(
        fitted(rows, [task(0.4), task(0.05)], memory_bytes=memory_bytes), expected, strict=True
    ):
        np.testing.assert_allclose(one.arrays["coef"], other.arrays["coef"], atol=1e-6)
    rows.close()


@pytest.mark.parametrize("spool", [False, True])
def test_selected_columns_are_the_columns(spool):
    structured, layers, y = data(3000)
    rows = rows_of(structured, layers, y, spool=spool)
    places = [np.array([0, 39, 40]), np.array([5, 46, 47, 79])]
    kept = rows.select(places, 1 << 30)
    whole = [(c.hash.copy(), np.concatenate(c.layers, axis=1), c.structured.copy(), c.code.copy())
             for c in rows.chunks()]  # fmt: skip
    hashes, wide, numbers, codes = (np.concatenate(part) for part in zip(*whole, strict=True))
    found = [(c.hash, *c.layers, c.structured, c.code) for c in kept.chunks()]
    parts = [np.concatenate(part) for part in zip(*found, strict=True)]
    expected = [hashes, wide[:, places[0]], wide[:, places[1]], numbers, codes]
    for one, other in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    rows.close()


def test_a_fold_is_ranked_by_its_own_training_rows():
    """What tells classes apart in one fold alone is not kept for the model that leaves it out."""
    structured, layers, y = data(1500)
    rows = rows_of(structured, layers, y)
    folds = [task(0.05, fold=fold) for fold in range(3)]
    for fit in fitted(rows, [task(0.05), *folds], folds=3):
        assert used(fit) == set(PLANTED)
    of_fold, leak = rows_of(structured, layers, y), 7
    for chunk in of_fold.chunks():  # in memory: views of the rows
        inside = (chunk.unit * 3).astype(int) == 0
        chunk.layers[0][inside, leak] = 30 * (chunk.code[inside] - 1)
        chunk.layers[0][~inside, leak] *= 1e-3
    without, with_ = fitted(of_fold, [folds[0], folds[1]], folds=3)
    assert leak not in used(without)
    assert leak in used(with_)


def test_a_number_ranks_too():
    structured, layers, _ = data()
    values = np.round(layers[0][:, 3] * 5 + layers[2][:, 2] * 5) + 40
    distinct, codes = np.unique(values, return_inverse=True)
    (fit,) = fitted(
        rows_of(structured, layers, codes), [task(0.025)], "linear",
        n_classes=len(distinct), label_values=tuple(distinct.tolist()),
    )  # fmt: skip
    assert used(fit) == {3, 49}


@pytest.mark.parametrize(("fraction", "n", "kept"), [(1, 7, 7), (0.07, 100, 7), (1e-6, 5, 1)])
def test_the_fraction_is_counted(fraction, n, kept):
    assert n_kept(fraction, n) == kept
