"""The split: exact in small classes, and which images stand on both of its sides."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_sql.train.chunks import Chunk
from vista_sql.train.ledger import SMALL_CLASS, Ledger


def rows_of(code, unit=None, seed=0):
    rng = np.random.default_rng(seed)
    n = len(code)
    unit = rng.random(n) if unit is None else unit
    hashes = rng.integers(0, 2**63, n).astype(np.uint64) * np.uint64(2)
    return Chunk(hashes, unit, code, np.zeros((n, 0)), (np.arange(n, dtype=np.float32)[:, None],))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(2, SMALL_CLASS + 30), min_size=2, max_size=5),
    fraction=st.sampled_from([0.1, 0.2, 0.5, 0.9]),
    cuts=st.lists(st.integers(0, 100), max_size=4).map(sorted),
    seed=st.integers(0, 1000),
)
def test_small_classes_have_their_share_however_rows_come(sizes, fraction, cuts, seed):
    rng = np.random.default_rng(seed)
    whole = rows_of(np.repeat(np.arange(len(sizes)), sizes), seed=seed)
    order = rng.permutation(len(whole))
    first, second = Ledger(0, fraction), Ledger(0, fraction)
    first.add(whole, None)
    for index in np.split(order, cuts):
        second.add(whole.take(index), None)
    assert first.stratify() == second.stratify()
    counts = first.counts()
    assert counts == second.counts()
    for code, n in enumerate(sizes):
        tests = counts.get((1, code), 0)
        assert tests + counts.get((0, code), 0) == n
        if n < SMALL_CLASS:
            assert tests == min(max(round(fraction * n), 1), n - 1)
        else:
            own = whole.code == code
            assert tests == (whole.unit[own] < fraction).sum()  # the hash alone decides


def test_folds_of_a_small_class_are_even():
    ledger = Ledger(4, 0.2)
    ledger.add(rows_of(np.repeat([0, 1], [10, 200])), None)
    ledger.stratify()
    assert sorted(ledger.counts()[fold, 0] for fold in range(4)) == [2, 2, 3, 3]


def test_equal_keys_keep_together():
    unit = np.array([0.1, 0.1, 0.1, 0.5, 0.5, 0.7, 0.1, 0.9])
    rows = rows_of(np.array([0, 0, 0, 0, 0, 0, 1, 1]), unit)
    ledger = Ledger(0, 0.5)
    ledger.add(rows, None)
    places = ledger.stratify()
    moved = np.array([places.get(int(h), u) for h, u in zip(rows.hash, unit, strict=True)])
    assert len(set(moved[:3])) == len(set(moved[3:5])) == 1
    assert moved[0] == moved[6] == 0.1  # a key of two classes stays where its hash puts it
    assert moved[3] < 0.5 < moved[5]


def test_images_on_both_sides_are_counted_with_the_test_rows_that_show_them():
    ledger = Ledger(0, 0.5)
    unit = np.array([0.1, 0.9, 0.2, 0.3, 0.8])  # tests, trains, tests, tests, trains
    images = np.array([1, 1, 1, 2, 3], np.uint64)
    ledger.add(rows_of(np.zeros(5, int), unit), images)
    assert ledger.shared() == (1, 2)
    assert Ledger(0, 0.5).stratify() == {}


def test_rows_without_layers_share_no_image():
    ledger = Ledger(0, 0.5)
    ledger.add(rows_of(np.zeros(5, int)), None)
    assert ledger.shared() == (0, 0)
