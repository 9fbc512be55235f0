"""VGG16: facts and network."""

from __future__ import annotations

from vista_sql.roster import Cnn, Network, Preprocessing, WeightsFile


def _build() -> Network:
    import keras

    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    x = keras.layers.Flatten(name="flatten")(base.output)
    x = keras.layers.Dense(4096, activation="relu", name="fc1")(x)
    x = keras.layers.Dense(4096, activation="relu", name="fc2")(x)
    x = keras.layers.Dense(1000, name="fc8")(x)
    x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(base.input, x, name="vgg16")


_CONVOLUTIONS = (2, 2, 3, 3, 3)  # per block: configuration D of the paper's table 1

CNN = Cnn(
    name="vgg16",
    title="VGG16",
    paper="Simonyan & Zisserman, Very Deep Convolutional Networks, 2014, arXiv:1409.1556",
    input_shape=(224, 224, 3),
    parameters=138_357_544,
    aliases={
        f"conv{block}_{i}": f"block{block}_conv{i}"
        for block, count in enumerate(_CONVOLUTIONS, 1)
        for i in range(1, count + 1)
    }
    | {f"pool{block}": f"block{block}_pool" for block in range(1, 6)}
    | {"fc6": "fc1", "fc7": "fc2"},
    feature_layers=("conv5_3", "fc6", "fc7", "fc8"),
    counted_layers=("conv5_3", "fc6", "fc7", "fc8"),
    preprocessing=Preprocessing(
        order="bgr",
        mean=(103.939, 116.779, 123.68),
        scale=(1.0, 1.0, 1.0),
        source="keras.applications.imagenet_utils, mode 'caffe'",
    ),
    build=_build,
    weights={
        # file name, place and hash: keras/src/applications/vgg16.py
        "imagenet": WeightsFile(
            file="vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            url="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
            "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="64373286793e3c8b2b4e3219cbf3544b",
        ),
    },
)
