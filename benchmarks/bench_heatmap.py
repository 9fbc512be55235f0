"""Time occlusion maps against full re-inference: `python benchmarks/bench_heatmap.py`.

One image, each patch grayed in turn, float32, random weights. Windows of maps and whole images run
in turns in one process, so that a busy spell of the machine falls on both; of whole images a sample
of the patches is inferred. Seconds are given as they pass and as the processor spent them. The
bound is what full re-inference takes over what patches can reach, in multiply-adds of convolutions
(Krypton, SIGMOD 2019, section 3): windows of exactly the places that change.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from statistics import median

import numpy as np
from rounds import spread
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.networks import Network, open_cnn
from vista_sql.udfs.network.steps import Convolution, Step
from vista_sql.udfs.network.windows.again import Again
from vista_sql.udfs.network.windows.segments import Segment

from vista_sql.kernels import InferSpec

LAYERS = {"vgg16": "block5_conv3", "resnet50": "conv5_block3_out"}
POOL, SAMPLE = "max2x2", 64


def per_place(step: Step) -> float:
    """Return the multiply-adds of one place of a convolution's output."""
    match step.operation:
        case Convolution(kernel, groups=groups, depthwise=depthwise):
            return float(np.prod(kernel.shape)) / (kernel.shape[2] if depthwise else groups)
    return 0.0


def bound(graph: Graph, layer: str, patch: int, corners: tuple[range, range]) -> float:
    """Return by how much fewer multiply-adds patches take than whole images do."""
    segment = Segment(graph, graph.input, layer)
    lengths = []
    for axis, side in enumerate(corners):
        changed = [segment.changed((first, first + patch), axis) for first in side]
        lengths.append({n: np.mean([c[n][1] - c[n][0] for c in changed]) for n in segment.steps})
    costs = {name: per_place(graph.steps[name]) for name in segment.steps}
    whole = sum(cost * segment.side(n, 0) * segment.side(n, 1) for n, cost in costs.items())
    return float(whole / sum(cost * lengths[0][n] * lengths[1][n] for n, cost in costs.items()))


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return what a call returns, seconds that passed, and those that the processor spent."""
    wall, spent = time.perf_counter(), time.process_time()
    found = call()
    return found, time.perf_counter() - wall, time.process_time() - spent


def measure(
    name: str, layer: str, engine: str, threads: int | None, patch: int, stride: int, n_rounds: int
) -> None:
    """Print the figures of one network."""
    spec = InferSpec(name, (layer,), weights="random", seed=1)
    network = Network(open_cnn(spec), "float32", "cpu", threads, engine)
    height, width, channels = network.cnn.input_shape
    corners = (range(0, height - patch + 1, stride), range(0, width - patch + 1, stride))
    places = list(product(*corners))
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    gray = np.rint(network.cnn.preprocessing.mean).astype(np.uint8)
    gray = np.broadcast_to(gray, (channels,))
    n_rows = network.batch_rows
    n_sample = min(len(places), -(-SAMPLE // n_rows) * n_rows)
    chosen = np.sort(random.choice(len(places), n_sample, replace=False))
    images = np.repeat(pixels[None], n_sample, axis=0)
    for image, (top, left) in zip(images, (places[i] for i in chosen), strict=True):
        image[top : top + patch, left : left + patch] = gray

    def whole() -> np.ndarray:
        batches = (images[i : i + n_rows] for i in range(0, n_sample, n_rows))
        return np.concatenate([network.features([layer], POOL, batch)[0] for batch in batches])

    again = Again(network, (layer, POOL), patch, corners)

    def windows() -> np.ndarray:
        numbers, features = map(np.concatenate, zip(*again.features(pixels, gray), strict=True))
        return features[np.argsort(numbers)]

    whole()
    _, first, _ = timed(windows)
    seconds: dict[str, list[tuple[float, float]]] = {"whole": [], "windows": []}
    for _ in range(n_rounds):
        wanted, *took = timed(whole)
        seconds["whole"].append((took[0], took[1]))
        found, *took = timed(windows)
        seconds["windows"].append((took[0], took[1]))
    worst = np.abs(found[chosen] - wanted).max() / np.abs(wanted).max()
    most = bound(network.graph, layer, patch, corners)
    print(f"{name} {layer}, {engine}: {len(places)} patches of {patch}, stride {stride}")
    print(f"  first image, with compiling: {first:.3g} s; largest difference {worst:.2g}")
    for kind, which in (("passed", 0), ("processor", 1)):
        all_whole = [one[which] * len(places) / n_sample for one in seconds["whole"]]
        some = [one[which] for one in seconds["windows"]]
        ratios = [a / b for a, b in zip(all_whole, some, strict=True)]
        print(
            f"  {kind} seconds: whole {spread(all_whole)}, windows {spread(some)}: "
            f"{spread(ratios)} × faster, {median(ratios) / most:.2f} of the bound {most:.3g}"
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cnn", nargs="*", default=["vgg16", "resnet50"])
    parser.add_argument("--engine", default="openvino")
    parser.add_argument(
        "--threads", type=int, help="1: on a machine that is busy with others' work"
    )
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="that it runs: few patches")
    given = parser.parse_args()
    if given.smoke:
        measure("vgg16", "block2_pool", given.engine, given.threads, 16, 96, 1)
        return
    for name in given.cnn:
        how = given.engine, given.threads, given.patch, given.stride, given.rounds
        measure(name, LAYERS[name], *how)


if __name__ == "__main__":
    main()
