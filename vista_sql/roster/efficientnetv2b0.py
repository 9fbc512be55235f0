"""EfficientNetV2-B0: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import efficientnets_v2

_REPEATS = (1, 2, 2, 3, 5, 8)
_LAYERS = efficientnets_v2.offered(_REPEATS)
_SIDE = 224

CNN = Cnn(
    name="efficientnetv2b0",
    title="EfficientNetV2-B0",
    paper=efficientnets_v2.PAPER,
    input_shape=(_SIDE, _SIDE, 3),
    parameters=7_200_312,
    aliases=efficientnets_v2.aliases(_REPEATS, first="project_activation"),
    feature_layers=_LAYERS,
    counted_layers=_LAYERS,
    preprocessing=efficientnets_v2.PIXELS,
    build=partial(efficientnets_v2.network, "EfficientNetV2B0", _SIDE, "efficientnetv2b0"),
    weights={
        "imagenet": efficientnets_v2.weights_file(
            "efficientnetv2-b0", "21ecbf6da12460d5c40bb2f29ceb2188"
        ),
    },
)
