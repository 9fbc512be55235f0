"""Features have the same bits whatever the plan, the batch, its other rows and the threads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from processors import HAS_BFLOAT16
from seeded import asked, of_roster, opened, pixels, reference

from vista_sql import catalog, roster
from vista_sql.kernels import PACKAGE, InferSpec

FULL = pytest.mark.full  # bfloat16 is slow, where it is imitated
TOYS = [(name, "float32") for name in toys.TOYS]
TOYS += [
    pytest.param(name, "bfloat16", marks=() if HAS_BFLOAT16 and name == "residual" else FULL)
    for name in toys.TOYS
]
networks_of_the_roster = pytest.mark.parametrize(
    "name", ["lenet5", pytest.param("resnet50", marks=FULL)]
)


def check(name, layers, found, rows, dtype="float32", n=33):
    for layer, values in zip(layers, found, strict=True):
        expected = reference(name, dtype, n)[layer][rows]
        differ = (values != expected).any(axis=1)
        assert not differ.any(), f"{layer}: rows {np.flatnonzero(differ)} differ"


@pytest.mark.parametrize(("name", "dtype"), TOYS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_rows_in_any_batch_with_any_other_layers(name, dtype, data):
    layers = data.draw(st.lists(st.sampled_from(asked(name)), min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.integers(0, 32), min_size=1, max_size=33))
    found = opened(name, dtype).features(layers, "none", pixels(name, 33)[rows])
    check(name, layers, found, rows, dtype)


def resumable(name):
    """Every pair of a start and a layer that may be computed from it."""
    graph = opened(name).graph
    layers = asked(name)
    return [(a, b) for a in layers for b in layers if a != b and graph.reachable(a, b)]


@pytest.mark.parametrize(("name", "dtype"), TOYS)
def test_from_any_stored_map_to_any_layer_above(name, dtype):
    pairs = resumable(name)
    assert len(pairs) > 10
    for start, layer in pairs:
        maps = reference(name, dtype)[start][:5]
        found = opened(name, dtype).resume(start, [layer], "none", maps)
        check(name, [layer], found, slice(5), dtype)


@networks_of_the_roster
def test_networks_from_cut_to_cut_and_each_layer_alone(name):
    n = 5 if name == "resnet50" else 33
    for start, layer in pairwise(asked(name)):
        found = opened(name).resume(start, [layer], "none", reference(name, n=n)[start])
        check(name, [layer], found, slice(n), n=n)
    cnn = roster.load(name)
    for layer in {cnn.canonical(layer) for layer in cnn.feature_layers}:
        check(name, [layer], opened(name).features([layer], "none", pixels(name, n)), slice(n), n=n)


@networks_of_the_roster
def test_networks_in_batches_of_other_lengths(name):
    n = 5 if name == "resnet50" else 33
    for rows in ([0], [1, 0], [4, 4, 3], [2, 1, 0, 4], list(range(n))):
        found = opened(name).features(asked(name), "none", pixels(name, n)[rows])
        check(name, asked(name), found, rows, n=n)


@pytest.mark.full
@pytest.mark.parametrize("name", roster.names())
def test_every_feature_layer_of_the_roster(name):
    of_roster.cache_clear()
    network, images = opened(name), pixels(name, 33)
    layers = toys.feature_layers(roster.load(name))
    expected = dict(zip(layers, network.features(layers, "none", images), strict=True))
    for length in (1, 2, 3, 5, 8, 13, 16, 17, 31, 32):
        found = network.features(layers, "none", images[:length])
        for layer, values in zip(layers, found, strict=True):
            assert_array_equal(values, expected[layer][:length], layer)
    for start, layer in combinations(layers, 2):
        if network.graph.reachable(start, layer):
            (values,) = network.resume(start, [layer], "none", expected[start][:9])
            assert_array_equal(values, expected[layer][:9], f"{layer} from {start}")


PROGRAM = """
import sys
sys.path[:0] = {path!r}
from vista_sql.udfs.network.engines.tensorflow import process
process.load({threads})
import seeded
tf, _ = process.load()
assert tf.config.threading.get_intra_op_parallelism_threads() == {threads}
for name in {names!r}:
    print(name, seeded.digest(name))
"""


@pytest.mark.parametrize(
    ("names", "counts", "at_once"),
    [
        (["residual", "lenet5"], (1, 2), 2),
        pytest.param([*toys.TOYS, *roster.names()], (1, 2, 3, 16), 1, marks=FULL),
    ],
    ids=["two", "all"],
)
def test_threads(names, counts, at_once):
    def digests(threads):
        program = PROGRAM.format(path=sys.path, threads=threads, names=names)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with ThreadPoolExecutor(at_once) as pool:
        found = set(pool.map(digests, counts))
    assert len(found) == 1
    assert len(found.pop().splitlines()) == len(names)


def call(runtime, name, spec, *columns):
    file = name.split("_")[1]
    kernels = {k.name: k for k in catalog.load(PACKAGE, file, "KERNELS", tuple)}
    n = len(columns[0])
    return kernels[name].function(runtime, pa.array([spec.to_text()] * n), *columns)


@pytest.mark.parametrize("pool", ["max2x2", "avg2x2", "gap", "gmp", "gem", "none"])
def test_kernels_fused_staged_and_pooled_apart(pool):
    import cv2

    runtime = toys.runtime()
    images = pa.array([cv2.imencode(".png", one)[1].tobytes() for one in toys.pixels(7)])
    keys = pa.array([str(i) for i in range(7)])
    layers = ("first_relu", "block2", "mean")
    spec = InferSpec("residual", layers, pool=pool)
    fused = call(runtime, "vista_infer_3", spec, images, keys)
    maps = call(runtime, "vista_maps_1", InferSpec("residual", layers[:1]), images, keys).field(
        "l1"
    )
    start = None
    for slot, layer in enumerate(layers):
        if start is not None:
            step = InferSpec("residual", (layer,), start=start, batch_rows=2 + slot)
            maps = call(runtime, "vista_resume_1", step, maps).field("l1")
        start = layer
        pooled = call(runtime, "vista_pool", InferSpec("residual", (layer,), pool=pool), maps)
        assert pooled.equals(fused.field(f"l{slot + 1}"))
