"""Files with torchvision's and timm's names: what they compute is what torch computed with them."""

from __future__ import annotations

import json
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest
from loading import load, write_safetensors
from numpy.testing import assert_allclose, assert_array_equal

from vista_sql import roster, weights
from vista_sql.errors import WeightsError
from vista_sql.roster import networks
from vista_sql.weights import safetensors

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "torch_reference.py"))
REFERENCE = json.loads((SCRIPT["FOLDER"] / "torch.json").read_text())
NETWORKS = sorted(SCRIPT["NETWORKS"])
SPARED = ("alexnet", "convnexttiny", "googlenet", "resnet34", "resnet50_v1_5")


def torch_tensors(name):
    """Return the tensors of torch's network, as torch_reference.py gave them to it."""
    shapes = REFERENCE[name]["tensors"]
    return {key: SCRIPT["values"](key, tuple(shape)) for key, shape in shapes.items()}


@pytest.mark.parametrize(
    "name",  # AlexNet's file has 244 MB
    [pytest.param(n, marks=pytest.mark.full) if n in SPARED else n for n in NETWORKS],
)
def test_layers_compute_what_torch_computes(name, tmp_path):
    import keras

    tensors = torch_tensors(name)
    norms = [key for key in tensors if key.endswith("running_mean")]
    for key in norms:  # torch counts batches
        counter = key.replace("running_mean", "num_batches_tracked")
        tensors[counter] = ("I64", np.zeros((), np.int64))
    write_safetensors(tmp_path / "torch.safetensors", tensors)
    network = load(name, tmp_path / "torch.safetensors")
    (tmp_path / "torch.safetensors").unlink()
    side, deviation, layers = SCRIPT["NETWORKS"][name]
    outputs = [network.get_layer(layer).output for layer in layers]
    pixels, inside = SCRIPT["pixels"](side, deviation), roster.load(name).torch_names[0].inside
    if inside is not None:  # torch's network takes pixels that are scaled
        pixels = pixels / np.float32(inside.scale) + np.float32(inside.mean)
    got = keras.Model(network.input, outputs)(pixels)
    assert set(layers) == set(REFERENCE[name]["layers"])
    for layer, found in zip(layers, got, strict=True):
        expected = REFERENCE[name]["layers"][layer]
        mine = SCRIPT["sample"](np.asarray(found))
        largest = expected["largest"]
        assert mine["shape"] == expected["shape"]
        # float32, and sums in another order
        assert_allclose(mine["samples"], expected["samples"], rtol=1e-4, atol=1e-4 * largest)
        assert mine["mean"] == pytest.approx(expected["mean"], rel=1e-4, abs=1e-5 * largest)
        assert mine["largest"] == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weighted_layer_has_its_torch_module(name):
    cnn = roster.load(name)
    own = [layer.name for layer in networks.leaves(networks.read(name).layers)]
    tensors = REFERENCE[name]["tensors"]
    names = safetensors.names_in(tensors, cnn)
    assert sorted((*names.modules.values(), *names.parameters.values())) == sorted(own)
    modules = {key.rpartition(".")[0] for key in tensors if key not in names.parameters}
    assert set(names.modules) == modules
    assert sum(np.prod(shape, dtype=int) for shape in tensors.values()) == cnn.parameters


@pytest.mark.parametrize("name", [name for name in roster.names() if roster.load(name).torch_names])
def test_every_publisher_names_every_layer(name):
    cnn = roster.load(name)
    own = [layer.name for layer in networks.leaves(networks.read(name).layers)]
    for names in cnn.torch_names:
        assert sorted((*names.modules.values(), *names.parameters.values())) == sorted(own)
        assert safetensors.names_in([f"{module}.weight" for module in names.modules], cnn) is names


@pytest.mark.full
def test_all_publishers_names_fill_a_network_alike(tmp_path):
    every = roster.load("convnexttiny").torch_names
    tensors = torch_tensors("convnexttiny")
    known = safetensors.names_in(tensors, roster.load("convnexttiny"))
    expected = load_tensors("convnexttiny", tensors, tmp_path)
    for names in every:
        modules = {ours: theirs for theirs, ours in names.modules.items()}
        scales = {ours: theirs for theirs, ours in names.parameters.items()}
        renamed = {}
        for name, values in tensors.items():
            module, _, kind = name.rpartition(".")
            if name in known.parameters:  # torchvision's are of shape (filters, 1, 1)
                shape = (-1, 1, 1) if names is every[0] else (-1,)
                renamed[scales[known.parameters[name]]] = values.reshape(shape)
            else:
                renamed[f"{modules[known.modules[module]]}.{kind}"] = values
        network = load_tensors("convnexttiny", renamed, tmp_path)
        for mine, other in zip(network.weights, expected.weights, strict=True):
            assert_array_equal(mine, other)


