"""An ONNX model being written: values, nodes, constants, and the layout that a map stands in.

Maps are (batch, height, width, channels) in our steps and (batch, channels, height, width) in
ONNX's convolutions. A value stands in the one or the other, and is transposed where an operation
needs the other, once; what works on single values or on the channels alone works in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import PlanError
from vista_sql.roster import Layout
from vista_sql.units import format_bytes

from ..steps import Step

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
"""Of ONNX's operations: the first with Gelu (2023), which OpenVINO and ONNX Runtime both read."""
IR_VERSION = 9  # the one that came with the opset

MOST_BYTES = 2**31 - 2**20
"""Of numbers in one model: protobuf writes no message of 2 GiB."""

BATCH = "rows"
"""The name of the axis whose length is left open."""

ADDRESS = "*/_ORT_MEM_ADDR_/*"
"""Where ONNX Runtime and OpenVINO find a tensor whose `offset` is an address in this process."""
LARGE_BYTES = 1024
"""Smaller constants stand in the model in any case: shapes and axes must."""

FLOAT32 = np.dtype("float32")

Shape: TypeAlias = tuple[int, ...]


class Value(Struct, frozen=True):
    """A batch of one step's values in the model.

    Attributes:
        name: in the model.
        shape: of one image, channels last: (height, width, channels), (values,) or any other.
        layout: in which it stands; only maps, of three axes, have two.
    """

    name: str
    shape: Shape
    layout: Layout = "channels_last"

    @property
    def is_map(self) -> bool:
        """Whether it has height, width and channels."""
        return len(self.shape) == 3

    @property
    def channel_axis(self) -> int:
        """The place of the channels, the batch's axis being 0."""
        return 1 if self.layout == "channels_first" else len(self.shape)

    @property
    def spatial_axes(self) -> tuple[int, int]:
        """The places of a map's height and width."""
        return (2, 3) if self.layout == "channels_first" else (1, 2)


def shape_of(step: Step) -> Shape:
    """Return the shape of one image's value of a step; sides that are open count as 1."""
    return tuple(side or 1 for side in step.shape or ())


