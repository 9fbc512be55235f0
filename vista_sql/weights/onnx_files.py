"""The facts about a network that a user has as an `.onnx` file, and how it wants its images.

The file is read in a process of its own, once for its content: planning waits neither for ONNX nor
for OpenVINO, and a file that is damaged or hostile ends that process alone. What it told is kept in
the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import files, kernels
from vista_sql.errors import HostError, WeightsError
from vista_sql.machine import own_process
from vista_sql.machine.resources import package_version
from vista_sql.roster import Cnn, Layer, Network, Preprocessing
from vista_sql.weights.checksums import digests
from vista_sql.weights.published import Published, Sides, published

Told: TypeAlias = dict[str, Any]
"""What `network.foreign.facts` of the kernels prints about a file."""

READER = f"{kernels.PACKAGE}.network.foreign.facts"
NEEDED = ("openvino", "onnx")  # packages
VERSION = 2  # of what is kept
SIDE = 224  # pixels, of images for a network of any size that says none
MOST_SECONDS = 900  # of reading a file


class Pixels(Struct, frozen=True):
    """What a statement says of the way from pixels, 0 to 255, to a network's input."""

    mean: tuple[float, ...] = ()  # input = (pixels - mean) × scale, for each channel or for all
    scale: tuple[float, ...] = ()
    channels: str = ""  # their order

    @property
    def is_said(self) -> bool:
        """Whether the numbers are."""
        return bool(self.mean or self.scale)


UNSAID = Pixels()


def from_onnx_file(path: str, pixels: Pixels = UNSAID) -> Cnn:
    """Return the facts about a network in an `.onnx` file; any tensor of an image is a layer.

    Offered by default are the vector below the last product with weights and the outputs; counted
    from the top are all layers that features can be made of, in the file's order. Where neither a
    statement nor a file beside it says how it wants its images, `preprocessing` has no `mean`.

    Args:
        path: of the file.
        pixels: what a statement says; it wins over a `preprocessor_config.json` or a `config.json`
            of timm's beside the file.

    Raises:
        WeightsError: the file is missing, damaged or hostile, or holds no network that can be used;
            the numbers of `pixels` are none for its channels.
        HostError: OpenVINO or ONNX is not installed.
    """
    absolute = _place(path)
    return _cnn(absolute, files.stamp(Path(absolute).stat()), published(absolute), pixels)


def identity(cnn: Cnn) -> str:
    """Return what tells the weights of a network in an `.onnx` file apart.

    Raises:
        WeightsError: a file is missing.
    """
    path = _place(cnn.name)
    whole = digests(path).sha256
    beside = _told(path, files.stamp(Path(path).stat()), _sides(published(path)))["external"]
    if not beside:
        return whole
    found = hashlib.sha256(whole.encode())
    for name in beside:
        file = Path(path).parent / name
        if not file.is_file():
            raise WeightsError(
                f"weights of {path} are in {name!r}, which is not beside it: put that file into "
                f"{file.parent}, or export the network into one file"
            )
        found.update(digests(file).sha256.encode())
    return found.hexdigest()


def computations(cnn: Cnn) -> Mapping[str, str]:
    """Return digests of what computes layers of a network in an `.onnx` file, by their names.

    Equal ones are of equal operations and weights; a layer that takes branches or loops has none.
    """
    path = _place(cnn.name)
    told = _told(path, files.stamp(Path(path).stat()), _sides(published(path)))
    return dict(told["computations"])


def _place(path: str) -> str:
    absolute = Path(path).expanduser().absolute()
    if not absolute.is_file():
        raise WeightsError(f"there is no file {absolute}, which cnn => … names")
    lacking = [name for name in NEEDED if package_version(name) is None]
    if lacking:
        raise HostError(
            f"an .onnx file needs {' and '.join(lacking)}, which is not installed: "
            "pip install 'vista-sql[openvino]'"
        )
    return str(absolute)


@lru_cache(maxsize=32)
def _cnn(path: str, stamp: tuple[int, ...], said: Published | None, pixels: Pixels) -> Cnn:
    told = _told(path, stamp, _sides(said))
    height, width, channels = told["input"]
    layers = tuple(map(_layer, told["layers"]))
    said = published(path, (height, width, channels))  # of that size
    known = None if said is None else said.preprocessing
    if known is None and told["takes_bytes"]:
        source = "pixels as they are: the network takes whole numbers, and scales them itself"
        known = Preprocessing("rgb", (0.0,), (1.0,), source=source)
    return Cnn(
        name=path,
        title=Path(path).stem,
        paper="",
        input_shape=(height, width, channels),
        parameters=told["parameters"],
        aliases={},
        feature_layers=tuple(told["offered"]),
        counted_layers=tuple(layer.name for layer in layers if layer.can_pool),
        preprocessing=_preprocessing(path, known, pixels, channels),
        build=partial(_no_keras, path),
        default_weights=path,
        catalogue=layers,
        granule=kernels.BATCH_LENGTHS[0],
        fixed_rows=told["fixed_rows"],
    )


