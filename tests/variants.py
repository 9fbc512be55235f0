"""Networks that begin alike: what fine-tuning, other heads and other ends make of one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_files
import numpy as np
from vista_sql.udfs.network import keras_reader

SIDE = 12


def network(kind: str) -> Any:
    """Return a Keras network with its weights, of VARIANTS.

    Layers of a name and a shape have the same weights in all; 'tuned' has others in `late`, 'other'
    in all. 'renamed' is 'plain' by other names.
    """
    keras = keras_reader.keras()
    layers = keras.layers

    def named(name: str) -> str:
        return f"our_{name}" if kind == "renamed" else name

    def conv(x: Any, name: str, *args: Any, norm: bool = True, **options: Any) -> Any:
        x = layers.Conv2D(*args, name=named(f"{name}_conv"), **options)(x)
        return layers.BatchNormalization(name=named(f"{name}_norm"))(x) if norm else x

    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, -1, name=named("scale"))(image)
    x = layers.ZeroPadding2D(1, name=named("pad"))(conv(x, "first", 8, 3, use_bias=False))
    x = layers.ReLU(name=named("first"))(x)
    y = conv(x, "middle", 8, 3, padding="same")
    x = stem = layers.ReLU(name=named("block"))(layers.Add(name=named("sum"))([x, y]))
    if kind == "short":  # `late` would otherwise read it, and a sum
        return _filled(keras.Model(image, layers.GlobalMaxPooling2D(name="peak")(x)), kind)
    x = conv(x, "late", 12, 3, strides=2, norm=kind != "bare")
    x = layers.Activation("tanh" if kind == "tanh" else "relu", name=named("late"))(x)
    if kind == "branch":  # more layers read `block`
        beside = conv(stem, "beside", 12, 3, strides=2)
        x = layers.Concatenate(name="joined")([x, layers.Activation("relu")(beside)])
    x = layers.GlobalAveragePooling2D(name=named("mean"))(x)
    if kind == "deep":
        x = layers.Dense(40, activation="relu", name="hidden")(x)
    return _filled(keras.Model(image, layers.Dense(4, name=named("top"))(x)), kind)


VARIANTS = ("plain", "renamed", "tuned", "other", "short", "bare", "tanh", "branch", "deep")


def blocks(is_tuned: bool = False) -> Any:
    """Return a classifier around a backbone of four blocks, of which the last one may differ."""
    keras = keras_reader.keras()
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(12, 3, padding="same", name="stem")(image)
    for number, strides in enumerate((1, 2, 1, 1), 1):
        shortcut = x if strides == 1 else layers.Conv2D(12, 1, strides=2, name="shortcut")(x)
        y = layers.Conv2D(12, 3, strides, "same", use_bias=False, name=f"conv{number}")(x)
        y = layers.BatchNormalization(name=f"norm{number}")(y)
        x = layers.ReLU(name=f"block{number}")(layers.Add(name=f"sum{number}")([shortcut, y]))
    backbone = keras.Model(image, x, name="net")
    pixels = keras.Input((SIDE, SIDE, 3))
    x = backbone(layers.Rescaling(1 / 127.5, -1, name="scale")(pixels))
    x = layers.Dense(4, name="top")(layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras_files.randomised(keras.Model(pixels, x))
    if is_tuned:
        last = backbone.get_layer("conv4").kernel
        last.assign(1.5 * np.asarray(last))
    return model


def _filled(model: Any, kind: str) -> Any:
    for variable in model.weights:
        name = variable.path.removeprefix("our_")
        others = kind == "other" or (kind == "tuned" and name.startswith("late_conv"))
        seed = [*name.encode(), *variable.shape, others]
        keras_files.randomised(type("One", (), {"weights": [variable]}), seed)
    return model


def save(kind: str, folder: Path) -> str:
    """Save a network of VARIANTS in a folder; return the file's path."""
    path = folder / f"{kind}.keras"
    network(kind).save(path)
    return str(path)


def pixels(n: int) -> np.ndarray:
    """Return uint8 (n, height, width, channels)."""
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
