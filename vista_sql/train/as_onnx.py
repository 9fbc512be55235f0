"""Nodes of an ONNX graph: what trainers write their `as_onnx` with, whoever holds the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy.typing as npt


class Nodes(Protocol):
    """An ONNX graph that is being written; tensors are called by their names."""

    def node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        """Add an operation of ONNX with one output; return the output's name."""
        ...

    def cast(self, name: str, dtype: npt.DTypeLike) -> str:
        """Return the name of a tensor's values in another type."""
        ...

    def constant(self, values: npt.ArrayLike) -> str:
        """Add numbers, integers as int64 and others as float32; return their name."""
        ...

    def doubles(self, values: npt.ArrayLike) -> str:
        """Add numbers as float64; return their name."""
        ...