def _sides(said: Published | None) -> Sides:
    """Return the size of images for a network of any."""
    return (SIDE, SIDE) if said is None or said.size is None else said.size


def _layer(row: Told) -> Layer:
    shape, grid = tuple(row["shape"]), row.get("grid")
    inputs, layout = tuple(row["inputs"]), row.get("layout", "channels_last")
    return Layer(
        row["name"],
        shape,
        row["flops"],
        row["parameters"],
        inputs,
        can_start=False,  # it is always run from the image
        layout=layout,
        grid=None if grid is None else (grid[0], grid[1]),
    )


def _preprocessing(
    path: str, known: Preprocessing | None, pixels: Pixels, channels: int
) -> Preprocessing:
    """Return what is said, a statement's words first; without `mean` where nothing is."""
    order = pixels.channels or (known.order if known else "rgb")
    if channels == 1 and not pixels.channels:
        order = "gray"
    if (channels == 1) != (order == "gray"):
        raise WeightsError(
            f"{path} takes images of {channels} channel{'s' * (channels > 1)}, which are no "
            f"{order!r}: channels => {_orders(channels)}"
        )
    if known is None:
        known = Preprocessing("rgb", (), (), source="unknown")
    if pixels.is_said:
        mean, scale = pixels.mean or (0.0,), pixels.scale or (1.0,)
        known = replace(known, mean=mean, scale=scale, source="as the statement says")
    elif not known.mean:
        return replace(known, order=order)
    return replace(
        known,
        order=order,
        mean=_of_each(path, "mean", known.mean, channels),
        scale=_of_each(path, "scale", known.scale, channels),
    )


def _orders(channels: int) -> str:
    return "'gray'" if channels == 1 else "'rgb' or 'bgr'"


def _of_each(path: str, name: str, numbers: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(numbers) not in (1, channels):
        raise WeightsError(
            f"{path} takes images of {channels} channel{'s' * (channels > 1)}, and {name} has "
            f"{len(numbers)} numbers: {name} => one number, or one for each channel"
        )
    return numbers * channels if len(numbers) == 1 else numbers


def _no_keras(path: str) -> Network:
    raise WeightsError(f"{path} is no Keras network: engine => 'openvino' runs it")


@lru_cache(maxsize=32)
def _told(path: str, _stamp: tuple[int, ...], sides: Sides) -> Told:
    """Return what the file's reader tells, or told when it had a file of the same content."""
    asked: dict[str, Any] = {
        "version": VERSION,
        "openvino": package_version("openvino"),
        "sha256": digests(path).sha256,
        "sides": list(sides),
    }
    kept = files.user_cache() / "onnx" / f"{asked['sha256'][:32]}-{sides[0]}x{sides[1]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["asked"] == asked:
            return dict(record["told"])
    told = _ask(path, sides)
    with suppress(OSError):
        files.write(kept, json.dumps({"asked": asked, "told": told}))
    return told


def _ask(path: str, sides: Sides) -> Told:
    """Have a process read a file.

    Raises:
        WeightsError: it refuses it, in its words; or it ended otherwise.
    """
    try:
        done = own_process.run(
            READER,
            path,
            *map(str, sides),
            variables={"MALLOC_ARENA_MAX": "2"},
            timeout_seconds=MOST_SECONDS,
        )
    except OSError as error:
        raise HostError(
            f"{path} is read by a process of its own, and {sys.executable!r} cannot be started "
            f"({error}): run vista_sql in a Python of its own"
        ) from error
    except subprocess.TimeoutExpired:
        raise WeightsError(
            f"{path} cannot be read within {MOST_SECONDS // 60} minutes: simplify the network, "
            "or export it again"
        ) from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        why = words[-1] if words else f"its reader ended with {done.returncode}"
        raise WeightsError(
            f"{path} cannot be read, it may be damaged ({why[:300]}): export it again"
        ) from None
    if "error" in told:
        raise WeightsError(told["error"])
    return dict(told)
