"""Small networks as torch, timm and TensorFlow export them, and what ONNX Runtime makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Net:
    """A graph being written: nodes whose outputs have the names that layers get."""

    def __init__(self, shape: list[Any], seed: int = 0, kind: int = TensorProto.FLOAT) -> None:
        self.random = np.random.default_rng(seed)
        self.inputs = [helper.make_tensor_value_info("x", kind, shape)]
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, *shape: int) -> str:
        fan_in = max(int(np.prod(shape[1:])), 1)
        return self.constant((self.random.standard_normal(shape) / fan_in**0.5).astype(np.float32))

    def constant(self, array: Any) -> str:
        array = np.asarray(array)
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def model(self, *outputs: str, opset: int = OPSET, domains: tuple[str, ...] = ()) -> Any:
        shown = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, shown, self.weights)
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def residual(sides: tuple[Any, Any] = (32, 32), rows: Any = "N") -> Any:
    """Channels first: convolutions, a norm, a sum, a classifier; as torchvision's ResNets."""
    net = Net([rows, 3, *sides])
    x = net.add("Conv", "conv1", "x", net.weight(8, 3, 3, 3), pads=[1, 1, 1, 1])
    norm = [net.constant(net.random.uniform(0.5, 1.5, 8).astype(np.float32)) for _ in range(4)]
    x = net.add("Relu", "relu1", net.add("BatchNormalization", "norm1", x, *norm))
    x = net.add("MaxPool", "pool1", x, kernel_shape=[2, 2], strides=[2, 2])
    y = net.add("Conv", "conv2", x, net.weight(8, 8, 3, 3), pads=[1, 1, 1, 1])
    x = net.add("Relu", "block", net.add("Add", "sum", x, y))
    x = net.add("Flatten", "features", net.add("GlobalAveragePool", "gap", x))
    net.add("Gemm", "logits", x, net.weight(5, 8), net.weight(5), transB=1)
    return net.model("logits")


def channels_last() -> Any:
    """Channels last, gray: as tf2onnx writes Keras's networks."""
    net = Net(["N", 24, 24, 1])
    x = net.add("Transpose", "turned", "x", perm=[0, 3, 1, 2])
    x = net.add("Relu", "relu", net.add("Conv", "conv", x, net.weight(6, 1, 3, 3)))
    x = net.add("Transpose", "maps", x, perm=[0, 2, 3, 1])
    x = net.add("Add", "shifted", x, net.weight(6))
    x = net.add("ReduceMean", "vector", x, axes=[1, 2], keepdims=0)
    net.add("Softmax", "top", net.add("MatMul", "logits", x, net.weight(6, 3)), axis=-1)
    return net.model("top")


DIMS, TOKENS, HEADS = 12, 16, 2


def transformer(*, has_class: bool = True, rows: int | None = None) -> Any:
    """A vision transformer of one block, with 4 × 4 patches; `rows` are in its reshapes."""
    net = Net(["N" if rows is None else rows, 3, 32, 32])
    n, n_tokens = rows or 0, TOKENS + has_class
    x = net.add("Conv", "patches", "x", net.weight(DIMS, 3, 8, 8), strides=[8, 8])
    x = net.add("Reshape", "flat", x, net.constant([n, DIMS, TOKENS]))
    x = net.add("Transpose", "places", x, perm=[0, 2, 1])
    if has_class:
        token = net.weight(1, 1, DIMS)
        if rows is None:  # as torch writes token.expand(n, -1, -1)
            length = net.add("Gather", "length", net.add("Shape", "shape", "x"), net.constant([0]))
            shape = net.add("Concat", "wide", length, net.constant([1, DIMS]), axis=0)
            ones = net.add("ConstantOfShape", "ones", net.constant([3]), value=_ones())
            less = net.add("Mul", "less", ones, net.constant([-1]))
            is_open = net.add("Equal", "is_open", shape, less)
            token = net.add("Expand", "token", token, net.add("Where", "as", is_open, ones, shape))
        x = net.add("Concat", "joined", token, x, axis=1)
    x = net.add("Add", "embedded", x, net.weight(1, n_tokens, DIMS))
    x = net.add("Add", "attended", x, _attention(net, _norm(net, "norm1", x), n, n_tokens))
    y = net.add("MatMul", "wider", _norm(net, "norm2", x), net.weight(DIMS, 2 * DIMS))
    gate = net.add("Erf", "erf", net.add("Div", "part", y, net.constant(np.float32(2**0.5))))
    gate = net.add("Mul", "gate", y, net.add("Add", "one", gate, net.constant(np.float32(1))))
    y = net.add("MatMul", "narrower", gate, net.weight(2 * DIMS, DIMS))
    x = _norm(net, "tokens", net.add("Add", "block", x, y))
    if has_class:
        x = net.add("Gather", "pooled", x, net.constant(np.int64(0)), axis=1)
    else:
        x = net.add("ReduceMean", "pooled", x, axes=[1], keepdims=0)
    net.add("Gemm", "logits", x, net.weight(5, DIMS), net.weight(5), transB=1)
    return net.model("logits", "tokens")


def _ones() -> Any:
    return helper.make_tensor("value", TensorProto.INT64, [1], [1])


def _norm(net: Net, name: str, x: str) -> str:
    return net.add("LayerNormalization", name, x, net.weight(DIMS), net.weight(DIMS), axis=-1)


def _attention(net: Net, x: str, n: int, n_tokens: int) -> str:
    x = net.add("MatMul", "qkv", x, net.weight(DIMS, 3 * DIMS))
    shape = [n, n_tokens, 3, HEADS, DIMS // HEADS]
    x = net.add("Transpose", "turned", net.add("Reshape", "split", x, net.constant(shape)),
                perm=[2, 0, 3, 1, 4])  # fmt: skip
    q, k, v = (net.add("Gather", one, x, net.constant(np.int64(i)), axis=0)
               for i, one in enumerate(("q", "k", "v")))  # fmt: skip
    scores = net.add("MatMul", "scores", q, net.add("Transpose", "kt", k, perm=[0, 1, 3, 2]))
    scores = net.add("Mul", "scaled", scores, net.constant(np.float32((DIMS // HEADS) ** -0.5)))
    x = net.add("MatMul", "mixed", net.add("Softmax", "weights", scores, axis=-1), v)
    x = net.add("Transpose", "back", x, perm=[0, 2, 1, 3])
    x = net.add("Reshape", "heads", x, net.constant([n, n_tokens, DIMS]))
    return net.add("MatMul", "projected", x, net.weight(DIMS, DIMS))


NETS = {
    "residual": residual,
    "channels_last": channels_last,
    "transformer": transformer,
    "without_class": lambda: transformer(has_class=False),
    "of_one_image": lambda: transformer(rows=1),
    "of_any_size": lambda: residual(("H", "W")),
}


def saved(model: Any, path: Path) -> str:
    """Write a model; return its path."""
    path.write_bytes(model.SerializeToString())
    return str(path)


def by_runtime(path: str, names: list[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """Return what ONNX Runtime computes for tensors, one image at a time."""
    import onnxruntime

    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found = [session.run(names, {"x": values[i : i + 1]}) for i in range(len(values))]
    return {
        n: np.concatenate(parts) for n, parts in zip(names, zip(*found, strict=True), strict=True)
    }
