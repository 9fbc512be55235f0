"""LeNet-5: facts and network, as in figure 2 and table I of the paper.

Trainable subsampling, C3 connected in part, tanh. Two things differ: the squashing is plain tanh
(the paper scales it), and the ten outputs are a dense layer with softmax (the paper's are fixed
radial basis functions). The bundled weights were trained on the digits 0 to 4 alone: the outputs of
5 to 9 mean nothing, since those digits are what the features are transferred to.
"""

from __future__ import annotations

from vista_sql.roster import Cnn, Network, Preprocessing, WeightsFile

# Table I of the paper: which maps of S2 each map of C3 sees.
_C3_CONNECTIONS = [
    *([(i + k) % 6 for k in range(3)] for i in range(6)),
    *([(i + k) % 6 for k in range(4)] for i in range(6)),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]),
    [0, 1, 2, 3, 4, 5],
]


def _build() -> Network:
    import keras
    from keras import layers

    from vista_sql.roster.parts.layers import custom_layers

    custom = custom_layers()
    image = keras.Input((32, 32, 1))
    x = layers.Conv2D(6, 5, activation="tanh", name="c1")(image)
    x = custom.Subsampling(name="s2")(x)
    x = custom.PartialConv2D(5, _C3_CONNECTIONS, name="c3")(x)
    x = custom.Subsampling(name="s4")(x)
    x = layers.Conv2D(120, 5, activation="tanh", name="c5_map")(x)
    x = layers.Flatten(name="c5")(x)
    x = layers.Dense(84, activation="tanh", name="f6")(x)
    x = layers.Dense(10, name="logits")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name="lenet5")


CNN = Cnn(
    name="lenet5",
    title="LeNet-5",
    paper="LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998",
    input_shape=(32, 32, 1),
    parameters=60_850,  # the paper's 60,000, and 850 of the dense outputs
    aliases={
        "conv1": "c1",
        "pool1": "s2",
        "conv2": "c3",
        "pool2": "s4",
        "conv3": "c5",
        "fc6": "f6",
    },
    feature_layers=("conv2", "pool2", "conv3", "fc6"),
    counted_layers=("conv2", "pool2", "conv3", "fc6"),
    preprocessing=Preprocessing(
        order="gray",  # bright ink on a dark ground: 255 is ink, 0 is paper
        mean=(20.0,),
        scale=(0.005,),
        source="LeCun et al. 1998, section II.B: the ground is -0.1 and ink is 1.175",
    ),
    build=_build,
    weights={
        # written by scripts/train_lenet5.py, which prints the sha256
        "bundled": WeightsFile(
            file="lenet5_bundled.weights.h5",
            url="",
            sha256="2fe31d0c01f32f637f865f77e4957d842217971d0870085d1c6bebd10c421fd3",
        ),
    },
    default_weights="bundled",
)
