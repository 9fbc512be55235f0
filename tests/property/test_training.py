"""Training depends on which rows there are, not on how they came."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_sql.train import FeatureSet, Options, Task, load
from vista_sql.train.arrays import rows_of
from vista_sql.train.chunks import Chunk, Layout
from vista_sql.train.training_rows import TrainingRows

N = 60
SETS = [FeatureSet("structured", None, True, ()), FeatureSet("structured+a", "a", True, (0,))]


def some_rows(seed):
    rng = np.random.default_rng(seed)
    code = rng.integers(0, 2, N)
    s = rng.standard_normal((N, 2)) * [1, 1e6]
    a = rng.standard_normal((N, 3)).astype(np.float32) + code[:, None]
    return s, [a], np.where(np.arange(N) < 2, np.arange(N), code)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, N), max_size=5).map(sorted),
    order=st.permutations(range(N)),
    spool=st.booleans(),
)
def test_batches_may_be_cut_anywhere_and_rows_come_in_any_order(seed, cuts, order, spool):
    rows = some_rows(seed)
    tasks = [Task(one, 0.01, 0.5, fold) for one in SETS for fold in (None, 0)]
    options = Options(2, folds=2, max_iterations=15)
    plain = load("logistic").fit(rows_of(*rows), tasks, options)
    training = rows_of(*rows, order=np.array(order), cuts=cuts, spool=spool)
    for one, other in zip(plain, load("logistic").fit(training, tasks, options), strict=True):
        np.testing.assert_allclose(one.arrays["coef"], other.arrays["coef"], rtol=1e-6)
        assert one.iterations == other.iterations
    training.close()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    reg=st.floats(1e-4, 10),
    l1_ratio=st.floats(0, 1),
)
def test_a_fit_is_never_worse_than_no_weights(seed, reg, l1_ratio):
    s, layers, code = some_rows(seed)
    (fit,) = load("logistic").fit(
        rows_of(s, layers, code), [Task(SETS[1], reg, l1_ratio)], Options(2)
    )
    share = code.mean()
    alone = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert fit.objective <= alone + 1e-12


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=6),
    widths=st.lists(st.integers(1, 9), max_size=3),
    n_structured=st.integers(0, 4),
    spool_after=st.integers(0, 6),
)
def test_every_row_comes_once(sizes, widths, n_structured, spool_after):
    rng = np.random.default_rng(len(sizes))
    training = TrainingRows(Layout(n_structured, tuple(widths)))
    expected = []
    for i, size in enumerate(sizes):
        if i == spool_after:
            training.spool()
        rows = Chunk(
            rng.integers(0, 2**63, size).astype(np.uint64) * np.uint64(2),
            rng.random(size),
            rng.integers(0, 3, size),
            rng.random((size, n_structured)),
            tuple(rng.random((size, width)).astype(np.float32) for width in widths),
        )
        expected.append((rows.hash.copy(), rows.code.copy(), [x.copy() for x in rows.layers]))
        training.append(rows)
    training.seal(np.array([2, 0, 1]))
    found = [
        (c.hash.copy(), c.code.copy(), [x.copy() for x in c.layers]) for c in training.chunks()
    ]
    hashes = np.concatenate([h for h, _, _ in expected])
    order = np.argsort(hashes, kind="stable")
    assert sum(len(h) for h, _, _ in found) == len(hashes) == training.n_rows
    if len(hashes):
        np.testing.assert_array_equal(np.concatenate([h for h, _, _ in found]), hashes[order])
        codes = np.array([2, 0, 1])[np.concatenate([c for _, c, _ in expected])]
        np.testing.assert_array_equal(np.concatenate([c for _, c, _ in found]), codes[order])
        for i in range(len(widths)):
            layer = np.concatenate([x[i] for _, _, x in expected])
            np.testing.assert_array_equal(np.concatenate([x[i] for _, _, x in found]), layer[order])
    training.close()
