"""Write what torch computes in networks of the roster, with seeded weights.

The networks are written here in plain torch with the names that torchvision gives their parameters
(for ConvNeXt timm's; for AlexNet, the paper's network with Caffe's names). `values(name, shape)`
makes each parameter from its name alone, so that a test can make the same ones without torch, write
them into a `.safetensors` file, load it, and compare what our networks compute with what is stored
here.

Usage: python scripts/torch_reference.py   (needs torch; writes tests/contract/data/torch.json)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

FOLDER = Path(__file__).parents[1] / "tests" / "contract" / "data"
SAMPLES = 48  # values kept of each layer

# network → (height and width, deviation of the pixels, {our layer: torch module or place})
BASIC = {
    "conv1_relu": "relu",
    "pool1_pool": "maxpool",
    "conv2_block1_out": "layer1.0",
    "conv3_block1_out": "layer2.0",
    "conv4_block2_out": "layer3.1",
    "conv5_block1_out": "layer4.0",
    "conv5_block2_out": "layer4.1",
    "avg_pool": "avgpool",
    "fc1000": "fc",
}
NETWORKS: dict[str, tuple[int, float, dict[str, str]]] = {
    "resnet18": (224, 1.0, BASIC),
    "resnet34": (
        224,
        1.0,
        BASIC | {"conv4_block6_out": "layer3.5", "conv5_block3_out": "layer4.2"},
    ),
    "resnet50_v1_5": (
        224,
        1.0,
        BASIC | {"conv4_block6_out": "layer3.5", "conv5_block3_out": "layer4.2"},
    ),
    "convnexttiny": (
        224,
        1.0,
        {
            "convnext_tiny_stem": "stem",
            "convnext_tiny_stage_0_block_2_add": "stages.0.blocks.2",
            "convnext_tiny_downsampling_block_0": "stages.1.downsample",
            "convnext_tiny_stage_2_block_8_add": "stages.2",
            "convnext_tiny_stage_3_block_2_add": "stages.3",
            "convnext_tiny_head_layernorm": "head.norm",
            "convnext_tiny_head_dense": "head.fc",
        },
    ),
    "googlenet": (
        224,
        1.0,
        {
            "conv1_relu": "conv1",
            "pool1": "maxpool1",
            "conv2_relu": "conv3",
            "inception_3a": "inception3a",
            "inception_3b": "inception3b",
            "pool3": "maxpool3",
            "inception_4e": "inception4e",
            "pool4": "maxpool4",
            "inception_5a": "inception5a",
            "inception_5b": "inception5b",
            "avg_pool": "avgpool",
            "fc1000": "fc",
        },
    ),
    "alexnet": (  # pixels as large as images', for the response normalisation to have an effect
        227,
        60.0,
        {
            "conv1": "relu1",
            "norm1": "norm1",
            "norm2": "norm2",
            "conv4": "relu4",
            "pool5": "pool5",
            "fc6": "relu6",
            "fc7": "relu7",
            "fc8": "fc8",
        },
    ),
}


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the float32 values of a parameter, made from its name."""
    random = np.random.default_rng(crc32(name.encode())).random(shape, dtype=np.float32)
    if len(shape) > 1:
        low, high = np.array([-1, 1]) * (6 / prod(shape[1:])) ** 0.5  # He et al. 2015, uniform
    elif name.endswith("running_var"):
        low, high = 0.5, 1.5
    elif name.endswith("weight"):
        low, high = 0.8, 1.2
    else:
        low, high = -0.2, 0.2
    return np.float32(low) + random * np.float32(high - low)


def pixels(side: int, deviation: float) -> np.ndarray:
    """Return two preprocessed images, float32 (2, side, side, 3)."""
    normal = np.random.default_rng(side).normal(0, deviation, (2, side, side, 3))
    return normal.astype(np.float32)


def sample(layer: np.ndarray) -> dict[str, Any]:
    """Return a few numbers about the second image's values; axes as in Keras."""
    flat = layer[1].ravel()
    places = np.random.default_rng(flat.size).integers(0, flat.size, SAMPLES)
    return {
        "shape": list(layer.shape[1:]),
        "largest": float(np.abs(flat).max()),
        "mean": float(flat.mean(dtype=np.float64)),
        "samples": [float(f"{one:.8g}") for one in flat[places]],
    }


