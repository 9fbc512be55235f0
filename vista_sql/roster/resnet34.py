"""ResNet34: facts and network, as torchvision and timm have it."""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import torch_mode

_BLOCKS = (3, 4, 6, 3)

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
    preprocessing=torch_mode("torchvision, ResNet34_Weights.IMAGENET1K_V1's transforms"),
    build=partial(resnets.basic_network, _BLOCKS, "resnet34"),
    torch_names=resnets.basic_torch_names(_BLOCKS),
)
