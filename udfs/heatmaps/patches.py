"""Squares of a network's input that are grayed, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..images.opencv import Pixels


@dataclass(frozen=True, slots=True)
class Patches:
    """Squares of the network's input, from the top left; none sticks out."""

    patch: int  # side
    stride: int
    height: int  # of the input
    width: int

    @property
    def rows(self) -> int:
        """Positions from top to bottom.

        Example:
            >>> Patches(16, 8, 224, 224).rows
            27
        """
        return (self.height - self.patch) // self.stride + 1

    @property
    def columns(self) -> int:
        """Positions from left to right."""
        return (self.width - self.patch) // self.stride + 1

    def corners(self) -> list[tuple[int, int]]:
        """Return (top, left) of each, row by row."""
        return [
            (row * self.stride, column * self.stride)
            for row in range(self.rows)
            for column in range(self.columns)
        ]


def grayed(pixels: Pixels, corners: Sequence[tuple[int, int]], patch: int, gray: Pixels) -> Pixels:
    """Return copies of pixels (height, width, channels), a patch of each filled with `gray`."""
    copies = np.repeat(pixels[None], len(corners), axis=0)
    for copy, (top, left) in zip(copies, corners, strict=True):
        copy[top : top + patch, left : left + patch] = gray
    return copies
