"""DenseNet121: facts and network."""

from __future__ import annotations

from vista_sql.roster import Cnn, Network
from vista_sql.roster.parts.published import keras_file, torch_mode

_BLOCKS = (6, 12, 24, 16)  # layers per dense block: the paper's table 1


def _build() -> Network:
    import keras
    from keras import layers

    shape = (224, 224, 3)
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_shape=shape)
    unnamed = [layer for layer in base.layers if isinstance(layer, layers.ZeroPadding2D)]
    for layer, name in zip(unnamed, ("conv1_pad", "pool1_pad"), strict=True):
        layer.name = name  # Keras numbers them, through the whole process
    x = layers.GlobalAveragePooling2D(name="avg_pool")(base.output)
    x = layers.Dense(1000, name="fc1000")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(base.input, x, name="densenet121")


CNN = Cnn(
    name="densenet121",
    title="DenseNet121",
    paper="Huang et al., Densely Connected Convolutional Networks, CVPR 2017, arXiv:1608.06993",
    input_shape=(224, 224, 3),
    parameters=8_062_504,
    granule=2,
    aliases={"conv1": "conv1_relu"}
    | {f"dense{i}": f"conv{i + 1}_block{count}_concat" for i, count in enumerate(_BLOCKS, 1)}
    | {f"transition{i}": f"pool{i + 1}_pool" for i in (1, 2, 3)}
    | {"norm5": "relu"},  # torchvision's name for what follows the last dense block
    feature_layers=("dense3", "transition3", "dense4", "norm5", "avg_pool", "fc1000"),
    counted_layers=("dense3", "transition3", "dense4", "norm5", "avg_pool", "fc1000"),
    preprocessing=torch_mode("keras.applications.imagenet_utils, mode 'torch'"),
    build=_build,
    weights={
        # file name, place and hash: keras/src/applications/densenet.py
        "imagenet": keras_file(
            "densenet",
            "densenet121_weights_tf_dim_ordering_tf_kernels.h5",
            md5="9d60b8095a5708f2dcce2bca79d332c7",
        ),
    },
)
