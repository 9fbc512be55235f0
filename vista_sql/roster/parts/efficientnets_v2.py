"""What the EfficientNetV2s share: Keras's network, and the names of its layers."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any, TypeAlias

from vista_sql.roster import Network, WeightsFile
from vista_sql.roster.parts.published import as_they_are, keras_file

PAPER = "Tan & Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021, arXiv:2104.00298"

PIXELS = as_they_are(
    "keras.applications.efficientnet_v2: the network's first layers scale the pixels"
)

Repeats: TypeAlias = tuple[int, int, int, int, int, int]
"""Blocks of each stage: the paper's table 4."""


def network(application: str, side: int, name: str) -> Network:
    """Build the network of keras.applications with the logits as a layer of their own.

    Without its dropout layers, which only training uses, and which would stand between a block's
    last convolution and its sum.
    """
    import keras

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            config["name"] = type(layer).__name__.lower()  # Keras numbers them through the process
        return type(layer).from_config(config)

    def called(layer: Any, *inputs: Any, **options: Any) -> Any:
        is_dropout = isinstance(layer, keras.layers.Dropout)
        return inputs[0] if is_dropout else layer(*inputs, **options)

    build = getattr(keras.applications, application)
    base = build(include_top=False, weights=None, input_shape=(side, side, 3))
    base = keras.models.clone_model(base, clone_function=copied, call_function=called)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(base.output)
    x = keras.layers.Dense(1000, name="fc1000")(x)
    x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(base.input, x, name=name)


def aliases(repeats: Repeats, first: str) -> dict[str, str]:
    """Return the blocks, by Keras's names, and the layers that end them.

    Args:
        repeats: blocks of each stage.
        first: what ends the first block; those that repeat another end in a sum.
    """
    blocks = {
        f"block{stage}{letter}": "add" if repeat else "project_bn"
        for stage, count in enumerate(repeats, 1)
        for repeat, letter in enumerate(ascii_lowercase[:count])
    }
    return {block: f"{block}_{end}" for block, end in (blocks | {"block1a": first}).items()}


def offered(repeats: Repeats) -> tuple[str, ...]:
    """Return the last blocks of the last two stages, and what follows."""
    fifth, sixth = (ascii_lowercase[count - 1] for count in repeats[-2:])
    return (f"block5{fifth}", f"block6{sixth}", "top_activation", "avg_pool", "fc1000")


def weights_file(name: str, md5: str) -> WeightsFile:
    """Return published weights; name, place and hash: keras/src/applications/efficientnet_v2.py."""
    return keras_file("efficientnet_v2", f"{name}.h5", md5)
