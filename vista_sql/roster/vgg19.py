"""VGG19: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import vggs
from vista_sql.roster.parts.published import CAFFE, keras_file

_CONVOLUTIONS = (2, 2, 4, 4, 4)  # per block: configuration E of the paper's table 1

CNN = Cnn(
    name="vgg19",
    title="VGG19",
    paper=vggs.PAPER,
    input_shape=(224, 224, 3),
    parameters=143_667_240,
    granule=2,
    aliases=vggs.aliases(_CONVOLUTIONS),
    feature_layers=("conv5_4", "fc6", "fc7", "fc8"),
    counted_layers=("conv5_4", "fc6", "fc7", "fc8"),
    preprocessing=CAFFE,
    build=partial(vggs.network, "VGG19", "vgg19"),
    weights={
        # file name, place and hash: keras/src/applications/vgg19.py
        "imagenet": keras_file(
            "vgg19",
            "vgg19_weights_tf_dim_ordering_tf_kernels.h5",
            md5="cbe5617147190e668d6c5d5026f83318",
        ),
    },
)
