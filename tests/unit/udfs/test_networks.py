"""What is asked of a network: layers by name, sizes, the way up from cut to cut."""

from __future__ import annotations

import numpy as np
import pytest
from toys import SIDE, lowered, open_toy, pixels
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql.errors import SettingError, UnknownNameError
from vista_sql.kernels import InferSpec


def test_unknown_layers_and_settings_are_named():
    with pytest.raises(
        UnknownNameError, match="'blok' in network 'residual'; did you mean 'block'"
    ):
        lowered("residual").features(["blok"], "gap", pixels(1))
    with pytest.raises(SettingError, match="'float16' is neither"):
        Network(open_toy(InferSpec("residual", ())), "float16", "cpu")


def test_sizes_are_of_raw_maps():
    network = lowered("residual")
    assert network.size("image") == SIDE * SIDE * 3
    assert network.size("top") == 10
    (values,) = network.features(["block"], "none", pixels(2))
    assert values.shape == (2, network.size("block"))


def test_a_cnn_is_opened_before_its_network_is_loaded():
    opened = open_cnn(InferSpec("lenet5", (), weights="random", seed=4))
    assert opened.cnn.name == "lenet5"
    assert opened.identity == "lenet5/random:4"
    assert opened.load().output in opened.cnn.positions


def test_a_layer_beside_the_way_starts_at_the_cut_below_it():
    network = lowered("residual")
    assert network.graph.home("a_relu") == "first_relu"
    assert network.graph.home("block") == "block"


def test_the_way_up_stops_at_feature_layers_whatever_is_asked_for():
    network = Network(open_toy(InferSpec("residual", ())), "float32", "cpu")
    segments = []
    compiled = network.runner.lowered.function

    def noted(start, stop):
        segments.append((start, stop))
        return compiled(start, stop)

    network.runner.lowered.function = noted
    network.runner._stops = {"block"}
    (top,) = network.features(["top"], "none", pixels(2))
    assert segments == [("image", "block"), ("block", "top")]
    segments.clear()
    both = network.features(["a_relu", "top"], "none", pixels(2))
    way = [("image", "first_relu"), ("first_relu", "block"), ("block", "top")]
    assert segments == [way[0], ("first_relu", "a_relu"), *way[1:]]
    assert np.allclose(both[1], top, rtol=1e-5)
