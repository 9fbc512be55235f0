"""Squares of a network's input that are grayed, one after the other."""

from __future__ import annotations

from msgspec import Struct


class Patches(Struct, frozen=True):
    """Squares of the network's input, from the top left; none sticks out."""

    patch: int  # side
    stride: int
    height: int  # of the input
    width: int

    @property
    def corners(self) -> tuple[range, range]:
        """The first rows, and the first columns, that a patch may take.

        Example:
            >>> [len(side) for side in Patches(16, 8, 224, 224).corners]
            [27, 27]
        """
        return (
            range(0, self.height - self.patch + 1, self.stride),
            range(0, self.width - self.patch + 1, self.stride),
        )
