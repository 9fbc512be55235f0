"""What is asked of an engine: open a network, compile parts of it, run them on batches.

An engine is a folder in `engines/` whose `__init__` holds `ENGINE`. It takes a network as data
(`graph.py`, `steps.py`) and NumPy arrays, and gives NumPy arrays back.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, get_args

from vista_sql import catalog

if TYPE_CHECKING:  # planning asks for an engine's identity, and has no use for NumPy
    import numpy as np

    from vista_sql.roster import Cnn

    from .graph import Graph

PACKAGE = f"{__package__}.engines"

Dtype: TypeAlias = Literal["float32", "bfloat16"]
"""The arithmetic's; what comes in and goes out is float32."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)

Value = TypeVar("Value", bound=Sized)
"""A batch of one step's values inside an engine, of the engine's own type; its length is the rows
that are computed, those that only fill up a batch included."""


class Runner(Protocol[Value]):
    """A network open in an engine: one graph, one set of weights, one arithmetic, one device.

    The same segment gives a row the same bits, whatever rows stand beside it, how many there are,
    which other segments were compiled and how many threads run.
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

    def call(
        self, work: Callable[[np.ndarray], list[np.ndarray]], values: np.ndarray
    ) -> list[np.ndarray]:
        """Run `work`, which uses the methods below, where and on as many rows as the engine can.

        Args:
            work: (rows, …) → matrices of as many rows.
            values: (rows, …); cut into pieces where the device's memory takes no more.

        Returns:
            The matrices of all rows.

        Raises:
            PlanError: the memory does not take the smallest piece.
        """
        ...

    def enter(self, values: np.ndarray, layer: str) -> Value:
        """Return what `segment` takes for a step's values.

        Args:
            values: uint8 pixels (rows, height, width, channels) for the graph's input; else float32
                (rows, values), as `leave` returned them with pool 'none'.
            layer: the step.
        """
        ...

    def segment(self, start: str, stop: str) -> Callable[[Value], Value]:
        """Return the function from one step's values to another's, compiled at its first use.

        From the graph's input to itself it is the preprocessing, from pixels on.
        """
        ...

    def leave(self, value: Value, layer: str, pool: str, rows: int) -> np.ndarray:
        """Return float32 (rows, values): the first `rows` of a step's values, pooled.

        Raises:
            ArgumentError: `pool` is none of vista_sql.kernels.POOLS.
        """
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """An entry of `engines/`.

    Attributes:
        name: what users and errors call it.
        identity: () → its name, version, and what in this process's environment decides how it
            computes: equal texts compute equal bits on equal processors. It is a part of the
            feature store's keys, and is asked for while planning: it imports nothing large.
        open: (facts, read, dtype, device, threads) → a network to run; `read` reads its graph and
            weights, `device` is 'auto', 'cpu' or 'gpu', `threads` are of one operation, None: one
            per core. A device that is not here is a SettingError, a network that the engine cannot
            run a PlanError.
    """

    name: str
    identity: Callable[[], str]
    open: Callable[[Cnn, Callable[[], Graph], Dtype, str, int | None], Runner[Any]]


def load(name: str) -> Engine:
    """Return an engine by its name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    return catalog.load(PACKAGE, name, "ENGINE", Engine)
