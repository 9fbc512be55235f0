"""The nearest vectors, and which hang together, against every distance computed."""

from __future__ import annotations

import numpy as np
import pytest

from vista_sql.nearest import search
from vista_sql.nearest.components import connected
from vista_sql.nearest.products import Products
from vista_sql.nearest.search import nearest
from vista_sql.nearest.vectors import Vectors, dots

MIB = 1 << 20


@pytest.fixture
def vectors():
    every = []

    def make(x, spooled=False):
        made = Vectors()
        every.append(made)
        for start in range(0, len(x), 37):
            made.add(x[start : start + 37])
            if spooled and start == 0:
                made.spool()
        made.seal()
        return made

    yield make
    for made in every:
        made.close()


def drawn(n, d, kind):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, d)).astype(np.float32)
    if kind == "few values":  # many ties
        x = np.round(x) + np.float32(1.25)
    if kind == "alike":  # float32 products cannot tell them apart
        x = 1 + x * np.float32(1e-5)
    if kind == "far":
        x = x * np.float32(1e18) * rng.integers(1, 1000, (n, 1)).astype(np.float32)
    return x, rng.permutation(n)


def every(x, y, metric):
    x, y = x.astype(float), y.astype(float)
    if metric == "l2":
        return np.sqrt(np.stack([dots(row - y, row - y) for row in x]))
    cosines = [dots(np.broadcast_to(row, y.shape), y) for row in x]
    lengths = np.sqrt(dots(x, x)[:, None] * dots(y, y))
    return np.clip(1 - np.stack(cosines) / lengths, 0, 2)


def expected(distances, rank, k):
    order = np.stack([np.lexsort((rank, row))[:k] for row in distances])
    return np.take_along_axis(distances, order, axis=1), order


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("kind", ["normal", "few values", "alike", "far"])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 3, 1), (300, 5, 7), (301, 40, 1), (60, 4, 60)])
@pytest.mark.parametrize(("spooled", "memory"), [(False, 64 * MIB), (True, MIB // 16)])
def test_they_are_those_of_all_distances(n, d, k, kind, metric, spooled, memory, vectors):
    x, rank = drawn(n, d, kind)
    found = nearest(vectors(x, spooled), None, metric, k, rank, memory)
    wanted = expected(every(x, x, metric), rank, k)
    assert (found[1] == wanted[1]).all()
    assert (found[0] == wanted[0]).all()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_queries_may_be_others(metric, vectors):
    x, rank = drawn(500, 6, "few values")
    y, _ = drawn(90, 6, "normal")
    found = nearest(vectors(x), vectors(y, True), metric, 4, rank, MIB // 8)
    wanted = expected(every(y, x, metric), rank, 4)
    assert (found[1] == wanted[1]).all()
    assert (found[0] == wanted[0]).all()


def test_what_is_pending_is_settled_where_there_is_much_of_it(monkeypatch, vectors):
    monkeypatch.setattr(search, "MOST_PENDING", 10)
    x, rank = drawn(400, 3, "few values")
    found = nearest(vectors(x), None, "l2", 5, rank, MIB // 16)
    assert (found[1] == expected(every(x, x, "l2"), rank, 5)[1]).all()


def test_vectors_of_one_owner_are_not_near_to_each_other(vectors):
    x, rank = drawn(240, 4, "few values")
    owners = np.arange(240) // 8
    owners[owners == 3] = -1
    distances = every(x, x, "l2")
    distances[(owners[:, None] == owners) & (owners >= 0)] = np.inf
    found = nearest(vectors(x), None, "l2", 3, rank, MIB // 16, owners)
    wanted = expected(distances, rank, 3)
    assert (found[1] == wanted[1]).all()
    assert (found[0] == wanted[0]).all()
    alone = nearest(vectors(x[:8]), None, "l2", 3, rank[:8], MIB, owners[:8])
    assert np.isnan(alone[0]).all()
    assert (alone[1] == -1).all()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("kind", ["normal", "alike", "far"])
def test_a_score_is_off_by_its_error_at_most(kind, metric, vectors):
    x, _ = drawn(256, 700, kind)
    products = Products(vectors(x), None, metric, 64 * MIB)
    every_scores = []
    products.each(lambda i, j, scores: every_scores.append(scores.copy()))
    (scores,) = every_scores
    off = np.abs(scores - products.precise(0, 0, scores.shape))
    assert (off <= products.error(np.float32)[:, None]).all()
    assert off.max() > 0  # it is no bound of nothing


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("kind", ["normal", "few values", "alike"])
def test_what_hangs_together_is_what_edges_join(kind, metric, vectors):
    x, _ = drawn(300, 4, kind)
    distances = every(x, x, metric)
    threshold = float(np.sort(distances, axis=1)[:, 1].mean())
    found = connected(vectors(x), metric, threshold, MIB // 16)
    labels = np.arange(300)
    for _ in range(300):
        least = np.where(distances <= threshold, labels, 300).min(axis=1)
        if (least == labels).all():
            break
        labels = least
    assert (np.unique(found, return_index=True)[1][found] == labels).all()
    assert 1 < len(set(labels)) < 300


def test_equal_vectors_are_kept_once():
    made = Vectors()
    x = np.array([[1, 2], [3, 4], [1, 2]], np.float32)
    hashes = np.array([7, 8, 7], np.uint64)
    assert made.add(x, hashes).tolist() == [0, 1, 0]
    made.spool()
    assert made.add(x[1:], hashes[1:]).tolist() == [1, 0]
    assert made.add(x[:1] + 1, hashes[:1] + 9).tolist() == [2]
    made.seal()
    assert made.block(0, 3).tolist() == [[1, 2], [3, 4], [2, 3]]
    assert made.take(np.array([2, 0, 0])).tolist() == [[2, 3], [1, 2], [1, 2]]
    made.close()
    made.close()
