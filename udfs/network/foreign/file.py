"""A `.onnx` file → a model that is safe to hand to an engine, and the image that it takes.

Nothing in the file is believed. It is parsed as what it is, a message of numbers and names, and
runs no code. Weights, in it or beside it, are read here and handed on by their addresses: the
engine opens no file and reads no memory that the file names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from vista_sql.errors import WeightsError
from vista_sql.roster import Layout

from ..onnx_emitter.writer import ADDRESS, LARGE_BYTES

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

DOMAINS = ("", "ai.onnx")
"""Of ONNX's own operations; those of others are whatever their makers say."""

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"}
)  # fmt: skip

LEAST_OPSET = 10
"""ONNX's version from which on the operations are written that are put on a network (2018)."""

MOST_BYTES = 2**31 - 1  # of a protobuf message

ITEM_BYTES = {
    **dict.fromkeys(("FLOAT", "INT32", "UINT32"), 4),
    **dict.fromkeys(("FLOAT16", "BFLOAT16", "INT16", "UINT16"), 2),
    **dict.fromkeys(("DOUBLE", "INT64", "UINT64"), 8),
    **dict.fromkeys(("INT8", "UINT8", "BOOL"), 1),
}
FIELDS = ("float_data", "double_data", "int32_data", "int64_data", "uint64_data")
"""Where numbers stand that are not `raw_data`."""

PIXEL_TYPES = ("FLOAT", "FLOAT16", "UINT8")
CHANNELS = (1, 3)
MOST_PIXELS = 1 << 14  # of a side


class ImageInput(Struct, frozen=True):
    """The input of a network: a batch of images. What is open is None."""

    name: str
    layout: Layout
    channels: int
    sides: tuple[int | None, int | None]  # (height, width)
    rows: int | None
    kind: int  # ONNX's number of the type of its values

    @property
    def takes_bytes(self) -> bool:
        """Whether it takes pixels as whole numbers."""
        from onnx import TensorProto

        return bool(self.kind == TensorProto.UINT8)


class OnnxFile(Struct, frozen=True):
    """A checked file; `model` has large weights by their addresses, which `weights` keep alive."""

    path: str
    model: ModelProto
    weights: list[np.ndarray]
    image: ImageInput
    beside: tuple[str, ...]  # files with weights, relative to the file's folder
    n_bytes: int  # of all its files


def read(path: str) -> OnnxFile:
    """Read a file, and the weights that lie beside it; as `parsed` and `checked`."""
    return checked(path, parsed(path))


def checked(path: str, model: ModelProto) -> OnnxFile:
    """Check what a file holds, and read the weights that lie beside it.

    Raises:
        WeightsError: it is damaged or hostile, or holds no network of one image; says what.
    """
    graph = model.graph
    del graph.value_info[:]  # shapes of the batch that it was exported with
    del model.training_info[:]
    _check_operations(path, model)
    taken = _Weights(path)
    for tensor in graph.initializer:
        taken.take(tensor)
    for tensor in _constants(path, graph):
        taken.check(tensor)
    known = {tensor.name for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in known]
    if len(given) != 1:
        names = f" ({', '.join(repr(value.name) for value in given[:5])})" if given else ""
        raise WeightsError(
            f"the network in {path} has {len(given)} inputs{names}; needed is one, an image"
        )
    image = _image(path, given[0])
    n_bytes = Path(path).stat().st_size + taken.n_bytes_beside
    return OnnxFile(path, model, taken.arrays, image, tuple(taken.files), n_bytes)


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield all operations of a graph; those of branches and loops after the one they are of."""
    for node in graph.node:
        yield node
        for inner in graphs_of(node):
            yield from nodes(inner)


def graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that an operation runs: its branches, or what it repeats."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def parsed(path: str) -> ModelProto:
    """Read a file, as nothing but a message.

    Raises:
        WeightsError: it is none.
    """
    from onnx import ModelProto

    if Path(path).stat().st_size > MOST_BYTES:
        raise WeightsError(
            f"{path} has more than 2 GiB, which no ONNX model has: export it with its weights in a "
            "file beside it (external data)"
        )
    model = ModelProto()
    try:
        model.ParseFromString(Path(path).read_bytes())
    except Exception as error:  # protobuf's own type, which differs between its versions
        raise WeightsError(
            f"{path} is damaged, or no ONNX model ({error}): export it again, or fetch it again"
        ) from error
    if not model.graph.node:
        raise WeightsError(f"{path} holds no network: export it again, or fetch it again")
    return model


def bytes_beside(path: str, model: ModelProto) -> int:
    """Return the bytes of the files in which a parsed model's weights are said to lie."""
    said = {
        one.value
        for tensor in model.graph.initializer
        for one in tensor.external_data
        if one.key == "location" and "\0" not in one.value
    }
    files = [Path(path).parent / location for location in said]
    return sum(file.stat().st_size for file in files if file.is_file())


