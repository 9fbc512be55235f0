"""Read a Keras network as a graph of steps and decide which steps run as one fused operation.

A *group* is [zero padding] → convolution or dense layer → [batch norm] → [add] → [ReLU], as far as
nothing but the next member uses a member's output. A group's last member is computed by one fused
operation, with the batch norm folded into the weights. Grouping depends on the network alone, never
on the layers a query asks for, so every layer always has the same arithmetic; a layer inside a
group is, if asked for, computed beside it by an operation of its own.

A *cut* is a step that every path from the image to the network's output passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, TypeAlias

from vista_sql.errors import PlanError, UnknownNameError

from .tensorflow import load

KerasModel: TypeAlias = Any
KerasOperation: TypeAlias = Any
KerasNode: TypeAlias = Any
KerasTensor: TypeAlias = Any

ACTIVATION_BYTES = 256 << 20  # of the widest step's float32 value over one micro-batch
MAX_BATCH_ROWS = 64  # no gain beyond 16 on a CPU (shared/reference/performance.md, part 2)

OWN_LAYERS = {"GroupedConv2D": "Conv2D", "LocalResponseNorm": "LocalResponseNorm"}
"""Layers of vista_sql.roster that are lowered too: class → the kind of step it is."""

GRANULE = 16
"""Rows whose values are computed alike wherever they stand in a batch of a multiple of so many.

TensorFlow computes roots and exponentials of 16 float32 values at a time in another way than of the
few left over at a tensor's end; a multiple of 16 rows leaves none over, whatever their shape.
"""

EVEN = frozenset({
    "InputLayer", "Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization", "Add", "Subtract",
    "Multiply", "Maximum", "Minimum", "Concatenate", "ReLU", "LeakyReLU", "MaxPooling2D",
    "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D", "ZeroPadding2D",
    "Cropping2D", "Flatten", "Reshape", "Permute", "UpSampling2D", "Dropout", "SpatialDropout2D",
    "GaussianNoise", "GaussianDropout", "Rescaling", "Normalization",
})  # fmt: skip
"""Kinds of steps that compute every value alike, whatever the batch: sums, products, maxima."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call of a layer or operation in a network."""

    name: str  # the layer's; further calls of a shared layer are <name>#1, <name>#2 …
    kind: str  # Keras's class name, "" where a subclass or foreign class may compute anything else
    operation: KerasOperation
    node: KerasNode
    inputs: tuple[str, ...]  # steps, in the order of the node's input tensors
    shape: tuple[int | None, ...] | None  # without the batch axis; None: it has several outputs


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that run as one operation; `members` starts at the core, `pad` comes before it."""

    core: str
    pad: str | None
    norm: str | None
    add: str | None
    other: str | None  # what `add` adds
    activation: str  # "", "Relu" or "Relu6": fused
    members: tuple[str, ...]

    @property
    def head(self) -> str:
        """The last member, whose value is the group's result."""
        return self.members[-1]


