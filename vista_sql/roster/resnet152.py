"""ResNet152: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import CAFFE, keras_file

_BLOCKS = (3, 8, 36, 3)

CNN = Cnn(
    name="resnet152",
    title="ResNet152",
    paper=resnets.PAPER,
    input_shape=(224, 224, 3),
    parameters=60_419_944,
    granule=2,
    aliases=resnets.aliases(_BLOCKS),
    feature_layers=(*resnets.last_blocks(_BLOCKS), "avg_pool", "fc6"),
    counted_layers=(*resnets.last_blocks(_BLOCKS), "fc6"),
    preprocessing=CAFFE,
    build=partial(resnets.keras_network, "ResNet152", "resnet152"),
    weights={
        # file name, place and hash: keras/src/applications/resnet.py
        "imagenet": keras_file(
            "resnet",
            "resnet152_weights_tf_dim_ordering_tf_kernels.h5",
            md5="100835be76be38e30d865e96f2aaae62",
        ),
    },
    torch_refused=resnets.BOTTLENECKS_DIFFER,
    torch_instead="resnet152_v1_5",
)
