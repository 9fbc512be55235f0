"""Equal digests of what layers compute mean equal bits; all that decides a layer is in its own."""

from __future__ import annotations

import shutil
from collections import defaultdict
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import onnx_nets
import pytest
import variants
from msgspec.structs import replace
from numpy.testing import assert_array_equal
from onnx import numpy_helper
from vista_sql.udfs.network import computations, engine, serial
from vista_sql.udfs.network.computations import Computations, Named, Writer
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql import catalog, files, roster, weights
from vista_sql.kernels import InferSpec
from vista_sql.roster import networks
from vista_sql.weights import variables

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

ENGINES = catalog.names(engine.PACKAGE)
every_engine = pytest.mark.parametrize("name", ENGINES)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return cache(lambda kind: variants.save(kind, folder))


def digests(cnn, engine_name):
    """Return the digests of all layers of a file."""
    opened = open_cnn(InferSpec(cnn, (), engine=engine_name))
    return {x.name: opened.computation(x.name, engine_name) for x in opened.cnn.layers}


def computed(cnn, engine_name, dtype, images):
    """Return (digest, layer, raw values) of every layer of a file, and pooled ones of those."""
    opened = open_cnn(InferSpec(cnn, (), engine=engine_name))
    network = Network(opened, dtype, "cpu", engine_name=engine_name)
    layers = [x.name for x in opened.cnn.layers]
    outputs = [(layer, pool) for layer in layers for pool in ("none", "gap")]
    values = dict(zip(outputs, network.run(None, outputs, images), strict=True))
    for layer in layers:
        found = values[layer, "none"], values[layer, "gap"]
        yield opened.computation(layer, engine_name), layer, found


# ── equal digests, equal bits ───────────────────────────────────────────────────────────────────


def compare(path, kinds, engine_name, dtype):
    """Compare layers of equal digests bit by bit; return by which kinds each digest is shared."""
    images, found, sharing = variants.pixels(5), {}, defaultdict(set)
    for kind in kinds:
        for digest, layer, values in computed(path(kind), engine_name, dtype, images):
            assert digest
            for one, expected in zip(values, found.setdefault(digest, values), strict=True):
                assert_array_equal(one, expected, f"{layer} of {kind}")
            sharing[digest].add(kind)
    return [*sharing.values()]


@every_engine
def test_layers_of_equal_digests_have_equal_bits(path, name):
    sharing = compare(path, ("plain", "tuned", "branch"), name, "float32")
    assert sharing.count({"plain", "tuned", "branch"}) >= 5


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@every_engine
def test_all_variants_with_equal_digests_have_equal_bits(path, name, dtype):
    sharing = compare(path, variants.VARIANTS, name, dtype)
    assert sum(len(kinds) > 1 for kinds in sharing) >= 8
    assert {*variants.VARIANTS} - {"other"} in sharing


@every_engine
def test_what_is_alike_has_equal_digests(path, name):
    plain, tuned, renamed = (digests(path(k), name) for k in ("plain", "tuned", "renamed"))
    assert [*plain.values()] == [*renamed.values()]
    alike = [layer for layer in plain if plain[layer] == tuned[layer]]
    assert alike[-1] == "block"
    assert len({*plain.values(), *tuned.values()}) == 2 * len(plain) - len(alike)
    assert not {*plain.values()} & {*digests(path("other"), name).values()} - {plain["scale"]}
    shared = {*plain.values()} & {*digests(path("deep"), name).values()}
    assert plain["late"] in shared


def test_engines_that_compute_otherwise_are_told_apart_by_their_parts(path):
    """In OpenVINO it counts what is an output, in TensorFlow what a dense layer is run with."""
    openvino, tensorflow = (digests(path("plain"), name) for name in ("openvino", "tensorflow"))
    assert openvino["scale"] == tensorflow["scale"]
    assert openvino["top"] != tensorflow["top"]


# ── what a digest depends on ────────────────────────────────────────────────────────────────────


@cache
def data(cnn):
    return roster.load(cnn), networks.read(cnn)


def of_data(cnn, network, engine_name, held=None):
    """Return the digests of all layers of a network as data."""
    held = held or {}
    named = {x.path: Named(x.shape, held.get(x.path, x.path)) for x in network.variables}
    graph = serial.graph(network, named)
    found = Computations(cnn, graph, engine.load(engine_name).parts, Writer(graph).written)
    return {layer.name: found.of(layer.name) for layer in cnn.layers}


def users(network, names):
    """Return the steps that depend on steps."""
    found = set(names)
    for step in network.steps:
        if found & {*step.inputs}:
            found.add(step.name)
    return found


def changed(before, after):
    return {layer for layer in before if before[layer] != after[layer]}


