"""Rows that are read again and again: in one order, in memory or from files."""

import subprocess
import sys

import numpy as np
import pytest

from vista_sql.train.arrays import rows_of
from vista_sql.train.chunks import Chunk, ColumnMoments, Layout
from vista_sql.train.training_rows import TrainingRows


def rows(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((n, 3)) * [1, 1e4, 1e-3] + [0, 1e6, 5],
        [rng.standard_normal((n, 33)), rng.random((n, 8))],
        rng.integers(0, 3, n),
    )


def numbered(n, seed=0):
    """Rows with hashes of their own, whose only feature is their number."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, n).astype(np.uint64) * np.uint64(2)
    values = np.arange(n, dtype=np.float32)[:, None]
    return Chunk(hashes, rng.random(n), np.zeros(n, int), np.zeros((n, 0)), (values,))


def copies(training):
    """All rows; a chunk is valid only until the next."""
    found = [
        (c.structured.copy(), *(x.copy() for x in c.layers), c.code.copy(), c.unit.copy())
        for c in training.chunks()
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
    training = rows_of(s, layers, y, spool=True)
    for _ in training.chunks():
        break
    assert sum(len(c) for c in training.chunks()) == 5000
    training.close()


def test_no_rows_have_no_chunks():
    for spool in (False, True):
        training = TrainingRows(Layout(2, (3,)))
        if spool:
            training.spool()
        training.seal(np.arange(2))
        assert list(training.chunks()) == []


@pytest.mark.parametrize("spool", [False, True])
def test_rows_are_taken_out(spool):
    rows = numbered(500)
    training = TrainingRows(Layout(0, (1,)))
    training.append(rows.take(slice(0, 300)))
    if spool:
        training.spool()
    training.append(rows.take(slice(300, 500)))
    some = np.sort(rows.hash[::7])
    out = training.take_out(some)
    np.testing.assert_array_equal(np.sort(out.hash), some)
    by_hash = dict(zip(rows.hash.tolist(), rows.layers[0][:, 0], strict=True))
    assert [by_hash[h] for h in out.hash.tolist()] == out.layers[0][:, 0].tolist()
    assert training.n_rows == 500 - len(some)
    training.append(out)
    training.seal(np.arange(1))
    found = [(c.hash.copy(), c.layers[0].copy()) for c in training.chunks()]
    np.testing.assert_array_equal(np.concatenate([h for h, _ in found]), np.sort(rows.hash))
    training.close()


def test_a_copy_is_sealed_apart():
    rows = TrainingRows(Layout(0, (1,)))
    rows.append(numbered(10))
    other = rows.copy()
    other.seal(np.arange(1))
    assert (rows.sealed, other.sealed) == (False, True)
    rows.append(numbered(10, seed=1))
    assert (rows.n_rows, other.n_rows) == (20, 10)
    rows.spool()
    with pytest.raises(RuntimeError, match="spooled rows cannot be copied"):
        rows.copy()
    rows.close()


def test_what_is_not_ready_says_so():
    rows = TrainingRows(Layout(1, ()))
    with pytest.raises(RuntimeError, match="not rescaled"):
        _ = rows.moments
    with pytest.raises(RuntimeError, match="not sealed"):
        rows.chunk(0)


def test_scaling_is_in_float64():
    moments = ColumnMoments(np.array([1e9, 7.0]), np.array([2.0, 0.0]))
    scaled = moments.apply(np.array([[1e9 + 1, 7.0]]))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[0.5, 0.0]]  # a constant column is 0


CODE = """
import resource, sys
import numpy as np
from vista_sql.train import FeatureSet, Options, Task, load
from vista_sql.train.moments import rescale
from vista_sql.train.chunks import Layout, Chunk
from vista_sql.train.training_rows import TrainingRows

n_batches = int(sys.argv[1])
training = TrainingRows(Layout(2, (1000,)))
training.spool()
rng = np.random.default_rng(0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(n_batches):
    n = 2000
    x = rng.standard_normal((n, 1000), dtype=np.float32)
    code = (x[:, 0] > 0).astype(np.int64)
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    training.append(Chunk(hashes, rng.random(n), code, rng.random((n, 2)), (x,)))
training.seal(np.arange(2))
rescale(training)
one = FeatureSet("structured+x", "x", True, (0,))
(fit,) = load("logistic").fit(training, [Task(one, 0.01, 0.5)], Options(2, max_iterations=3))
assert fit.objective < 0.69
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def grown_mib(n_batches):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(n_batches)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.full
def test_spooled_training_of_six_times_the_rows_takes_no_more_memory():
    little, much = grown_mib(20), grown_mib(120)  # 160 and 960 MiB of features
    assert much < little + 60  # two of 64 files of 960 MiB, and the machine's noise
    assert much < 200
