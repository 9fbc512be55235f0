"""ConvNeXtTiny: facts and network.

Built here and not by keras.applications: there the sums that end the blocks have no name of their
own, and the depthwise convolutions are grouped ones, for which TensorFlow has no kernel on CPUs.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from vista_sql.roster import Cnn, Network, WeightsFile
from vista_sql.roster.parts.published import KERAS_URL, as_they_are

Tensor: TypeAlias = Any

_DEPTHS = (3, 3, 9, 3)  # the paper's section 2.2 and table 9: blocks and channels per stage
_CHANNELS = (96, 192, 384, 768)
_EPSILON = 1e-6  # of the layer norms: keras/src/applications/convnext.py
_NAME = "convnext_tiny"


def _build() -> Network:
    import keras
    from keras import layers

    from vista_sql.roster.parts.layers import custom_layers

    custom = custom_layers()

    def normal(name: str) -> Any:
        return layers.LayerNormalization(epsilon=_EPSILON, name=name)

    def convolve(filters: int, size: int, name: str) -> Any:
        return layers.Conv2D(filters, size, strides=size, name=name)

    def block(inputs: Tensor, channels: int, name: str) -> Tensor:
        x = layers.DepthwiseConv2D(7, padding="same", name=f"{name}_depthwise_conv")(inputs)
        x = normal(f"{name}_layernorm")(x)
        x = layers.Dense(4 * channels, name=f"{name}_pointwise_conv_1")(x)
        x = layers.Activation("gelu", name=f"{name}_gelu")(x)
        x = layers.Dense(channels, name=f"{name}_pointwise_conv_2")(x)
        x = custom.LayerScale(name=f"{name}_layer_scale")(x)
        return layers.Add(name=f"{name}_add")([inputs, x])

    # As in Keras's network these are networks in the network: so its files have them.
    entries = [
        keras.Sequential(
            [convolve(_CHANNELS[0], 4, f"{_NAME}_stem_conv"), normal(f"{_NAME}_stem_layernorm")],
            name=f"{_NAME}_stem",
        )
    ]
    for i, channels in enumerate(_CHANNELS[1:]):
        parts = [
            normal(f"{_NAME}_downsampling_layernorm_{i}"),
            convolve(channels, 2, f"{_NAME}_downsampling_conv_{i}"),
        ]
        entries.append(keras.Sequential(parts, name=f"{_NAME}_downsampling_block_{i}"))

    image = keras.Input((224, 224, 3))
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in 0 to 1
    x = layers.Normalization(
        mean=[255 * one for one in mean],
        variance=[(255 * one) ** 2 for one in deviation],
        name=f"{_NAME}_prestem_normalization",
    )(image)
    for stage, (depth, channels) in enumerate(zip(_DEPTHS, _CHANNELS, strict=True)):
        x = entries[stage](x)
        for i in range(depth):
            x = block(x, channels, f"{_NAME}_stage_{stage}_block_{i}")
    x = layers.GlobalAveragePooling2D(name=f"{_NAME}_head_gap")(x)
    x = normal(f"{_NAME}_head_layernorm")(x)
    x = layers.Dense(1000, name=f"{_NAME}_head_dense")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name="convnexttiny")


CNN = Cnn(
    name="convnexttiny",
    title="ConvNeXtTiny",
    paper="Liu et al., A ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545",
    input_shape=(224, 224, 3),
    parameters=28_589_128,
    aliases={
        f"stage{stage}_{block}": f"{_NAME}_stage_{stage - 1}_block_{block - 1}_add"
        for stage, depth in enumerate(_DEPTHS, 1)
        for block in range(1, depth + 1)
    }
    | {
        "stem": f"{_NAME}_stem",
        "avg_pool": f"{_NAME}_head_gap",
        "norm": f"{_NAME}_head_layernorm",
        "fc1000": f"{_NAME}_head_dense",
    },
    feature_layers=("stage3_9", "stage4_1", "stage4_2", "stage4_3", "avg_pool", "norm", "fc1000"),
    counted_layers=("stage3_9", "stage4_1", "stage4_2", "stage4_3", "avg_pool", "norm", "fc1000"),
    preprocessing=as_they_are(
        "keras.applications.convnext: the network's first layer scales the pixels"
    ),
    build=_build,
    weights={
        # file name, place and hash: keras/src/applications/convnext.py
        "imagenet": WeightsFile(
            file="convnext_tiny.h5",
            url=f"{KERAS_URL}convnext/convnext_tiny.h5",
            sha256="8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        ),
    },
    revision="inner layers",  # which Keras computed as one
)
