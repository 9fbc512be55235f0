"""Emit the fused operations that networks are lowered to.

On a CPU these are oneDNN's own operations, written into the graph directly instead of leaving it
to TensorFlow's rewriting to find them: what is fused then depends on `graph.Group` alone, and the
weights can be marked as constant, so that each is brought into oneDNN's layout once, while they
stay variables (VGG16 as graph constants took 12 GB; TF_ONEDNN_ASSUME_FROZEN_WEIGHTS would also
freeze the weights of networks that the process trains). Elsewhere they are TensorFlow's public
operations, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, TypeAlias, assert_never

from msgspec import Struct

from ...steps import Fused
from .process import Tensor, load

Padding: TypeAlias = Literal["SAME", "VALID"] | Sequence[int]
"""A scheme, or (top, bottom, left, right) in pixels."""
Attribute: TypeAlias = Any
"""A tf.compat.v1.AttrValue."""


class FusedConvolution(Struct, frozen=True):
    """The geometry of a convolution; strides and dilations as (height, width)."""

    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: Padding
    depthwise: bool = False


@cache
def has_onednn(dtype: str) -> bool:
    """Return whether this TensorFlow runs oneDNN's fused operations on this CPU.

    Args:
        dtype: of the arithmetic: oneDNN's bfloat16 takes AVX-512, where others' is imitated.
    """
    tf, _ = load()
    plain = FusedConvolution((1, 1), (1, 1), "VALID")

    def probe() -> Tensor:
        sizes = (2, 4, 4, 1), (1, 1, 1, 1), (1,)
        image, kernel, bias = (tf.ones(size, dtype) for size in sizes)
        return _onednn_convolve(image, kernel, bias, plain, None, "relu")

    try:
        with tf.device("/CPU:0"):
            return bool((tf.function(probe, autograph=False)().numpy() == 2).all())
    except (tf.errors.OpError, ValueError, TypeError, AttributeError):
        return False


def convolve(
    image: Tensor,
    kernel: Tensor,
    bias: Tensor,
    how: FusedConvolution,
    added: Tensor | None,
    activation: Fused,
    fused: bool,
) -> Tensor:
    """Return activation(convolution(image) + bias + added).

    Args:
        image: (batch, height, width, channels).
        kernel: (height, width, channels / groups, filters), or (height, width, channels, 1).
        bias: (filters,).
        how: the geometry.
        added: what has the result's shape and is added before the activation, or None.
        activation: the last operation.
        fused: use oneDNN's fused operation.
    """
    tf, _ = load()
    if fused:
        return _onednn_convolve(image, kernel, bias, how, added, activation)
    if not isinstance(how.padding, str):
        top, bottom, left, right = how.padding
        image = tf.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)))
    scheme = how.padding if isinstance(how.padding, str) else "VALID"
    if how.depthwise:
        strides = (1, *how.strides, 1)
        values = tf.nn.depthwise_conv2d(image, kernel, strides, scheme, dilations=how.dilations)
    else:
        values = tf.nn.conv2d(image, kernel, how.strides, scheme, dilations=how.dilations)
    values = tf.nn.bias_add(values, bias)
    return activate(values if added is None else values + added, activation)


def multiply(
    rows: Tensor, matrix: Tensor, bias: Tensor, activation: Fused, fused: bool, block: int
) -> Tensor:
    """Return activation(rows × matrix + bias) for (batch, values), (values, units), (units,).

    Fused, it is a convolution of 1 × 1 over images of `block` × 1 pixels, one pixel per row: its
    order of summation depends neither on the batch's length nor on the threads, which oneDNN's
    own matrix product splits long sums by; at 16 rows and more it also was 5 to 10 times faster.
    """
    tf, _ = load()
    if not fused:
        return activate(tf.nn.bias_add(tf.matmul(rows, matrix), bias), activation)
    length, (values, units) = tf.shape(rows)[0], matrix.shape
    rows = tf.pad(rows, ((0, -length % block), (0, 0)))
    image = tf.reshape(rows, (-1, block, 1, values))
    kernel = tf.reshape(matrix, (1, 1, values, units))
    how = FusedConvolution((1, 1), (1, 1), "VALID")
    result = _onednn_convolve(image, kernel, bias, how, None, activation)
    return tf.reshape(result, (-1, units))[:length]


def activate(values: Tensor, activation: Fused) -> Tensor:
    """Return the values after an activation."""
    tf, _ = load()
    match activation:
        case "":
            return values
        case "relu":
            return tf.nn.relu(values)
        case "relu6":
            return tf.nn.relu6(values)
        case _:
            assert_never(activation)


def _onednn_convolve(
    image: Tensor,
    kernel: Tensor,
    bias: Tensor,
    how: FusedConvolution,
    added: Tensor | None,
    activation: Fused,
) -> Tensor:
    kind = image.dtype.as_datatype_enum
    arguments = [bias] if added is None else [bias, added]
    fused = ["BiasAdd", *([] if added is None else ["Add"])]
    if activation:
        fused.append(activation.capitalize())  # TensorFlow's names: Relu, Relu6
    explicit = not isinstance(how.padding, str)
    attributes = {
        "T": _attribute(type=kind),
        "num_args": _attribute(i=len(arguments)),
        "strides": _integers([1, *how.strides, 1]),
        "dilations": _integers([1, *how.dilations, 1]),
        "padding": _attribute(s=b"EXPLICIT" if explicit else str(how.padding).encode()),
        "explicit_paddings": _integers([0, 0, *how.padding, 0, 0] if explicit else []),
        "data_format": _attribute(s=b"NHWC"),
        "is_filter_const": _attribute(b=True),
        "fused_ops": _strings(fused),
        "epsilon": _attribute(f=0.0),
        "leakyrelu_alpha": _attribute(f=0.2),
    }
    if how.depthwise:
        attributes.pop("explicit_paddings")
        name = "_MklNativeFusedDepthwiseConv2dNative"
        return _emit(name, [image, kernel, *arguments], attributes)
    attributes["TArgs"] = _attribute(list=_list(type=[kind] * len(arguments)))
    attributes["num_host_args"] = _attribute(i=0)
    return _emit("_MklNativeFusedConv2D", [image, kernel, *arguments], attributes)


def _emit(name: str, inputs: Sequence[Tensor], attributes: dict[str, Attribute]) -> Tensor:
    tf, _ = load()
    attributes["_kernel"] = _attribute(s=b"MklNameChangeOp")  # the label oneDNN's kernels have
    graph = tf.compat.v1.get_default_graph()
    dtypes = [inputs[0].dtype]
    return graph.create_op(name, list(inputs), dtypes, attrs=attributes, name="fused").outputs[0]


def _attribute(**value: object) -> Attribute:
    tf, _ = load()
    return tf.compat.v1.AttrValue(**value)


def _list(**values: object) -> Attribute:
    tf, _ = load()
    return tf.compat.v1.AttrValue.ListValue(**values)


def _integers(values: Sequence[int]) -> Attribute:
    return _attribute(list=_list(i=list(values)))


def _strings(values: Sequence[str]) -> Attribute:
    return _attribute(list=_list(s=[value.encode() for value in values]))