def networks() -> dict[str, Callable[[], Any]]:
    """Return the builders of the torch networks."""
    import torch
    from torch import nn

    class BasicBlock(nn.Module):
        def __init__(self, entering: int, filters: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(entering, filters, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            self.downsample = None
            if stride != 1 or entering != filters:
                self.downsample = nn.Sequential(
                    nn.Conv2d(entering, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
                )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shortcut = x if self.downsample is None else self.downsample(x)
            x = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(x)) + shortcut)

    class Bottleneck(nn.Module):
        def __init__(self, entering: int, filters: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(entering, filters, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            self.conv3 = nn.Conv2d(filters, 4 * filters, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * filters)
            self.downsample = None
            if stride != 1 or entering != 4 * filters:
                self.downsample = nn.Sequential(
                    nn.Conv2d(entering, 4 * filters, 1, stride, bias=False),
                    nn.BatchNorm2d(4 * filters),
                )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shortcut = x if self.downsample is None else self.downsample(x)
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.relu(self.bn2(self.conv2(x)))
            return torch.relu(self.bn3(self.conv3(x)) + shortcut)

    class ResNet(nn.Module):
        def __init__(self, block: Any, widened: int, blocks: tuple[int, ...]) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            entering = 64
            for stage, count in enumerate(blocks, 1):
                filters, parts = 32 << stage, []
                for place in range(count):
                    stride = 2 if stage > 1 and place == 0 else 1
                    parts.append(block(entering, filters, stride))
                    entering = widened * filters
                setattr(self, f"layer{stage}", nn.Sequential(*parts))
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(widened * 512, 1000)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(torch.flatten(self.avgpool(x), 1))

    class Norm2d(nn.LayerNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class ConvNeXtBlock(nn.Module):
        def __init__(self, filters: int) -> None:
            super().__init__()
            self.conv_dw = nn.Conv2d(filters, filters, 7, padding=3, groups=filters)
            self.norm = nn.LayerNorm(filters, eps=1e-6)
            self.mlp = nn.Sequential(
                in_order(
                    {"fc1": nn.Linear(filters, 4 * filters), "act": nn.GELU()},
                    {"fc2": nn.Linear(4 * filters, filters)},
                )
            )
            self.gamma = nn.Parameter(torch.ones(filters))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
            return x + (self.gamma * inside).permute(0, 3, 1, 2)

    class ConvNeXt(nn.Module):
        def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...]) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), Norm2d(widths[0], eps=1e-6))
            stages = []
            for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
                before: nn.Module = nn.Identity()
                if stage:
                    entering = widths[stage - 1]
                    before = nn.Sequential(
                        Norm2d(entering, eps=1e-6), nn.Conv2d(entering, width, 2, 2)
                    )
                blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
                stages.append(nn.Sequential(in_order({"downsample": before, "blocks": blocks})))
            self.stages = nn.Sequential(*stages)
            norm, top = nn.LayerNorm(widths[-1], eps=1e-6), nn.Linear(widths[-1], 1000)
            self.head = nn.Sequential(in_order({"norm": norm, "fc": top}))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.stages(self.stem(x)).mean((2, 3)))

    class BasicConv2d(nn.Module):
        def __init__(self, entering: int, filters: int, size: int, stride: int = 1) -> None:
            super().__init__()
            self.conv = nn.Conv2d(entering, filters, size, stride, size // 2, bias=False)
            self.bn = nn.BatchNorm2d(filters, eps=0.001)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.bn(self.conv(x)))

    class Inception(nn.Module):
        def __init__(self, entering: int, *filters: int) -> None:
            super().__init__()
            one, three_reduced, three, five_reduced, five, pool = filters
            self.branch1 = BasicConv2d(entering, one, 1)
            self.branch2 = nn.Sequential(
                BasicConv2d(entering, three_reduced, 1), BasicConv2d(three_reduced, three, 3)
            )
            self.branch3 = nn.Sequential(  # 3 × 3 where the paper has 5 × 5: torchvision's
                BasicConv2d(entering, five_reduced, 1), BasicConv2d(five_reduced, five, 3)
            )
            self.branch4 = nn.Sequential(
                nn.MaxPool2d(3, 1, 1, ceil_mode=True), BasicConv2d(entering, pool, 1)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat(
                [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1
            )

    class GoogLeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = BasicConv2d(3, 64, 7, 2)
            self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
            self.conv2 = BasicConv2d(64, 64, 1)
            self.conv3 = BasicConv2d(64, 192, 3)
            self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
            self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
            self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
            self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
            self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
            self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
            self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
            self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
            self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
            self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
            self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
            self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(1024, 1000)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(x)))))
            x = self.maxpool3(self.inception3b(self.inception3a(x)))
            x = self.inception4c(self.inception4b(self.inception4a(x)))
            x = self.maxpool4(self.inception4e(self.inception4d(x)))
            x = self.inception5b(self.inception5a(x))
            return self.fc(torch.flatten(self.avgpool(x), 1))

    def alexnet() -> nn.Module:
        def convolution(n: int, *shape: int, groups: int = 1) -> dict[str, nn.Module]:
            entering, filters, size, stride, padding = shape
            layer = nn.Conv2d(entering, filters, size, stride, padding, groups=groups)
            return {f"conv{n}": layer, f"relu{n}": nn.ReLU()}

        def norm() -> nn.Module:
            return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)  # bvlc_alexnet's

        return nn.Sequential(
            in_order(
                convolution(1, 3, 96, 11, 4, 0),
                {"norm1": norm(), "pool1": nn.MaxPool2d(3, 2)},
                convolution(2, 96, 256, 5, 1, 2, groups=2),
                {"norm2": norm(), "pool2": nn.MaxPool2d(3, 2)},
                convolution(3, 256, 384, 3, 1, 1),
                convolution(4, 384, 384, 3, 1, 1, groups=2),
                convolution(5, 384, 256, 3, 1, 1, groups=2),
                {"pool5": nn.MaxPool2d(3, 2), "flatten": nn.Flatten()},
                {"fc6": nn.Linear(9216, 4096), "relu6": nn.ReLU()},
                {"fc7": nn.Linear(4096, 4096), "relu7": nn.ReLU()},
                {"fc8": nn.Linear(4096, 1000)},
            )
        )

    return {
        "resnet18": lambda: ResNet(BasicBlock, 1, (2, 2, 2, 2)),
        "resnet34": lambda: ResNet(BasicBlock, 1, (3, 4, 6, 3)),
        "resnet50_v1_5": lambda: ResNet(Bottleneck, 4, (3, 4, 6, 3)),
        "convnexttiny": lambda: ConvNeXt((3, 3, 9, 3), (96, 192, 384, 768)),
        "googlenet": GoogLeNet,
        "alexnet": alexnet,
    }


