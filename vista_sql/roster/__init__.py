"""What is known about each CNN without loading it: one file of facts each, one catalogue each.

`roster/<name>.py` holds `CNN = Cnn(...)`; `roster/catalogue/<name>.json` holds the shape and the
cost of every layer of its network, `roster/networks/<name>.json` the network itself, both generated
by `scripts/build_catalogue.py` and checked by tests; `roster/parts/` is what several share.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from itertools import accumulate
from math import prod
from typing import Any, Literal, TypeAlias, get_args

from msgspec import Struct, field
from msgspec.structs import replace

from vista_sql import catalog
from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.kernels import GRANULE, Fit, Resize, rows_at_once

PACKAGE = "vista_sql.roster"

DESCRIPTOR = "hog"
"""Stands where a CNN can and is none: one layer, no network, no weights."""

LARGEST_JOINT = 2
"""A joint's map has at most so many values for each of the image's. Each is written and read once
more: those of ResNet50 take 9 % more time in float32 and 6 % in bfloat16 (2 cores, OpenVINO), those
of all its blocks 17 % and 45 %, and three times the memory."""

FILES = {".keras": "keras", ".onnx": "onnx"}
"""What the name of a file ends in that holds a network, and what that makes of it."""

Order: TypeAlias = Literal["rgb", "bgr", "gray"]
"""Of an image's channels."""

ORDERS: tuple[Order, ...] = get_args(Order)

Layout: TypeAlias = Literal["channels_last", "channels_first"]

Network: TypeAlias = Any
"""A keras.Model. Its type is not spelled out, since Keras is only imported to build one."""


class Framing(Struct, frozen=True):
    """How an upright image comes to a network's size; docs/images.md says what each word means.

    Equal framings, orders of channels and sizes make equal pixels of an image.
    """

    resize: Resize = "antialias"
    fit: Fit = "stretch"
    crop_pct: float = 1.0  # of 'crop'; else 1
    border: tuple[int, ...] = ()  # of 'pad': its colour, in the order of the channels; else none

    @property
    def words(self) -> str:
        """All of it as text.

        Example:
            >>> Framing().words, Framing("triangle", "crop", 0.875).words
            ('antialias, stretch', 'triangle, crop 0.875')
        """
        more = {"crop": f" {self.crop_pct}", "pad": f" {list(self.border)}", "stretch": ""}
        return f"{self.resize}, {self.fit}{more[self.fit]}"


class Preprocessing(Struct, frozen=True):
    """How an image becomes the network's input; belongs to a CNN and its weights.

    pixels = resize(decode(image)) as uint8 (height, width, channels), channels in `order`;
    input = (pixels - mean) * scale in float32, `mean` and `scale` given in `order`.
    """

    order: Order
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    resize: Resize = "antialias"
    fit: Fit = "stretch"
    crop_pct: float = 1.0  # of `crop`: the shorter side comes to size / crop_pct before it is cut
    source: str = ""  # where the definition comes from

    @property
    def framing(self) -> Framing:
        """How an image comes to the network's size; a border is of the mean's colour."""
        return Framing(
            self.resize,
            self.fit,
            self.crop_pct if self.fit == "crop" else 1.0,
            tuple(min(max(round(m), 0), 255) for m in self.mean) if self.fit == "pad" else (),
        )

    def asked(self, resize: Resize | None, fit: Fit | None) -> Preprocessing:
        """Return the same but for what a statement asks for; None: nothing."""
        return replace(self, resize=resize or self.resize, fit=fit or self.fit)


class WeightsFile(Struct, frozen=True):
    """Pre-trained weights as their publisher names them."""

    file: str  # file name in the publisher's cache folder
    url: str
    sha256: str | None  # None where the publisher states an md5 instead
    md5: str | None = None


class TorchNames(Struct, frozen=True):
    """How a `.safetensors` file with one publisher's names fills the network."""

    modules: dict[str, str]  # torch module → the network's layer
    parameters: dict[str, str] = field(default_factory=dict)
    """Tensors that are no module's → the network's layer, which has that variable alone."""
    unused: tuple[str, ...] = ()  # beginnings of names of tensors that no layer needs
    flattened: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Dense layers → (channels, height, width) of the map below, which torch flattens in that
    order."""
    others: dict[str, str] = field(default_factory=dict)
    """Tensors that only another network's file has → why that one does not fit."""
    preprocessing: Preprocessing | None = None
    """Of the publisher, where no file beside the weights says it; None: the CNN's."""
    inside: Preprocessing | None = None
    """What the network itself does to its pixels and the publisher's leaves to preprocessing."""


