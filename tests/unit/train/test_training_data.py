"""Hashes, stores, moments and metrics: what trainers stand on."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from vista_sql.train import hashing
from vista_sql.train.arrays import rows_of
from vista_sql.train.metrics import Gatherer, mean
from vista_sql.train.moments import block_moments, fold_of
from vista_sql.train.training_rows import Layout, TrainingRows

EXPECTED_TEXTS = [
    0xE220A8397B1DCDAF,
    0x2CC9A9A0DA604DEB,
    0x01447167FB2A2E25,
    0xA0761D6478BD642F,
    0x02C65D70331DD032,
]
EXPECTED_NUMBERS = [
    0xE220A8397B1DCDAF,
    0x910A2DEC89025CC1,
    0xE4D971771B652C20,
    0xA0761D6478BD642F,
]
EXPECTED_UNITS = [0.314537168, 0.206219034, 0.503702038, 0.785019896]


def test_hashes_never_change():
    # a split must be the same tomorrow, on any platform: these are kept models' test sides
    texts = hashing.hash_column(pa.array(["", "a", "bread", None, "straße"]))
    assert texts.tolist() == EXPECTED_TEXTS
    numbers = hashing.hash_column(pa.array([0, 1, -1, None]))
    assert numbers.tolist() == EXPECTED_NUMBERS
    assert hashing.unit(numbers, 7).round(9).tolist() == EXPECTED_UNITS


def test_hashes_agree_across_types_and_layouts():
    def hashed(values, kind):
        return hashing.hash_column(pa.array(values, kind)).tolist()

    assert hashed([1, None, 3], pa.int8()) == hashed([1, None, 3], pa.int64())
    assert hashed([True, False], pa.bool_()) == hashed([1, 0], pa.int32())
    assert hashed([0.0], pa.float64()) == hashed([-0.0], pa.float32())
    texts = ["b", "", None, "abc"]
    assert hashed(texts, pa.string()) == hashed(texts, pa.large_string())
    assert hashed(texts, pa.string()) == hashed(texts, pa.dictionary(pa.int8(), pa.string()))
    whole = hashing.hash_column(pa.array(["x", *texts, "y"]))
    assert hashing.hash_column(pa.array(["x", *texts, "y"]).slice(1, 4)).tolist() == hashed(
        texts, pa.string()
    )
    assert len(set(whole.tolist())) == 6
    assert len(set(hashed(["2020-01-01", "2020-01-02"], pa.string()))) == 2


def test_hashes_do_not_depend_on_the_process():
    code = (
        "import pyarrow as pa; from vista_sql.train.hashing import hash_column; "
        "print(hash_column(pa.array(['k1', 'k2'])).tolist())"
    )
    here = hashing.hash_column(pa.array(["k1", "k2"])).tolist()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(here)


def test_split_places_are_uniform():
    places = hashing.unit(hashing.hash_column(pa.array(np.arange(100_000))), 0)
    counts, _ = np.histogram(places, bins=10, range=(0, 1))
    assert np.abs(counts - 10_000).max() < 400  # four standard deviations
    other = hashing.unit(hashing.hash_column(pa.array(np.arange(100_000))), 1)
    assert abs(np.corrcoef(places, other)[0, 1]) < 0.02


@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_rows_that_differ_in_one_value_hash_apart(width):
    x = np.zeros((2 * width + 1, width), np.float32)
    for i in range(width):
        x[2 * i, i], x[2 * i + 1, i] = 1.0, 2.0
    hashes = hashing.hash_matrix(x)
    assert len(set(hashes.tolist())) == len(x)
    np.testing.assert_array_equal(hashing.hash_matrix(x[::-1]), hashes[::-1])


def rows(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((n, 3)) * [1, 1e4, 1e-3] + [0, 1e6, 5],
        [rng.standard_normal((n, 33)), rng.random((n, 8))],
        rng.integers(0, 3, n),
    )


def copies(store):
    """All rows; a chunk is valid only until the next."""
    found = [
        (c.structured.copy(), *(x.copy() for x in c.layers), c.code.copy(), c.unit.copy())
        for c in store.chunks()
    ]
    return [np.concatenate(part) for part in zip(*found, strict=True)]


def test_spooled_rows_come_in_the_order_of_rows_in_memory():
    s, layers, y = rows(20_000)
    order = np.random.default_rng(1).permutation(len(y))
    memory = rows_of(s, layers, y)
    spooled = rows_of(s, layers, y, order=order, cuts=[10, 9000], spool=True)
    assert spooled.spooled
    assert not memory.spooled
    for one, other in zip(copies(memory), copies(spooled), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [len(c) for c in memory.chunks()] == [len(c) for c in spooled.chunks()]
    spooled.close()


def test_a_spooled_pass_can_be_left_early_and_begun_again():
    s, layers, y = rows(5000)
    store = rows_of(s, layers, y, spool=True)
    for _ in store.chunks():
        break
    assert sum(len(c) for c in store.chunks()) == 5000
    store.close()


def test_an_empty_store_has_no_chunks():
    for spool in (False, True):
        store = TrainingRows(Layout(2, (3,)))
        if spool:
            store.spool()
        store.seal(np.arange(2))
        assert list(store.chunks()) == []


def test_moments_per_fold_equal_numpy():
    s, layers, y = rows()
    store = rows_of(s, layers, y)
    _, a, b, _, unit = copies(store)
    fold = fold_of(unit, 3)
    found, counts = block_moments(store, 3, 3)
    assert counts.sum() == 1000
    for k, own in enumerate([fold != 0, fold != 1, fold != 2, np.ones(len(y), bool)]):
        for block, x in ((1, a), (2, b)):
            np.testing.assert_allclose(found[k][block].mean, x[own].mean(axis=0), atol=1e-6)
            np.testing.assert_allclose(found[k][block].scale, x[own].std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.sort(store.moments.mean), np.sort(s.mean(axis=0)))
    np.testing.assert_allclose(store.moments.scale, s.std(axis=0), rtol=1e-9)


def gathered(y, margins, classes, cuts=3):
    gatherer = Gatherer(classes)
    for index in np.array_split(np.arange(len(y)), cuts):
        gatherer.add(y[index], margins[index].astype(np.float32))
    return gatherer.result()


def test_binary_metrics_equal_scikit_learn():
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.3).astype(int)
    margins = np.round(rng.standard_normal(500) + y, 1).astype(np.float32)  # with ties
    found = gathered(y, margins[:, None], 2)
    p = 1 / (1 + np.exp(-margins.astype(np.float64)))
    said = (margins > 0).astype(int)
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, said))
    assert found.precision == pytest.approx(sk.precision_score(y, said))
    assert found.recall == pytest.approx(sk.recall_score(y, said))
    assert found.f1_score == pytest.approx(sk.f1_score(y, said))
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(y, margins))
    assert found.log_loss == pytest.approx(sk.log_loss(y, p), rel=1e-6)


def test_multiclass_metrics_equal_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 600)
    margins = rng.standard_normal((600, 4)) + 1.5 * np.eye(4)[y]
    margins[:, 3] -= 9  # a class that is never predicted
    found = gathered(y, margins, 4)
    margins = margins.astype(np.float32).astype(np.float64)
    p = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    said = p.argmax(axis=1)
    macro = {"average": "macro", "zero_division": 0}
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, said))
    assert found.precision == pytest.approx(sk.precision_score(y, said, **macro))
    assert found.recall == pytest.approx(sk.recall_score(y, said, **macro))
    assert found.f1_score == pytest.approx(sk.f1_score(y, said, **macro))
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), abs=1e-6)
    assert found.log_loss == pytest.approx(sk.log_loss(y, p), rel=1e-6)


def test_macro_averages_leave_out_classes_that_do_not_occur():
    y = np.array([0, 1, 0, 1, 1])
    margins = np.array([[2, 1, 0], [0, 3, 0], [0, 1, 0], [1, 2, 0], [3, 0, 0.0]])
    found = gathered(y, margins, 3, cuts=1)
    said = margins.argmax(axis=1)
    assert found.f1_score == pytest.approx(sk.f1_score(y, said, average="macro"))


def test_metrics_without_rows_or_with_one_class():
    assert Gatherer(2).result().f1_score is None
    alone = gathered(np.ones(5, int), np.ones((5, 1)), 2, cuts=1)
    assert alone.roc_auc is None
    assert alone.accuracy == 1.0


def test_fold_metrics_are_means():
    parts = [gathered(np.array([0, 1, 1]), np.array([[z], [1.0], [-1.0]]), 2) for z in (-1.0, 1.0)]
    found, spread = mean(parts)
    assert found.n_rows == 6
    assert found.f1_score == pytest.approx(np.mean([p.f1_score for p in parts]))
    assert spread == pytest.approx(np.std([p.f1_score for p in parts]))


def test_round_numbers_hash_apart():
    # few bits differ between rows of zeros and ones
    bits = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    for kind in (np.float32, np.float64):
        assert len(set(hashing.hash_matrix(bits.astype(kind)).tolist())) == 4096
