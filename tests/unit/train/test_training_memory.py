"""Memory of a training does not grow with rows."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from vista_sql.train import FeatureSet, Options, Task, load
from vista_sql.train.moments import rescale
from vista_sql.train.training_rows import Layout, Chunk, TrainingRows

n_batches = int(sys.argv[1])
store = TrainingRows(Layout(2, (1000,)))
store.spool()
rng = np.random.default_rng(0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(n_batches):
    n = 2000
    x = rng.standard_normal((n, 1000), dtype=np.float32)
    code = (x[:, 0] > 0).astype(np.int64)
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    store.append(Chunk(hashes, rng.random(n), code, rng.random((n, 2)), (x,)))
store.seal(np.arange(2))
rescale(store)
one = FeatureSet("structured+x", "x", True, (0,))
(fit,) = load("logistic").fit(store, [Task(one, 0.01, 0.5)], Options(2, max_iterations=3))
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
