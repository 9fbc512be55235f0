"""What a patch of the image reaches, from cut to cut of a network, and what that takes.

Windows that patches reach at a cut are made of few lengths, by the longest of them: one that would
stick out is moved inside. Where the padding that it takes differs, it is another recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

from msgspec import Struct

from ..graph import Graph
from ..onnx_emitter.writer import shape_of
from ..steps import Identity, Pad
from .reach import Interval, Reach, reach

WHOLE = 0.6
"""Windows that are so much of a map, in the mean, are none: the whole map takes no longer, since it
needs no cropping and pasting, and all patches are alike there."""

LENGTHS, LARGE = 3, 0.5
"""How many lengths windows have at a cut, each a network to compile, if the longest is so much of
the map's side; else one: shorter windows at its ends save little there."""


class Read(Struct, frozen=True):
    """How a step takes one side of one of its inputs, which is itself a window of a map."""

    before: int  # values of that window that it does not read
    after: int
    zeros_before: int  # that it puts before what it reads
    zeros_after: int


class Recipe(Struct, frozen=True):
    """One side of a window, and what computing it takes; equal ones are one network."""

    lengths: tuple[tuple[str, int], ...]  # of what is computed of each step, the start first
    reads: tuple[tuple[str, int, Read], ...]  # step, number of its input


Placed: TypeAlias = tuple[Recipe, int]
"""A recipe, and where what it reads of the start begins; below 0: with zeros."""


class Segment:
    """The steps between two cuts, all of which compute places from places near them."""

    def __init__(self, graph: Graph, start: str, end: str) -> None:
        """Note the steps.

        Args:
            graph: the network.
            start: a cut.
            end: a later one.
        """
        self.graph, self.start, self.end = graph, start, end
        self.steps = _between(graph, start, end)
        self._reaches = {name: reach(graph, graph.steps[name]) for name in self.steps}

    @cached_property
    def is_local(self) -> bool:
        """Whether no step sees all of a map."""
        return all(found is not None for found in self._reaches.values())

    @cached_property
    def is_padded(self) -> bool:
        """Whether a step puts zeros around its input."""
        sides = (side for found in self._reaches.values() for side in found or ())
        return any(side.before or side.after for side in sides)

    def side(self, name: str, axis: int) -> int:
        """Return the length of a side of a step's map: of axis 0 its height, of 1 its width."""
        return shape_of(self.graph.steps[name])[axis]

    def _reach(self, name: str, axis: int) -> Reach:
        found = self._reaches[name]
        assert found is not None  # noqa: S101 - `is_local` says so
        return found[axis]

    def changed(self, start: Interval, axis: int) -> dict[str, Interval]:
        """Return what of each step changes with a part of the start."""
        found = {self.start: start}
        for name in self.steps:
            below = [found[need] for need in self.graph.steps[name].inputs]
            hull = min(one[0] for one in below), max(one[1] for one in below)
            found[name] = self._reach(name, axis).forward(hull, self.side(name, axis))
        return found

    def recipe(self, window: Interval, axis: int) -> Placed:
        """Return how one side of a window of the end is computed.

        Zeros around the start are a part of what is read of it, if it is no image: those of an
        image are zeros once it is preprocessed.
        """
        steps, is_image = self.graph.steps, self.start == self.graph.input
        needed: dict[str, Interval] = {self.end: window}
        ranges: dict[tuple[str, int], tuple[Interval, Interval]] = {}
        for name in reversed(self.steps):
            for number, below in enumerate(steps[name].inputs):
                wanted = self._reach(name, axis).backward(needed[name])
                side = self.side(below, axis)
                if below == self.start and not is_image:
                    inside = wanted
                else:
                    inside = max(wanted[0], 0), min(wanted[1], side)
                before = needed.get(below, inside)
                needed[below] = min(before[0], inside[0]), max(before[1], inside[1])
                ranges[name, number] = wanted, inside
        reads = [
            (
                name,
                number,
                Read(
                    inside[0] - needed[below][0],
                    needed[below][1] - inside[1],
                    inside[0] - wanted[0],
                    wanted[1] - inside[1],
                ),
            )
            for name in self.steps
            for number, below in enumerate(steps[name].inputs)
            for wanted, inside in [ranges[name, number]]
        ]
        lengths = [(name, needed[name][1] - needed[name][0]) for name in (self.start, *self.steps)]
        return Recipe(tuple(lengths), tuple(reads)), needed[self.start][0]