def _check_operations(path: str, model: ModelProto) -> None:
    if model.functions:
        raise WeightsError(
            f"the network in {path} defines functions of its own ({model.functions[0].name!r}): "
            "write them out with onnx.inliner.inline_local_functions"
        )
    opset = max((one.version for one in model.opset_import if one.domain in DOMAINS), default=1)
    if opset < LEAST_OPSET:
        raise WeightsError(
            f"the network in {path} is of ONNX's opset {opset}, and needed is {LEAST_OPSET} or "
            "more: onnx.version_converter.convert_version(model, 17) makes it so"
        )
    for node in nodes(model.graph):
        if node.domain not in DOMAINS:
            raise WeightsError(
                f"the network in {path} has the operation {node.op_type!r} of {node.domain!r}, "
                "which ONNX does not define: export it with ONNX's own operations"
            )
        if node.op_type in RANDOM:
            raise WeightsError(
                f"the network in {path} draws random numbers ({node.op_type!r}), so that an image "
                "has no features: export it for inference (torch: model.eval())"
            )


def _constants(path: str, graph: GraphProto) -> Iterator[TensorProto]:
    """Yield the tensors that do not stand among a graph's weights.

    Raises:
        WeightsError: some are sparse: a few numbers that stand for any number of zeros.
    """
    inner = [graph]
    for node in nodes(graph):
        inner += graphs_of(node)
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise WeightsError(f"the network in {path} has sparse weights: export it with all")
            yield from (attribute.t, *attribute.tensors)
    for one in inner:
        if one.sparse_initializer:
            raise WeightsError(f"the network in {path} has sparse weights: export it with all")
    for one in inner[1:]:
        yield from one.initializer