class Graph:
    """A functional Keras network's steps, groups and cuts."""

    def __init__(self, model: KerasModel) -> None:
        """Read the network; it must have one input.

        Raises:
            PlanError: the network has several inputs, or is not functional.
        """
        inputs = getattr(model, "inputs", None)
        if not inputs or len(inputs) != 1:
            raise PlanError(
                f"network {model.name!r} must be functional and have one input, an image"
            )
        self.name: str = model.name
        self._names: dict[int, str] = {}  # id of node → step
        self.steps: dict[str, Step] = {}  # in topological order
        for tensor in model.outputs:
            self._read(tensor)
        self.input = next(step.name for step in self.steps.values() if not step.inputs)
        self.output = self._step_of(model.outputs[0])
        self._used: defaultdict[str, list[str]] = defaultdict(list)
        for step in self.steps.values():
            for name in step.inputs:
                self._used[name].append(step.name)
        self.groups = self._find_groups()
        self._member_of = {name: group for group in self.groups for name in group.members}

    def group_of(self, name: str) -> Group | None:
        """Return the group that a step is a member of, if any."""
        return self._member_of.get(name)

    def is_inner(self, name: str) -> bool:
        """Return whether a step is a member of a group but not its result."""
        group = self._member_of.get(name)
        return group is not None and group.head != name

    def needs(self, name: str, source: str | None = None) -> tuple[str, ...]:
        """Return the steps whose values computing `name` takes, with `source` at hand."""
        group = self._member_of.get(name)
        if group is None:
            return self.steps[name].inputs
        if source is not None and self.tail_is_exact(source, name):
            return (source,)
        first = self.steps[group.core].inputs[0]
        if group.pad is not None and first != source:
            first = self.steps[group.pad].inputs[0]
        members = group.members[: group.members.index(name) + 1]
        if group.add is not None and group.other is not None and group.add in members:
            return (first, group.other)
        return (first,)

    def tail_is_exact(self, source: str, name: str) -> bool:
        """Return whether only a ReLU lies between two members, so that it may run by itself."""
        group = self._member_of.get(name)
        if group is None or source not in group.members or name != group.head or name == source:
            return False
        between = group.members[group.members.index(source) + 1 :]
        return len(between) == 1 and between[0] not in (group.norm, group.add)

    @cached_property
    def cuts(self) -> tuple[str, ...]:
        """The results that all paths from the image to the output pass, bottom to top."""
        wanted = self.order([self.output], None)
        furthest = dict.fromkeys(wanted, 0)  # place of the last step that uses a step
        for place, name in enumerate(wanted):
            for need in self.needs(name):
                furthest[need] = place
        found, reach = [], 0
        for place, name in enumerate(wanted):
            if reach <= place and self.steps[name].shape is not None:
                found.append(name)
            reach = max(reach, furthest[name])
        return tuple(found)

    @cached_property
    def granule(self) -> int:
        """What the length of a batch is padded to a multiple of, for its rows' bits to stay."""
        uneven = (step for step in self.steps.values() if not is_even(step))
        return GRANULE if any(len(step.shape or ()) != 1 for step in uneven) else 2

    @cached_property
    def batch_rows(self) -> int:
        """The most images in one micro-batch: a power of two, by the widest step's bytes."""
        shapes = [step.shape for step in self.steps.values() if step.shape]
        widest = max(prod(side or 1 for side in shape) * 4 for shape in shapes)
        rows = max(2, min(MAX_BATCH_ROWS, ACTIVATION_BYTES // widest))
        return 1 << (rows.bit_length() - 1)

    def order(self, targets: Iterable[str], source: str | None) -> list[str]:
        """Return the steps to compute for `targets`, each after what it needs; `source` is given.

        Raises:
            PlanError: a target cannot be computed from `source` alone.
        """
        done: dict[str, None] = {}
        stack = [(name, False) for name in targets]
        while stack:
            name, ready = stack.pop()
            if name in done or name == source:
                continue
            if ready:
                done[name] = None
                continue
            if source is not None and name == self.input:
                raise PlanError(f"not all of the way passes {source!r}")
            stack.append((name, True))
            stack.extend((other, False) for other in reversed(self.needs(name, source)))
        return list(done)

    def reachable(self, source: str, target: str) -> bool:
        """Return whether `target` can be computed from the map of `source` alone."""
        if source == target:
            return True
        try:
            order = self.order([target], source)
        except PlanError:
            return False
        touched = {need for name in order for need in self.needs(name, source)}
        return source in touched and self._exact(source, order)

    def _exact(self, source: str, order: Sequence[str]) -> bool:
        """Whether a stored `source` has the very value that the whole network would use."""
        if not self.is_inner(source):
            return True
        users = [name for name in order if source in self.needs(name, source)]
        return all(self.tail_is_exact(source, user) for user in users)

    def check_start(self, source: str, target: str) -> None:
        """Check that `target` may be computed from a stored map of `source`.

        Raises:
            UnknownNameError: there is no such layer.
            PlanError: it may not; names the nearest layer that may be the start.
        """
        for name in (source, target):
            self.check(name)
        if self.reachable(source, target):
            return
        place = {name: i for i, name in enumerate(self.steps)}
        legal = [name for name in self.cuts if name != self.input and self.reachable(name, target)]
        nearest = min(legal, key=lambda name: abs(place[name] - place[source]), default=None)
        hint = f"start from {nearest!r}" if nearest is not None else "start from the image"
        group = self.group_of(source)
        folded = group is not None and source == group.core and group.norm is not None
        why = (
            f"the batch norm after it is folded into {source!r}"
            if folded
            else f"not every path from the image to {target!r} passes {source!r} as a stored value"
        )
        raise PlanError(f"layer {target!r} cannot be computed from {source!r}: {why}; {hint}")

    def check(self, name: str) -> None:
        """Check that a layer exists and has one output.

        Raises:
            UnknownNameError: it does not.
        """
        step = self.steps.get(name)
        if step is None or step.shape is None:
            raise UnknownNameError("layer", name, self.steps, where=f"network {self.name!r}")

    def _read(self, output: KerasTensor) -> None:
        history = output._keras_history
        stack = [(history.operation._inbound_nodes[history.node_index], False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in self._names:
                continue
            if not ready:
                stack.append((node, True))
                stack.extend((parent, False) for parent in reversed(node.parent_nodes))
                continue
            operation = node.operation
            inputs = tuple(self._step_of(tensor) for tensor in node.input_tensors)
            calls = sum(step.operation is operation for step in self.steps.values())
            name = f"{operation.name}#{calls}" if calls else operation.name
            shape = tuple(node.outputs[0].shape[1:]) if len(node.outputs) == 1 else None
            self._names[id(node)] = name
            self.steps[name] = Step(name, _kind(operation), operation, node, inputs, shape)

    def _step_of(self, tensor: KerasTensor) -> str:
        history = tensor._keras_history
        return self._names[id(history.operation._inbound_nodes[history.node_index])]

    def _next(self, name: str) -> Step | None:
        users = self._used[name]
        return self.steps[users[0]] if len(users) == 1 else None

    def _find_groups(self) -> tuple[Group, ...]:
        found: list[Group] = []
        claimed: set[str] = set()
        for step in reversed(self.steps.values()):  # of an add's inputs the later one is fused
            if _is_core(step):
                group = self._group(step, claimed)
                claimed.update(group.members)
                found.append(group)
        return tuple(reversed(found))

    def _group(self, core: Step, claimed: set[str]) -> Group:
        before = self.steps[core.inputs[0]]
        padded = (
            before.kind == "ZeroPadding2D" and core.operation.__dict__.get("padding") == "valid"
        )
        pad = before.name if padded and core.kind == "Conv2D" else None
        norm = add = other = None
        members = [core.name]
        activation = fused_activation(core)
        if activation == "" and _is_linear(core):
            following = self._next(members[-1])
            if following is not None and _is_foldable(following):
                norm = following.name
                members.append(norm)
                following = self._next(norm)
            if following is not None and core.kind == "Conv2D" and self._is_sum(following, claimed):
                add = following.name
                other = next(name for name in following.inputs if name != members[-1])
                members.append(add)
                following = self._next(add)
            if following is not None and following.kind in ("Activation", "ReLU"):
                activation = fused_activation(following)
                if activation:
                    members.append(following.name)
        return Group(core.name, pad, norm, add, other, activation, tuple(members))

    def _is_sum(self, step: Step, claimed: set[str]) -> bool:
        if step.kind != "Add" or step.name in claimed or len(set(step.inputs)) != 2:
            return False
        return len(step.inputs) == 2 and len({self.steps[name].shape for name in step.inputs}) == 1


def fused_activation(step: Step) -> str:
    """Return "Relu" or "Relu6" where a step ends in that activation, else ""."""
    operation = step.operation
    if step.kind == "ReLU":
        plain = not operation.negative_slope and not operation.threshold
        limits = {None: "Relu", 6: "Relu6"}
        return limits.get(operation.max_value, "") if plain else ""
    name = getattr(getattr(operation, "activation", None), "__name__", "")
    return {"relu": "Relu", "relu6": "Relu6"}.get(name, "")


def is_even(step: Step) -> bool:
    """Return whether a step computes every value alike, wherever it stands in a batch."""
    if step.kind == "LocalResponseNorm":
        return (step.shape or (1,))[-1] % GRANULE == 0  # type: ignore[operator]
    activation = getattr(getattr(step.operation, "activation", None), "__name__", "linear")
    return step.kind in EVEN | {"Activation"} and activation in ("linear", "relu", "relu6")


def _is_linear(step: Step) -> bool:
    return getattr(step.operation.activation, "__name__", "") == "linear"


def _is_foldable(step: Step) -> bool:
    if step.kind != "BatchNormalization":
        return False
    axis = step.operation.axis
    return axis in (-1, len(step.shape or ()))


def _is_core(step: Step) -> bool:
    operation = step.operation
    if step.kind == "Dense":
        return len(step.shape or ()) == 1 and not getattr(operation, "quantization_mode", None)
    if step.kind == "DepthwiseConv2D" and operation.depth_multiplier != 1:
        return False
    if step.kind not in ("Conv2D", "DepthwiseConv2D"):
        return False
    square = operation.strides[0] == operation.strides[1]
    return (
        operation.data_format == "channels_last"
        and operation.padding in ("same", "valid")
        and (square or step.kind == "Conv2D")
        and not getattr(operation, "quantization_mode", None)
        and not getattr(operation, "lora_enabled", False)
    )


def _kind(operation: KerasOperation) -> str:
    _, keras = load()
    found = type(operation)
    if found.__module__.startswith("vista_sql."):
        return OWN_LAYERS.get(found.__name__, "")
    return found.__name__ if getattr(keras.layers, found.__name__, None) is found else ""
