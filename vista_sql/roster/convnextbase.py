"""ConvNeXtBase: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import convnexts

_PREFIX = "convnext_base"
_DEPTHS = (3, 3, 27, 3)
_CHANNELS = (128, 256, 512, 1024)

CNN = Cnn(
    name="convnextbase",
    title="ConvNeXtBase",
    paper=convnexts.PAPER,
    input_shape=(224, 224, 3),
    parameters=88_591_464,
    aliases=convnexts.aliases(_PREFIX, _DEPTHS),
    feature_layers=convnexts.last_blocks(_DEPTHS),
    counted_layers=convnexts.last_blocks(_DEPTHS),
    preprocessing=convnexts.PIXELS,
    build=partial(convnexts.network, _PREFIX, _DEPTHS, _CHANNELS, "convnextbase"),
    weights={
        "imagenet": convnexts.keras_file(
            _PREFIX, "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6"
        ),
    },
    torch_names=convnexts.torch_names(_PREFIX, _DEPTHS, "Base", shorter_side=232),
    revision=convnexts.REVISION,
)
