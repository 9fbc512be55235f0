"""ConvNeXtTiny: facts and network."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import convnexts

_PREFIX = "convnext_tiny"
_DEPTHS = (3, 3, 9, 3)
_CHANNELS = (96, 192, 384, 768)

CNN = Cnn(
    name="convnexttiny",
    title="ConvNeXtTiny",
    paper=convnexts.PAPER,
    input_shape=(224, 224, 3),
    parameters=28_589_128,
    aliases=convnexts.aliases(_PREFIX, _DEPTHS),
    feature_layers=convnexts.last_blocks(_DEPTHS),
    counted_layers=convnexts.last_blocks(_DEPTHS),
    preprocessing=convnexts.PIXELS,
    build=partial(convnexts.network, _PREFIX, _DEPTHS, _CHANNELS, "convnexttiny"),
    weights={
        "imagenet": convnexts.keras_file(
            _PREFIX, "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff"
        ),
    },
    torch_names=convnexts.torch_names(_PREFIX, _DEPTHS, "Tiny", shorter_side=236),
    revision=convnexts.REVISION,
)
