"""How a network wants its images, as its publisher says in a file beside it.

Hugging Face's `preprocessor_config.json`, and timm's `config.json`, which says it in
`pretrained_cfg`. Both speak of pixels from 0 to 1 and of a crop in pixels; here pixels are 0 to
255, and a crop is a share of the shorter side, so that it holds for an input of any size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import WeightsError
from vista_sql.roster import Cnn, Preprocessing
from vista_sql.weights import safetensors

Sides: TypeAlias = tuple[int, int]
"""(height, width), in pixels."""

Shape: TypeAlias = tuple[int, int, int]
"""(height, width, channels)."""

PREPROCESSOR = "preprocessor_config.json"
CONFIG = "config.json"

RESAMPLES: Mapping[Any, Literal["triangle", "bicubic"]] = {
    **{2: "triangle", "bilinear": "triangle"},
    **{3: "bicubic", "bicubic": "bicubic"},
}
"""Pillow's numbers, which Hugging Face writes, and timm's words → filters that are antialiased."""

WARPED_FROM = 384  # pixels: from this edge on transformers' ConvNeXt warps and does not crop
BYTE = 1 / 255
LARGEST = 1e9  # of any number there
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as timm assumes it
CROP_PCT = 0.875  # … and this


class Published(Struct, frozen=True):
    """What a publisher says of a network's images."""

    preprocessing: Preprocessing
    size: Sides | None  # of the network's input; None: it does not say


def preprocessing(cnn: Cnn, weights: str | None = None) -> Preprocessing:
    """Return how the weights of `cnn` want their images, without fetching or checking them.

    As their publisher says in a file beside them, else as the source of their names does.

    Args:
        cnn: the CNN that the weights are for.
        weights: as `vista_sql.weights.resolve` takes them.

    Raises:
        WeightsError: the file, or what is said beside it, is damaged.
    """
    path = Path(weights or "").expanduser().absolute()
    is_torchs = path.name.lower().endswith(safetensors.SUFFIX) and path.is_file()
    if not is_torchs or not cnn.torch_names:
        return cnn.preprocessing  # `resolve` says what is wrong with a file that is none
    names = safetensors.names_in(safetensors.read_header(str(path), cnn.name), cnn)
    said = published(path, cnn.input_shape)
    wanted = names.preprocessing or cnn.preprocessing if said is None else said.preprocessing
    return wanted if names.inside is None else outside(wanted, names.inside)


def published(path: str | Path, shape: Shape | None = None) -> Published | None:
    """Return what is said beside a file of weights or a network; None: nothing is.

    Args:
        path: the file. What is said lies in its folder; of `onnx/model.onnx` also in the one above.
        shape: of the network's input, where it is known: timm has another crop for another size.

    Raises:
        WeightsError: it is damaged, or asks for what is not done here.
    """
    folder = Path(path).absolute().parent
    for place in (folder, folder.parent) if folder.name == "onnx" else (folder,):
        if (file := place / PREPROCESSOR).is_file():
            return _of_transformers(_Config(file, _read(file), shape))
        if (file := place / CONFIG).is_file() and (values := _timm(_read(file))) is not None:
            return _of_timm(_Config(file, values, shape))
    return None


def outside(whole: Preprocessing, inside: Preprocessing) -> Preprocessing:
    """Return the part of a preprocessing that is left where the network itself does `inside`.

    It shifts and scales pixels so that (… - mean) × scale of `inside` makes them those of `whole`.
    """
    ratios = [one / own for one, own in zip(whole.scale, inside.scale, strict=True)]
    shifts = zip(whole.mean, inside.mean, ratios, strict=True)
    means = (mean - own / ratio for mean, own, ratio in shifts)
    return replace(whole, mean=tuple(means), scale=tuple(ratios))


