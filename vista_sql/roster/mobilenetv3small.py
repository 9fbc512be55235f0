"""MobileNetV3-Small: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import mobilenets_v3
from vista_sql.roster.parts.mobilenets_v3 import Bneck
from vista_sql.roster.parts.published import keras_file

_BNECKS = (  # the paper's table 2
    Bneck(3, 16, 16, True, "relu", 2),
    Bneck(3, 72, 24, False, "relu", 2),
    Bneck(3, 88, 24, False, "relu", 1),
    Bneck(5, 96, 40, True, "hard_silu", 2),
    Bneck(5, 240, 40, True, "hard_silu", 1),
    Bneck(5, 240, 40, True, "hard_silu", 1),
    Bneck(5, 120, 48, True, "hard_silu", 1),
    Bneck(5, 144, 48, True, "hard_silu", 1),
    Bneck(5, 288, 96, True, "hard_silu", 2),
    Bneck(5, 576, 96, True, "hard_silu", 1),
    Bneck(5, 576, 96, True, "hard_silu", 1),
)
_LAYERS = ("bneck8", "bneck11", "last_conv", "avg_pool", "fc1", "fc1000")

CNN = Cnn(
    name="mobilenetv3small",
    title="MobileNetV3-Small",
    paper=mobilenets_v3.PAPER,
    input_shape=(224, 224, 3),
    parameters=2_554_968,
    aliases=mobilenets_v3.aliases(_BNECKS),
    feature_layers=_LAYERS,
    counted_layers=_LAYERS,
    preprocessing=mobilenets_v3.PIXELS,
    build=partial(mobilenets_v3.network, _BNECKS, 1024, "mobilenetv3small"),
    weights={
        # file name, place and hash: keras/src/applications/mobilenet_v3.py
        "imagenet": keras_file(
            "mobilenet_v3",
            "weights_mobilenet_v3_small_224_1.0_float.h5",
            md5="8768d4c2e7dee89b9d02b2d03d65d862",
        ),
    },
)
