"""What select_fraction gains, loses and costs: `python benchmarks/bench_selection.py`.

Data sets that scikit-learn ships or that are painted here; features of a LeNet-5 that was trained
on the digits 0 to 4, or has random weights; two structured columns beside them. F1 is the mean over
five folds. `--cost` times trainings with and without, from features in a table, in
interleaved rounds: the medians, and the ratio.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pyarrow as pa
from sklearn.datasets import load_digits

import vista_sql
from vista_sql.train import FeatureSet, Options, Task, load, selection
from vista_sql.train.arrays import rows_of

FRACTIONS = (0.01, 0.05, 0.2, 1.0)
SIDE = 64  # of painted images
BUNDLED, RANDOM = "cnn => 'lenet5'", "cnn => 'lenet5', weights => 'random'"
LAYERS = (512, 1024, 2048, 2048)  # of the large training


def digits(least: int, most: int) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return scikit-learn's digits from `least` on, `most` of them at most, enlarged."""

    def load_them() -> tuple[np.ndarray, np.ndarray]:
        x, y = load_digits(return_X_y=True)
        chosen = np.flatnonzero(y >= least)[:most]
        scans = (x[chosen].reshape(-1, 8, 8) * 15.9).astype(np.uint8)
        return np.stack([cv2.resize(scan, (28, 28)) for scan in scans]), y[chosen]

    return load_them


