"""What an `.onnx` file may not hold: each is one sentence that names it, before anything is run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_nets
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_nets import Net
from vista_sql.udfs.network.foreign.facts import facts
from vista_sql.udfs.network.foreign.file import read
from vista_sql.udfs.network.foreign.layers import grid_of
from vista_sql.udfs.network.foreign.model import from_pixels

from vista_sql import weights
from vista_sql.errors import WeightsError
from vista_sql.weights import onnx_files

SIDES = (32, 32)


def told(path):
    return facts(read(str(path)), SIDES)


@pytest.fixture
def refused(tmp_path):
    """Return the sentence with which a model, or bytes, are refused."""

    def sentence(model, *, run=False):
        path = tmp_path / "net.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        with pytest.raises(WeightsError) as caught:
            told(path) if run else read(str(path))
        found = str(caught.value)
        assert "\n" not in found
        assert str(path) in found
        assert len(found) < 600
        return found

    return sentence


def with_weights(**changes):
    """Return the residual network, with fields of its first weights changed."""
    model = onnx_nets.residual()
    for name, value in changes.items():
        setattr(model.graph.initializer[0], name, value)
    return model


def elsewhere(location, **more):
    """Return the residual network, whose first weights lie elsewhere."""
    model = onnx_nets.residual()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location} | more).items():
        tensor.external_data.add(key=key, value=str(value))
    return model


# ── damaged ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_no_model(refused):
    whole = onnx_nets.residual().SerializeToString()
    assert "is damaged, or no ONNX model" in refused(whole[: len(whole) // 2])
    assert "is damaged, or no ONNX model" in refused(b"\x89PNG\r\n\x1a\n" * 9)
    assert "holds no network" in refused(b"")


def test_every_beginning_of_a_file_is_refused(tmp_path):
    whole = onnx_nets.residual().SerializeToString()
    path = tmp_path / "net.onnx"
    for length in range(0, len(whole), 101):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            read(str(path))


def test_weights_that_are_not_all_there(refused):
    model = with_weights(raw_data=b"1234")
    assert "says that it has 8×3×3×3 numbers, and 1 are there" in refused(model)
    huge = with_weights()
    huge.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    assert "are there" in refused(huge)
    huge.graph.initializer[0].dims[:] = [-3, 9]
    assert "has a side of -3" in refused(huge)
    assert "is of STRING" in refused(with_weights(data_type=TensorProto.STRING))


def test_numbers_that_are_no_raw_data_are_read(tmp_path):
    model = onnx_nets.residual()
    first = model.graph.initializer[0]
    numbers = numpy_helper.to_array(first)
    model.graph.initializer[0].CopyFrom(
        helper.make_tensor(first.name, TensorProto.FLOAT, numbers.shape, numbers.ravel())
    )
    path = onnx_nets.saved(model, tmp_path / "typed.onnx")
    assert facts(read(path), SIDES)["parameters"] == 869


# ── hostile ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def secret(tmp_path):
    """A file outside of the network's folder, as large as its first weights."""
    place = tmp_path.parent / f"{tmp_path.name}-secret"
    place.write_bytes(b"s" * 864)
    yield place
    place.unlink()


def test_weights_outside_of_the_folder_are_not_read(refused, secret, tmp_path):
    for location in (str(secret), f"../{secret.name}", f"a/../../{secret.name}", "", "a\0b"):
        assert "which is no place in the network's own folder" in refused(elsewhere(location))
    (tmp_path / "link").symlink_to(secret)
    assert "leads out of the network's own folder" in refused(elsewhere("link"))
    (tmp_path / "folder").symlink_to(secret.parent)
    assert "leads out" in refused(elsewhere(f"folder/{secret.name}"))


def test_memory_is_no_place_of_weights(refused):
    own = np.full(216, 7, np.float32)
    for location in ("*/_ORT_MEM_ADDR_/*", "./*/_ORT_MEM_ADDR_/*"):
        model = elsewhere(location, offset=own.ctypes.data, length=own.nbytes)
        assert "which is no place in the network's own folder" in refused(model)


def test_only_weights_may_lie_elsewhere(refused):
    model = onnx_nets.residual()
    tensor = elsewhere("*/_ORT_MEM_ADDR_/*", offset=4096, length=864).graph.initializer[0]
    constant = helper.make_node("Constant", [], ["hidden"], value=tensor)
    model.graph.node.insert(0, constant)
    assert "lies in another file, where only weights may" in refused(model)
    inner = helper.make_graph([], "inner", [], [], [tensor])
    model.graph.node[0].CopyFrom(helper.make_node("If", ["x"], ["hidden"], then_branch=inner))
    assert "lies in another file, where only weights may" in refused(model)