class _Config(Struct, frozen=True):
    """The values in a file, each checked as it is asked for; null is as good as absent."""

    file: Path
    values: Mapping[str, Any]
    shape: Shape | None  # of the network's input; None: not known

    def error(self, name: str, known: str) -> WeightsError:
        """Return the error about a value."""
        found = json.dumps(self.values.get(name))
        return WeightsError(
            f"{self.file} has {name} {found}, and known is {known}: correct the file, or take it "
            "away and say resize => … and fit => … in the statement"
        )

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a truth value."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.error(name, "true or false")
        return default if value is None else value

    def above_zero(self, name: str, default: float, most: float = float("inf")) -> float:
        """Return a number above 0 and at most `most`."""
        value = self.values.get(name)
        if value is None:
            return default
        if not _is_number(value) or not 0 < value <= most:
            limit = "" if most == float("inf") else f" and up to {most:g}"
            raise self.error(name, f"a number above 0{limit}")
        return float(value)

    def per_channel(self, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Return a number for each channel."""
        value = self.values.get(name)
        value = list(default) if value is None else value
        channels = (1, 3) if self.shape is None else (self.shape[2],)
        is_list = isinstance(value, list) and len(value) in channels
        if not is_list or not all(map(_is_number, value)):
            raise self.error(name, f"a list of {' or '.join(map(str, channels))} numbers")
        return tuple(map(float, value))

    def filter(self, name: str, default: str) -> Literal["triangle", "bicubic"]:
        """Return a filter that resizes."""
        value = self.values.get(name)
        value = default if value is None else value
        if isinstance(value, list | dict) or value not in RESAMPLES:
            raise self.error(name, "2 or 'bilinear', and 3 or 'bicubic'")
        return RESAMPLES[value]

    def edge_or_sides(self, name: str) -> int | Sides | None:
        """Return the length of an edge in pixels, or both."""
        value = self.values.get(name)
        if isinstance(value, dict):
            edge = value.get("shortest_edge")
            value = [value.get("height"), value.get("width")] if edge is None else edge
        match value:
            case None:
                return None
            case int() | [int(), int()] if _is_length(value):
                return value if isinstance(value, int) else (value[0], value[1])
        raise self.error(name, "pixels, {height, width} or {shortest_edge}")

    def image_sides(self, name: str) -> Sides | None:
        """Return the height and width of an input of (channels, height, width)."""
        match self.values.get(name):
            case None:
                return None
            case [int(), int(), int()] as shape if _is_length(shape):
                return shape[1], shape[2]
        raise self.error(name, "[channels, height, width]")

    def pixels(
        self, mean: tuple[float, ...], deviation: tuple[float, ...], factor: float, order: str
    ) -> dict[str, Any]:
        """Return how pixels × factor become (… - mean) / deviation, as `Preprocessing` says it."""
        if len(mean) != len(deviation) or min(deviation) <= 0:
            raise self.error("std" if "std" in self.values else "image_std", "one above 0 per mean")
        white = round(1 / factor, 9)  # 255, and not a little more
        return {
            "order": "gray" if len(mean) == 1 else order,
            "mean": tuple(round(white * one, 6) for one in mean),
            "scale": tuple(1 / (white * one) for one in deviation),
        }


def _of_transformers(config: _Config) -> Published:
    """Read what transformers' image processors do: resize, crop, rescale, normalize."""
    fit, size = _transformers_fit(config)
    if config.flag("do_resize", default=True):
        fit["resize"] = config.filter("resample", "bilinear")
    order = "bgr" if config.flag("do_flip_channel_order", default=False) else "rgb"
    mean = config.per_channel("image_mean", MEAN)
    deviation = config.per_channel("image_std", DEVIATION)
    if not config.flag("do_normalize", default=order == "rgb"):  # MobileViT flips, and has none
        mean, deviation = (0.0,) * len(mean), (1.0,) * len(mean)
    factor = config.above_zero("rescale_factor", BYTE)
    factor = factor if config.flag("do_rescale", default=True) else 1.0
    pixels = config.pixels(mean, deviation, factor, order)
    source = f"{PREPROCESSOR}, as Hugging Face writes it"
    return Published(Preprocessing(**pixels, **fit, source=source), size)


def _transformers_fit(config: _Config) -> tuple[dict[str, Any], Sides | None]:
    """Return how an image is fitted into the network's input, and the input's size.

    The size is what the image is warped to, or its shorter edge, before a centre of `crop_size` is
    cut out; ConvNeXt's processor cuts as much as it resizes to, and before resizes to 1 / crop_pct
    of it.
    """
    size, share = config.edge_or_sides("size"), config.above_zero("crop_pct", 0, most=1)
    cut = None
    if config.flag("do_center_crop", default=False):
        cut = _sides(config.edge_or_sides("crop_size") or size)
    if isinstance(size, int) and cut is None:
        is_edge = isinstance(config.values["size"], dict)  # at first it was both sides
        size = _sides(size) if (size >= WARPED_FROM if share else not is_edge) else size
    if isinstance(size, tuple):
        if cut not in (None, size):
            raise config.error("crop_size", "size's own where that has both sides")
        return {"fit": "stretch"}, size
    if size is None and cut is None and not share:
        return {}, None
    if size is not None and cut is not None:
        share = min(cut) / size
        if share > 1:
            raise config.error("crop_size", "what lies within size")
    return {"fit": "crop", "crop_pct": share or 1.0}, cut or _sides(size)


def _sides(size: int | Sides | None) -> Sides | None:
    """Return both sides; of an edge a square's."""
    return (size, size) if isinstance(size, int) else size


def _of_timm(config: _Config) -> Published:
    """Read what timm's `transforms_imagenet_eval` does."""
    share = config.above_zero("crop_pct", CROP_PCT, most=1)
    size, tested = config.image_sides("input_size"), config.image_sides("test_input_size")
    if config.shape is not None and config.shape[:2] == tested != size:
        share = config.above_zero("test_crop_pct", share, most=1)
    mode = config.values.get("crop_mode") or "center"
    if mode not in ("center", "squash", "border") or (mode != "center" and share < 1):
        raise config.error("crop_mode", "'center', or with crop_pct 1 'squash' and 'border'")
    fit = {"center": "crop", "squash": "stretch", "border": "pad"}[mode]
    mean, deviation = config.per_channel("mean", MEAN), config.per_channel("std", DEVIATION)
    return Published(
        Preprocessing(
            **config.pixels(mean, deviation, BYTE, "rgb"),
            resize=config.filter("interpolation", "bicubic"),
            fit=fit,  # type: ignore[arg-type]
            crop_pct=share,
            source=f"{CONFIG}, as timm writes it",
        ),
        size,
    )


def _timm(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what timm says of a network; None: the file is somebody else's."""
    own = values.get("pretrained_cfg")
    if isinstance(own, dict):
        return own
    return values if {"architecture", "mean", "std"} <= values.keys() else None  # early versions


def _read(file: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{file} cannot be read ({error}): fetch it again, or take it away"
        ) from error
    if not isinstance(values, dict):
        raise WeightsError(f"{file} is no JSON object: fetch it again, or take it away")
    return values


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < LARGEST  # neither NaN nor infinite, which JSON has too


def _is_length(value: int | list[int]) -> bool:
    sides = [value] if isinstance(value, int) else value
    return all(not isinstance(side, bool) and side > 0 for side in sides)
