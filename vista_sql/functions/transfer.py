"""TRANSFER: the features of images, as a table beside the structured columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from vista_sql import store
from vista_sql.errors import QueryError, SettingError
from vista_sql.kernels import POOLS, Dtype
from vista_sql.planning import memory, optimizer, rewrite, workload
from vista_sql.planning.candidates import Hints
from vista_sql.planning.memory import Allowance, Breakdown
from vista_sql.planning.plans import Plan
from vista_sql.planning.rewrite import Staged
from vista_sql.planning.workload import Facts, Format, JoinType, OnError, Relation, Workload
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import (
    KeyNames,
    LayerNames,
    OneOf,
    RelationText,
    SettingValue,
    StoreChoice,
    Text,
)
from vista_sql.sql.needs import EVERYTHING, Needs
from vista_sql.store import Choice

ARGUMENTS = (
    Argument("cnn", "a roster name, or the path of a .keras file", Text("a name"), required=True),
    Argument("layers", "-1 is the topmost; default: the roster's choice", LayerNames()),
    Argument(
        "images",
        "the image relation: the key, and a column of BLOBs or paths",
        RelationText(),
        "images",
    ),
    Argument("image", "the image column; found if absent", Text("a column's name")),
    Argument("structured", "the structured relation to join on the key", RelationText()),
    Argument("key", "the join key", KeyNames(), "id"),
    Argument("join_type", "how images are joined", OneOf(get_args(JoinType)), "inner"),
    Argument("pool", "what a feature map is reduced to", OneOf(POOLS), "max2x2"),
    Argument(
        "format",
        "'wide': a column per layer; 'long': layer, features",
        OneOf(get_args(Format)),
        "wide",
    ),
    Argument("prefix", "put before every column that TRANSFER adds", Text(), ""),
    Argument("weights", "'imagenet', 'bundled', 'random' or a file", Text()),
    Argument("dtype", "the arithmetic", OneOf(get_args(Dtype)), "float32"),
    Argument(
        "on_error",
        "an unreadable image: features NULL, no row, or an error",
        OneOf(get_args(OnError)),
        "null",
    ),
    Argument("store", "the feature store", StoreChoice()),
    Argument("plan", "a hint: the plan to use", SettingValue("plan")),
    Argument("placement", "a hint: inference before or after the join", SettingValue("placement")),
    Argument("batch_rows", "a hint: most images in one micro-batch", SettingValue("batch_rows")),
    Argument("threads", "a hint: threads of inference and decoding", SettingValue("threads")),
    Argument("memory_limit", "a hint: most memory to use", SettingValue("memory_limit")),
    Argument("device", "where inference runs", SettingValue("device")),
    Argument("seed", "seed of weights => 'random'", SettingValue("seed")),
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A TRANSFER call, planned and staged."""

    workload: Workload
    plan: Plan
    staged: Staged
    held: Breakdown  # at the peak, by part
    limit_bytes: int  # that it was planned under
    apart: bool = False  # the host hands the narrow rows to the kernels itself, in small batches
    run: str = ""  # that the kernels count under


def bind(call: Call, planner: Planner) -> Workload:
    """Return the workload of a call; its needs are everything, its facts unknown.

    Raises:
        QueryError: an argument is wrong, or names something that is not there.
    """
    call.checked()
    cnn = workload.load_cnn(call)
    images = _relation(call, "images", planner)
    structured = None
    if call.get("structured") is not None:
        structured = _relation(call, "structured", planner)
    glimpsed = None
    if structured is None and images.columns is None and call.get("image") is None:
        glimpsed = planner.glimpse(images.text)  # the image column is to be left out by its name
    return workload.bind(
        call,
        cnn,
        images,
        structured,
        glimpsed,
        seed=planner.setting("seed", call).value,
        device=planner.setting("device", call).value,
        store=store_of(call, planner),
    )


def store_of(call: Call, planner: Planner) -> Choice:
    """Return the feature store of a call: its own argument's, else the session's.

    Raises:
        QueryError: the argument is none, or a folder that cannot be.
    """
    given = call.get("store")
    if given is not None and not isinstance(given, (bool, str)):
        raise call.error("store", f"store must be true, false or a folder, not {given!r}")
    wanted = planner.setting("store", call).value
    limit_bytes = planner.setting("store_limit", call).value
    try:
        return store.chosen(wanted, limit_bytes)
    except SettingError as error:
        raise call.error("store", str(error)) from None


def _relation(call: Call, argument: str, planner: Planner) -> Relation:
    text = call.get(argument)
    if not isinstance(text, str):
        raise call.error(
            argument, f"{argument} must be a relation as text, 'name' or '(SELECT …)', not {text!r}"
        )
    relation = planner.relation(text, call, argument)
    try:
        return Relation(relation, planner.columns(relation))
    except QueryError as error:
        if error.place is None:
            error.place = call.places.get(argument)
        raise


def plan(
    call: Call,
    planner: Planner,
    bound: Workload,
    needs: Needs = EVERYTHING,
    facts: Callable[[Workload], Facts] | None = None,
) -> Transfer:
    """Plan and stage a bound call.

    Args:
        call: the call.
        planner: the session.
        bound: what `bind` returned for the call.
        needs: what the statement needs of it.
        facts: asks the host for what is known of the data; None where it cannot be asked.

    Raises:
        PlanError: no plan fits.
    """
    known = replace(bound, needs=needs)
    if facts is not None and known.used_taps:
        known = replace(known, facts=facts(known))
    machine = planner.resources(call)
    hints = Hints(*(planner.setting(name, call) for name in Hints.__slots__))
    chosen = optimizer.choose(known, machine, planner.capabilities, hints, planner.rates)
    run = planner.new_run(f"{chosen.kind}/{chosen.placement}")
    staged = rewrite.stage(known, chosen, planner.fresh_name, run=run, folder=planner.folder)
    able = planner.capabilities
    held = memory.breakdown(
        known,
        chosen.stages,
        chosen.batch_rows,
        chosen.batch_rows if able.small_batches else able.vector_rows,
        sink=able.sink,
    )
    return Transfer(known, chosen, staged, held, machine.memory_bytes, run=run)


def allowance(transfers: Sequence[Transfer]) -> Allowance:
    """Return what a statement of these TRANSFERs leaves to DuckDB and to its caller.

    Raises:
        PlanError: they fit one by one and not together.
    """
    infer = [transfer for transfer in transfers if transfer.plan.stages]
    if not infer:
        return Allowance()
    return memory.allowance(
        [transfer.held for transfer in infer],
        min(transfer.limit_bytes for transfer in infer),
        sum(memory.feature_bytes(transfer.workload) for transfer in infer),
        sum(memory.array_bytes(transfer.workload) for transfer in infer),
    )


def expand(call: Call, planner: Planner) -> str:
    """Return a call as one SELECT, planned from the call alone."""
    return plan(call, planner, bind(call, planner)).staged.whole


FUNCTION = TableFunction(
    "transfer", ARGUMENTS, expand, "the features of images, beside structured columns"
)
