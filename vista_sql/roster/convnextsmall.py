"""ConvNeXtSmall: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import convnexts

_PREFIX = "convnext_small"
_DEPTHS = (3, 3, 27, 3)
_CHANNELS = (96, 192, 384, 768)

CNN = Cnn(
    name="convnextsmall",
    title="ConvNeXtSmall",
    paper=convnexts.PAPER,
    input_shape=(224, 224, 3),
    parameters=50_223_688,
    aliases=convnexts.aliases(_PREFIX, _DEPTHS),
    feature_layers=convnexts.last_blocks(_DEPTHS),
    counted_layers=convnexts.last_blocks(_DEPTHS),
    preprocessing=convnexts.PIXELS,
    build=partial(convnexts.network, _PREFIX, _DEPTHS, _CHANNELS, "convnextsmall"),
    weights={
        "imagenet": convnexts.keras_file(
            _PREFIX, "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c"
        ),
    },
    torch_names=convnexts.torch_names(_PREFIX, _DEPTHS, "Small", shorter_side=230),
    revision=convnexts.REVISION,
)
