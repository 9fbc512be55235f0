"""VISTA_COMPARE: which layer of which CNN? VISTA_TRAIN's rows, best first, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vista_sql import roster
from vista_sql.errors import QueryError, UnknownNameError
from vista_sql.functions import _own_transfer, transfer, vista_train
from vista_sql.functions._training import data_of, streamed
from vista_sql.planning import workload
from vista_sql.roster import Cnn
from vista_sql.sql import parse
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import LayerNames, Names, Number, Text
from vista_sql.sql.quoting import identifier

TRANSFER = transfer.FUNCTION.argument

PASSED_ON = ("image", "join_type", "pool", "weights", "dtype", "store", "batch_rows", "device")
"""Arguments that are TRANSFER's and mean the same here."""

OWN = (
    replace(TRANSFER("images"), default=None, required=True),
    *map(TRANSFER, ("structured", "key")),
    Argument("cnn", "the CNNs", Names(), required=True),
    Argument("layers", "also 'vgg16.fc6'; default: each CNN's own choice", LayerNames()),
    Argument("label", "the column to learn", Text(), required=True),
    Argument("budget_seconds", "stop about then, or when the winner is clear", Number(0.001)),
    *map(TRANSFER, ("image", "join_type", "pool")),
    replace(TRANSFER("weights"), meaning="as in TRANSFER; a file only for a single CNN"),
    *map(TRANSFER, ("dtype", "store", "batch_rows", "device")),
)
TRAINING = tuple(
    argument
    for argument in vista_train.ARGUMENTS
    if argument.name not in ("model", "data", "by_layer", *(other.name for other in OWN))
)


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that transfers, trains and compares, a row per model."""
    budget_seconds = call.get("budget_seconds") or 0.0
    key = call.get("key")
    values = {argument.name: call.values.get(argument.name) for argument in TRAINING}
    arguments = _transfer(call, key, in_random_order=bool(budget_seconds))
    data = _own_transfer.text(arguments)
    values |= {"model": "comparison", "label": call.get("label"), "data": data, "key": key[0]}
    training, hog = vista_train.with_hog(Call("vista_train", values, call.places), planner)
    gate = planner.fresh_name("gate") if budget_seconds else ""
    spec = replace(
        vista_train.spec_of(training, planner),
        home="",
        hog=hog,
        budget_seconds=budget_seconds,
        gate=gate,
    )
    try:
        relation = data_of(training, planner.feeding(training, gate))
    except QueryError as error:
        raise _own_transfer.about(call, error, arguments) from None
    columns = "*" if spec.folds else "* EXCLUDE (f1_score_std)"
    return streamed(spec.to_text(), relation, planner, columns)


def _transfer(call: Call, key: Sequence[str], *, in_random_order: bool) -> dict[str, object]:
    """Return the arguments of one TRANSFER of all layers: one join, one stream for all CNNs."""
    cnns = _cnns(call)
    arguments: dict[str, object] = {"cnn": cnns[0].name, "layers": _layers(call, cnns)}
    for name, column in (("images", key[-1]), ("structured", key[0])):
        relation = call.get(name)
        if relation is not None and in_random_order:
            relation = _shuffled(relation, column, call)
        arguments[name] = relation
    arguments["key"] = call.values.get("key")
    arguments |= {name: call.values.get(name) for name in (*PASSED_ON, "memory_limit", "seed")}
    if in_random_order:
        arguments["plan"] = "fused"  # no plan that brings rows of one image together
    return arguments


def _shuffled(relation: str, key: str, call: Call) -> str:
    """Return a relation in the order of a hash of its key: any number of first rows is a sample."""
    cleaned = parse.clean_relation(relation)
    order = f"hash(rows.{identifier(key)}, {call.get('seed')})"
    return f"(SELECT * FROM {cleaned} AS rows ORDER BY {order})"


def _cnns(call: Call) -> list[Cnn]:
    """Return the CNNs to compare, in the order they are named."""
    cnns: dict[str, Cnn] = {}
    for name in call.get("cnn"):
        cnn = workload.named_cnn(call, name)
        if cnn.name in cnns:
            raise call.error("cnn", f"cnn => names {name!r} twice")
        cnns[cnn.name] = cnn
    if not cnns:
        raise call.error("cnn", "cnn => names no CNN")
    files = [name for name in cnns if name not in (*roster.names(), roster.DESCRIPTOR)]
    if len(cnns) > 1 and files:
        raise call.error(
            "cnn",
            f"cnn => {files[0]!r} is a file: compare it alone, or several CNNs of the roster",
        )
    return list(cnns.values())


def _layers(call: Call, cnns: list[Cnn]) -> list[str]:
    """Return the layers to compare, as TRANSFER names them."""
    layers = call.get("layers")
    if layers is None:
        pairs = [(cnn, name) for cnn in cnns for name in cnn.feature_layers]
    else:
        pairs = [pair for layer in layers for pair in _named(call, cnns, layer)]
    plain = (cnns[0].name if len(cnns) == 1 else "", roster.DESCRIPTOR)
    return [name if cnn.name in plain else f"{cnn.name}.{name}" for cnn, name in pairs]


def _named(call: Call, cnns: list[Cnn], layer: str | int) -> list[tuple[Cnn, str]]:
    """Return the CNNs that a layer in `layers` is of, each with its name there.

    Raises:
        UnknownNameError: no CNN that is compared has the layer.
    """
    if isinstance(layer, int):
        return [(cnn, workload.counted(call, cnn, layer)) for cnn in cnns]
    place = call.place("layers")
    head, dot, tail = layer.partition(".")
    for cnn in cnns:
        if dot and cnn.name == head.lower():
            if not _has(cnn, tail):
                where = f"cnn {cnn.name!r}"
                raise UnknownNameError("layer", tail, cnn.feature_layers, place, where)
            return [(cnn, tail)]
    having = [cnn for cnn in cnns if _has(cnn, layer)]
    if not having:
        known = [name for cnn in cnns for name in cnn.feature_layers]
        where = f"cnn {', '.join(repr(cnn.name) for cnn in cnns)}"
        raise UnknownNameError("layer", layer, known, place, where)
    return [(cnn, layer) for cnn in having]


def _has(cnn: Cnn, name: str) -> bool:
    try:
        cnn.canonical(name)
    except UnknownNameError:
        return False
    return True


FUNCTION = TableFunction(
    name="vista_compare",
    arguments=(*OWN, *TRAINING),
    expand=expand,
    meaning="one model per layer of one or several CNNs, best first; nothing is kept",
)