class Writer:
    """Collects a model's parts under names of their own.

    Example:
        >>> writer = Writer("tiny")
        >>> pixels = writer.input("pixels", (2, 2, 1), np.dtype("float32"))
        >>> writer.output("doubled", writer.apply("Add", pixels, pixels))
        >>> [node.op_type for node in writer.model().graph.node]
        ['Add', 'Identity']
    """

    def __init__(
        self,
        name: str,
        beside: list[np.ndarray] | None = None,
        model: ModelProto | None = None,
        prefix: str = "",
    ) -> None:
        """Begin a model, or go on with one.

        Args:
            name: the model's.
            beside: gets the large constants, which the model then has by their addresses: they
                must live as long as it does, and none of them is copied; None: the model has them.
            model: to go on with; None: a new one.
            prefix: of the names of values, where there are others.
        """
        from onnx import ModelProto, helper

        if model is None:
            model = ModelProto(ir_version=IR_VERSION, producer_name="vista_sql")
            model.opset_import.append(helper.make_opsetid("", OPSET))
            model.graph.name = name
        self._model = model
        self._graph = self._model.graph  # filled in place: weights are large
        self._beside, self._prefix = beside, prefix
        self._turned: dict[str, Value] = {}  # a value's name → the same in the other layout
        self._given: set[str] = set()  # names of inputs: whoever calls chooses them
        self._n_names = self._n_bytes = 0

    def input(
        self, name: str, shape: Shape, dtype: np.dtype[Any], rows: str | int = BATCH
    ) -> Value:
        """Add an input of the model, channels last; texts are objects."""
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(dtype)
        self._graph.input.append(helper.make_tensor_value_info(name, kind, (rows, *shape)))
        self._given.add(name)
        return Value(name, shape)

    def output(self, name: str, value: Value, dtype: np.dtype[Any] = FLOAT32) -> None:
        """Make a value of a type an output of the model under a name, channels last."""
        from onnx import helper

        last = self.last(value)
        self._graph.node.append(helper.make_node("Identity", [last.name], [name]))
        kind, shape = helper.np_dtype_to_tensor_dtype(dtype), (BATCH, *last.shape)
        self._graph.output.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, values: npt.ArrayLike) -> str:
        """Add numbers; of floating-point ones, as float32, others as int64.

        Raises:
            PlanError: they are to stand in the model, and it does not hold so many.
        """
        is_float = np.asarray(values).dtype.kind == "f"
        return self._added(np.asarray(values, "<f4" if is_float else "<i8", order="C"))

    def doubles(self, values: npt.ArrayLike) -> str:
        """Add numbers, as float64.

        Raises:
            PlanError: as `constant`.
        """
        return self._added(np.asarray(values, "<f8", order="C"))

    def texts(self, values: Sequence[str]) -> str:
        """Add texts (values,)."""
        from onnx import TensorProto

        tensor = self._graph.initializer.add(name=self.new("texts"), dims=[len(values)])
        tensor.data_type = TensorProto.STRING
        tensor.string_data.extend(value.encode() for value in values)
        return str(tensor.name)

    def cast(self, name: str, dtype: npt.DTypeLike) -> str:
        """Return the name of a value in another type."""
        from onnx import helper

        return self.node("Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        """Add an operation of ONNX with one output; return the output's name."""
        from onnx import helper

        name = self.new(kind.lower())
        node = helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        self._graph.node.append(node)
        return name

    def apply(self, kind: str, value: Value, *more: Value | str, **attributes: object) -> Value:
        """Add an operation that keeps shape and layout; `more` inputs are constants or alike."""
        names = [one if isinstance(one, str) else one.name for one in more]
        return replace(value, name=self.node(kind, [value.name, *names], **attributes))

    def first(self, value: Value) -> Value:
        """Return a map with its channels first."""
        return self._in(value, "channels_first")

    def last(self, value: Value) -> Value:
        """Return a value with its channels last."""
        return self._in(value, "channels_last")

    def alike(self, values: Sequence[Value]) -> list[Value]:
        """Return values in one layout: the first's where all are maps, else channels last."""
        layout = values[0].layout if all(one.is_map for one in values) else "channels_last"
        return [self._in(one, layout) for one in values]

    def folded(self, kind: str, step: Step, inputs: Sequence[Value]) -> Value:
        """Add an operation of two inputs over all inputs of a step, in their order."""
        values = self.alike(inputs)
        name = values[0].name
        for other in values[1:]:
            name = self.node(kind, [name, other.name])
        return Value(name, shape_of(step), values[0].layout)

    def per_channel(self, value: Value, numbers: np.ndarray) -> tuple[Value, str]:
        """Return a value, and numbers that broadcast over it as they do channels last.

        Args:
            value: any.
            numbers: one, one per channel, or any array that broadcasts from the last axis on.
        """
        numbers = np.asarray(numbers)
        if numbers.size == 1:
            return value, self.constant(numbers.reshape(()))
        if numbers.size == numbers.shape[-1]:
            shape = (-1, 1, 1) if value.layout == "channels_first" else (-1,)
            return value, self.constant(numbers.reshape(shape))
        return self.last(value), self.constant(numbers)

    def reshaped(self, value: Value, shape: Shape) -> Value:
        """Return the same values, row-major and channels last, in another shape."""
        last = self.last(value)
        if last.shape == shape:
            return last
        return Value(self.node("Reshape", [last.name, self.constant([-1, *shape])]), shape)

    def flat(self, value: Value) -> Value:
        """Return a value as a vector."""
        return self.reshaped(value, (prod(value.shape),))

    def new(self, stem: str) -> str:
        """Return a name that no value has."""
        self._n_names += 1
        name = f"{self._prefix}{stem}_{self._n_names}"
        return self.new(stem) if name in self._given else name

    def model(self) -> ModelProto:
        """Return what was written."""
        return self._model

    def _added(self, numbers: np.ndarray) -> str:
        from onnx import TensorProto, helper

        tensor = self._graph.initializer.add(name=self.new("constant"), dims=numbers.shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(np.dtype(numbers.dtype.type))
        if self._beside is not None and numbers.nbytes >= LARGE_BYTES:
            self._beside.append(numbers)
            tensor.data_location = TensorProto.EXTERNAL
            place = {"location": ADDRESS, "offset": numbers.ctypes.data, "length": numbers.nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            return str(tensor.name)
        self._n_bytes += numbers.nbytes
        if self._n_bytes > MOST_BYTES:
            raise PlanError(
                f"network {self._graph.name!r} has more weights than the "
                f"{format_bytes(MOST_BYTES)} that an ONNX model holds: take a smaller network, or "
                "run it with engine => 'tensorflow'"
            )
        tensor.raw_data = numbers.tobytes()
        return str(tensor.name)

    def _in(self, value: Value, layout: Layout) -> Value:
        if value.layout == layout or not value.is_map:
            return value
        if value.name not in self._turned:
            order = (0, 3, 1, 2) if layout == "channels_first" else (0, 2, 3, 1)
            name = self.node("Transpose", [value.name], perm=order)
            turned = Value(name, value.shape, layout)
            self._turned[value.name], self._turned[name] = turned, value
        return self._turned[value.name]