class _Weights:
    """Takes the weights of a model, from it or from files beside it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._parts: dict[tuple[Path, int, int], np.ndarray] = {}  # by file, offset and length
        self.arrays: list[np.ndarray] = []
        self.files: dict[str, Path] = {}
        self.n_bytes_beside = 0

    def take(self, tensor: TensorProto) -> None:
        """Check a tensor; if it is large, or lies in a file, give the model its address instead."""
        from onnx import TensorProto, numpy_helper

        if tensor.data_location == TensorProto.EXTERNAL:
            array = self._beside(tensor)
        else:
            self.check(tensor)
            if self._n_bytes(tensor) < LARGE_BYTES:
                return
            if tensor.HasField("raw_data"):
                array = np.frombuffer(tensor.raw_data, np.uint8)
            else:
                array = np.ascontiguousarray(numpy_helper.to_array(tensor))
        for field in ("raw_data", "external_data", "data_location", *FIELDS):
            tensor.ClearField(field)
        if array.nbytes < LARGE_BYTES:
            tensor.raw_data = array.tobytes()
            return
        self.arrays.append(array)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": ADDRESS, "offset": array.ctypes.data, "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))

    def check(self, tensor: TensorProto) -> None:
        """Check that a tensor holds the numbers that it says, and holds them itself."""
        from onnx import TensorProto

        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise self._error(tensor, "lies in another file, where only weights may")
        kind = self._kind(tensor)
        there = len(tensor.raw_data) // ITEM_BYTES[kind] if kind else 0
        there += sum(len(getattr(tensor, field)) for field in FIELDS)
        if there != self._n_bytes(tensor) // ITEM_BYTES.get(kind, 1):
            raise self._error(
                tensor, f"says that it has {'×'.join(map(str, tensor.dims))} numbers, and {there} "
                "are there"
            )  # fmt: skip

    def _kind(self, tensor: TensorProto) -> str:
        """Return what kind of numbers a tensor has; "": it is none, as an absent one is."""
        from onnx import TensorProto

        if tensor.data_type == TensorProto.UNDEFINED:
            return ""
        known = {value: name for name, value in TensorProto.DataType.items()}
        kind: str = known.get(tensor.data_type, str(tensor.data_type))
        if kind not in ITEM_BYTES:
            raise self._error(tensor, f"is of {kind}, and known are {', '.join(ITEM_BYTES)}")
        return kind

    def _n_bytes(self, tensor: TensorProto) -> int:
        """Return the bytes that a tensor's numbers take, by what it says."""
        if any(side < 0 for side in tensor.dims):
            raise self._error(tensor, f"has a side of {min(tensor.dims)}")
        kind = self._kind(tensor)
        return int(prod(tensor.dims)) * ITEM_BYTES[kind] if kind else 0

    def _beside(self, tensor: TensorProto) -> np.ndarray:
        """Return the bytes of a tensor in a file beside the model."""
        said = {one.key: one.value for one in tensor.external_data}
        file, needed = self._file(tensor, said.get("location", "")), self._n_bytes(tensor)
        try:
            offset, length = int(said.get("offset", 0)), int(said.get("length", needed))
        except ValueError:
            raise self._error(tensor, "has no number for its place in a file") from None
        if length != needed or not 0 <= offset <= file.stat().st_size - needed:
            raise self._error(
                tensor,
                f"takes {needed} bytes, and {file.name} has not so many at its place: the files "
                "are not of one export, or one is damaged",
            )
        part = (file, offset, needed)
        if part not in self._parts:
            before = sum(length for other, _, length in self._parts if other == file)
            if before + needed > file.stat().st_size:
                raise self._error(tensor, f"shares a part of its place in {file.name} with others")
            self._parts[part] = np.fromfile(file, np.uint8, needed, offset=offset)
            self.n_bytes_beside += needed
        return self._parts[part]

    def _file(self, tensor: TensorProto, location: str) -> Path:
        """Return the file in which a tensor's weights lie, if it may be read for that.

        It may where it lies in the model's folder, or in the one that holds what the model's name
        is a link to: so Hugging Face keeps what it fetched.
        """
        if location in self.files:
            return self.files[location]
        model = Path(self._path)
        inside = location and "\0" not in location and not Path(location).is_absolute()
        if not inside or ".." in Path(location).parts or "_ORT_MEM_ADDR_" in location:
            raise self._error(
                tensor, f"lies at {location!r}, which is no place in the network's own folder"
            )
        file = (model.parent / location).resolve()
        if not file.is_file():
            raise WeightsError(
                f"weights of {self._path} are in {location!r}, which is not beside it: put that "
                f"file into {model.parent}, or export the network into one file"
            )
        if not any(file.is_relative_to(home) for home in _homes(model)):
            raise self._error(
                tensor, f"lies at {location!r}, which leads out of the network's own folder"
            )
        self.files[location] = file
        return file

    def _error(self, tensor: TensorProto, what: str) -> WeightsError:
        return WeightsError(
            f"{self._path} is damaged, or meant to do harm: its tensor {tensor.name!r} {what}"
        )


def _homes(model: Path) -> Iterable[Path]:
    return model.parent.resolve(), model.resolve().parent


def _image(path: str, value: ValueInfoProto) -> ImageInput:
    """Return what a network's input takes, if it is an image."""
    from onnx import TensorProto

    kind = value.type.tensor_type
    needed = "needed is one batch of images, (N, channels, height, width) or (N, height, width, "
    needed += "channels), with 1 or 3 channels"
    if not kind.HasField("shape"):
        raise WeightsError(
            f"the network in {path} does not say the shape of its input {value.name!r}: {needed}"
        )
    sides = [one.dim_value if one.dim_value > 0 else None for one in kind.shape.dim]
    shown = f"({', '.join('?' if side is None else str(side) for side in sides)})"
    if len(sides) != 4 or not {sides[1], sides[3]} & set(CHANNELS):
        raise WeightsError(
            f"the network in {path} takes {value.name!r} of the shape {shown}; {needed}"
        )
    known = {number: name for name, number in TensorProto.DataType.items()}
    if known.get(kind.elem_type) not in PIXEL_TYPES:
        raise WeightsError(
            f"the network in {path} takes {value.name!r} as {known.get(kind.elem_type)}; known for "
            f"images are {', '.join(PIXEL_TYPES)}"
        )
    if max(side or 0 for side in sides) > MOST_PIXELS:
        raise WeightsError(
            f"the network in {path} takes {value.name!r} of the shape {shown}, and a side has at "
            f"most {MOST_PIXELS:,} pixels"
        )
    rows, *rest = sides
    if rest[0] in CHANNELS:
        layout: Layout = "channels_first"
        channels, height, width = rest
    else:
        layout = "channels_last"
        height, width, channels = rest
    return ImageInput(value.name, layout, channels or 1, (height, width), rows, kind.elem_type)
