"""MobileNetV2: facts and network."""

from __future__ import annotations

from vista_sql.roster import Cnn, Network, WeightsFile
from vista_sql.roster.parts.published import KERAS_URL, tf_mode

_REPEATS = (1, 2, 3, 4, 3, 3, 1)  # bottlenecks per row of the paper's table 2


def _build() -> Network:
    import keras
    from keras import layers

    shape = (224, 224, 3)
    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=shape)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(base.output)
    x = layers.Dense(1000, name="fc1000")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(base.input, x, name="mobilenetv2")


def _bottlenecks() -> dict[str, str]:
    """Return the paper's bottlenecks, counted from 1, and the layers that end them."""
    names = {"bottleneck1": "expanded_conv_project_BN"}
    for repeats in _REPEATS[1:]:
        for repeat in range(repeats):
            number = len(names)  # Keras counts from 0; a repeated bottleneck ends in a sum
            names[f"bottleneck{number + 1}"] = f"block_{number}_" + (
                "add" if repeat else "project_BN"
            )
    return names


CNN = Cnn(
    name="mobilenetv2",
    title="MobileNetV2",
    paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, "
    "arXiv:1801.04381",
    input_shape=(224, 224, 3),
    parameters=3_538_984,
    granule=2,
    aliases=_bottlenecks(),
    feature_layers=(
        *("bottleneck13", "bottleneck16", "bottleneck17"),
        *("out_relu", "avg_pool", "fc1000"),
    ),
    counted_layers=(
        *("bottleneck13", "bottleneck16", "bottleneck17"),
        *("out_relu", "avg_pool", "fc1000"),
    ),
    preprocessing=tf_mode("keras.applications.imagenet_utils, mode 'tf'"),
    build=_build,
    weights={
        # file name and place: keras/src/applications/mobilenet_v2.py, which states no hash. The
        # sha256 is what users of the file recorded, of Keras's copy and of its author's
        # (github.com/JonathanCMitchell/mobilenet_v2_keras, release v1.1).
        "imagenet": WeightsFile(
            file="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            url=f"{KERAS_URL}mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            sha256="3e195a2857356cfc092cbbb460beb2a5bce279015d7792598b8d3d9e451902e3",
        ),
    },
)