class Layer(Struct, frozen=True):
    """One layer of a network, as the catalogue holds it."""

    name: str  # the network's own (Keras) name
    shape: tuple[int, ...]  # (height, width, channels) or (values,); no batch axis
    flops: int  # per image, from the image up to this layer: 2 × multiply-adds
    parameters: int  # of this layer alone
    inputs: tuple[str, ...] = ("",)  # the layers that it reads; "" is the image
    can_start: bool = True
    """Whether its stored map has the very value that layers above it use: a convolution has not
    whose batch norm is folded into it."""

    layout: Layout = "channels_last"
    """In which an .onnx file has the map; `shape` is channels last in any case."""
    grid: tuple[int, int] | None = None
    """Of an .onnx file's tokens, (tokens, channels): the (rows, columns) of places that the last
    ones are of. Those before them are of no place, the first is the class token."""

    @property
    def size(self) -> int:
        """Values per image."""
        return prod(self.shape)

    @property
    def can_pool(self) -> bool:
        """Whether features can be made of it: it is a vector, a map, or tokens of a grid."""
        return len(self.shape) in (1, 3) or self.grid is not None


class Cnn(Struct, frozen=True, dict=True):
    """Facts about one CNN.

    `build()` returns the untrained network as a Keras functional model that takes preprocessed
    float32 (batch, height, width, channels); it is the only part that imports Keras.
    """

    name: str
    title: str
    paper: str
    input_shape: tuple[int, int, int]  # (height, width, channels)
    parameters: int  # all that a layer keeps: batch statistics too, as Keras counts
    aliases: dict[str, str]  # the paper's layer name → the network's layer name
    feature_layers: tuple[str, ...]  # names offered by default, bottom to top
    counted_layers: tuple[str, ...]  # -1 is the last of these, as in the Vista paper
    preprocessing: Preprocessing
    build: Callable[[], Network]
    weights: dict[str, WeightsFile] = field(default_factory=dict)  # 'imagenet', 'bundled' …
    torch_names: tuple[TorchNames, ...] = ()  # of the publishers whose files fit
    torch_refused: str = "only Keras's files are known to fit it"
    """Why none does, where there are no names; completes "no .safetensors file fits … because"."""
    torch_instead: str = ""  # the CNN that they fit
    default_weights: str = "imagenet"  # one of `weights`, 'random', or a file's path
    catalogue: tuple[Layer, ...] | None = None  # None: the committed one
    joints: tuple[str, ...] = ()
    """Layers beside `feature_layers` at which computing may be cut in two: what networks that were
    tuned from one another have in common ends at one of them. The network's own names."""
    granule: int = GRANULE
    """What the lengths of its batches are multiples of: fewer than GRANULE where no map of the
    network needs it."""
    fixed_rows: int | None = None
    """Images in each pass of an .onnx file that takes no other number."""
    revision: str = ""
    """Of how it is computed, where an earlier version gave other values or nothing else says it; a
    part of the store's keys."""
    only_tensorflow: str | None = None
    """What no other engine can run, as "layer 'up' (Conv2DTranspose)"; None: any may run it."""

    @property
    def short_name(self) -> str:
        """What it is called beside others: its name, of a file without folder and ending."""
        return self.name if self.catalogue is None else self.title

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the network, bottom to top; the input itself is not one of them."""
        return _catalogue(self.name) if self.catalogue is None else self.catalogue

    @property
    def image(self) -> Layer:
        """The image as the network is given it, before its preprocessing: values 0 to 255."""
        return Layer("", self.input_shape, 0, 0, inputs=(), can_start=False)

    @cached_property
    def stops(self) -> frozenset[str]:
        """The layers, by the network's own names, from whose maps on bits are those of the whole.

        So it is whatever an engine fuses and rounds: each is a result of what computes a layer
        above it.
        """
        features = (self.aliases.get(name, name) for name in self.feature_layers)
        return frozenset((*features, *self.joints))

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """The layers' places in `layers` by the network's own names."""
        return {layer.name: place for place, layer in enumerate(self.layers)}

    @cached_property
    def rows_at_once(self) -> int:
        """How many images an engine runs at once, unless it is told otherwise."""
        widest = max(prod(self.input_shape), *(layer.size for layer in self.layers))
        return rows_at_once(widest, self.granule)

    def values_at_once(self, flops: int) -> int:
        """Return the most values alive at once on the way to layers that so many FLOPs suffice for.

        While a layer is computed these are its own, and of each layer below that it or one above it
        still reads.
        """
        reached, most = self._peaks
        return most[max(bisect_right(reached, flops) - 1, 0)]

    def canonical(self, name: str) -> str:
        """Return the network's own name of a layer given by either name.

        Raises:
            UnknownNameError: the network has no such layer.
        """
        return self.layer(name).name

    def layer(self, name: str) -> Layer:
        """Return the layer called `name` (the paper's name or the network's), else so in any case.

        Raises:
            UnknownNameError: the network has no such layer.
            ArgumentError: several have that name but for upper and lower case.
        """
        layer = self._by_exact_name.get(name)
        if layer is not None:
            return layer
        alike = [known for known in self._by_exact_name if known.lower() == name.lower()]
        aliased = [known for known in alike if known in self.aliases]
        layers = {self._by_exact_name[known] for known in aliased or alike}
        layer = next(iter(layers), None)
        if len(layers) > 1:
            several = " and ".join(map(repr, aliased or alike))
            raise ArgumentError(
                f"cnn {self.name!r} has no layer {name!r}, and {several} differ from it by case "
                "only: write the one that you mean as it stands there"
            )
        if layer is None:
            keras_names = (layer.name for layer in self.layers)
            known = tuple(dict.fromkeys((*self.feature_layers, *self.aliases, *keras_names)))
            raise UnknownNameError("layer", name, known, where=f"cnn {self.name!r}")
        return layer

    def determines(self, start: Layer, target: Layer) -> bool:
        """Return whether `target` can be computed from the map of `start` alone.

        It can where every path from the image to `target` passes through `start`, whose map is
        what the network itself goes on with.
        """
        if not start.can_start:
            return False
        pending, seen = [target.name], set()
        while pending:
            name = pending.pop()
            if name == start.name or name in seen:
                continue
            if name not in self.positions:  # the image, or a layer that the catalogue leaves out
                return False
            seen.add(name)
            pending += self.layers[self.positions[name]].inputs
        return start.name != target.name

    @cached_property
    def _by_exact_name(self) -> Mapping[str, Layer]:
        """The layers by both names; the paper's counts where they clash."""
        by_name = {layer.name: layer for layer in self.layers}
        return by_name | {alias: by_name[name] for alias, name in self.aliases.items()}

    @cached_property
    def _peaks(self) -> tuple[list[int], list[int]]:
        """The layers' FLOPs, ascending, and the most values alive at once up to each."""
        last = {name: place for place, layer in enumerate(self.layers) for name in layer.inputs}
        alive: dict[str, int] = {}
        reached = []
        for place, layer in enumerate(self.layers):
            alive[layer.name] = layer.size
            reached.append((layer.flops, sum(alive.values())))
            for name in (layer.name, *layer.inputs):
                if last.get(name, place) <= place:
                    alive.pop(name, None)
        reached.sort()
        return [flops for flops, _ in reached], list(accumulate((n for _, n in reached), max))


