"""A Keras network → its graph, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.roster.catalogue.uses import KerasLayer, KerasNode, Use, uses

from .engines.tensorflow.process import Module, Tensor, load, on_thread
from .graph import Graph
from .steps import (
    Activate,
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Dense,
    Foreign,
    GlobalPool,
    Identity,
    Image,
    LayerNorm,
    Multiply,
    Operation,
    Pad,
    PartialConvolution,
    Pooling,
    Relu,
    Rescale,
    Reshape,
    ResponseNorm,
    ScaleChannels,
    SeparableConvolution,
    Standardize,
    Step,
    Subsample,
    Weight,
)

KerasModel: TypeAlias = Any

OF_TRAINING = frozenset({
    "AugMix", "Dropout", "GaussianDropout", "GaussianNoise", "RandAugment", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform",
    "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
    "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation",
    "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
    "SpatialDropout2D",
})  # fmt: skip
"""Layers that return what they are given, but in training."""


def keras(threads: int | None = None) -> Module:
    """Return Keras, imported once with TensorFlow below it, and quietly.

    Args:
        threads: of one operation, set by the first call in a process; None: one per core.
    """
    return on_thread(load, threads)[1]


class KerasCall(Struct, frozen=True, eq=False):
    """The call of a layer that a step was read from: what its operation does not say, this can run.

    `output_places` tells of each input which of its step's outputs it is.
    """

    layer: KerasLayer
    node: KerasNode
    output_places: tuple[int, ...]

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Compute the layer's outputs in float32, as in inference, whatever it was called with."""
        tensors = dict(zip(map(id, self.node.input_tensors), inputs, strict=True))
        args, kwargs = self.node.arguments.fill_in(tensors)
        if isinstance(self.layer, keras().Layer):  # also said to the layers inside of it
            kwargs = kwargs | {"training": False}
        outputs: list[Tensor] = keras().tree.flatten(self.layer(*args, **kwargs))
        return outputs


