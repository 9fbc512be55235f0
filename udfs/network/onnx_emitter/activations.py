"""Keras's names of activations → operations of ONNX."""

from __future__ import annotations

from collections.abc import Mapping

from vista_sql.errors import UnknownNameError

from .writer import Value, Writer

NODES: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "relu": ("Relu", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
}
"""Keras's name → ONNX's, with the attributes that make it Keras's (keras/src/activations)."""

OVER_CHANNELS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}

NAMES = frozenset({"linear", "relu6", "silu", *NODES, *OVER_CHANNELS})
"""Keras's names of all that can be written."""


def activated(writer: Writer, value: Value, activation: str) -> Value:
    """Return a function of a value by Keras's name of it; "" and 'linear' are the value itself.

    Raises:
        UnknownNameError: ONNX has no such function, or it is written nowhere here.
    """
    if activation in ("", "linear"):
        return value
    if activation == "relu6":
        return writer.apply("Clip", value, writer.constant(0.0), writer.constant(6.0))
    if activation == "silu":
        return writer.apply("Mul", value, writer.apply("Sigmoid", value))
    if activation in OVER_CHANNELS:
        return writer.apply(OVER_CHANNELS[activation], value, axis=value.channel_axis)
    if activation in NODES:
        kind, attributes = NODES[activation]
        return writer.apply(kind, value, **attributes)
    raise UnknownNameError("activation", activation, (*NODES, *OVER_CHANNELS, "relu6", "silu"))