def block_ends(cnn: Cnn) -> list[Layer]:
    """Return the layers of a network that several others read and whose maps are small, bottom up.

    Of ResNet50 these are the ends of its last nine blocks, and what lies within branches.
    """
    readers = Counter(name for layer in cnn.layers for name in layer.inputs)
    most = LARGEST_JOINT * prod(cnn.input_shape)
    read = (layer for layer in cnn.layers if readers[layer.name] > 1)
    return [layer for layer in read if layer.can_pool and layer.size <= most]


@cache
def _catalogue(name: str) -> tuple[Layer, ...]:
    return parsed((files(PACKAGE) / "catalogue" / f"{name}.json").read_text(encoding="utf-8"))


def parsed(text: str) -> tuple[Layer, ...]:
    """Return the layers that `catalogue.entries.written` gave the text of."""
    return tuple(
        Layer(
            row["name"],
            tuple(row["shape"]),
            row["flops"],
            row["parameters"],
            tuple(row["inputs"]),
            row.get("can_start", True),
        )
        for row in json.loads(text)["layers"]
    )


def kind_of_file(cnn: str) -> str:
    """Return what a file that holds a network is; "": the name is no such file's.

    Example:
        >>> kind_of_file("nets/Own.ONNX"), kind_of_file("resnet50")
        ('onnx', '')
    """
    return next((kind for end, kind in FILES.items() if cnn.lower().endswith(end)), "")


def names() -> tuple[str, ...]:
    """Return the names of the CNNs, sorted; the descriptor is not among them."""
    return tuple(name for name in catalog.names(PACKAGE) if name != DESCRIPTOR)


def load(name: str) -> Cnn:
    """Return the facts about the CNN (or the descriptor 'hog') called `name`, any case.

    Raises:
        UnknownNameError: there is no such CNN.
    """
    if name.lower() not in catalog.names(PACKAGE):
        raise UnknownNameError("cnn", name, (*names(), DESCRIPTOR))
    return catalog.load(PACKAGE, name.lower(), "CNN", Cnn)