def painted(
    n: int, classes: int, paint: Callable[[np.random.Generator, int], np.ndarray]
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return n images of as many classes, noise over them."""

    def paint_them() -> tuple[np.ndarray, np.ndarray]:
        chance = np.random.default_rng(11)
        y = chance.integers(0, classes, n)
        images = [paint(chance, int(c)) + chance.normal(0, 20, (SIDE, SIDE, 3)) for c in y]
        return np.clip(images, 0, 255).astype(np.uint8), y

    return paint_them


def grating(chance: np.random.Generator, c: int) -> np.ndarray:
    """Paint waves: classes are four directions and two lengths, on a ground of any colour."""
    angle = (c % 4) * np.pi / 4 + chance.normal(0, 0.12)
    length = (9.0, 16.0)[c // 4] * chance.uniform(0.85, 1.15)
    v, u = np.mgrid[:SIDE, :SIDE]
    wave = np.sin(
        2 * np.pi * (u * np.cos(angle) + v * np.sin(angle)) / length + chance.uniform(0, 6)
    )
    return chance.uniform(60, 200, 3) + 40 * wave[:, :, None]


def shape(chance: np.random.Generator, c: int) -> np.ndarray:
    """Paint one shape of any place, size and colours: classes are numbers of corners."""
    image = np.full((SIDE, SIDE, 3), chance.uniform(30, 220, 3))
    corners, radius = (3, 4, 5, 30)[c % 4], chance.uniform(12, 24)
    turn = chance.uniform(0, 6) + np.arange(corners) * 2 * np.pi / corners
    centre = chance.uniform(radius, SIDE - radius, 2)
    points = centre + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    cv2.fillPoly(image, [points.astype(np.int32)], chance.uniform(30, 220, 3).tolist())
    return image


def colour_and_shape(chance: np.random.Generator, c: int) -> np.ndarray:
    """Paint a shape on a light or a dark ground: classes are both, a low and a high feature."""
    image = shape(chance, c % 4)
    return image * (0.55 if c // 4 else 1.0)


DATA_SETS = {  # name: (the network, its images and classes)
    "digits 5–9": (BUNDLED, digits(5, 2000)),
    "digits 0–9": (BUNDLED, digits(0, 2000)),
    "digits 5–9, few rows": (BUNDLED, digits(5, 150)),
    "digits 0–9 again": (RANDOM, digits(0, 2000)),
    "gratings": (RANDOM, painted(800, 8, grating)),
    "shapes": (RANDOM, painted(800, 4, shape)),
    "shapes and light": (RANDOM, painted(800, 8, colour_and_shape)),
}


def features_of(db: vista_sql.Session, name: str, n: int | None) -> str:
    """Put a data set's features into a table, and return its name."""
    network, load_them = DATA_SETS[name]
    images, y = load_them()
    images, y = images[:n], y[:n]
    chance = np.random.default_rng(3)
    files = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    brightness = images.reshape(len(images), -1).mean(axis=1)
    table = pa.table({
        "id": range(len(y)), "y": y, "brightness": brightness,
        "hint": (y % 2) + chance.normal(0, 1, len(y)), "image": files,
    })  # fmt: skip
    db.con.register("rows_now", table)
    db.con.execute("CREATE OR REPLACE TABLE pictures AS SELECT id, image FROM rows_now")
    db.con.execute("CREATE OR REPLACE TABLE facts AS SELECT * EXCLUDE (image) FROM rows_now")
    db.query(
        "CREATE OR REPLACE TABLE features AS SELECT * EXCLUDE (error) FROM "
        f"TRANSFER({network}, images => 'pictures', structured => 'facts')"
    )
    return "features"


def train(db: vista_sql.Session, more: str) -> list[dict[str, object]]:
    found = db.query(
        "SELECT * FROM VISTA_TRAIN(model => 'm', label => 'y', data => 'features', "
        f"seed => {time.time_ns()}{more})"  # each is trained: a kept one would be returned
    )
    return [dict(row) for row in found.arrow().to_pylist()]


def quality(db: vista_sql.Session, n: int | None, folds: int) -> Iterator[str]:
    """Yield a row of a table for each data set."""
    yield (
        "| data set, weights | rows | columns alone | best layer | "
        + " | ".join(f"{fraction:g}" for fraction in FRACTIONS)
        + " |"
    )
    yield "|" + "---|" * (4 + len(FRACTIONS))
    for name, (network, _) in DATA_SETS.items():
        features_of(db, name, n)
        found = db.query(
            "SELECT * FROM VISTA_TRAIN(model => 'q', label => 'y', data => 'features', "
            f"folds => {folds}, seed => 5, select_fraction => {list(FRACTIONS)})"
        ).arrow().to_pylist()  # fmt: skip
        layers = [row for row in found if row["layer"] is not None]
        best = max(layers, key=lambda row: row["f1_score"])
        chosen = {row["fraction"]: row for row in found if row["fraction"] is not None}
        cells = [f"{chosen[f]['f1_score']:.3f} ({chosen[f]['dims'] - 2})" for f in FRACTIONS]
        rows = found[0]["n_train"]
        which = "trained" if network == BUNDLED else "random"
        yield (
            f"| {name.removesuffix(' again')}, {which} | {rows} | {found[0]['f1_score']:.3f} | "
            f"{best['layer']} {best['f1_score']:.3f} ({best['dims'] - 2}) | {' | '.join(cells)} |"
        )


def cost(db: vista_sql.Session, n: int | None, rounds: int, large: int) -> Iterator[str]:
    """Yield a row of a table for each training."""
    yield "| training | without, s | with 0.01, s | ratio |"
    yield "|---|---|---|---|"
    for name in ("digits 0–9", "gratings"):
        features_of(db, name, n)
        seconds: dict[str, list[float]] = {"": [], ", select_fraction => 0.01": []}
        for more in list(seconds) * rounds:
            began = time.perf_counter()
            train(db, more)
            seconds[more].append(time.perf_counter() - began)
        yield _line(f"{name}, from a table", *seconds.values())
    for classes in (2, 10):
        yield _line(f"{large:,} × {sum(LAYERS):,}, {classes} classes, in memory",
                    *large_training(large, classes, rounds))  # fmt: skip


def _line(name: str, without: list[float], with_: list[float]) -> str:
    shown = [f"{median(s):.2f} ({min(s):.2f}–{max(s):.2f})" for s in (without, with_)]
    return f"| {name} | {shown[0]} | {shown[1]} | {median(with_) / median(without):.2f} |"


def large_training(n: int, classes: int, rounds: int) -> tuple[list[float], list[float]]:
    """Time the fits of four layers whose features are alike, as a network's are."""
    chance = np.random.default_rng(0)
    inner = chance.standard_normal((n, 200)).astype(np.float32)
    layers = [
        inner @ (chance.standard_normal((200, d)) / 14).astype(np.float32)
        + 0.3 * chance.standard_normal((n, d)).astype(np.float32)
        for d in LAYERS
    ]
    margins = inner[:, :20] @ chance.standard_normal((20, classes))
    y = (margins + 2 * chance.standard_normal((n, classes))).argmax(axis=1)
    rows = rows_of(chance.standard_normal((n, 10)), layers, y)
    sets = [FeatureSet(f"l{i}", f"l{i}", True, (i,)) for i in range(len(LAYERS))]
    every = FeatureSet("selected", None, True, tuple(range(len(LAYERS))), 0.01)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for spent, asked in zip(times, (sets, [*sets, every]), strict=True):
            began = time.perf_counter()
            tasks = [Task(features, 0.01, 0.5) for features in asked]
            selection.fit(load("logistic"), rows, tasks, Options(classes, memory_bytes=1 << 32))
            spent.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost", action="store_true", help="times in place of figures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    n = 60 if options.smoke else None
    with tempfile.TemporaryDirectory() as folder, vista_sql.connect(Path(folder) / "db") as db:
        db.con.execute(f"SET VARIABLE vista_store = '{folder}/store'")
        if not options.cost or options.smoke:
            for line in quality(db, n, 2 if options.smoke else 5):
                print(line, flush=True)
        if options.cost or options.smoke:
            rounds, large = (1, 300) if options.smoke else (options.rounds, 5000)
            for line in cost(db, n, rounds, large):
                print(line, flush=True)


if __name__ == "__main__":
    main()