def in_order(*parts: dict[str, Any]) -> Any:
    """Return the parts' entries in order, as torch.nn.Sequential takes them."""
    from collections import OrderedDict

    return OrderedDict(item for part in parts for item in part.items())


def reference(name: str) -> dict[str, Any]:
    """Return a network's parameters (names and shapes) and samples of what its layers compute."""
    import torch

    network = networks()[name]().eval()
    side, deviation, layers = NETWORKS[name]
    state = network.state_dict()
    shapes = {key: list(value.shape) for key, value in state.items() if value.ndim}
    for key, shape in shapes.items():
        state[key] = torch.from_numpy(values(key, tuple(shape)))
    network.load_state_dict(state)
    seen: dict[str, Any] = {}
    for ours, theirs in layers.items():

        def keep(module: Any, inputs: Any, output: torch.Tensor, ours: str = ours) -> None:
            array = output.numpy()
            array = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
            pooled = ours == "avg_pool"  # torch keeps two axes of length 1
            seen[ours] = sample(array.reshape(len(array), -1) if pooled else array)

        network.get_submodule(theirs).register_forward_hook(keep)
    with torch.no_grad():
        network(torch.from_numpy(pixels(side, deviation).transpose(0, 3, 1, 2)))
    return {"tensors": shapes, "layers": {ours: seen[ours] for ours in layers}}


def main() -> None:
    """Write the reference."""
    import torch

    found = {name: reference(name) for name in NETWORKS}
    lines = [f'"torch": "{torch.__version__}"']
    for name, one in found.items():
        tensors = json.dumps(one["tensors"])
        layers = ",\n".join(f'  "{key}": {json.dumps(row)}' for key, row in one["layers"].items())
        lines.append(f'"{name}": {{"tensors": {tensors}, "layers": {{\n{layers}}}}}')
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "torch.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
