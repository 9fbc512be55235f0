"""Workload + plan → staged SQL: the narrow rows that are needed, then the kernel calls upon them.

The rows stand apart from the calls: a host that can hand rows to the kernels in small batches runs
`rows` by itself and reads it under `rows_name`; any other host takes `whole`, one SELECT.
"""

from __future__ import annotations

from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import kernels
from vista_sql.planning import base_rows, travel
from vista_sql.planning.calls import Calls, KernelCall, base_spec
from vista_sql.planning.data_calls import DataCalls
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.plans import Sort
from vista_sql.planning.rows import Identifiers, Marks, image_rows, indent, joined_rows, marked
from vista_sql.planning.travel import NO_WAYS
from vista_sql.planning.workload import Workload


class Staged(Struct, frozen=True):
    """The staged SQL of one TRANSFER call."""

    rows: str  # SELECT of the narrow rows: structured columns, image, key
    rows_name: str
    calls: str  # SELECT over the relation `rows_name`
    whole: str  # the same as one SELECT
    kernel_calls: tuple[KernelCall, ...]  # those in `calls` that compute layers, in their order
    shape: str  # SELECT of the columns that the rows have for `calls`; none is computed


def stage(
    workload: Workload,
    plan: Plan,
    names: Identifiers,
    *,
    calls_in_sql: bool = True,
    run: str = "",
    folder: str = "",
    gate: str = "",
    decoding_bytes: int = 0,
) -> Staged:
    """Return the staged SQL of a planned TRANSFER call.

    Args:
        workload: what is computed.
        plan: how.
        names: identifiers that no user's name equals, in the host's dialect.
        calls_in_sql: whether the host has the kernels as SQL functions.
        run: the run that the kernels count in.
        folder: what relative image paths are relative to.
        gate: of a training that may say it has seen enough; "" of none.
        decoding_bytes: what decoding images may take; 0: what any image may.

    Example: of SELECT id, f6 FROM TRANSFER(…)
        >>> from msgspec.structs import replace
        >>> from vista_sql.machine.resources import Resources
        >>> from vista_sql.planning.capabilities import Capabilities
        >>> from vista_sql.planning.candidates import Machine
        >>> from vista_sql.planning.optimizer import choose
        >>> from vista_sql.sql.needs import Needs
        >>> from vista_sql.planning.workload import Relation, bind, load_cnn
        >>> from vista_sql.sql.calls import Call
        >>> call = Call("transfer", {"cnn": "lenet5", "layers": ["f6"]}, {})
        >>> images = Relation("photos", {"id": "INTEGER", "image": "BLOB"})
        >>> foods = Relation("foods", {"id": "INTEGER", "price": "DOUBLE"})
        >>> workload = bind(call, load_cnn(call), images, foods, seed=0, device="auto")
        >>> workload = replace(workload, needs=Needs(frozenset({"id", "f6"})))
        >>> machine = Machine(Resources(2, 2**33, "memory_limit"), Capabilities())
        >>> staged = stage(workload, choose(workload, machine), Identifiers("__v_"))
        >>> print(staged.rows)
        SELECT "structured =>"."id", "structured =>"."id" AS __v_key, \
"images =>"."image" AS __v_image
        FROM foods AS "structured =>"
        JOIN photos AS "images =>"
          ON "structured =>"."id" = "images =>"."id"
        >>> print(staged.calls)
        SELECT
          "id",
          CAST(error('planned away') AS DOUBLE) AS "price",
          CAST(__v_result0.l1 AS FLOAT[84]) AS "f6",
          CAST(error('planned away') AS VARCHAR) AS "error"
        FROM (
          SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', \
__v_image, CAST(__v_key AS VARCHAR)) AS __v_result0
          FROM __v_rows AS __v_rows
        ) AS __v_rows
    """
    marks, chosen = Marks(), plan.chosen
    workload = marked(workload, marks.of)
    before = chosen.placement == "before" and workload.has_placements
    strategy = plan.distribution.join if plan.distribution else None
    narrow = image_rows if before else partial(joined_rows, strategy=strategy)
    # a host that hands rows to the calls brings equal images together as it does
    is_sorted = calls_in_sql and any(isinstance(s, Sort) for s in chosen.stages)
    rows = narrow(workload, names, is_sorted=is_sorted)
    ways = travel.ways(workload, before=before) if calls_in_sql else NO_WAYS
    sent = narrow(workload, names, is_sorted=is_sorted, ways=ways)
    spec = base_spec(workload, run=run, folder=folder, gate=gate)
    spec = replace(spec, decoding_bytes=decoding_bytes)
    calls = (Calls if calls_in_sql else DataCalls)(workload, plan, names, spec)
    if workload.base is not None and any(call.base for call in calls.results):
        sent = base_rows.with_maps(sent, workload, workload.base, names)
    whole = calls.select(f"(\n{indent(rows)}\n)")
    shape = calls.shape(sent) if isinstance(calls, DataCalls) else sent
    return Staged(
        marks.resolved(sent),
        names.rows,
        marks.resolved(calls.select(names.rows, ways)),
        marks.resolved(whole),
        tuple(calls.results),
        marks.resolved(shape),
    )


def keeping(staged: Staged, workload: Workload, names: Identifiers) -> Staged:
    """Return the staged SQL of one layer's raw maps, of distinct images, from that of its features.

    Args:
        staged: of the layer, not pooled, in one pass.
        workload: whose it is.
        names: of the generated columns.
    """
    (call,) = staged.kernel_calls
    call = replace(call, kernel=kernels.sized_name("vista_maps", 1))
    rows = base_rows.distinct_images(staged.rows, workload, names)
    return replace(staged, rows=rows, kernel_calls=(call,))