class Level(Struct, frozen=True, dict=True):
    """A segment, and for each position of a patch the window at its end and how it is computed."""

    segment: Segment
    windows: tuple[tuple[Interval, ...], tuple[Interval, ...]]  # by the patch's row; its column
    placed: tuple[tuple[Placed, ...], tuple[Placed, ...]]

    @cached_property
    def firsts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """For each position of a patch the first one whose recipe is the same."""
        down, across = ([recipe for recipe, _ in side] for side in self.placed)
        return tuple(map(down.index, down)), tuple(map(across.index, across))


def levels(graph: Graph, target: str, patches: tuple[Sequence[Interval], ...]) -> list[Level]:
    """Return the segments that are run on windows, from the image up.

    They end below the first step that sees all of a map, or where windows are most of the map.

    Args:
        graph: the network.
        target: the layer that is wanted.
        patches: the rows, and the columns, that a patch may take.
    """
    found: list[Level] = []
    changed = [list(sides) for sides in patches]
    for segment in _segments(graph, target):
        reached = [
            [segment.changed(one, axis)[segment.end] for one in changed[axis]] for axis in (0, 1)
        ]
        ends = [segment.side(segment.end, axis) for axis in (0, 1)]
        down, across = (_alike(side, whole) for side, whole in zip(reached, ends, strict=True))
        if _mean(down) * _mean(across) >= WHOLE * ends[0] * ends[1]:
            break
        placed = [
            tuple(segment.recipe(window, axis) for window in windows)
            for axis, windows in enumerate((down, across))
        ]
        found.append(Level(segment, (down, across), (placed[0], placed[1])))
        changed = reached
    return found


def _alike(changed: Sequence[Interval], side: int) -> tuple[Interval, ...]:
    """Return intervals that hold those that changed, and are of few lengths.

    Example: at the ends of a side less changes
        >>> _alike([(0, 5), (1, 10), (5, 10), (9, 10)], 10)
        ((0, 6), (1, 10), (4, 10), (7, 10))
    """
    longest = max(end - start for start, end in changed)
    step = -(-longest // (LENGTHS if longest >= LARGE * side else 1))
    found = []
    for start, end in changed:
        length = min(-(-(end - start) // step) * step, longest)
        first = min(start, side - length)
        found.append((first, first + length))
    return tuple(found)


def _mean(intervals: Sequence[Interval]) -> float:
    return sum(end - start for start, end in intervals) / len(intervals)


def _segments(graph: Graph, target: str) -> list[Segment]:
    """Return local segments, each as long as no step but its first ones puts zeros around."""
    top = target if target in graph.cuts else graph.home(target)
    cuts = [cut for cut in graph.cuts[: graph.cuts.index(top) + 1] if not _does_nothing(graph, cut)]
    found: list[Segment] = []
    for start, end in pairwise(cuts):
        segment = Segment(graph, start, end)
        if not segment.is_local:
            break
        if found and not segment.is_padded:
            found[-1] = Segment(graph, found[-1].start, end)
        else:
            found.append(segment)
    return found


def _does_nothing(graph: Graph, cut: str) -> bool:
    return isinstance(graph.steps[cut].operation, Pad | Identity)


def _between(graph: Graph, start: str, end: str) -> tuple[str, ...]:
    """Return the steps between two cuts and the later cut, each after its inputs."""
    done: dict[str, None] = {}
    stack = [(end, False)]
    while stack:
        name, ready = stack.pop()
        if name in done or name == start:
            continue
        if ready:
            done[name] = None
            continue
        stack.append((name, True))
        stack.extend((other, False) for other in reversed(graph.steps[name].inputs))
    return tuple(done)
