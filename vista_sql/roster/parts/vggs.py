"""What VGG16 and VGG19 share: the network with the logits as a layer, and the paper's names."""

from __future__ import annotations

from vista_sql.roster import Network

PAPER = "Simonyan & Zisserman, Very Deep Convolutional Networks, 2014, arXiv:1409.1556"


def aliases(convolutions: tuple[int, ...]) -> dict[str, str]:
    """Return the paper's names; `convolutions` are those of each block, from its table 1."""
    return (
        {
            f"conv{block}_{i}": f"block{block}_conv{i}"
            for block, count in enumerate(convolutions, 1)
            for i in range(1, count + 1)
        }
        | {f"pool{block}": f"block{block}_pool" for block in range(1, 6)}
        | {"fc6": "fc1", "fc7": "fc2"}
    )


def network(application: str, name: str) -> Network:
    """Build the network of keras.applications with the logits as a layer of their own."""
    import keras

    build = getattr(keras.applications, application)
    base = build(include_top=False, weights=None, input_shape=(224, 224, 3))
    x = keras.layers.Flatten(name="flatten")(base.output)
    x = keras.layers.Dense(4096, activation="relu", name="fc1")(x)
    x = keras.layers.Dense(4096, activation="relu", name="fc2")(x)
    x = keras.layers.Dense(1000, name="fc8")(x)
    x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(base.input, x, name=name)
