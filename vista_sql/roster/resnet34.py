"""ResNet34: facts and network, as torchvision and timm have it."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import torch_mode

_BLOCKS = (3, 4, 6, 3)
_PIXELS = torch_mode("torchvision, ResNet34_Weights.IMAGENET1K_V1's transforms")

CNN = Cnn(
    name="resnet34",
    title="ResNet34",
    paper=resnets.PAPER,
    input_shape=(224, 224, 3),
    parameters=21_814_696,
    granule=2,
    aliases=resnets.aliases(_BLOCKS),
    feature_layers=(*resnets.last_blocks(_BLOCKS), "avg_pool", "fc6"),
    counted_layers=(*resnets.last_blocks(_BLOCKS), "fc6"),
    preprocessing=_PIXELS,
    build=partial(resnets.torch_network, _BLOCKS, resnets.BASIC, "resnet34"),
    torch_names=resnets.torch_names(_BLOCKS, resnets.BASIC, _PIXELS),
)
