"""What is asked of an engine: open a network, compile parts of it, run them on batches.

An engine is a folder in `engines/` whose `__init__` holds `ENGINE`. It takes a network as data
(`graph.py`, `steps.py`) and NumPy arrays, and gives NumPy arrays back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from msgspec import Struct

from vista_sql import catalog

if TYPE_CHECKING:  # planning asks for an engine's identity, and has no use for NumPy
    import numpy as np

    from vista_sql.roster import Cnn

    from .graph import Graph

PACKAGE = f"{__package__}.engines"

Dtype: TypeAlias = Literal["float32", "bfloat16"]
"""The arithmetic's; what comes in and goes out is float32."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)

Output: TypeAlias = tuple[str, str]
"""A layer, and how its maps are pooled: one of vista_sql.kernels.POOLS."""


class Part(Struct, frozen=True):
    """What an engine computes at once on the way to a layer."""

    source: str | None  # the step whose value is given; None: the image
    targets: tuple[str, ...]  # steps that are its results, bottom to top
    note: str = ""  # what else decides how it is computed


Parts: TypeAlias = "Callable[[Cnn, Graph, str], Sequence[Part]]"
"""(facts, graph, layer) → what computes the layer's value from the image: each from the image, or
from a target of one before. Asked for while planning: it takes weights' shapes, not their numbers.
"""


class Runner(Protocol):
    """A network open in an engine: one graph, one set of weights, one arithmetic, one device.

    A layer gives a row the same bits, whatever rows stand beside it, how many there are, which
    other layers are asked for, from which layer's map it is computed and how many threads run.
    """

    @property
    def graph(self) -> Graph:
        """The network."""
        ...

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU."""
        ...

    @property
    def batch_rows(self) -> int:
        """The most images in one call that memory is reckoned for, and speed gains from."""
        ...

    @property
    def seconds_from_image(self) -> dict[str, float]:
        """The median seconds of one image from its pixels up to a layer.

        Of the layers that batches have stopped at since the network was opened.
        """
        ...

    def run(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        """Return float32 (rows, values) per output, of one pass.

        Args:
            start: the graph's input, or a step from which every output can be computed.
            outputs: each once, in any order; a layer may be there with several poolings.
            values: uint8 pixels (rows, height, width, channels) for the graph's input; else float32
                (rows, values) as an output of the step with pool 'none' is.

        Raises:
            ArgumentError: a pool is none of vista_sql.kernels.POOLS.
            PlanError: the device's memory does not take the smallest batch.
        """
        ...

    def rest(self) -> None:
        """Give back the memory that `run` needs beside weights, until it is called again."""
        ...


class Engine(Struct, frozen=True):
    """An entry of `engines/`.

    Attributes:
        name: what users and errors call it.
        identity: () → its name, version, and what in this process's environment decides how it
            computes: equal texts compute equal bits on equal processors. It is a part of the
            feature store's keys, and is asked for while planning: it imports nothing large.
        open: (facts, identity, read, dtype, device, threads) → a network to run; `identity` tells
            its weights from others, `read` reads its graph and weights, `device` is 'auto', 'cpu'
            or 'gpu', `threads` are of one operation, None: one per core. A device that is not here
            is a SettingError, a network that the engine cannot run a PlanError.
        parts: what it computes on the way to a layer; equal parts of equal steps give equal bits,
            whatever lies above them.
        packages: distributions, of which one is enough to have it installed.
        has_gpu: whether it can use one.
        needs_keras: (facts, reads it as data) → whether it reads a network from Keras, and its
            weights as Keras's variables.
    """

    name: str
    identity: Callable[[], str]
    open: Callable[[Cnn, str, Callable[[], Graph], Dtype, str, int | None], Runner]
    parts: Parts
    packages: tuple[str, ...]
    has_gpu: bool
    needs_keras: Callable[[Cnn, Callable[[], Graph]], bool]


def load(name: str) -> Engine:
    """Return an engine by its name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    return catalog.load(PACKAGE, name, "ENGINE", Engine)
