"""A network's graph → TensorFlow functions from one step's value to another's.

They are made of fused operations, a group of the graph each.

The functions run between cuts of the network, so that one set of them serves every plan: all layers
in one pass, each alone, or each from the map of the one before. A layer's value comes from the same
operations whichever other layers are asked for. What the lowering does not know runs as the Keras
layer that it was read from, in float32, inside the same function. A batch's length is left open:
each function is traced once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from vista_sql.errors import PlanError
from vista_sql.kernels import GRANULE
from vista_sql.roster import Preprocessing

from ...engine import Dtype
from ...graph import Core, Graph, Group
from ...keras_reader import KerasCall
from ...steps import (
    Activate,
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    GlobalPool,
    Identity,
    Pad,
    Pooling,
    Relu,
    Reshape,
    ResponseNorm,
    Step,
    Weight,
    fused_activation,
)
from . import ops
from .batch_lengths import is_even
from .process import Tensor, load

Function: TypeAlias = Callable[[Tensor], Tensor]
Variable: TypeAlias = Any
"""A tf.Variable."""
TensorSpec: TypeAlias = Any

MAX_FUNCTIONS = 64
"""Functions kept; each holds its weights once more in oneDNN's layout. A network's feature layers
need one each, other layers two at most."""


class Lowered:
    """One network as functions, in one arithmetic, on one device."""

    def __init__(
        self,
        graph: Graph,
        preprocessing: Preprocessing,
        dtype: Dtype,
        device: str,
        block_rows: int,
    ) -> None:
        """Trace nothing yet.

        Args:
            graph: the network.
            preprocessing: from uint8 pixels to the network's input.
            dtype: of the arithmetic.
            device: TensorFlow's name of the device.
            block_rows: as `ops.multiply` takes them.
        """
        tf, _ = load()
        self.graph = graph
        self.traces = 0  # functions traced so far
        self._preprocessing = preprocessing
        self._dtype = tf.as_dtype(dtype)
        self._device = device
        self._block_rows = block_rows
        self._fused = "CPU" in device.upper() and ops.has_onednn(self._dtype.name)
        self._lock = threading.Lock()
        self._weights: dict[str, tuple[Variable, Variable]] = {}
        self._functions: OrderedDict[tuple[str, str], Function] = OrderedDict()

    def function(self, source: str, target: str) -> Function:
        """Return the function from one step's value to another's, traced on first use.

        The value of the graph's input is uint8 pixels, every other one has the arithmetic's dtype.
        """
        with self._lock:
            if (source, target) not in self._functions:
                self._functions[source, target] = self._trace(source, target)
                while len(self._functions) > MAX_FUNCTIONS:
                    self._functions.popitem(last=False)
            self._functions.move_to_end((source, target))
            return self._functions[source, target]

    def value(self, stored: np.ndarray, name: str) -> Tensor:
        """Return what `function` takes for the step `name`.

        Args:
            stored: uint8 pixels (rows, height, width, channels) for the input; else float32 (rows,
                values) as they were stored.
            name: the step.
        """
        tf, _ = load()
        with tf.device(self._device):
            if name == self.graph.input:
                return tf.constant(stored)
            values = tf.reshape(tf.constant(stored), (-1, *(self.graph.steps[name].shape or ())))
            return tf.cast(values, self._dtype)

    def signature(self, name: str) -> TensorSpec:
        """Return the TensorSpec of a step's value."""
        tf, _ = load()
        dtype = tf.uint8 if name == self.graph.input else self._dtype
        return tf.TensorSpec((None, *(self.graph.steps[name].shape or ())), dtype)

    def traced(self, call: Callable[[Tensor], Tensor], name: str) -> Function:
        """Trace `call`, which takes the value of the step `name`, once for every batch length."""
        tf, _ = load()
        self.traces += 1
        with tf.device(self._device), plain_graphs():
            function = tf.function(call, input_signature=[self.signature(name)], autograph=False)
            concrete = function.get_concrete_function()

        def run(values: Tensor) -> Tensor:
            with tf.device(self._device), plain_graphs():
                return concrete(values)

        return run

    def _trace(self, source: str, target: str) -> Function:
        order = self.graph.order([target], source)
        order = [name for name in order if name != self.graph.input]
        for name in order:
            group = self.graph.group_of(name)
            if group is not None and not self.graph.tail_is_exact(source, name):
                self._load_weights(name, group)

        def call(value: Tensor) -> Tensor:
            known: dict[str, list[Tensor]] = {source: [value]}
            if source == self.graph.input:
                known = {source: [self._preprocess(value)]}
            for name in order:
                known[name] = self._emit(name, source, known)
            return known[target][0]

        return self.traced(call, source)

    def _preprocess(self, pixels: Tensor) -> Tensor:
        tf, _ = load()
        values = tf.cast(pixels, tf.float32)
        mean, scale = self._preprocessing.mean, self._preprocessing.scale
        if any(mean):
            values = values - tf.constant(mean, tf.float32)
        if any(one != 1 for one in scale):
            values = values * tf.constant(scale, tf.float32)
        return tf.cast(values, self._dtype)

    def _emit(self, name: str, source: str, known: dict[str, list[Tensor]]) -> list[Tensor]:
        group = self.graph.group_of(name)
        if group is not None:
            if self.graph.tail_is_exact(source, name):
                return [ops.activate(known[source][0], group.activation)]
            return [self._emit_group(name, group, source, known)]
        step = self.graph.steps[name]
        simple = self._emit_simple(step, [known[need][0] for need in step.inputs])
        return [simple] if simple is not None else self._call_keras(step, known)

    def _emit_group(
        self, name: str, group: Group, source: str, known: dict[str, list[Tensor]]
    ) -> Tensor:
        members = group.members[: group.members.index(name) + 1]
        core = self.graph.steps[group.core]
        values = known[self.graph.needs(name, source)[0]][0]
        kernel, bias = (
            variable.read_value() for variable in self._weights[self._weights_key(name)]
        )
        own = fused_activation(group.operation)
        activation = group.activation if own or name == group.head else ""
        match group.operation:
            case Dense():
                result = ops.multiply(
                    values, kernel, bias, activation, self._fused, self._block_rows
                )
            case Convolution():
                how, values = self._geometry(group.operation, group, source, values)
                added = known[group.other][0] if group.other and group.add in members else None
                result = ops.convolve(values, kernel, bias, how, added, activation, self._fused)
        return result if own else self._activate(core, group.operation, result)

    def _geometry(
        self, core: Convolution, group: Group, source: str, values: Tensor
    ) -> tuple[ops.FusedConvolution, Tensor]:
        scheme: ops.Padding = "SAME" if core.padding == "same" else "VALID"
        if group.padding is not None:
            top, bottom = group.padding.top, group.padding.bottom
            left, right = group.padding.left, group.padding.right
            scheme = (top, bottom, left, right)
            if source == group.pad:  # a stored padded map: take the padding off again
                height, width = values.shape[1:3]
                values = values[:, top : height - bottom, left : width - right, :]
        return ops.FusedConvolution(core.strides, core.dilations, scheme, core.depthwise), values

    def _activate(self, core: Step, operation: Core | Activate, values: Tensor) -> Tensor:
        if operation.activation == "linear":
            return values
        tf, keras = load()
        if operation.activation:
            activation = keras.activations.get(operation.activation)
        else:  # of no name that Keras knows
            activation = _keras_call(core).layer.activation
        alike = is_even(core) or values.shape.rank != 2
        rows = values if alike else _in_granules(values)
        result = tf.cast(activation(tf.cast(rows, tf.float32)), self._dtype)
        return result if alike else result[: tf.shape(values)[0]]

    def _emit_simple(self, step: Step, inputs: Sequence[Tensor]) -> Tensor | None:
        """Emit what needs no weights, in the arithmetic's own dtype; None: left to Keras."""
        tf, _ = load()
        match step.operation:
            case Pooling(reduction, size, strides, padding):
                pool = tf.nn.max_pool2d if reduction == "max" else tf.nn.avg_pool2d
                return pool(inputs[0], size, strides, padding.upper())
            case GlobalPool(reduction, keep_axes):
                reduce = tf.reduce_max if reduction == "max" else tf.reduce_mean
                single = tf.cast(inputs[0], tf.float32)  # as Keras does
                return tf.cast(reduce(single, (1, 2), keepdims=keep_axes), self._dtype)
            case Pad(top, bottom, left, right):
                return tf.pad(inputs[0], ((0, 0), (top, bottom), (left, right), (0, 0)))
            case Crop(top, bottom, left, right):
                height, width = inputs[0].shape[1:3]
                return inputs[0][:, top : height - bottom, left : width - right, :]
            case Reshape():
                return tf.reshape(inputs[0], (-1, *(step.shape or ())))
            case Identity():
                return inputs[0]
            case Concatenate(axis) if axis in (-1, len(step.shape or ())):
                return tf.concat(inputs, -1)
            case Add() if len({tuple(one.shape) for one in inputs}) == 1:
                total = inputs[0]
                for one in inputs[1:]:
                    total = total + one
                return total
            case ResponseNorm(beta=0.75) as norm if self._fused:
                return self._normalise_locally(norm, inputs[0])
            case Activate() | Relu() as operation if fused := fused_activation(operation):
                return ops.activate(inputs[0], fused)
            case Activate() as operation if step.origin is None:
                return self._activate(step, operation, inputs[0])
        return None

    def _normalise_locally(self, norm: ResponseNorm, values: Tensor) -> Tensor:
        """Divide by (bias + alpha × sum of squares over neighbouring channels) ** 0.75.

        The sum is a 1 × 1 convolution with a band matrix, the power two square roots: TensorFlow's
        own operation takes longer than AlexNet's convolutions.
        """
        tf, _ = load()
        single = tf.cast(values, tf.float32)
        places = np.arange(values.shape[-1])
        band = np.abs(places[:, None] - places) <= norm.radius
        kernel = tf.constant((band * norm.alpha)[None, None], tf.float32)
        bias = tf.fill([len(places)], tf.constant(norm.bias, tf.float32))
        how = ops.FusedConvolution((1, 1), (1, 1), "VALID")
        total = ops.convolve(single * single, kernel, bias, how, None, "", self._fused)
        root = tf.math.rsqrt(total)
        return tf.cast(single * root * tf.sqrt(root), self._dtype)

    def _call_keras(self, step: Step, known: dict[str, list[Tensor]]) -> list[Tensor]:
        tf, _ = load()
        call = _keras_call(step)
        alike = is_even(step) or len(step.shape or ()) != 1
        rows = tf.shape(known[step.inputs[0]][0])[0]
        values = []
        for need, place in zip(step.inputs, call.output_places, strict=True):
            value = known[need][place]
            value = value if alike else _in_granules(value)
            values.append(tf.cast(value, tf.float32) if value.dtype.is_floating else value)
        outputs = call(values)
        outputs = outputs if alike else [one[:rows] for one in outputs]
        return [tf.cast(one, self._dtype) if one.dtype.is_floating else one for one in outputs]

    def _weights_key(self, name: str) -> str:
        """Return under which name a member's weights are kept: folded ones under the norm's."""
        group = self.graph.group_of(name)
        if group is None or group.norm is None or name == group.core:
            return name if group is None else group.core
        return group.norm

    def _load_weights(self, name: str, group: Group) -> None:
        key = self._weights_key(name)
        if key in self._weights:
            return
        tf, _ = load()
        core, norm = group.operation, self.graph.steps[key].operation
        with tf.device(self._device), tf.init_scope():
            depthwise = isinstance(core, Convolution) and core.depthwise
            channels = core.kernel.shape[2 if depthwise else -1]
            bias = tf.zeros(channels) if core.bias is None else _read(core.bias)
            if isinstance(norm, BatchNorm):
                kernel, bias = folded(_read(core.kernel), bias, norm)
            elif self._dtype == tf.float32 and _is_variable_on(core.kernel, self._device):
                variable = core.kernel.value  # type: ignore[attr-defined]
                self._weights[key] = (variable, tf.Variable(bias, trainable=False))
                return  # the network's own variable: no second copy
            else:
                kernel = _read(core.kernel)
            self._weights[key] = (
                tf.Variable(tf.cast(kernel, self._dtype), trainable=False),
                tf.Variable(tf.cast(bias, self._dtype), trainable=False),
            )


