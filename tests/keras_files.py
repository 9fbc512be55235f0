"""Files that Keras writes: networks of its layers alone, and weights as older versions had them."""

from __future__ import annotations

import h5py
import numpy as np
from vista_sql.udfs.network import keras_reader

SIDE = 12


def write_old_format(network, path, names_at_once=1000):
    """Write what Keras 1 and 2 wrote, which is what its published files are."""
    with h5py.File(path, "w") as file:
        names = [layer.name.encode() for layer in network.layers]
        if len(names) <= names_at_once:
            file.attrs["layer_names"] = names
        for start in range(0, len(names), names_at_once):
            if len(names) > names_at_once:
                part = names[start : start + names_at_once]
                file.attrs[f"layer_names{start // names_at_once}"] = part
        for layer in network.layers:
            group = file.create_group(layer.name)
            own = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in own]
            for name, variable in zip(own, layer.weights, strict=True):
                group[name] = np.asarray(variable)


def backbone(name="backbone"):
    """Return a network of maps: a convolution with its norm, a sum, a network within."""
    keras = keras_reader.keras()
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6, name="relu6")(x)
    block = keras.Sequential(
        [layers.DepthwiseConv2D(3, padding="same", name="deep"), layers.Activation("silu")],
        name="block",
    )
    x = layers.Add(name="sum")([x, block(x)])
    x = layers.Conv2D(6, 3, strides=2, name="last", activation="relu")(x)
    return keras.Model(image, x, name=name)


def transfer():
    """The usual one: pixels scaled and augmented, a backbone, a head."""
    keras = keras_reader.keras()
    layers = keras.layers
    augmented = [layers.RandomFlip(name="flip"), layers.RandomRotation(0.1, name="turn")]
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.Sequential(augmented, name="augmented"),  # of no weights, before others with some
            keras.Sequential([layers.Rescaling(1 / 127.5, -1, name="scale")], name="scaled"),
            keras.Sequential([layers.Dense(3, name="mix")], name="mixed"),
            backbone(),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(4, activation="softmax", name="top"),
        ]
    )


def shared():
    """A layer and a network that are called twice."""
    keras = keras_reader.keras()
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="pixels")
    mix, tower = layers.Dense(3, name="mix"), backbone()
    x = layers.Rescaling(1 / 255, name="image")(image)  # as networks of the roster call the input
    left, right = tower(mix(x)), tower(mix(mix(x)))
    x = layers.Concatenate(name="joined")([right, left])
    return keras.Model(image, layers.Flatten(name="flat")(x))


def normalised():
    """Every norm, with and without numbers of its own; gray images; several outputs."""
    keras = keras_reader.keras()
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 1))
    learned = layers.Normalization(name="learned")
    learned.adapt(np.random.default_rng(0).normal(100, 30, (9, SIDE, SIDE, 1)))
    x = layers.Normalization(mean=1.0, variance=4.0, name="known")(learned(image))
    x = layers.SeparableConv2D(6, 3, name="separable")(x)
    x = layers.LayerNormalization(center=False, scale=False, name="bare")(x)
    x = layers.LayerNormalization(name="layer_norm")(x)
    x = layers.BatchNormalization(axis=1, name="rows")(x)
    gate = layers.GlobalMaxPooling2D(keepdims=True, name="peak")(x)
    x = layers.Multiply(name="gated")([x, layers.Activation("sigmoid", name="gate")(gate)])
    top = layers.Dense(3, name="top")(layers.Flatten(name="flat")(x))
    return keras.Model(image, [top, x])


def halves():
    """A network that Keras computes in float16, of variables in float32."""
    keras = keras_reader.keras()
    layers = keras.layers
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    x = image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255, name="scale", dtype=policy)(x)
    x = layers.Conv2D(8, 3, activation="relu", name="conv", dtype=policy)(x)
    x = layers.GlobalAveragePooling2D(name="mean", dtype=policy)(x)
    return keras.Model(image, layers.Dense(4, name="top")(x))


NETWORKS = {one.__name__: one for one in (transfer, shared, normalised, halves)}


def randomised(model, seed=1):
    """Give a network other numbers than it begins with, norms among them; return it."""
    chance = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.name in ("moving_variance", "variance", "gamma"):
            variable.assign(chance.uniform(0.5, 2, variable.shape))
        elif variable.name != "count":
            fan_in = max(1, int(np.prod(variable.shape[:-1])))
            variable.assign(chance.normal(0, (2 / fan_in) ** 0.5, variable.shape))
    return model
