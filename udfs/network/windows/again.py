"""A network on an image, and again with a patch of it filled, position by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import prod

import numpy as np
from msgspec import Struct

from ..engine import Output
from ..graph import Graph
from ..networks import PARTS_BYTES, Network
from ..onnx_emitter.writer import shape_of
from .cropped import cropped
from .segments import Level, Recipe, levels

HELD_BYTES = 96 << 20
"""Of windows that patches reach at one level, all patches that are computed together."""

WINDOWS_SHARE = 4
"""Of the memory, one part in so many is for windows, the rest for the weights of networks."""

BATCH_BYTES = 6 << 20
"""Of a batch's windows at the start of a segment; to run it takes an engine some times as much."""

MOST_ROWS = 128


class Window(Struct):
    """What differs from a map where a patch is filled."""

    values: np.ndarray  # (height, width, channels)
    top: int  # where it lies in the map
    left: int


class Again:
    """One layer's features with patches of the image filled; used by one thread at a time."""

    def __init__(
        self,
        network: Network,
        output: Output,
        patch: int,
        corners: tuple[Sequence[int], ...],
        memory_bytes: int = PARTS_BYTES,
    ) -> None:
        """Find what patches reach.

        Args:
            network: the network.
            output: the layer, and how it is pooled.
            patch: side of the patches, in pixels of the input.
            corners: their first rows, and their first columns.
            memory_bytes: that windows and the weights of their networks may take; with less than
                those weights a network is compiled more than once.
        """
        self._network, self._output, self._patch = network, output, patch
        self._corners = corners
        sides = tuple([(one, one + patch) for one in ones] for ones in corners)
        self.levels = levels(network.graph, output[0], sides)
        widest = max((self._bytes(level) for level in self.levels), default=1)
        held = min(HELD_BYTES, memory_bytes // WINDOWS_SHARE)
        self._together = max(1, held // (2 * widest))
        self._weight_bytes = memory_bytes - held

    def _bytes(self, level: Level) -> int:
        """Return what the largest window at a segment's end takes."""
        longest = [max(end - start for start, end in side) for side in level.windows]
        return 4 * longest[0] * longest[1] * _channels(level.segment.graph, level.segment.end)

    def features(
        self, pixels: np.ndarray, fill: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield numbers of patches (patches,) int64, from 0 on, and float32 (patches, values).

        Patches are numbered row by row; those of like windows come together, for networks to run
        on many.

        Args:
            pixels: uint8 (height, width, channels), one image.
            fill: uint8 (channels,).
        """
        maps = self._maps(pixels)
        rows, columns = self._corners
        places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
        order = sorted(range(len(places)), key=lambda number: self._recipes(*places[number]))
        for first in range(0, len(places), self._together):
            numbers = np.array(order[first : first + self._together])
            some = [places[number] for number in numbers]
            filled = np.broadcast_to(fill, (self._patch, self._patch, len(fill)))
            windows = [Window(filled, rows[i], columns[j]) for i, j in some]
            for level in self.levels:
                windows = self._next(level, maps[level.segment.start], windows, some)
            done = 0
            for found in self._rest(maps, windows):
                yield numbers[done : done + len(found)], found
                done += len(found)

    def _recipes(self, row: int, column: int) -> list[int]:
        """Return where a patch's recipes are first used, from the top level down."""
        return [
            level.firsts[axis][place]
            for level in reversed(self.levels)
            for axis, place in enumerate((row, column))
        ]

    def _maps(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the image's own maps at the ends of segments, which its windows are part of."""
        maps, start = {self._network.graph.input: pixels}, self._network.graph.input
        for level in self.levels:
            end = level.segment.end
            given = self._given(start, maps[start][None])
            (found,) = self._network.runner.run(start, [(end, "none")], given)
            maps[end] = found.reshape(shape_of(self._network.graph.steps[end]))
            start = end
        return maps

    def _next(
        self,
        level: Level,
        map_: np.ndarray,
        windows: Sequence[Window],
        places: Sequence[tuple[int, int]],
    ) -> list[Window]:
        """Return the windows at a segment's end, from those at its start.

        Args:
            level: the segment.
            map_: the image's own at its start.
            windows: at its start.
            places: row and column of each one's patch.
        """
        start, end = level.segment.start, level.segment.end
        channels = _channels(level.segment.graph, end)
        alike: defaultdict[tuple[Recipe, Recipe], list[int]] = defaultdict(list)
        for number, (row, column) in enumerate(places):
            alike[level.placed[0][row][0], level.placed[1][column][0]].append(number)
        found = list(windows)
        for recipes, numbers in alike.items():
            runner = self._network.part(
                (start, end, *recipes),
                partial(cropped, level.segment, *recipes),
                self._weight_bytes,
            )
            shape = recipes[0].lengths[0][1], recipes[1].lengths[0][1], map_.shape[2]
            sides = recipes[0].lengths[-1][1], recipes[1].lengths[-1][1]
            step = max(2, min(MOST_ROWS, BATCH_BYTES // (map_.itemsize * prod(shape))))
            for first in range(0, len(numbers), step):
                some = numbers[first : first + step]
                begins = [
                    (level.placed[0][row][1], level.placed[1][column][1])
                    for row, column in (places[number] for number in some)
                ]
                batch = _cut(map_, [windows[number] for number in some], shape, begins)
                (values,) = runner.run(start, [(end, "none")], self._given(start, batch))
                for number, one in zip(some, values.reshape(-1, *sides, channels), strict=True):
                    row, column = places[number]
                    top, left = level.windows[0][row][0], level.windows[1][column][0]
                    found[number] = Window(one, top, left)
            runner.rest()
        return found

    def _rest(
        self, maps: Mapping[str, np.ndarray], windows: Sequence[Window]
    ) -> Iterator[np.ndarray]:
        """Yield features from whole maps, in which windows are pasted."""
        start = self.levels[-1].segment.end if self.levels else self._network.graph.input
        map_, step = maps[start], self._network.batch_rows
        for first in range(0, len(windows), step):
            some = windows[first : first + step]
            batch = _cut(map_, some, map_.shape, [(0, 0)] * len(some))
            (found,) = self._network.runner.run(start, [self._output], self._given(start, batch))
            yield found

    def _given(self, start: str, batch: np.ndarray) -> np.ndarray:
        """Return maps as a runner takes them: flat, but for pixels."""
        is_image = start == self._network.graph.input
        return batch if is_image else batch.reshape(len(batch), -1)


def _channels(graph: Graph, name: str) -> int:
    return shape_of(graph.steps[name])[-1]


def _cut(
    map_: np.ndarray,
    windows: Sequence[Window],
    shape: tuple[int, ...],
    begins: Sequence[tuple[int, int]],
) -> np.ndarray:
    """Return a part of a map for each window, with that pasted in, and zeros around the map.

    Args:
        map_: (height, width, channels).
        windows: in it.
        shape: of the parts.
        begins: where each part begins in the map; below 0: above it, or left of it.
    """
    parts = np.zeros((len(windows), *shape), map_.dtype)
    for part, window, (top, left) in zip(parts, windows, begins, strict=True):
        _paste(part, map_, -top, -left)
        _paste(part, window.values, window.top - top, window.left - left)
    return parts


def _paste(target: np.ndarray, values: np.ndarray, top: int, left: int) -> None:
    """Write values into a map at a place, as far as they lie in it."""
    height, width = values.shape[:2]
    first, last = max(top, 0), min(top + height, target.shape[0])
    begin, end = max(left, 0), min(left + width, target.shape[1])
    if first < last and begin < end:
        target[first:last, begin:end] = values[first - top : last - top, begin - left : end - left]