def folded(kernel: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Fold a batch norm into the weights of the layer before it.

    Args:
        kernel: float32, its last axis (or, of a depthwise convolution, its third) the channels.
        bias: float32 (channels,).
        norm: over the channels.

    Returns:
        kernel × factor and (bias - mean) × factor + beta, with factor = gamma / sqrt(variance +
        epsilon); the factor is computed in float64.
    """
    tf, _ = load()
    double = tf.float64
    factor = 1 / tf.sqrt(tf.cast(_read(norm.variance), double) + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * tf.cast(_read(norm.gamma), double)
    shift = (tf.cast(bias, double) - tf.cast(_read(norm.mean), double)) * factor
    if norm.beta is not None:
        shift = shift + tf.cast(_read(norm.beta), double)
    single = tf.cast(factor, tf.float32)
    if kernel.shape[-1] != single.shape[0]:  # depthwise: (height, width, channels, 1)
        single = single[:, None]
    return kernel * single, tf.cast(shift, tf.float32)


def _keras_call(step: Step) -> KerasCall:
    """Return the Keras layer that a step was read from.

    Raises:
        PlanError: it was not read from Keras.
    """
    if not isinstance(step.origin, KerasCall):
        kind = type(step.operation).__name__
        raise PlanError(f"engine 'tensorflow' cannot compute layer {step.name!r} ({kind})")
    return step.origin


def _in_granules(values: Tensor) -> Tensor:
    """Return (batch, …) with rows of zeros up to a multiple of GRANULE."""
    tf, _ = load()
    more = -tf.shape(values)[0] % GRANULE
    return tf.pad(values, [(0, more), *[(0, 0)] * (values.shape.rank - 1)])


def _read(weight: Weight) -> Tensor:
    tf, keras = load()
    is_keras = isinstance(weight, keras.Variable)
    values = weight.value if is_keras else np.asarray(weight)  # type: ignore[attr-defined]
    return tf.cast(tf.convert_to_tensor(values), tf.float32)


def _is_variable_on(weight: Weight, device: str) -> bool:
    _, keras = load()
    kind = "CPU" if "CPU" in device.upper() else "GPU"
    if not isinstance(weight, keras.Variable) or weight.dtype != "float32":
        return False
    return kind in (weight.value.device or "CPU").upper()


@contextmanager
def plain_graphs() -> Iterator[None]:
    """Run functions of this thread as they were written, without TensorFlow's graph rewriting.

    Rewriting fuses what stands side by side, which would make a layer's bits depend on where the
    functions begin and end.
    """
    from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
    from tensorflow.python.eager import context

    rewriting = rewriter_config_pb2.RewriterConfig(disable_meta_optimizer=True)
    config = config_pb2.ConfigProto(
        graph_options=config_pb2.GraphOptions(rewrite_options=rewriting), allow_soft_placement=True
    )
    here = context.context()
    before = here.function_call_options
    here.function_call_options = context.FunctionCallOptions(
        executor_type=before.executor_type, config_proto=config
    )
    try:
        yield
    finally:
        here.function_call_options = before
