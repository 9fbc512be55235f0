"""Small networks with every kind of step, for tests of the kernels; their weights are seeded."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from vista_sql.udfs.network import keras_reader
from vista_sql.udfs.network.networks import Network, OpenCnn
from vista_sql.udfs.passes.runtime import Runtime

from vista_sql.kernels import InferSpec
from vista_sql.roster import Cnn, Preprocessing
from vista_sql.roster.catalogue.entries import entries

SIDE = 13  # odd, so that paddings and poolings are uneven


def _normal(x: Any, name: str, filters: int, size: int, activation: bool = True, **how: Any) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, size, name=f"{name}_conv", **how)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _residual(image: Any) -> Any:
    from keras import layers

    x = layers.ZeroPadding2D(((2, 1), (1, 2)), name="pad")(image)
    x = _normal(x, "first", 16, 3, strides=2)
    short = _normal(x, "short", 24, 1, activation=False, use_bias=False)
    y = _normal(x, "a", 16, 1, use_bias=False)
    y = _normal(y, "b", 24, 3, activation=False, padding="same", use_bias=False)
    x = layers.Add(name="add")([short, y])
    x = layers.Activation("relu", name="block")(x)
    y = _normal(x, "c", 24, 3, activation=False, padding="same", dilation_rate=2)
    x = layers.Add(name="add2")([y, x])
    x = layers.ReLU(name="block2")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="max")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    return layers.Dense(10, activation="softmax", name="top")(x)


def _inception(image: Any) -> Any:
    from keras import layers

    x = layers.Conv2D(12, 3, activation="relu", padding="same", strides=2, name="stem")(image)
    one = layers.Conv2D(8, 1, activation="relu", name="one")(x)
    narrow = layers.Conv2D(6, 1, activation="relu", name="narrow")(x)
    wide = layers.Conv2D(8, 5, padding="same", activation="relu", groups=2, name="wide")(narrow)
    pooled = layers.AveragePooling2D(3, strides=1, padding="same", name="average")(x)
    x = layers.Concatenate(name="joined")([one, wide, pooled])
    x = layers.BatchNormalization(name="norm")(x)  # follows no convolution: not folded
    x = layers.ReLU(6, name="relu6")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(32, name="dense")(x)
    x = layers.BatchNormalization(name="dense_bn")(x)
    x = layers.ReLU(name="dense_relu")(x)
    return layers.Dense(5, activation="tanh", name="top")(x)


def _mobile(image: Any) -> Any:
    from keras import layers

    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(image)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="deep")(x)
    x = layers.BatchNormalization(name="deep_bn")(x)
    x = layers.ReLU(6, name="deep_relu")(x)
    x = layers.SeparableConv2D(12, 3, name="separable")(x)  # the lowering does not know it
    x = layers.LayerNormalization(name="layer_norm")(x)
    x = layers.Conv2D(16, 1, activation="silu", name="silu")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(16, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.GlobalMaxPooling2D(name="peak")(x)
    return layers.Dense(7, name="top")(x)


TOYS = {"residual": _residual, "inception": _inception, "mobile": _mobile}


def network(name: str) -> Any:
    """Build one of TOYS as a Keras model; every weight is seeded, batch norms too."""
    import keras

    image = keras.Input((SIDE, SIDE, 3), name="image")
    model = keras.Model(image, TOYS[name](image), name=name)
    random = np.random.default_rng(7)
    weights = []
    for variable in model.weights:
        if variable.name in ("moving_variance", "gamma"):
            weights.append(random.uniform(0.5, 2, variable.shape))
        else:
            fan_in = max(1, int(np.prod(variable.shape[:-1])))
            weights.append(random.standard_normal(variable.shape) * (2 / fan_in) ** 0.5)
    model.set_weights(weights)
    return model


@cache  # asked for by every call of a kernel, and building a network takes a tenth of a second
def cnn(name: str) -> Cnn:
    """Return the facts about a toy."""
    return Cnn(
        name=name,
        title=name,
        paper="none",
        input_shape=(SIDE, SIDE, 3),
        parameters=0,
        aliases={},
        feature_layers=("top",),
        counted_layers=("top",),
        preprocessing=Preprocessing("bgr", (100.0, 110.0, 120.0), (0.02, 0.02, 0.02)),
        build=lambda: network(name),
        default_weights="random",
        catalogue=entries(network(name)),
    )


def open_toy(spec: InferSpec) -> OpenCnn:
    """Stand in for `vista_sql.udfs.network.networks.open_cnn`, which knows the roster only."""
    keras_reader.keras()
    read = lambda: keras_reader.read(network(spec.cnn))  # noqa: E731
    return OpenCnn(cnn(spec.cnn), f"toy/{spec.cnn}", read)


def runtime() -> Runtime:
    """Return a runtime that finds the toys."""
    return Runtime(open_cnn=open_toy)


@cache
def lowered(name: str, dtype: str = "float32") -> Network:
    """Return a toy as the kernels run it."""
    return Network(open_toy(InferSpec(name, ())), dtype, "cpu")


def feature_layers(cnn: Cnn) -> list[str]:
    """Return a CNN's feature layers, each once, by the network's own names."""
    return list(dict.fromkeys(map(cnn.canonical, cnn.feature_layers)))


def pixels(n: int, seed: int = 0) -> np.ndarray:
    """Return uint8 (n, height, width, channels)."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
