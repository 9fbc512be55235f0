"""ResNet101: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import CAFFE, keras_file

_BLOCKS = (3, 4, 23, 3)

CNN = Cnn(
    name="resnet101",
    title="ResNet101",
    paper=resnets.PAPER,
    input_shape=(224, 224, 3),
    parameters=44_707_176,
    granule=2,
    aliases=resnets.aliases(_BLOCKS),
    feature_layers=(*resnets.last_blocks(_BLOCKS), "avg_pool", "fc6"),
    counted_layers=(*resnets.last_blocks(_BLOCKS), "fc6"),
    preprocessing=CAFFE,
    build=partial(resnets.keras_network, "ResNet101", "resnet101"),
    weights={
        # file name, place and hash: keras/src/applications/resnet.py
        "imagenet": keras_file(
            "resnet",
            "resnet101_weights_tf_dim_ordering_tf_kernels.h5",
            md5="f1aeb4b969a6efcfb50fad2f0c20cfc5",
        ),
    },
    torch_refused=resnets.BOTTLENECKS_DIFFER,
    torch_instead="resnet101_v1_5",
)
