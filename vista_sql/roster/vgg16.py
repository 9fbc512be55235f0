"""VGG16: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import vggs
from vista_sql.roster.parts.published import CAFFE, keras_file

_CONVOLUTIONS = (2, 2, 3, 3, 3)  # per block: configuration D of the paper's table 1

CNN = Cnn(
    name="vgg16",
    title="VGG16",
    paper=vggs.PAPER,
    input_shape=(224, 224, 3),
    parameters=138_357_544,
    granule=2,
    aliases=vggs.aliases(_CONVOLUTIONS),
    feature_layers=("conv5_3", "fc6", "fc7", "fc8"),
    counted_layers=("conv5_3", "fc6", "fc7", "fc8"),
    preprocessing=CAFFE,
    build=partial(vggs.network, "VGG16", "vgg16"),
    weights={
        # file name, place and hash: keras/src/applications/vgg16.py
        "imagenet": keras_file(
            "vgg16",
            "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            md5="64373286793e3c8b2b4e3219cbf3544b",
        ),
    },
)