def test_the_engine_is_given_no_place_but_ours(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(
        onnx_nets.residual(), path, save_as_external_data=True, location="w", size_threshold=0
    )
    file = read(str(path))
    addresses = {array.ctypes.data for array in file.weights}
    for tensor in file.model.graph.initializer:
        said = {one.key: one.value for one in tensor.external_data}
        assert not said or int(said["offset"]) in addresses
    assert file.beside == ("w",)


@pytest.mark.parametrize(
    "said", [{"offset": -4}, {"offset": 1 << 62}, {"length": 4}, {"offset": "x"}]
)
def test_places_in_a_file_are_checked(refused, tmp_path, said):
    (tmp_path / "w").write_bytes(bytes(864))
    message = refused(elsewhere("w", **said))
    assert "has not so many at its place" in message or "has no number for its place" in message


def test_places_in_a_file_may_be_the_same_but_not_overlap(tmp_path, refused):
    (tmp_path / "w").write_bytes(np.arange(216, dtype=np.float32).tobytes())
    model = elsewhere("w")
    again = model.graph.initializer.add()
    again.CopyFrom(model.graph.initializer[0])
    again.name = "again"
    file = read(onnx_nets.saved(model, tmp_path / "same.onnx"))
    assert file.n_bytes == (tmp_path / "same.onnx").stat().st_size + 864
    again.dims[:] = [215]
    again.external_data.add(key="offset", value="4")
    assert "shares a part of its place in w with others" in refused(model)


def test_what_is_no_file_is_not_read(refused, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "which is not beside it" in refused(elsewhere("pipe"))  # a pipe would be waited for


def test_sparse_weights_are_refused(refused):
    model = onnx_nets.residual()
    values = helper.make_tensor("few", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("at", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, places, [1 << 30, 1 << 10])
    )
    assert "has sparse weights" in refused(model)


def bomb(*shape):
    """Return a network of few bytes that adds a constant of any size to its features."""
    net = Net(["N", 3, 32, 32])
    x = net.add("Flatten", "flat", net.add("GlobalAveragePool", "gap", "x"))
    zeros = net.add("ConstantOfShape", "zeros", net.constant(np.array(shape)))
    total = net.add("ReduceSum", "total", zeros, net.constant([0, 1]), keepdims=0)
    return net.model(net.add("Add", "top", x, total))


def test_a_few_bytes_do_not_become_many(refused):
    message = refused(bomb(1 << 16, 1 << 20), run=True)
    assert "makes 'zeros' of 65536×1048576 numbers" in message


def test_a_process_of_its_own_takes_no_more_than_the_file_warrants(tmp_path):
    net = Net(["N", 3, 32, 32])
    ones = helper.make_tensor("value", TensorProto.INT64, [1], [1])
    many = net.add("ConstantOfShape", "many", net.constant([1 << 33]), value=ones)  # 64 GiB
    x = net.add("Reshape", "top", "x", net.add("Abs", "shape", many))
    path = onnx_nets.saved(net.model(x), tmp_path / "bomb.onnx")
    with pytest.raises(WeightsError, match=r"bomb\.onnx: it takes more than .* its size warrants"):
        weights.facts(path)


# ── no network of one image ─────────────────────────────────────────────────────────────────────


def test_several_inputs_are_named(refused):
    model = onnx_nets.residual()
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.INT64, ["N", 77]))
    assert "has 2 inputs ('x', 'text'); needed is one, an image" in refused(model)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        (["N", 3, 224], "(?, 3, 224)"),
        (["N", "C", "H", "W"], "(?, ?, ?, ?)"),
        ([1, 4, 9, 9], "(1, 4, 9, 9)"),
    ],
)
def test_inputs_that_are_no_image(refused, shape, shown):
    model = onnx_nets.residual()
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    model.graph.input[0].CopyFrom(value)
    assert f"takes 'x' of the shape {shown}; needed is one batch of images" in refused(model)


def test_inputs_of_any_number_of_pixels(refused):
    model = onnx_nets.residual((1 << 30, 8))
    assert "a side has at most 16,384 pixels" in refused(model)


def test_inputs_of_no_known_rank_or_type(refused):
    model = onnx_nets.residual()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert "does not say the shape of its input 'x'" in refused(model)
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x", TensorProto.INT64, ["N", 3, 8, 8])
    )
    assert "takes 'x' as INT64" in refused(model)


def test_operations_that_onnx_does_not_define(refused):
    net = Net(["N", 3, 32, 32])
    net.add("FusedConv", "fused", "x", domain="com.microsoft")
    assert "has the operation 'FusedConv' of 'com.microsoft'" in refused(
        net.model("fused", domains=("com.microsoft",))
    )
    net = Net(["N", 3, 32, 32])
    net.add("Nonsense", "fused", "x")
    message = refused(net.model("fused"), run=True)
    assert "OpenVINO cannot run the network" in message
    assert "Nonsense" in message


