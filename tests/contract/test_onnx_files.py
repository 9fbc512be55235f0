"""Users' `.onnx` files: every tensor as ONNX Runtime has it, and a row's bits are its own."""

from __future__ import annotations

import json
import shutil
from functools import cache

import numpy as np
import onnx
import onnx_nets
import pytest
from numpy.testing import assert_array_equal
from processors import needs_bfloat16
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql import store, weights
from vista_sql.errors import PlanError, UnknownNameError, WeightsError
from vista_sql.kernels import POOLS, InferSpec
from vista_sql.weights.onnx_files import Pixels

RELATIVE = 1e-5  # of a layer's largest value: two libraries round sums in different orders
MEAN, SCALE = (120.0, 110.0, 100.0), (0.02, 0.018, 0.017)

every = pytest.mark.parametrize("name", onnx_nets.NETS)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Return where a network is saved, beside no others."""

    @cache
    def path(name):
        place = tmp_path_factory.mktemp(name) / f"{name}.onnx"
        if name == "of_any_size":
            config = {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 40, 48]}
            own = {"architecture": "own", "pretrained_cfg": config}
            (place.parent / "config.json").write_text(json.dumps(own))
        return onnx_nets.saved(onnx_nets.NETS[name](), place)

    return path


@pytest.fixture(scope="module")
def opened(paths):
    @cache
    def network(name, dtype="float32", **pixels):
        if name not in ("channels_last", "of_any_size"):
            pixels = {"mean": MEAN, "scale": SCALE} | pixels
        elif name == "channels_last":
            pixels = {"scale": (1 / 255,)}
        spec = InferSpec(paths(name), (), engine="openvino", **pixels)
        return Network(open_cnn(spec), dtype, "cpu", engine_name="openvino")

    return network


def some(network):
    """Return layers of every kind: each alone takes a model of its own."""
    layers = [layer.name for layer in network.cnn.layers]
    return sorted({*layers[::4], *network.cnn.feature_layers}, key=layers.index)


def pixels(network, n=5):
    shape = (n, *network.cnn.input_shape)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def by_runtime(network, path, names, images):
    """Return raw values, channels last and flat."""
    said = network.cnn.preprocessing
    values = ((images - np.asarray(said.mean)) * np.asarray(said.scale)).astype(np.float32)
    if network.cnn.name.endswith("channels_last.onnx"):
        found = onnx_nets.by_runtime(path, names, values)
    else:
        found = onnx_nets.by_runtime(path, names, values.transpose(0, 3, 1, 2))
    for layer in map(network.cnn.layer, names):
        if layer.layout == "channels_first":
            found[layer.name] = found[layer.name].transpose(0, 2, 3, 1)
        assert found[layer.name].shape[1:] == layer.shape, layer.name
    return {name: values.reshape(len(images), -1) for name, values in found.items()}


def check(network, path, layers):
    images = pixels(network)
    expected = by_runtime(network, path, layers, images)
    for layer, found in zip(layers, network.features(layers, "none", images), strict=True):
        largest = np.abs(expected[layer]).max()
        assert np.abs(found - expected[layer]).max() <= RELATIVE * largest, layer
        assert found.dtype == np.float32
        assert found.shape[1] == network.cnn.layer(layer).size == network.size(layer)


@every
def test_layers_equal_onnx_runtimes(opened, paths, name):
    check(opened(name), paths(name), some(opened(name)))


@pytest.mark.full
@every
def test_every_layer_equals_onnx_runtimes(opened, paths, name):
    check(opened(name), paths(name), [layer.name for layer in opened(name).cnn.layers])


@every
def test_a_rows_bits_are_its_own(opened, name):
    network = opened(name)
    images = pixels(network, 9)
    layers = some(network)
    whole = dict(zip(layers, network.features(layers, "none", images), strict=True))
    for rows in (slice(0, 1), slice(3, 5), slice(2, 9)):
        for layer, found in zip(
            layers, network.features(layers, "none", images[rows]), strict=True
        ):
            assert_array_equal(found, whole[layer][rows], layer)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("residual", "float32"),
        pytest.param("transformer", "bfloat16", marks=needs_bfloat16),
        pytest.param("residual", "bfloat16", marks=[needs_bfloat16, pytest.mark.full]),
        pytest.param("transformer", "float32", marks=pytest.mark.full),
    ],
)
def test_a_layers_bits_do_not_depend_on_the_others(opened, name, dtype):
    network = opened(name, dtype)
    images = pixels(network, 4)
    layers = [*STOPS[name], network.cnn.layers[0].name]
    alone = {one: network.features([one], "none", images)[0] for one in layers}
    for asked in (layers, STOPS[name][1:3], STOPS[name][-2:]):
        for layer, found in zip(asked, network.features(asked, "none", images), strict=True):
            assert_array_equal(found, alone[layer], layer)
    together = network.features(STOPS[name], "max2x2", images)
    for layer, found in zip(STOPS[name], together, strict=True):
        assert_array_equal(found, network.features([layer], "max2x2", images)[0], layer)
        (again,) = network.resume(layer, [layer], "max2x2", alone[layer])
        assert_array_equal(found, again, layer)


STOPS = {
    "residual": ("pool1", "features", "logits"),
    "transformer": ("embedded", "attended", "tokens", "pooled", "logits"),
}
"""What one pass computes together."""


def test_stops_are_where_a_file_branches(opened):
    for name, stops in STOPS.items():
        assert tuple(opened(name).runner._stops) == stops


@needs_bfloat16
def test_bfloat16_is_near(opened):
    images = pixels(opened("residual"))
    (exact,) = opened("residual").features(["logits"], "none", images)
    (found,) = opened("residual", "bfloat16").features(["logits"], "none", images)
    assert 0 < np.abs(found - exact).max() <= 0.1 * np.abs(exact).max()


# ── pooling ─────────────────────────────────────────────────────────────────────────────────────


def in_cells(maps, reduce):
    """Return the 2 × 2 cells of maps (rows, height, width, channels) of even sides, reduced."""
    n, height, width, channels = maps.shape
    cells = maps.reshape(n, 2, height // 2, 2, width // 2, channels)
    return reduce(cells, axis=(2, 4)).reshape(n, -1)


def pooled(maps, pool):
    match pool:
        case "max2x2" | "grid":
            return in_cells(maps, np.max)
        case "avg2x2":
            return in_cells(maps, np.mean)
        case "gap" | "mean":
            return maps.mean(axis=(1, 2))
        case "gmp":
            return maps.max(axis=(1, 2))
        case "gem":
            return (np.maximum(maps, 1e-6) ** 3).mean(axis=(1, 2)) ** (1 / 3)
    return maps.reshape(len(maps), -1)


@pytest.mark.parametrize("pool", POOLS)
def test_maps_are_pooled_wherever_their_channels_stand(opened, pool):
    for name, layer in (("residual", "pool1"), ("channels_last", "maps")):
        network = opened(name)
        images = pixels(network)
        (raw,) = network.features([layer], "none", images)
        maps = raw.reshape(-1, *network.cnn.layer(layer).shape)
        (found,) = network.features([layer], pool, images)
        assert found == pytest.approx(pooled(maps, pool), rel=1e-5, abs=1e-6)
        (again,) = network.resume(layer, [layer], pool, raw)
        assert_array_equal(again, found)


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        *(("transformer", pool) for pool in ("cls", "mean", "grid", "max2x2", "none")),
        *(("without_class", pool) for pool in ("mean", "avg2x2", "gem")),
    ],
)
def test_tokens_are_pooled_as_their_places(opened, name, pool):
    network = opened(name)
    layer = network.cnn.layer("tokens")
    assert layer.grid == (4, 4)
    images = pixels(network)
    (raw,) = network.features(["tokens"], "none", images)
    tokens = raw.reshape(-1, *layer.shape)
    places = tokens[:, layer.shape[0] - 16 :].reshape(-1, 4, 4, onnx_nets.DIMS)
    expected = {"cls": tokens[:, 0], "none": raw}.get(pool)
    (found,) = network.features(["tokens"], pool, images)
    expected = pooled(places, pool) if expected is None else expected
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    (again,) = network.resume("tokens", ["tokens"], pool, raw)
    assert_array_equal(again, found)


# ── what is known of a file ─────────────────────────────────────────────────────────────────────


def test_layers_have_their_place_and_price(opened):
    cnn = opened("residual").cnn
    assert cnn.input_shape == (32, 32, 3)
    assert [layer.name for layer in cnn.layers] == [
        "conv1", "norm1", "relu1", "pool1", "conv2", "sum", "block", "gap", "features", "logits"
    ]  # fmt: skip
    assert cnn.feature_layers == ("features", "logits")
    assert cnn.counted_layers[-2:] == ("features", "logits")
    conv1, conv2 = 2 * 32 * 32 * 27 * 8, 2 * 16 * 16 * 72 * 8
    flops = {layer.name: layer.flops for layer in cnn.layers}
    assert (flops["pool1"], flops["block"]) == (conv1, conv1 + conv2)
    assert flops["logits"] == conv1 + conv2 + 2 * 8 * 5
    assert cnn.layer("sum").inputs == ("pool1", "conv2")
    assert cnn.parameters == 216 + 32 + 576 + 40 + 5
    assert not any(layer.can_start for layer in cnn.layers)
    with pytest.raises(UnknownNameError, match="did you mean 'conv2'"):
        cnn.layer("conv3")


def test_what_transformers_offer(opened):
    cnn = opened("transformer").cnn
    assert cnn.feature_layers == ("tokens", "pooled", "logits")
    assert cnn.layer("weights").shape == (17, 17, 2)
    assert "qkv" in {layer.name for layer in cnn.layers}
    assert opened("without_class").cnn.feature_layers == ("tokens", "pooled", "logits")
    attention = 2 * 2 * 17 * 17 * 6
    assert cnn.layer("scores").flops > cnn.layer("qkv").flops
    assert (
        cnn.layer("scores").flops
        == cnn.layer("qkv").flops + 2 * 17 * 17 * 12
        == (cnn.layer("qkv").flops + attention)
    )


def test_a_number_of_images_that_is_in_the_file_is_kept_to(opened):
    assert opened("of_one_image").cnn.fixed_rows == 1
    assert opened("transformer").cnn.fixed_rows is None
    assert weights.facts(opened("residual").cnn.name).fixed_rows is None


def test_an_open_size_is_what_is_said_beside_the_file(opened):
    cnn = opened("of_any_size").cnn
    assert cnn.input_shape == (40, 48, 3)
    assert cnn.preprocessing.mean == pytest.approx((127.5,) * 3)
    assert cnn.preprocessing.scale == pytest.approx((4 / 255,) * 3)
    assert cnn.preprocessing.fit == "crop"


def test_a_statements_numbers_win(paths):
    path = paths("of_any_size")
    cnn = weights.facts(path, Pixels(mean=(1.0,), channels="bgr"))
    assert (cnn.preprocessing.mean, cnn.preprocessing.scale) == ((1.0,) * 3, (1.0,) * 3)
    assert (cnn.preprocessing.order, cnn.preprocessing.fit) == ("bgr", "crop")
    with pytest.raises(WeightsError, match="3 channels, which are no 'gray'"):
        weights.facts(path, Pixels(channels="gray"))
    with pytest.raises(WeightsError, match="1 channel, and mean has 3 numbers"):
        weights.facts(paths("channels_last"), Pixels(mean=MEAN))


def test_nothing_said_is_not_made_up(paths):
    assert weights.facts(paths("residual")).preprocessing.mean == ()


def test_keys_tell_files_and_numbers_apart(opened, paths, tmp_path):
    def space(cnn):
        identity = weights.resolve(cnn).identity
        return store.space(cnn, identity, "logits", device="cpu", engine="openvino")

    first = opened("residual").cnn
    other = weights.facts(first.name, Pixels(scale=(1.0,)))
    moved = tmp_path / "residual.onnx"
    shutil.copy(paths("residual"), moved)
    same = weights.facts(str(moved), Pixels(MEAN, SCALE))
    assert space(first) == space(same) != space(other)
    with pytest.raises(WeightsError, match="has weights of its own"):
        weights.resolve(first, "random")


def test_weights_beside_a_file_are_read_and_known_by_content(paths, tmp_path, opened):
    model = onnx.load(paths("residual"))
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    spec = InferSpec(str(path), (), engine="openvino", mean=MEAN, scale=SCALE)
    network = Network(open_cnn(spec), "float32", "cpu", engine_name="openvino")
    images = pixels(network)
    (expected,) = opened("residual").features(["logits"], "none", images)
    assert_array_equal(network.features(["logits"], "none", images)[0], expected)
    before = weights.resolve(network.cnn).identity
    data = bytearray((tmp_path / "net.data").read_bytes())
    data[100] ^= 1
    (tmp_path / "net.data").write_bytes(data)
    assert weights.resolve(network.cnn).identity != before
    (tmp_path / "net.data").unlink()
    with pytest.raises(WeightsError, match=r"in 'net\.data', which is not beside it"):
        weights.resolve(weights.facts(str(path)))


def test_layers_are_computed_from_the_image_alone(opened):
    network = opened("residual")
    (raw,) = network.features(["pool1"], "none", pixels(network))
    with pytest.raises(PlanError, match="run from the image"):
        network.resume("pool1", ["conv2"], "none", raw)
