"""Time exact nearest neighbours: `python benchmarks/bench_neighbors.py`.

All pairs of rows of float32 features, ten neighbours each, against what the same products take in
one call of NumPy by hand (which keeps only half of them, for `y @ y.T` is symmetric, and needs all
rows × rows scores in memory), and against the whole by hand, neighbours chosen by `argpartition`.
Rounds are interleaved; each figure is the median, with the least and the most. Seconds of the
processor are shown too: on a busy machine they say more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from vista_sql.nearest.search import nearest
from vista_sql.nearest.vectors import Vectors

CENTRES = 400  # what the rows are of; they differ as images of one kind do


def data(n_rows: int, n_values: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, n_values), dtype=np.float32)
    x = centres[rng.integers(0, CENTRES, n_rows)]
    x += rng.standard_normal(x.shape, dtype=np.float32)
    return np.maximum(x, 0, out=x)  # like activations


def sealed(x: np.ndarray, spool: bool = False) -> Vectors:
    vectors = Vectors()
    if spool:
        vectors.spool()
    vectors.add(x)
    vectors.seal()
    return vectors


def products(x: np.ndarray) -> np.ndarray:
    y = x / np.linalg.norm(x, axis=1, keepdims=True)
    return y @ y.T


def by_hand(x: np.ndarray, k: int) -> np.ndarray:
    scores = products(x)
    np.fill_diagonal(scores, -2)
    near = np.argpartition(scores, len(x) - k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1)
    return np.take_along_axis(near, order, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--values", type=int, default=2_048)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=1024, help="MiB that the search may take")
    parser.add_argument("--smoke", action="store_true", help="one round on little data")
    given = parser.parse_args()
    if given.smoke:
        given.rows, given.values, given.rounds, given.memory = 3_000, 64, 1, 16
    x, k = data(given.rows, given.values), given.k
    rank, memory = np.arange(given.rows), given.memory << 20
    kept, spooled = sealed(x), sealed(x, spool=True)
    cases: dict[str, Callable[[], object]] = {
        "products, one call of NumPy": lambda: products(x),
        "neighbours by hand": lambda: by_hand(x, k),
        "neighbours, exact": lambda: nearest(kept, None, "cosine", k + 1, rank, memory),
        "neighbours, exact, spooled": lambda: nearest(
            spooled, None, "cosine", k + 1, rank, memory // 4
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    worked: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(given.rounds):
        for name, case in cases.items():
            start, start_worked = time.perf_counter(), time.process_time()
            case()
            worked[name].append(time.process_time() - start_worked)
            seconds[name].append(time.perf_counter() - start)
    print(f"{given.rows} x {given.values} float32, k = {k}; {given.rounds} rounds")
    for kind, figures in (("", seconds), (" of the processor", worked)):
        first, *_ = figures.values()
        for name, taken in figures.items():
            ratio = median(a / b for a, b in zip(taken, first, strict=True))
            print(
                f"{name:28s} {median(taken):8.3f} s{kind}  ({min(taken):.3f} to {max(taken):.3f}), "
                f"{ratio:.2f} of the products"
            )
    _, found = nearest(kept, None, "cosine", k + 1, rank, memory)
    same = (found[:, 1:] == by_hand(x, k)).mean()
    print(f"{same:.2%} of the neighbours by hand are the exact ones, in their order")


if __name__ == "__main__":
    main()
