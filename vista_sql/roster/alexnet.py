"""AlexNet: facts and network, as the Caffe model zoo (bvlc_alexnet) published it.

One tower of 227 × 227 × 3 with the paper's two groups in conv2, conv4 and conv5. Local response
normalisation has the constants of the published weights (k = 1, alpha = 1e-4 / 5, beta = 0.75,
5 channels), not those the paper prints (k = 2, alpha = 1e-4): other constants would not fit them.
"""

from __future__ import annotations

from vista_sql.roster import Cnn, Network, Preprocessing, TorchNames


def _build() -> Network:
    import keras
    from keras import layers

    from vista_sql.roster.parts.layers import custom_layers

    custom = custom_layers()
    lrn = {"radius": 2, "bias": 1.0, "alpha": 2e-5, "beta": 0.75}
    grouped = {"padding": "same", "activation": "relu", "groups": 2}
    image = keras.Input((227, 227, 3))
    x = layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1")(image)
    x = custom.LocalResponseNorm(**lrn, name="norm1")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    x = custom.GroupedConv2D(256, 5, **grouped, name="conv2")(x)
    x = custom.LocalResponseNorm(**lrn, name="norm2")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(x)
    x = layers.Conv2D(384, 3, padding="same", activation="relu", name="conv3")(x)
    x = custom.GroupedConv2D(384, 3, **grouped, name="conv4")(x)
    x = custom.GroupedConv2D(256, 3, **grouped, name="conv5")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool5")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(4096, activation="relu", name="fc6")(x)
    x = layers.Dense(4096, activation="relu", name="fc7")(x)
    x = layers.Dense(1000, name="fc8")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name="alexnet")


_LEARNED = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")

CNN = Cnn(
    name="alexnet",
    title="AlexNet",
    paper="Krizhevsky, Sutskever & Hinton, ImageNet Classification with Deep CNNs, NIPS 2012",
    input_shape=(227, 227, 3),
    parameters=60_965_224,
    granule=2,
    aliases={},  # the network's names are the paper's
    feature_layers=("conv5", "fc6", "fc7", "fc8"),
    counted_layers=("conv4", "conv5", "fc6", "fc7", "fc8"),
    preprocessing=Preprocessing(
        order="bgr",
        mean=(104.0, 117.0, 124.0),
        scale=(1.0, 1.0, 1.0),
        source="Vista's alexnet.py (ADALabUCSD/Vista): ImageNet's channel means in Caffe's order",
    ),
    build=_build,
    weights={},  # Keras publishes none
    torch_names=(
        TorchNames(
            # as converters of Caffe's file write it: Caffe's names, whose axes are torch's
            modules={name: name for name in _LEARNED},
            flattened={"fc6": (256, 6, 6)},
            others={
                "features.0.weight": "it holds torchvision's AlexNet, another network than the "
                "paper's (64 filters in its first layer, no groups, no response normalisation); "
                "fitting is Caffe's bvlc_alexnet, converted with its own names conv1.weight … "
                "fc8.bias"
            },
        ),
    ),
)
