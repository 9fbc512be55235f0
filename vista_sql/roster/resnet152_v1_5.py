"""ResNet152 as torchvision and timm have it, known as v1.5: facts and network.

Not the network of Keras and of the paper: the stride is in the 3 × 3 convolution of a block, and
convolutions have no biases.
"""

from __future__ import annotations

from functools import partial

from vista_sql.roster import Cnn
from vista_sql.roster.parts import resnets
from vista_sql.roster.parts.published import torch_mode

_BLOCKS = (3, 8, 36, 3)
_PIXELS = torch_mode("torchvision, ResNet152_Weights.IMAGENET1K_V1's transforms")

CNN = Cnn(
    name="resnet152_v1_5",
    title="ResNet152 v1.5",
    paper=resnets.PAPER,
    input_shape=(224, 224, 3),
    parameters=60_344_232,
    granule=2,
    aliases=resnets.aliases(_BLOCKS),
    feature_layers=(*resnets.last_blocks(_BLOCKS), "avg_pool", "fc6"),
    counted_layers=(*resnets.last_blocks(_BLOCKS), "fc6"),
    preprocessing=_PIXELS,
    build=partial(resnets.torch_network, _BLOCKS, resnets.BOTTLENECK, "resnet152_v1_5"),
    torch_names=resnets.torch_names(_BLOCKS, resnets.BOTTLENECK, _PIXELS),
)
