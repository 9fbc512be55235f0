"""EfficientNetV2-S: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import efficientnets_v2

_REPEATS = (2, 4, 4, 6, 9, 15)
_LAYERS = efficientnets_v2.offered(_REPEATS)
_SIDE = 384

CNN = Cnn(
    name="efficientnetv2s",
    title="EfficientNetV2-S",
    paper=efficientnets_v2.PAPER,
    input_shape=(_SIDE, _SIDE, 3),
    parameters=21_612_360,
    aliases=efficientnets_v2.aliases(_REPEATS, first="add"),
    feature_layers=_LAYERS,
    counted_layers=_LAYERS,
    preprocessing=efficientnets_v2.PIXELS,
    build=partial(efficientnets_v2.network, "EfficientNetV2S", _SIDE, "efficientnetv2s"),
    weights={
        "imagenet": efficientnets_v2.weights_file(
            "efficientnetv2-s", "e1d88a8495beba45748fedd0cecbe016"
        ),
    },
)
