"""Weights of known shapes → arrays, when NumPy first asks for the values of one.

An engine that finds a compiled network in the user's cache never does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from vista_sql.roster.networks import Variable


class Deferred(Mapping[str, "DeferredArray"]):
    """A network's weights by the paths of their variables; all are read together, once."""

    def __init__(
        self, variables: tuple[Variable, ...], read: Callable[[], Mapping[str, np.ndarray]]
    ) -> None:
        """Read nothing yet.

        Args:
            variables: of the network.
            read: reads their values, float32.
        """
        self._shapes = {variable.path: variable.shape for variable in variables}
        self._read = read
        self._values: Mapping[str, np.ndarray] | None = None

    def __getitem__(self, path: str) -> DeferredArray:
        return DeferredArray(self._shapes[path], lambda: self.read()[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def read(self) -> Mapping[str, np.ndarray]:
        """Return their values."""
        if self._values is None:
            self._values = self._read()
        return self._values


class DeferredArray:
    """One of them, in a shape."""

    def __init__(self, shape: tuple[int, ...], read: Callable[[], np.ndarray]) -> None:
        self.shape, self._read = shape, read

    def reshape(self, shape: tuple[int, ...]) -> DeferredArray:
        """Return the same numbers, row-major, in another shape."""
        return DeferredArray(tuple(shape), self._read)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._read().reshape(self.shape), dtype, copy=copy)
