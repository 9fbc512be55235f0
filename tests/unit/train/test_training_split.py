"""The split: exact in small classes, and a warning where an image stands on both of its sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_sql.train.ledger import SMALL_CLASS, Ledger
from vista_sql.train.training_rows import Chunk, Layout, TrainingRows


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


@pytest.mark.parametrize("spool", [False, True])
def test_rows_are_taken_out_of_a_store(spool):
    rows = rows_of(np.zeros(500, int))
    store = TrainingRows(Layout(0, (1,)))
    store.append(rows.take(slice(0, 300)))
    if spool:
        store.spool()
    store.append(rows.take(slice(300, 500)))
    some = np.sort(rows.hash[::7])
    out = store.take_out(some)
    np.testing.assert_array_equal(np.sort(out.hash), some)
    by_hash = dict(zip(rows.hash.tolist(), rows.layers[0][:, 0], strict=True))
    assert [by_hash[h] for h in out.hash.tolist()] == out.layers[0][:, 0].tolist()
    assert store.n_rows == 500 - len(some)
    store.append(out)
    store.seal(np.arange(1))
    found = [(c.hash.copy(), c.layers[0].copy()) for c in store.chunks()]
    np.testing.assert_array_equal(np.concatenate([h for h, _ in found]), np.sort(rows.hash))
    store.close()


@pytest.fixture
def t(sql):
    sql.con.execute(
        """CREATE TABLE t AS SELECT i AS id, (i * 7919 % 100) / 100 AS a,
        [(i * 31 % 97) / 97, i]::FLOAT[2] AS v, if(i < 5, 'rare', if(i % 2, 'odd', 'even')) AS y
        FROM range(400) r(i)"""
    )
    return sql


@pytest.mark.parametrize("limit", [{}, {"memory_limit": "200kB"}], ids=["memory", "spooled"])
def test_a_class_of_five_is_tested_by_one(t, limit):
    for seed in range(5):
        found = t.train("t", model=f"m{seed}", seed=seed, max_iterations=3, **limit)
        assert found[0]["n_train"] + found[0]["n_test"] == 400
        recall = found[0]["recall"]
        assert recall is not None  # macro over three classes: all occur among the test rows
    folded = t.train("t", model="f", folds=5, max_iterations=3)
    assert {row["n_test"] for row in folded} == {400}


def test_images_on_both_sides_are_told(t):
    clean = t.train("t", model="a", max_iterations=50)
    assert [row["warning"] for row in clean if row["converged"]] in ([], [None], [None, None])
    data = "SELECT * REPLACE ([id // 2, 0]::FLOAT[2] AS v), id // 2 AS picture FROM t"
    shared = t.train(data, model="b", exclude=["picture"], max_iterations=500)
    (layer,) = (row for row in shared if row["layer"])
    table = t.rows(f"SELECT id, v FROM ({data}) ORDER BY id")
    assert "images (rows of equal layers) stand on both sides of the split" in layer["warning"]
    pairs, shown = layer["warning"].split(" images")[0], layer["warning"].split(", ")[1].split()[0]
    assert 30 < int(pairs) < 100  # of 200 pairs 2 · 0.2 · 0.8 = 64 are expected to be split
    assert int(shown) == int(pairs)  # a split pair has one row on the test side
    assert len(table) == 400
    structured = next(row for row in shared if row["layer"] is None)
    assert structured["warning"] is None
    together = t.train(data, model="c", split_by="picture", max_iterations=500)
    assert {row["warning"] for row in together} == {None}
    folded = t.train(data, model="d", exclude=["picture"], folds=3, max_iterations=500)
    assert any("stand on several folds" in (row["warning"] or "") for row in folded)


def test_models_that_did_not_converge_are_told(t):
    rows = t.train("t", max_iterations=2)
    assert not rows[0]["converged"]
    assert rows[0]["warning"] == (
        "not converged after 2 iterations: raise max_iterations, reg or tolerance"
    )
    again = t.train("t", max_iterations=2)
    assert again == rows  # the kept version says it too
