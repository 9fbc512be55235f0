"""ResNet50, VGG16 and AlexNet in plain torch, for the contestants that start from there.

Random weights: the cost is the same, the features are worth nothing. Each has the operations of the
CNN of the same name in the roster (strides, groups and padding included), so that all contestants
compute the same number of multiply-adds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def conv(i: int, o: int, size: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, size, stride, padding), nn.BatchNorm2d(o))


class Bottleneck(nn.Module):
    def __init__(self, i: int, width: int, stride: int, widen: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(i, width, 1, stride),  # Keras's ResNet50 strides here
            nn.ReLU(),
            conv(width, width, 3, 1, 1),
            nn.ReLU(),
            conv(width, 4 * width, 1),
        )
        self.side = conv(i, 4 * width, 1, stride) if widen else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.side(x))


def resnet50() -> nn.Module:
    parts: list[nn.Module] = [conv(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    i = 64
    for stage, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            parts.append(Bottleneck(i, width, stride, block == 0))
            i = 4 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def vgg16() -> nn.Module:
    parts: list[nn.Module] = []
    i = 3
    for width, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convs):
            parts += [nn.Conv2d(i, width, 3, padding=1), nn.ReLU()]
            i = width
        parts.append(nn.MaxPool2d(2))
    head = [nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), *head, nn.Linear(4096, 1000))


def alexnet() -> nn.Module:
    norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4),
        nn.ReLU(),
        nn.LocalResponseNorm(**norm),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(),
        nn.LocalResponseNorm(**norm),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    )


def network(name: str) -> Any:
    torch.manual_seed(0)
    return {"resnet50": resnet50, "vgg16": vgg16, "alexnet": alexnet}[name]().eval()
