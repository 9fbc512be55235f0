"""A ResNet50 of network.npz, which torchvision would bring; its forward returns chosen layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

MEAN = (103.939, 116.779, 123.68)  # blue, green, red: of the weights
WIDTHS, BLOCKS = (64, 128, 256, 512), (3, 4, 6, 3)


def conv(i: int, o: int, size: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, size, stride, padding), nn.BatchNorm2d(o, 1.001e-5))


class Bottleneck(nn.Module):
    def __init__(self, i: int, width: int, stride: int, widen: bool) -> None:
        super().__init__()
        self.first = conv(i, width, 1, stride)  # Keras's ResNet50 strides here
        self.second = conv(width, width, 3, 1, 1)
        self.third = conv(width, 4 * width, 1)
        self.side = conv(i, 4 * width, 1, stride) if widen else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        body = self.third(torch.relu(self.second(torch.relu(self.first(x)))))
        return torch.relu(body + self.side(x))


class ResNet50(nn.Module):
    """BGR bytes (batch, 3, 224, 224) in; `layers` out, flat, maps pooled to 2 × 2 if `pooled`."""

    def __init__(self, layers: list[str], pooled: bool) -> None:
        super().__init__()
        self.layers, self.pooled, self.scale = layers, pooled, 1.0
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.stem = conv(3, 64, 7, 2, 3)
        self.blocks = nn.ModuleDict()
        i = 64
        for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True), 2):
            for block in range(1, blocks + 1):
                stride = 2 if block == 1 and stage > 2 else 1
                self.blocks[f"conv{stage}_{block}"] = Bottleneck(i, width, stride, block == 1)
                i = 4 * width

    def begin(self, x: torch.Tensor) -> torch.Tensor:
        x = self.scale * (x.to(self.stem[0].weight.dtype) - self.mean)
        return torch.max_pool2d(torch.relu(self.stem(x)), 3, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, found = self.begin(x), {}
        for name, block in self.blocks.items():
            x = block(x)
            if name in self.layers:
                found[name] = self.pool(x)
            if len(found) == len(self.layers):
                break
        if "avg_pool" in self.layers:
            found["avg_pool"] = x.mean((2, 3))
        return tuple(found[layer] for layer in self.layers)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        if self.pooled:
            side = x.shape[2]
            x = torch.max_pool2d(x, (side + 1) // 2, side // 2)
        return x.permute(0, 2, 3, 1).flatten(1)

    def load(self, path: str) -> ResNet50:
        """Take weights that Keras's layers named."""
        values = np.load(path)
        self._fill(self.stem, values, "conv1")
        for name, block in self.blocks.items():
            stage, number = name.removeprefix("conv").split("_")
            prefix = f"conv{stage}_block{number}"
            for part, place in ((block.first, 1), (block.second, 2), (block.third, 3)):
                self._fill(part, values, f"{prefix}_{place}")
            if isinstance(block.side, nn.Sequential):
                self._fill(block.side, values, f"{prefix}_0")
        return self

    def _fill(self, part: nn.Sequential, values: np.lib.npyio.NpzFile, name: str) -> None:
        state = {
            "0.weight": values[f"{name}_conv/kernel"].transpose(3, 2, 0, 1),
            "0.bias": values[f"{name}_conv/bias"],
            "1.weight": values[f"{name}_bn/gamma"],
            "1.bias": values[f"{name}_bn/beta"],
            "1.running_mean": values[f"{name}_bn/moving_mean"],
            "1.running_var": values[f"{name}_bn/moving_variance"],
        }
        tensors = {key: torch.from_numpy(value.copy()) for key, value in state.items()}
        part.load_state_dict(tensors, strict=False)  # batches counted in training: no value
