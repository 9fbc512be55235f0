"""VISTA_COMPARE: which layer of which CNN? VISTA_TRAIN's rows, best first, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

from vista_sql import roster
from vista_sql.errors import UnknownNameError
from vista_sql.functions import vista_train
from vista_sql.functions._training import data_of, number, streamed, text, texts
from vista_sql.planning import workload
from vista_sql.roster import Cnn
from vista_sql.sql import parse
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.quoting import identifier, literal

PASSED_ON = ("image", "join_type", "pool", "weights", "dtype", "store", "batch_rows", "device")
"""Arguments that are TRANSFER's and mean the same here."""

OWN = (
    Argument("images", "the image relation", required=True, kind="relation"),
    Argument("structured", "the structured relation to join on the key", kind="relation"),
    Argument("key", "the key: a name, or ['structured_name', 'image_name']", "id"),
    Argument("cnn", "a CNN, or a list of them", required=True),
    Argument("layers", "names, 'vgg16.fc6', or negative integers; else each CNN's own choice"),
    Argument("label", "the column to learn", required=True),
    Argument("budget_seconds", "stop by then, or before when the winner is clear"),
    Argument("image", "the image column; found if absent"),
    Argument("join_type", "'inner' or 'left'"),
    Argument("pool", "for feature maps, as in TRANSFER"),
    Argument("weights", "as in TRANSFER; a file only for a single CNN"),
    Argument("dtype", "the arithmetic: 'float32' or 'bfloat16'"),
    Argument("store", "the feature store: true, false or a folder"),
    Argument("batch_rows", "a hint: most images in one micro-batch"),
    Argument("device", "'auto', 'cpu' or 'gpu'"),
)
TRAINING = tuple(
    argument
    for argument in vista_train.ARGUMENTS
    if argument.name not in ("model", "data", "by_layer", *(own.name for own in OWN))
)


def expand(call: Call, planner: Planner) -> str:
    """Return the one statement that transfers, trains and compares."""
    budget = 0.0
    if call.get("budget_seconds") is not None:
        budget = number(call, "budget_seconds", 0.001, inf)
    key = texts(call, "key") or ("id",)
    values = {argument.name: call.values.get(argument.name) for argument in TRAINING}
    data = f"SELECT * FROM {_transfer(call, key, in_random_order=bool(budget))}"
    made = {"model": "comparison", "label": call.get("label"), "data": data, "key": key[0]}
    training, hog = vista_train.with_hog(Call("vista_train", {**values, **made}, call.places))
    gate = planner.fresh_name("gate") if budget else ""
    spec = replace(
        vista_train.spec_of(training, planner),
        home="",
        hog=hog,
        budget_seconds=budget,
        gate=gate,
    )
    relation = data_of(training, planner.feeding(training, gate))
    columns = "*" if spec.folds else "* EXCLUDE (f1_score_std)"
    return streamed(spec.to_text(), relation, planner, columns)


def _transfer(call: Call, key: Sequence[str], *, in_random_order: bool) -> str:
    """Return one TRANSFER of all layers: one join, one stream of rows for all CNNs."""
    cnns = _cnns(call)
    given: dict[str, Any] = {"cnn": cnns[0].name, "layers": _layers(call, cnns)}
    for name, column in (("images", key[-1]), ("structured", key[0])):
        relation = text(call, name)
        if relation is not None and in_random_order:
            relation = _shuffled(relation, column, call)
        given[name] = relation
    given["key"] = key[0] if len(key) == 1 else list(key)
    given |= {name: call.values.get(name) for name in (*PASSED_ON, "memory_limit", "seed")}
    if in_random_order:
        given["plan"] = "fused"  # no plan that brings rows of one image together
    shown = ", ".join(f"{name} => {literal(v)}" for name, v in given.items() if v is not None)
    return f"TRANSFER({shown})"


def _shuffled(relation: str, key: str, call: Call) -> str:
    """Return a relation in the order of a hash of its key: any number of first rows is a sample."""
    cleaned = parse.clean_relation(relation)
    seed = int(number(call, "seed", -(2**63), 2**63, whole=True))
    return f"(SELECT * FROM {cleaned} AS rows ORDER BY hash(rows.{identifier(key)}, {seed}))"


def _cnns(call: Call) -> list[Cnn]:
    found: dict[str, Cnn] = {}
    for name in texts(call, "cnn") or ():
        one = replace(call, values={**call.values, "cnn": name})
        cnn = workload.load_cnn(one)
        if cnn.name in found:
            raise call.error("cnn", f"cnn => names {name!r} twice")
        found[cnn.name] = cnn
    if not found:
        raise call.error("cnn", "cnn => names no CNN")
    files = [name for name in found if name not in (*roster.names(), roster.DESCRIPTOR)]
    if len(found) > 1 and files:
        raise call.error(
            "cnn",
            f"cnn => {files[0]!r} is a file: compare it alone, or several CNNs of the roster",
        )
    return list(found.values())


def _layers(call: Call, cnns: list[Cnn]) -> list[str]:
    """Return the layers to compare, as TRANSFER names them."""
    several = len(cnns) > 1
    asked = call.get("layers")
    asked = [asked] if isinstance(asked, (str, int)) else asked
    if asked is None:
        pairs = [(cnn, name) for cnn in cnns for name in cnn.feature_layers]
    elif not isinstance(asked, list) or not asked or isinstance(asked[0], bool):
        raise call.error("layers", f"layers must be names or negative integers, not {asked!r}")
    else:
        pairs = [pair for item in asked for pair in _named(call, cnns, item)]
    plain = (cnns[0].name if not several else "", roster.DESCRIPTOR)
    return [name if cnn.name in plain else f"{cnn.name}.{name}" for cnn, name in pairs]


def _named(call: Call, cnns: list[Cnn], item: Any) -> list[tuple[Cnn, str]]:
    if isinstance(item, int):
        return [(cnn, workload.counted(call, cnn, item)) for cnn in cnns]
    name = str(item)
    head, dot, tail = name.partition(".")
    for cnn in cnns:
        if dot and cnn.name == head.lower():
            if not _has(cnn, tail):
                place = call.places.get("layers")
                raise UnknownNameError(
                    "layer", tail, cnn.feature_layers, place, f"cnn {cnn.name!r}"
                )
            return [(cnn, tail)]
    having = [cnn for cnn in cnns if _has(cnn, name)]
    if not having:
        known = [layer for cnn in cnns for layer in cnn.feature_layers]
        where = f"cnn {', '.join(repr(cnn.name) for cnn in cnns)}"
        raise UnknownNameError("layer", name, known, call.places.get("layers"), where)
    return [(cnn, name) for cnn in having]


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
