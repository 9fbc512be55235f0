"""ResNet50V2: facts and network, whose blocks begin with their norm and ReLU."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import keras_file, tf_mode

_BLOCKS = (3, 4, 6, 3)
_LAYERS = (*resnets.last_blocks(_BLOCKS), "post_relu", "avg_pool", "fc6")

CNN = Cnn(
    name="resnet50v2",
    title="ResNet50V2",
    paper="He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, arXiv:1603.05027",
    input_shape=(224, 224, 3),
    parameters=25_613_800,
    granule=2,
    aliases=resnets.aliases(_BLOCKS, conv1="conv1_conv"),
    feature_layers=_LAYERS,
    counted_layers=_LAYERS,
    preprocessing=tf_mode("keras.applications.imagenet_utils, mode 'tf'"),
    build=partial(resnets.keras_network, "ResNet50V2", "resnet50v2"),
    weights={
        # file name, place and hash: keras/src/applications/resnet.py
        "imagenet": keras_file(
            "resnet",
            "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5",
            md5="3ef43a0b657b3be2300d5770ece849e0",
        ),
    },
)
