"""Time elastic-net training against scikit-learn: `python benchmarks/bench_training.py`.

Rows of float32 features, two classes, the paper's penalty (reg 0.01, l1_ratio 0.5), 10 iterations.
Rounds are interleaved, so that a busy spell of the machine falls on all alike; each figure is the
median of the rounds, with the least and the most. `--peers` adds scikit-learn's saga and
SGDClassifier (about 25 s a round at full size), which are given standardized data.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np

from vista_sql.train import FeatureSet, Fit, Options, Task, load
from vista_sql.train.arrays import rows_of
from vista_sql.train.training_rows import TrainingRows

REG, L1_RATIO, ITERATIONS = 0.01, 0.5, 10  # Vista, section 5: elastic net, lambda, iterations
REGS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
LAYER = FeatureSet("layer", "layer", False, (0,))


def data(n_rows: int, n_values: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n_rows, n_values), dtype=np.float32)
    x[:, : n_values // 2] = np.maximum(x[:, : n_values // 2], 0)  # like activations
    weights = rng.standard_normal(n_values // 40)
    margin = x[:, : len(weights)] @ weights / np.sqrt(len(weights))
    return x, (margin + rng.standard_normal(n_rows) * 0.5 > 0).astype(int)


class Counted:
    """Rows that count the passes over them."""

    def __init__(self, rows: TrainingRows) -> None:
        self.rows, self.passes = rows, 0

    def __getattr__(self, name: str) -> object:
        if name in ("total", "mapped"):
            self.passes += 1
        return getattr(self.rows, name)


def fit(rows: TrainingRows, regs: tuple[float, ...]) -> list[Fit]:
    options = Options(2, max_iterations=ITERATIONS, memory_bytes=1 << 32)
    return load("logistic").fit(rows, [Task(LAYER, reg, L1_RATIO) for reg in regs], options)


def objective(x: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: float) -> float:
    margin = x @ coef.astype(np.float32) + intercept
    loss = np.logaddexp(0, margin.astype(np.float64)) - y * margin
    norm = L1_RATIO * np.abs(coef).sum() + (1 - L1_RATIO) / 2 * (coef**2).sum()
    return float(loss.mean() + REG * norm)


def saga(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    c = 1 / (REG * len(y))
    model = LogisticRegression(C=c, l1_ratio=L1_RATIO, solver="saga", max_iter=ITERATIONS, tol=0)
    model.fit(z, y)
    return model.coef_[0], float(model.intercept_[0])


def sgd(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss", penalty="elasticnet", alpha=REG, l1_ratio=L1_RATIO, max_iter=ITERATIONS,
        tol=None, random_state=0,
    )  # fmt: skip
    model.fit(z, y)
    return model.coef_[0], float(model.intercept_[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--values", type=int, default=8_192)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", action="store_true", help="time scikit-learn too, one round")
    parser.add_argument("--smoke", action="store_true", help="one round on little data")
    given = parser.parse_args()
    if given.smoke:
        given.rows, given.values, given.rounds = 5_000, 64, 1  # enough for lanes
    x, y = data(given.rows, given.values)
    empty = np.zeros((len(y), 0))
    memory, spooled = rows_of(empty, [x], y), rows_of(empty, [x], y, spool=True)
    flat = x.ravel()
    cases: dict[str, Callable[[], object]] = {
        "read once (dot product)": lambda: flat @ flat,
        "one model, in memory": lambda: fit(memory, (REG,)),
        "8 reg values, in memory": lambda: fit(memory, REGS),
        "one model, spooled": lambda: fit(spooled, (REG,)),
        "sort": lambda: rows_of(empty, [x], y),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()  # first calls touch memory and start threads
    for _ in range(given.rounds):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - start)
    gigabytes = x.nbytes / 1e9
    print(f"{given.rows} x {given.values} float32 = {gigabytes:.3f} GB; {given.rounds} rounds")
    for name, taken in seconds.items():
        print(f"{name:28s} {median(taken):8.3f} s  ({min(taken):.3f} to {max(taken):.3f})")
    passes = {}
    for name, regs in (("one model, in memory", (REG,)), ("8 reg values, in memory", REGS)):
        counted = Counted(memory)
        fit(counted, regs)  # type: ignore[arg-type]
        passes[name] = counted.passes
        per_pass = median(seconds[name]) / counted.passes
        of_once = [
            counted.passes * once / fitted  # of one round: the machine's speed changes meanwhile
            for once, fitted in zip(seconds["read once (dot product)"], seconds[name], strict=True)
        ]
        print(
            f"{name}: {counted.passes} passes, {per_pass:.4f} s a pass = "
            f"{gigabytes / per_pass:.1f} GB/s = {median(of_once):.2f} of reading once "
            f"({min(of_once):.2f} to {max(of_once):.2f})"
        )
    one, eight = (median(seconds[name]) / n for name, n in passes.items())
    print(f"a pass for 8 models costs {eight / one:.2f} passes for one")
    (ours,) = fit(memory, (REG,))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    coef = ours.arrays["coef"][0] * x.std(axis=0)
    intercept = float(ours.arrays["intercept"][0] + ours.arrays["coef"][0] @ x.mean(axis=0))
    print(f"objective of ours after {ITERATIONS}: {objective(z, y, coef, intercept):.6f}")
    if given.peers:
        for name, peer in (("saga", saga), ("SGDClassifier", sgd)):
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = peer(z, y)
            taken = time.perf_counter() - start
            ratio = taken / median(seconds["one model, in memory"])
            reached = objective(z, y, *found)
            print(f"{name}: {taken:.2f} s ({ratio:.0f} x ours), objective {reached:.6f}")
    spooled.close()


if __name__ == "__main__":
    main()
