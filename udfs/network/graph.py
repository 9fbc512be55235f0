"""A network as a graph of steps, and which of them run as one fused operation.

A *group* is [zero padding] → convolution or dense layer → [batch norm] → [add] → [ReLU], as far as
nothing but the next member uses a member's output. A group's last member is computed by one fused
operation, with the batch norm folded into the weights. Grouping depends on the network alone, never
on the layers a query asks for, so every layer always has the same arithmetic; a layer inside a
group is, if asked for, computed beside it by an operation of its own.

A *cut* is a step that every path from the image to the network's output passes.

Nothing here runs anything: who does is in `engines/`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from math import prod
from typing import TypeAlias

from msgspec import Struct

from vista_sql.errors import PlanError, UnknownNameError

from .steps import (
    Activate,
    Add,
    BatchNorm,
    Convolution,
    Dense,
    Fused,
    Pad,
    Relu,
    Step,
    fused_activation,
)

Core: TypeAlias = Convolution | Dense


class Group(Struct, frozen=True):
    """Steps that run as one operation; `members` starts at the core, `pad` comes before it."""

    core: str
    operation: Core  # the core's
    pad: str | None
    padding: Pad | None  # the pad's
    norm: str | None
    add: str | None
    other: str | None  # what `add` adds
    activation: Fused
    members: tuple[str, ...]

    @property
    def head(self) -> str:
        """The last member, whose value is the group's result."""
        return self.members[-1]


class Graph:
    """A network's steps, groups and cuts.

    Example:
        >>> import numpy as np
        >>> from .steps import Image
        >>> kernel = np.zeros((3, 3, 1, 2), np.float32)
        >>> steps = (
        ...     Step("image", Image(), (), (5, 5, 1)),
        ...     Step("conv", Convolution(kernel, None), ("image",), (3, 3, 2)),
        ...     Step("relu", Activate("relu"), ("conv",), (3, 3, 2)),
        ... )
        >>> graph = Graph("tiny", steps, output="relu")
        >>> graph.cuts, graph.groups[0].members
        (('image', 'relu'), ('conv', 'relu'))
    """

    def __init__(self, name: str, steps: Iterable[Step], output: str) -> None:
        """Find groups.

        Args:
            name: the network's, for errors.
            steps: each after its inputs; one has none, the image.
            output: the step at the top.
        """
        self.name = name
        self.steps = {step.name: step for step in steps}
        self.input = next(step.name for step in self.steps.values() if not step.inputs)
        self.output = output
        self._used: defaultdict[str, list[str]] = defaultdict(list)
        for step in self.steps.values():
            for needed in step.inputs:
                self._used[needed].append(step.name)
        self.groups = self._find_groups()
        self._member_of = {name: group for group in self.groups for name in group.members}
        self._reached: dict[tuple[str, str], bool] = {}  # asked for each batch

    @cached_property
    def widest_values(self) -> int:
        """The values of one image in the widest step."""
        shapes = [step.shape for step in self.steps.values() if step.shape]
        return max(prod(side or 1 for side in shape) for shape in shapes)

    @cached_property
    def weight_bytes(self) -> int:
        """What its weights take as float32."""
        operations = [step.operation for step in self.steps.values()]
        values = [getattr(one, name) for one in operations for name in one.__struct_fields__]
        return sum(4 * int(prod(value.shape)) for value in values if hasattr(value, "shape"))

    def users(self, name: str) -> list[str]:
        """Return the steps that read the value of a step."""
        return self._used[name]

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
        cuts, reach = [], 0
        for place, name in enumerate(wanted):
            if reach <= place and self.steps[name].shape is not None:
                cuts.append(name)
            reach = max(reach, furthest[name])
        return tuple(cuts)

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
                raise PlanError(f"not every path passes {source!r}")
            stack.append((name, True))
            stack.extend((other, False) for other in reversed(self.needs(name, source)))
        return list(done)

    def reachable(self, source: str, target: str) -> bool:
        """Return whether `target` can be computed from the map of `source` alone."""
        if (source, target) not in self._reached:
            self._reached[source, target] = self._is_reachable(source, target)
        return self._reached[source, target]

    def _is_reachable(self, source: str, target: str) -> bool:
        if source == target:
            return True
        try:
            order = self.order([target], source)
        except PlanError:
            return False
        touched = {need for name in order for need in self.needs(name, source)}
        return source in touched and self.can_start(source)

    def can_start(self, name: str) -> bool:
        """Return whether a stored `name` has the very value that the whole network would use."""
        group = self._member_of.get(name)
        return group is None or not self.is_inner(name) or self.tail_is_exact(name, group.head)

    def home(self, name: str) -> str:
        """Return the last cut from which a step that is no cut can be computed."""
        return next(cut for cut in reversed(self.cuts) if self.reachable(cut, name))

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

    def _next(self, name: str) -> Step | None:
        users = self._used[name]
        return self.steps[users[0]] if len(users) == 1 else None

    def _find_groups(self) -> tuple[Group, ...]:
        groups: list[Group] = []
        claimed: set[str] = set()
        for step in reversed(self.steps.values()):  # of an add's inputs the later one is fused
            if (core := _core(step)) is not None:
                group = self._group(step, core, claimed)
                claimed.update(group.members)
                groups.append(group)
        return tuple(reversed(groups))

    def _group(self, step: Step, core: Core, claimed: set[str]) -> Group:
        full = core if isinstance(core, Convolution) and not core.depthwise else None
        before = self.steps[step.inputs[0]]
        padding = None
        if full is not None and full.padding == "valid" and isinstance(before.operation, Pad):
            padding = before.operation
        norm = add = other = None
        members = [step.name]
        activation = fused_activation(core)
        if core.activation == "linear":
            following = self._next(members[-1])
            if following is not None and _is_foldable(following):
                norm = following.name
                members.append(norm)
                following = self._next(norm)
            if following is not None and full is not None and self._is_sum(following, claimed):
                add = following.name
                other = next(name for name in following.inputs if name != members[-1])
                members.append(add)
                following = self._next(add)
            if following is not None and isinstance(following.operation, Activate | Relu):
                activation = fused_activation(following.operation)
                if activation:
                    members.append(following.name)
        pad = None if padding is None else before.name
        return Group(step.name, core, pad, padding, norm, add, other, activation, tuple(members))

    def _is_sum(self, step: Step, claimed: set[str]) -> bool:
        if not isinstance(step.operation, Add) or step.name in claimed:
            return False
        shapes = {self.steps[name].shape for name in step.inputs}
        return len(step.inputs) == len(set(step.inputs)) == 2 and len(shapes) == 1


def _core(step: Step) -> Core | None:
    """Return the operation of a step that a group can be built around."""
    match step.operation:
        case Dense() as core if len(step.shape or ()) == 1:
            return core
        case Convolution() as core:
            height, width = core.strides
            fits = not core.depthwise or (core.kernel.shape[-1] == 1 and height == width)
            return core if fits else None
    return None


def _is_foldable(step: Step) -> bool:
    if not isinstance(step.operation, BatchNorm):
        return False
    return step.operation.axis in (-1, len(step.shape or ()))
