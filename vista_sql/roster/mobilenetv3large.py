"""MobileNetV3-Large: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import mobilenets_v3
from vista_sql.roster.parts.mobilenets_v3 import Bneck
from vista_sql.roster.parts.published import keras_file

_BNECKS = (  # the paper's table 1
    Bneck(3, 16, 16, False, "relu", 1),
    Bneck(3, 64, 24, False, "relu", 2),
    Bneck(3, 72, 24, False, "relu", 1),
    Bneck(5, 72, 40, True, "relu", 2),
    Bneck(5, 120, 40, True, "relu", 1),
    Bneck(5, 120, 40, True, "relu", 1),
    Bneck(3, 240, 80, False, "hard_silu", 2),
    Bneck(3, 200, 80, False, "hard_silu", 1),
    Bneck(3, 184, 80, False, "hard_silu", 1),
    Bneck(3, 184, 80, False, "hard_silu", 1),
    Bneck(3, 480, 112, True, "hard_silu", 1),
    Bneck(3, 672, 112, True, "hard_silu", 1),
    Bneck(5, 672, 160, True, "hard_silu", 2),
    Bneck(5, 960, 160, True, "hard_silu", 1),
    Bneck(5, 960, 160, True, "hard_silu", 1),
)
_LAYERS = ("bneck12", "bneck15", "last_conv", "avg_pool", "fc1", "fc1000")

CNN = Cnn(
    name="mobilenetv3large",
    title="MobileNetV3-Large",
    paper=mobilenets_v3.PAPER,
    input_shape=(224, 224, 3),
    parameters=5_507_432,
    aliases=mobilenets_v3.aliases(_BNECKS),
    feature_layers=_LAYERS,
    counted_layers=_LAYERS,
    preprocessing=mobilenets_v3.PIXELS,
    build=partial(mobilenets_v3.network, _BNECKS, 1280, "mobilenetv3large"),
    weights={
        # file name, place and hash: keras/src/applications/mobilenet_v3.py
        "imagenet": keras_file(
            "mobilenet_v3",
            "weights_mobilenet_v3_large_224_1.0_float.h5",
            md5="59e551e166be033d707958cf9e29a6a7",
        ),
    },
)
