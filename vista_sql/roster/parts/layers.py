"""The few layers that the roster's networks need and Keras lacks, defined when first used."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from vista_sql.once import once

Tensor: TypeAlias = Any
Shape: TypeAlias = Any  # of a batch: the first axis is None
Option: TypeAlias = Any  # what every Keras layer takes: name, dtype, trainable


class CustomLayers(NamedTuple):
    """Classes of Keras layers, registered with Keras so that saved networks load again."""

    LocalResponseNorm: Any
    GroupedConv2D: Any
    Subsampling: Any
    PartialConv2D: Any
    LayerScale: Any


@once
def custom_layers() -> CustomLayers:
    """Define and register the layers, once in a process."""
    import keras
    import numpy as np
    import tensorflow as tf

    register = keras.saving.register_keras_serializable(package="vista_sql")

    @register
    class LocalResponseNorm(keras.layers.Layer):  # type: ignore[misc]
        """Divide by (bias + alpha × sum of squares over 2 × radius + 1 channels) ** beta."""

        def __init__(
            self, radius: int, bias: float, alpha: float, beta: float, **options: Option
        ) -> None:
            super().__init__(**options)
            self.radius, self.bias, self.alpha, self.beta = radius, bias, alpha, beta

        def call(self, inputs: Tensor) -> Tensor:
            values = tf.cast(inputs, tf.float32)  # there is no kernel for bfloat16 on CPUs
            normal = tf.nn.local_response_normalization(
                values, self.radius, self.bias, self.alpha, self.beta
            )
            return tf.cast(normal, inputs.dtype)

        def compute_output_shape(self, input_shape: Shape) -> Shape:
            return input_shape

        def get_config(self) -> dict[str, Any]:
            own = {"radius": self.radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
            return {**super().get_config(), **own}

    @register
    class GroupedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
        """Conv2D whose groups run as TensorFlow's own operation on every device.

        Keras compiles grouped convolutions with XLA, anew for each batch size.
        """

        def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
            return tf.nn.conv2d(inputs, kernel, list(self.strides), self.padding.upper())

    @register
    class Subsampling(keras.layers.Layer):  # type: ignore[misc]
        """LeNet-5's S layers: tanh(coefficient × sum of 2 × 2 values + bias), per channel."""

        def build(self, input_shape: Shape) -> None:
            start = keras.initializers.Constant(0.25)
            self.coefficient = self.add_weight(
                shape=(input_shape[-1],), initializer=start, name="coefficient"
            )
            self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

        def call(self, inputs: Tensor) -> Tensor:
            total = keras.ops.average_pool(inputs, 2, 2) * 4
            return keras.ops.tanh(total * self.coefficient + self.bias)

        def compute_output_shape(self, input_shape: Shape) -> Shape:
            n, height, width, channels = input_shape
            return n, height // 2, width // 2, channels

    @register
    class PartialConv2D(keras.layers.Layer):  # type: ignore[misc]
        """LeNet-5's C3: a valid convolution with tanh, each map seeing only some input maps.

        `connections[j]` lists the input maps that output map j sees. The kernel has shape (size,
        size, connections in all) and is spread out to a dense kernel when the layer runs.
        """

        def __init__(self, size: int, connections: list[list[int]], **options: Option) -> None:
            super().__init__(**options)
            self.size, self.connections = size, [list(inputs) for inputs in connections]

        def build(self, input_shape: Shape) -> None:
            pairs = [(i, j) for j, inputs in enumerate(self.connections) for i in inputs]
            filters = len(self.connections)
            self.dense_shape = (self.size, self.size, input_shape[-1], filters)
            self.spread = np.zeros((len(pairs), input_shape[-1] * filters), np.float32)
            for row, (i, j) in enumerate(pairs):
                self.spread[row, i * filters + j] = 1
            self.kernel = self.add_weight(
                shape=(self.size, self.size, len(pairs)),
                initializer="glorot_uniform",
                name="kernel",
            )
            self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias")

        def call(self, inputs: Tensor) -> Tensor:
            spread = keras.ops.convert_to_tensor(self.spread, self.compute_dtype)
            dense = keras.ops.reshape(keras.ops.matmul(self.kernel, spread), self.dense_shape)
            return keras.ops.tanh(keras.ops.conv(inputs, dense) + self.bias)

        def compute_output_shape(self, input_shape: Shape) -> Shape:
            n, height, width, _ = input_shape
            lost = self.size - 1
            return n, height - lost, width - lost, len(self.connections)

        def get_config(self) -> dict[str, Any]:
            own = {"size": self.size, "connections": self.connections}
            return {**super().get_config(), **own}

    @register
    class LayerScale(keras.layers.Layer):  # type: ignore[misc]
        """ConvNeXt's scale of each channel at the end of a block.

        It starts as one: the paper's 1e-6 is for training, and hides a block of random weights.
        """

        def build(self, input_shape: Shape) -> None:
            self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")

        def call(self, inputs: Tensor) -> Tensor:
            return inputs * self.gamma

        def compute_output_shape(self, input_shape: Shape) -> Shape:
            return input_shape

    return CustomLayers(LocalResponseNorm, GroupedConv2D, Subsampling, PartialConv2D, LayerScale)
