"""What planning a statement returns: the text to run, and the TRANSFERs in it."""

from __future__ import annotations

from typing import Union

from msgspec import Struct

from vista_sql.planning import memory
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.memory import Allowance, Breakdown
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.rewrite import Staged
from vista_sql.planning.workload import Workload
from vista_sql.sql.parse import Ctes


class Transfer(Struct, frozen=True):
    """A TRANSFER call, planned and staged."""

    workload: Workload
    plan: Plan
    staged: Staged
    limit_bytes: int  # of the memory that it was planned under
    capabilities: Capabilities  # of the host, where the call stands
    run: str = ""  # that the kernels count under
    made: tuple[Made, ...] = ()  # what its rows stand upon, where that is no text

    @property
    def name(self) -> str:
        """The relation of its rows, where they stand apart."""
        return self.staged.rows_name

    @property
    def is_apart(self) -> bool:
        """Whether the host hands the narrow rows to the kernels itself, in small batches."""
        if not self.capabilities.calls_in_sql:
            return bool(self.staged.kernel_calls)
        return self.plan.infers and self.capabilities.small_batches

    @property
    def text(self) -> str:
        """The SELECT that takes the call's place."""
        return self.staged.calls if self.is_apart else self.staged.whole

    def breakdown(self) -> Breakdown:
        """Return what holds how many bytes at the peak."""
        chosen = self.plan.chosen
        return memory.breakdown(
            self.workload,
            chosen.stages,
            chosen.batch_rows,
            self.capabilities.call_rows(chosen.batch_rows),
            sink=self.capabilities.sink,
        )


class Constant(Struct, frozen=True):
    """A relation that DuckDB makes beside the planner, of rows that the host hands to it."""

    name: str
    text: str  # DuckDB's SELECT
    given: tuple[tuple[str, str], ...] = ()  # names in it: the rows, as the host's text after FROM


class Fed(Struct, frozen=True):
    """A relation that a run returns to which another's rows are fed (`vista_sql.fed_runs`)."""

    name: str
    kind: str
    order: str
    relation: str  # the rows, as text that can stand after FROM
    columns: str  # of the run's result, as DuckDB's select list


class Scored(Struct, frozen=True):
    """A relation of another's rows with what a kept model says of each."""

    name: str
    order: str  # of `vista_score`
    relation: str  # the rows, as text that can stand after FROM
    label_type: str  # DuckDB's name of it


class Kept(Struct, frozen=True):
    """A relation of one row: what writing a table of a layer's raw maps came to."""

    name: str
    transfer: Transfer  # its rows are a distinct image each: digest, how many rows show it, map
    table: str  # as text
    made_by: str  # the maps
    map_bytes: int  # of one


Made = Union["Transfer", Constant, Fed, Scored, Kept]
"""What a host makes itself whose engine has no kernels in SQL."""


class Script(Struct, frozen=True):
    """How a host runs a statement: the rows of each TRANSFER that is apart, then the text."""

    text: str
    transfers: tuple[Transfer, ...] = ()
    made: tuple[Made, ...] = ()  # relations that the text, or another relation, names

    @property
    def apart(self) -> tuple[Transfer, ...]:
        """The TRANSFERs whose narrow rows the host reads, as relations that the text names."""
        return tuple(transfer for transfer in self.transfers if transfer.is_apart)

    @property
    def relations(self) -> Ctes:
        """The relations of `apart` as CTEs: with them the text means the same as one statement."""
        return tuple(
            (f"{transfer.staged.rows_name} AS (\n{transfer.staged.shape}\n)", False)
            for transfer in self.apart
        )

    @property
    def images_inferred(self) -> int:
        """The images that pass a network, as estimated."""
        return sum(t.plan.chosen.price.images_inferred for t in self.transfers)

    def allowance(self) -> Allowance:
        """Return what the statement leaves to the database and to its caller.

        Raises:
            PlanError: its TRANSFERs fit one by one and not together.
        """
        infer = [transfer for transfer in self.transfers if transfer.plan.infers]
        if not infer:
            return Allowance()
        return memory.allowance(
            [transfer.breakdown() for transfer in infer],
            min(transfer.limit_bytes for transfer in infer),
            sum(memory.feature_bytes(transfer.workload) for transfer in infer),
            sum(memory.array_bytes(transfer.workload) for transfer in infer),
        )