def load_tensors(name, tensors, folder):
    """Return a network with the weights of a `.safetensors` file of these."""
    path = folder / "t.safetensors"
    write_safetensors(path, tensors)
    network = load(name, path)
    path.unlink()
    return network


def test_a_map_that_torch_flattens_channels_first_is_reordered():
    random = np.random.default_rng(0)
    maps, matrix = random.normal(size=(4, 3, 5, 2)), random.normal(size=(7, 30))  # NCHW
    converted = safetensors.converted(matrix, (3, 5, 2))
    channels_last = maps.transpose(0, 2, 3, 1).reshape(4, -1)
    assert_allclose(channels_last @ converted, maps.reshape(4, -1) @ matrix.T, rtol=1e-12)


def test_half_precision_and_unused_classifiers_load(tmp_path):
    tensors = torch_tensors("googlenet")
    exact = tensors["conv1.conv.weight"]
    tensors["conv1.conv.weight"] = ("F16", exact.astype(np.float16))
    upper = (np.float32([[1.5] * 1024] * 1000).view(np.uint32) >> 16).astype(np.uint16)
    tensors["fc.weight"] = ("BF16", upper)
    tensors["fc.bias"] = ("F64", tensors["fc.bias"].astype(np.float64))
    tensors["aux1.fc1.weight"] = np.zeros((4, 4), np.float32)
    write_safetensors(tmp_path / "half.safetensors", tensors)
    network = load("googlenet", tmp_path / "half.safetensors")
    kernel = np.asarray(network.get_layer("conv1_conv").kernel)
    assert_array_equal(kernel, exact.astype(np.float16).transpose(2, 3, 1, 0))
    assert np.all(np.asarray(network.get_layer("fc1000").kernel) == 1.5)


def test_torchvisions_alexnet_is_not_the_papers(tmp_path):
    write_safetensors(
        tmp_path / "a.safetensors", {"features.0.weight": np.zeros((64, 3, 11, 11), np.float32)}
    )
    with pytest.raises(WeightsError) as caught:
        load("alexnet", tmp_path / "a.safetensors")
    assert "is not of alexnet: it holds torchvision's AlexNet" in str(caught.value)
    assert "bvlc_alexnet" in str(caught.value)


def test_networks_that_differ_from_torchs_refuse_before_they_are_built(tmp_path):
    (tmp_path / "r.safetensors").write_bytes(b"")
    for name, why in (
        ("resnet50", "stride in the first 1 × 1.*say cnn => 'resnet50_v1_5'"),
        ("vgg16", "only Keras's files"),
    ):
        with pytest.raises(WeightsError, match=f"no .safetensors file fits .*{why}") as caught:
            weights.resolve(roster.load(name), str(tmp_path / "r.safetensors"))
        assert "weights => " in str(caught.value)


def test_a_file_of_another_network_names_what_is_at_odds(tmp_path):
    path = tmp_path / "w.safetensors"
    good = torch_tensors("resnet18")
    deeper = good | {"layer1.2.conv1.weight": np.zeros((64, 64, 3, 3), np.float32)}
    for tensors, message in (
        (deeper, r"the file also has a tensor 'layer1\.2\.conv1\.weight'"),
        ({**good, "fc.weight": np.zeros((5, 512), np.float32)}, r"'fc1000' needs \(512, 1000\)"),
        ({"conv1.weight": good["conv1.weight"]}, r"no tensor 'bn1\.weight', which layer 'conv1_bn"),
        ({**good, "fc.bias": ("I8", np.zeros(1000, np.int8))}, r"'fc\.bias' as I8; known are F64"),
    ):
        write_safetensors(path, tensors)
        with pytest.raises(WeightsError, match=message):
            load("resnet18", path)


@pytest.mark.parametrize(
    "damage", ["empty", "text", "cut", "long header", "no dictionary", "length"]
)
def test_a_damaged_file_is_said_to_be_damaged(tmp_path, damage):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"<html>not found</html>",
            "cut": whole[:-4],
            "long header": struct.pack("<Q", 2**63) + whole[8:],
            "no dictionary": struct.pack("<Q", 2) + b"[]",
            "length": whole.replace(b"[64, 3, 7, 7]", b"[64, 3, 7, 9]"),
        }[damage]
    )
    with pytest.raises(WeightsError, match="damaged"):
        load("resnet18", path)