def read(model: KerasModel) -> Graph:
    """Read a functional Keras network of one input.

    Args:
        model: takes preprocessed float32 (batch, height, width, channels); the graph refers to its
            variables, and copies none.

    Raises:
        PlanError: the network has several inputs, or is not functional.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1:
        raise PlanError(f"network {model.name!r} must be functional and have one input, an image")
    found, output = uses(model)
    return Graph(model.name, map(_step, found), output)


def _step(use: Use) -> Step:
    needed = tuple(name for name, _ in use.inputs)
    if use.node is None:  # an inner network, whose layers are steps
        return Step(use.name, Identity(), needed, use.shape)
    call = KerasCall(use.layer, use.node, tuple(place for _, place in use.inputs))
    return Step(use.name, operation(use.layer, use.shape), needed, use.shape, call)


def operation(layer: KerasLayer, shape: tuple[int | None, ...] | None) -> Operation:
    """Return what a layer computes, as data.

    Args:
        layer: built, of any class.
        shape: of its result, without the batch axis; None: it has several.

    Returns:
        `Foreign` where the layer is of a class that is not described here, or is set to do what the
        description does not say: channels first, quantized weights, several axes.
    """
    kind = kind_of(layer)
    channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"
    axis = getattr(layer, "axis", None)
    match kind:
        case "InputLayer":
            return Image()
        case "Conv2D" | "DepthwiseConv2D" if channels_last and _weights_are_plain(layer):
            depthwise = kind == "DepthwiseConv2D"
            return Convolution(
                layer.kernel,
                layer.bias,
                tuple(layer.strides),
                tuple(layer.dilation_rate),
                layer.padding,
                1 if depthwise else layer.groups,
                depthwise,
                _activation(layer),
            )
        case "SeparableConv2D" if channels_last:
            return SeparableConvolution(
                layer.depthwise_kernel,
                layer.pointwise_kernel,
                layer.bias,
                tuple(layer.strides),
                tuple(layer.dilation_rate),
                layer.padding,
                _activation(layer),
            )
        case "Dense" if _weights_are_plain(layer):
            return Dense(layer.kernel, layer.bias, _activation(layer))
        case "BatchNormalization" if isinstance(axis, int):
            mean, variance = layer.moving_mean, layer.moving_variance
            return BatchNorm(mean, variance, *_scale_and_shift(layer), layer.epsilon, axis)
        case "LayerNormalization" if _is_last(axis, shape) and not _only_scales(layer):
            return LayerNorm(*_scale_and_shift(layer), layer.epsilon)
        case "LocalResponseNorm":
            return ResponseNorm(layer.radius, layer.bias, layer.alpha, layer.beta)
        case "Activation":
            return Activate(_activation(layer))
        case "ReLU":
            return Relu(layer.max_value, layer.negative_slope, layer.threshold)
        case "MaxPooling2D" | "AveragePooling2D" if channels_last:
            size, strides = tuple(layer.pool_size), tuple(layer.strides)
            return Pooling(
                "max" if kind == "MaxPooling2D" else "mean", size, strides, layer.padding
            )
        case "GlobalMaxPooling2D" | "GlobalAveragePooling2D" if channels_last:
            return GlobalPool("max" if kind == "GlobalMaxPooling2D" else "mean", layer.keepdims)
        case "ZeroPadding2D" if channels_last:
            (top, bottom), (left, right) = layer.padding
            return Pad(top, bottom, left, right)
        case "Flatten" | "Reshape" if channels_last and shape and None not in shape:
            return Reshape()
        case "Add":
            return Add()
        case "Multiply":
            return Multiply()
        case "Concatenate":
            return Concatenate(layer.axis)
        case "Rescaling":
            return Rescale(np.asarray(layer.scale), np.asarray(layer.offset))
        case "Normalization" if hasattr(layer, "mean") and not layer.invert:
            return Standardize(layer.mean, layer.variance)
        case "LayerScale":
            return ScaleChannels(layer.gamma)
        case "Subsampling":
            return Subsample(layer.coefficient, layer.bias)
        case "PartialConv2D":
            pairs = tuple(map(tuple, layer.connections))
            return PartialConvolution(layer.kernel, layer.bias, pairs)
    return Identity() if kind in OF_TRAINING else Foreign(kind)


def kind_of(layer: KerasLayer) -> str:
    """Return the name of a class of Keras or the roster; "" of a subclass or any other class."""
    kind = type(layer)
    if isinstance(layer, keras().Model) and kind.__module__.startswith("keras."):
        return kind.__name__
    if kind.__module__.startswith("vista_sql."):
        return {"GroupedConv2D": "Conv2D"}.get(kind.__name__, kind.__name__)
    return kind.__name__ if getattr(keras().layers, kind.__name__, None) is kind else ""


def _activation(layer: KerasLayer) -> str:
    """Return Keras's name of a layer's activation; "" of one that is not Keras's own."""
    name = getattr(layer.activation, "__name__", "")
    return name if getattr(keras().activations, name, None) is layer.activation else ""


def _weights_are_plain(layer: KerasLayer) -> bool:
    """Whether a layer computes with its kernel as it is: neither quantized nor adapted (LoRA)."""
    quantized = getattr(layer, "quantization_mode", None)
    return not quantized and not getattr(layer, "lora_enabled", False)


def _scale_and_shift(norm: KerasLayer) -> tuple[Weight | None, Weight | None]:
    return norm.gamma if norm.scale else None, norm.beta if norm.center else None


def _is_last(axis: int | list[int] | None, shape: tuple[int | None, ...] | None) -> bool:
    axes = [axis] if isinstance(axis, int) else axis
    return axes in ([-1], [len(shape or ())])


def _only_scales(norm: KerasLayer) -> bool:
    return bool(getattr(norm, "rms_scaling", False))
