"""ResNet18: facts and network, as torchvision and timm have it."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import torch_mode

_BLOCKS = (2, 2, 2, 2)
_PIXELS = torch_mode("torchvision, ResNet18_Weights.IMAGENET1K_V1's transforms")

CNN = Cnn(
    name="resnet18",
    title="ResNet18",
    paper=resnets.PAPER,
    input_shape=(224, 224, 3),
    parameters=11_699_112,
    granule=2,
    aliases=resnets.aliases(_BLOCKS),
    feature_layers=(*resnets.last_blocks(_BLOCKS), "avg_pool", "fc6"),
    counted_layers=(*resnets.last_blocks(_BLOCKS), "fc6"),
    preprocessing=_PIXELS,
    build=partial(resnets.torch_network, _BLOCKS, resnets.BASIC, "resnet18"),
    torch_names=resnets.torch_names(_BLOCKS, resnets.BASIC, _PIXELS),
)