def test_functions_random_numbers_and_old_versions(refused):
    model = onnx_nets.residual()
    model.functions.append(
        helper.make_function("own", "Twice", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    )
    assert "functions of its own ('Twice')" in refused(model)
    net = Net(["N", 3, 32, 32])
    net.add("Add", "top", "x", net.add("RandomNormalLike", "noise", "x"))
    assert "draws random numbers ('RandomNormalLike')" in refused(net.model("top"))
    model = onnx_nets.residual()
    model.opset_import[0].version = 9
    assert "is of ONNX's opset 9" in refused(model)


def test_images_that_are_mixed(refused):
    net = Net(["N", 3, 32, 32])
    x = net.add("Flatten", "flat", net.add("GlobalAveragePool", "gap", "x"))
    x = net.add("Sub", "top", x, net.add("ReduceMean", "mean", x, axes=[0], keepdims=1))
    assert "computes over the images of a batch" in refused(net.model(x), run=True)


def test_nothing_that_has_a_row_for_each_image(refused):
    net = Net(["N", 3, 32, 32])
    net.add("ReduceMean", "top", "x", axes=[0, 1, 2, 3], keepdims=0)
    assert "has no layer of an image" in refused(net.model("top"), run=True)


def test_a_size_that_the_network_does_not_take(refused):
    net = Net(["N", 3, "H", "W"])
    x = net.add("Flatten", "flat", net.add("GlobalMaxPool", "gap", "x"))
    x = net.add("Add", "top", net.add("Flatten", "all", "x"), net.weight(1, 75))
    message = refused(net.model(x), run=True)
    assert "cannot run the network" in message
    assert "with 'x' of 1×3×32×32" in message


# ── the process that reads ──────────────────────────────────────────────────────────────────────


def test_a_file_is_read_once_for_its_content(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = onnx_nets.saved(onnx_nets.channels_last(), tmp_path / "net.onnx")
    first = weights.facts(path)
    monkeypatch.setattr(onnx_files, "_ask", None)
    again = onnx_nets.saved(onnx_nets.channels_last(), tmp_path / "moved.onnx")
    assert weights.facts(again).layers == first.layers
    (kept,) = (tmp_path / "cache").rglob("onnx/*.json")
    kept.write_text("{")
    other = onnx_nets.saved(onnx_nets.channels_last(), tmp_path / "other.onnx")
    with pytest.raises(TypeError):  # it is asked for again, and nobody answers
        weights.facts(other)


def test_a_reader_that_ends_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "READER", "no.such.module")
    path = onnx_nets.saved(onnx_nets.residual(), tmp_path / "net.onnx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=r"net.onnx cannot be read, it may be damaged \("):
        weights.facts(path)


def test_files_that_are_not_there_and_packages(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="there is no file"):
        weights.facts(str(tmp_path / "gone.onnx"))
    path = onnx_nets.saved(onnx_nets.residual(), tmp_path / "net.onnx")
    monkeypatch.setattr(onnx_files, "package_version", lambda _: None)
    with pytest.raises(Exception, match=r"pip install 'vista-sql\[openvino\]'"):
        weights.facts(path)


# ── the model that is run ───────────────────────────────────────────────────────────────────────


def test_names_of_ours_never_meet_the_files(tmp_path):
    net = Net(["N", 3, 8, 8])
    x = net.add("Relu", "vista_pixels_1", "x")
    net.add("Flatten", "vista__features_9", net.add("GlobalMaxPool", "vista_cast_2", x))
    path = onnx_nets.saved(net.model("vista__features_9"), tmp_path / "net.onnx")
    pixels = onnx_files.Pixels(scale=(1.0,))
    cnn = weights.facts(path, pixels)
    model = from_pixels(read(path), cnn, [])
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names)


def test_the_features_below_a_classifier_are_offered_wherever_its_weights_stand(tmp_path):
    net = Net(["N", 3, 32, 32])
    x = net.add("Flatten", "features", net.add("GlobalMaxPool", "peak", "x"))
    turned = net.add("Transpose", "turned", net.weight(5, 3), perm=[1, 0])
    net.add("Softmax", "top", net.add("MatMul", "logits", x, turned))
    assert told(onnx_nets.saved(net.model("top"), tmp_path / "a.onnx"))["offered"] == [
        "features",
        "top",
    ]


@pytest.mark.parametrize(
    ("n_tokens", "sides", "grid"),
    [(196, (224, 224), (14, 14)), (198, (224, 224), (14, 14)), (577, (384, 384), (24, 24)),
     (1374, (518, 518), (37, 37)), (99, (224, 112), (14, 7)), (3, (224, 224), (1, 1)),
     (200, (224, 224), None)],
)  # fmt: skip
def test_grids_of_tokens(n_tokens, sides, grid):
    assert grid_of(n_tokens, sides) == grid


def test_a_link_into_a_cache_is_followed(tmp_path):
    """As Hugging Face keeps files: links beside each other into a folder of contents."""
    kept, shown = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    for folder in (kept, shown):
        folder.mkdir(parents=True)
    onnx.save(
        onnx_nets.residual(), kept / "abc", save_as_external_data=True, location="w",
        size_threshold=0,
    )  # fmt: skip
    (shown / "net.onnx").symlink_to(Path("../../blobs/abc"))
    (shown / "w").symlink_to(Path("../../blobs/w"))
    assert read(str(shown / "net.onnx")).beside == ("w",)