@every_engine
@pytest.mark.parametrize("cnn", ["lenet5", "resnet18"])
def test_a_weight_counts_where_it_is_used_and_nowhere_else(cnn, name):
    cnn, network = data(cnn)
    before = of_data(cnn, network, name)
    for one in network.variables[:: max(1, len(network.variables) // 12)]:
        own = [x.name for x in network.steps if f"'{one.path}'" in str(x.fields)]
        assert own
        after = of_data(cnn, network, name, {one.path: "another"})
        assert changed(before, after) == users(network, own) & {*before}, one.path


@every_engine
@pytest.mark.parametrize("cnn", ["lenet5", "resnet18"])
def test_what_a_step_does_counts_where_it_is_used_and_nowhere_else(cnn, name):
    cnn, network = data(cnn)
    before = of_data(cnn, network, name)
    others = {
        "epsilon": 0.1,
        "padding": "same",
        "bias": None,
        "radius": 1,
        "top": 3,
        "size": [1, 1],
    }
    places = [i for i, step in enumerate(network.steps) if {*others} & {*step.fields}]
    for place in places[:: max(1, len(places) // 10)]:
        step = network.steps[place]
        fields = {
            k: others[k] if others.get(k) != v else 7 for k, v in step.fields.items() if k in others
        }
        steps = list(network.steps)
        steps[place] = replace(step, fields={**step.fields, **fields})
        after = of_data(cnn, replace(network, steps=tuple(steps)), name)
        assert changed(before, after) == users(network, [step.name]) & {*before}, step.name


@pytest.mark.parametrize("cnn", ["lenet5", "resnet18", "googlenet"])
@every_engine
def test_no_two_layers_are_the_same(cnn, name):
    found = of_data(*data(cnn), name)
    assert len({*found.values()} - {""}) == len(found)


def test_where_a_model_has_outputs_counts_in_openvino():
    cnn, network = data("resnet18")
    other = replace(cnn, feature_layers=cnn.feature_layers[1:])
    before, after = of_data(cnn, network, "openvino"), of_data(other, network, "openvino")
    lowest = cnn.canonical(cnn.feature_layers[0])
    assert changed(before, after) >= {cnn.canonical(one) for one in cnn.feature_layers[1:]}
    assert before[next(iter(before))] == after[next(iter(after))]
    assert before[lowest] != before[cnn.canonical(cnn.feature_layers[1])]
    same = [of_data(one, network, "tensorflow") for one in (cnn, other)]
    assert same[0] == same[1]


# ── digests of weights ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hashed(monkeypatch):
    """Count how often a file's weights are read for their digests; none is known beforehand."""
    shutil.rmtree(files.user_cache() / variables.FOLDER, ignore_errors=True)
    calls, original = [], variables.of_values

    def counting(*arguments):
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(variables, "of_values", counting)
    return calls


def choice_of(cnn, *args):
    facts = weights.facts(cnn)
    return facts, weights.resolve(facts, *args)


def test_a_files_weights_are_digested_once(hashed, path):
    facts, choice = choice_of(path("plain"))
    first = weights.variable_digests(facts, choice)
    assert weights.variable_digests(facts, choice) == first
    assert len(hashed) == 1
    (kept,) = (files.user_cache() / variables.FOLDER).iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b'": "', b'": "0', 1))  # damaged
    assert weights.variable_digests(facts, choice) == first
    assert (len(hashed), kept.read_bytes()) == (2, whole)
    arrays = weights.load_arrays(facts, choice)
    assert {*first} == {*arrays}
    alike = [(a, b) for a, b in combinations(arrays, 2) if first[a] == first[b]]
    assert all(np.array_equal(arrays[a].ravel(), arrays[b].ravel()) for a, b in alike)


def test_weights_that_are_drawn_are_told_by_their_seed(hashed, path):
    facts = roster.load("lenet5")
    found = [
        weights.variable_digests(facts, weights.resolve(facts, "random", s)) for s in (0, 1, 0)
    ]
    assert found[0] == found[2]
    assert not {*found[0].values()} & {*found[1].values()}
    own, choice = choice_of(path("plain"), "random")
    assert not {*weights.variable_digests(own, choice).values()} & {*found[0].values()}
    assert not hashed
    bundled = weights.variable_digests(facts, weights.resolve(facts, "bundled"))
    assert {*bundled} == {*found[0]}
    assert len(hashed) == 1


def test_networks_that_nobody_knows_as_data_have_no_digests(path):
    hog = roster.load("hog")
    assert computations.computations(hog, weights.resolve(hog), "openvino") is None
    opened = open_cnn(InferSpec(path("plain"), ()))
    assert opened.computation("none", "tensorflow") == ""


def test_layers_that_keras_computes_in_another_arithmetic_are_told_apart(tmp_path):
    """Data do not say in what a layer's own numbers are; its file's facts do."""
    import keras_files

    keras_files.halves().save(tmp_path / "halves.keras")
    assert weights.facts(str(tmp_path / "halves.keras")).revision.startswith("arithmetic ")


# ── .onnx files ─────────────────────────────────────────────────────────────────────────────────


def with_weights(model, tuned):
    """Return a model with other numbers in some weights."""
    for tensor in model.graph.initializer:
        if tensor.name in tuned:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))
    return model


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory):
    plain = onnx_nets.residual()
    named = {node.name: [*node.input] for node in plain.graph.node}
    made = {"plain": plain, "late": with_weights(onnx_nets.residual(), [named["conv2"][1]])}

    def path(kind):
        folder = tmp_path_factory.mktemp(kind)
        if kind == "beside":
            onnx.save(
                made["plain"], folder / "net.onnx", save_as_external_data=True,
                location="net.data", size_threshold=0,
            )  # fmt: skip
        else:
            onnx.save(made[kind], folder / "net.onnx")
        return str(Path(folder, "net.onnx"))

    return cache(path)


def test_files_of_onnx_share_what_they_compute_alike(onnx_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    found, kinds = {}, defaultdict(set)
    for kind in ("plain", "late", "beside"):
        spec = InferSpec(onnx_path(kind), (), engine="openvino", mean=(0.0,), scale=(0.01,))
        opened = open_cnn(spec)
        network = Network(opened, "float32", "cpu", engine_name="openvino")
        for layer in opened.cnn.layers:
            (values,) = network.features([layer.name], "none", images)
            digest = opened.computation(layer.name, "openvino")
            assert_array_equal(values, found.setdefault(digest, values), f"{layer.name} of {kind}")
            kinds[digest].add(kind)
    shared = [*kinds.values()]
    assert shared.count({"plain", "beside", "late"}) == 4  # below the second convolution
    assert shared.count({"plain", "beside"}) == shared.count({"late"}) > 4
    assert "" not in kinds
