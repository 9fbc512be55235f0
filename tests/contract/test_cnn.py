"""What holds for every CNN of the roster; a new one is found and checked without an edit here."""

from __future__ import annotations

import gc
import json
import runpy
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import fields
from numpy.testing import assert_array_equal
from vista_sql.udfs.network import keras_reader, serial
from vista_sql.udfs.network.engines.tensorflow import batch_lengths

from vista_sql import kernels, roster, weights
from vista_sql.errors import UnknownNameError
from vista_sql.roster import networks

SCRIPTS = Path(__file__).parents[2] / "scripts"
every_cnn = pytest.mark.parametrize("name", roster.names())


ALWAYS = ("resnet50",)  # which the documentation speaks of
MOST_PARAMETERS = 100_000_000  # VGG16 takes 11 s


def _is_spared(name):
    """Whether .ci/run leaves out building it: it is VGG, or the same code builds a smaller one."""
    if roster.load(name).parameters > MOST_PARAMETERS:
        return True
    cnns, code = map(roster.load, roster.names()), _code(roster.load(name))
    family = [cnn for cnn in cnns if _code(cnn) == code]
    smallest = min(family, key=lambda cnn: cnn.parameters).name
    return name not in (smallest, *ALWAYS)


def _code(cnn):
    return getattr(cnn.build, "func", cnn.build).__module__


every_network = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.full) if _is_spared(n) else n for n in roster.names()],
)


def random_network(name):
    return (_large if _is_spared(name) else _small)(name)


def _load(name):
    gc.collect()
    cnn = roster.load(name)
    return weights.load_network(cnn, weights.resolve(cnn, "random", seed=5))


_small, _large = cache(_load), lru_cache(maxsize=1)(_load)  # of large ones, memory takes one


@every_cnn
def test_facts_fit_together(name):
    cnn = roster.load(name)
    own = [layer.name for layer in cnn.layers]
    assert cnn.name == name
    assert cnn.title
    assert cnn.paper
    assert cnn.input_shape[2] == len(cnn.preprocessing.mean) == len(cnn.preprocessing.scale)
    assert cnn.preprocessing.source
    assert (cnn.input_shape[2] == 1) == (cnn.preprocessing.order == "gray")
    assert len({layer.lower() for layer in own}) == len(own)
    assert set(cnn.aliases.values()) <= set(own)
    assert not {alias.lower() for alias in cnn.aliases} & {layer.lower() for layer in own}
    assert cnn.default_weights in (*cnn.weights, "imagenet")
    for file in cnn.weights.values():
        assert file.sha256 or file.md5


@every_cnn
def test_layers_are_listed_bottom_to_top(name):
    cnn = roster.load(name)
    height = {layer.name: i for i, layer in enumerate(cnn.layers)}
    for listed in (cnn.feature_layers, cnn.counted_layers):
        heights = [height[cnn.canonical(layer)] for layer in listed]
        assert heights == sorted(set(heights))
        flops = [cnn.layer(layer).flops for layer in listed]
        assert flops == sorted(flops)


@every_cnn
def test_a_layer_has_both_names_in_any_case(name):
    cnn = roster.load(name)
    for alias, own in cnn.aliases.items():
        assert cnn.canonical(alias.upper()) == cnn.canonical(own.upper()) == own
        assert cnn.layer(alias) == cnn.layer(own)
    with pytest.raises(UnknownNameError, match="conv99"):
        cnn.canonical("conv99")


@every_network
def test_the_committed_catalogue_is_the_networks(name):
    build = runpy.run_path(str(SCRIPTS / "build_catalogue.py"))
    committed = (build["FOLDER"] / "catalogue" / f"{name}.json").read_text(encoding="utf-8")
    assert build["catalogue_text"](random_network(name)) == committed
    assert len(json.loads(committed)["layers"]) == len(roster.load(name).layers)


@every_network
def test_the_committed_network_is_the_one_that_keras_builds(name):
    build = runpy.run_path(str(SCRIPTS / "build_catalogue.py"))
    committed = (build["FOLDER"] / "networks" / f"{name}.json").read_text(encoding="utf-8")
    assert build["network_text"](random_network(name), name) == committed


@every_network
def test_a_network_without_keras_has_the_steps_and_weights_of_keras(name):
    cnn, expected = roster.load(name), keras_reader.read(random_network(name))
    arrays = weights.load_arrays(cnn, weights.resolve(cnn, "random", seed=5))
    graph = serial.graph(networks.read(name), arrays)
    own = {expected.input: graph.input}  # Keras numbers it
    assert (graph.name, graph.output) == (expected.name, expected.output)
    assert graph.cuts == tuple(own.get(cut, cut) for cut in expected.cuts)
    assert [group.members for group in graph.groups] == [one.members for one in expected.groups]
    for mine, other in zip(graph.steps.values(), expected.steps.values(), strict=True):
        assert mine.name == own.get(other.name, other.name)
        assert mine.inputs == tuple(own.get(one, one) for one in other.inputs)
        assert mine.shape == other.shape
        assert type(mine.operation) is type(other.operation)
        for field in fields(mine.operation):
            ours, theirs = (getattr(one.operation, field.name) for one in (mine, other))
            if hasattr(theirs, "shape"):
                assert ours.shape == tuple(theirs.shape)
                assert_array_equal(ours, np.asarray(theirs), strict=True, err_msg=mine.name)
            else:
                assert ours == theirs


@every_network
def test_parameters_are_the_networks(name):
    cnn = roster.load(name)
    assert cnn.parameters == random_network(name).count_params()
    outermost = [layer for layer in cnn.layers if "/" not in layer.name]
    assert cnn.parameters == sum(layer.parameters for layer in outermost)


@every_network
def test_layers_compute_what_the_catalogue_says(name):
    import keras

    cnn, network = roster.load(name), random_network(name)
    listed = dict.fromkeys(map(cnn.canonical, (*cnn.feature_layers, *cnn.counted_layers)))
    top = cnn.layers[-1].name
    outputs = [network.get_layer(layer).output for layer in (*listed, top)]
    image = np.random.default_rng(1).integers(0, 256, (1, *cnn.input_shape)).astype(np.float32)
    mean, scale = (np.float32(one) for one in (cnn.preprocessing.mean, cnn.preprocessing.scale))
    *features, guesses = keras.Model(network.input, outputs)((image - mean) * scale)
    for layer, values in zip(listed, features, strict=True):
        assert tuple(values.shape[1:]) == cnn.layer(layer).shape
        assert np.isfinite(values).all()
        # gates that saturate let what they gate grow from block to block: EfficientNetV2-S
        assert 0.001 < np.std(values) < 1000, f"random activations of {layer} are out of range"
    assert np.sum(guesses) == pytest.approx(1, abs=1e-5)  # float32; the top is a softmax


@every_network
def test_the_facts_say_what_the_network_runs_at_once(name):
    cnn, graph = roster.load(name), keras_reader.read(random_network(name))
    granule = batch_lengths.granule(graph)
    at_once = kernels.rows_at_once(graph.widest_values, granule)
    assert cnn.granule % granule == 0
    assert cnn.rows_at_once % at_once == 0
