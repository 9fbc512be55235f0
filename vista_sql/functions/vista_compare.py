"""VISTA_COMPARE: which layer of which CNN? VISTA_TRAIN's rows, best first, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from vista_sql import roster
from vista_sql.errors import UnknownNameError
from vista_sql.functions import _own_transfer, transfer, vista_train
from vista_sql.functions._fed import streamed
from vista_sql.functions._own_transfer import Source
from vista_sql.planning import workload
from vista_sql.planning.onnx_files import PIXELS
from vista_sql.roster import Cnn
from vista_sql.sql import parse
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import LayerNames, Names, Number, Text
from vista_sql.sql.quoting import identifier

TRANSFER = transfer.FUNCTION.argument

OWN = (
    replace(TRANSFER("images"), default=None, required=True),
    *map(TRANSFER, ("structured", "key")),
    Argument("cnn", "the CNNs: names and files", Names(), required=True),
    Argument(
        "layers",
        "also 'vgg16.fc6', or 'own.top' of own.keras; default: each CNN's own choice",
        LayerNames(),
    ),
    Argument("label", "the column to learn", Text(), required=True),
    Argument("budget_seconds", "stop about then, or when the winner is clear", Number(0.001)),
    *map(TRANSFER, ("image", "join_type", "pool", "boxes", "region")),
    replace(TRANSFER("weights"), meaning="as in TRANSFER; a file only for a single CNN"),
    *map(TRANSFER, ("dtype", "store", "batch_rows", "device", "engine", "resize", "fit", *PIXELS)),
    replace(TRANSFER("base"), meaning="as in TRANSFER; of the first CNN"),
)
TRAINING = tuple(
    argument
    for argument in vista_train.OPTIONS
    if argument.name not in ("by_layer", *(other.name for other in OWN))
)


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that transfers, trains and compares, a row per model."""
    budget_seconds = call.get("budget_seconds") or 0.0
    transferred = _transfer(call, in_random_order=bool(budget_seconds))
    training = training_call(call)
    source, hog = vista_train.with_hog(Source(training, transferred), planner)
    gate = planner.fresh_name("gate") if budget_seconds else ""
    relation = source.relation(planner.feeding(training, gate))
    spec = replace(
        vista_train.spec_of(source, planner),
        home="",
        hog=hog,
        budget_seconds=budget_seconds,
        gate=gate,
    )
    columns = "*" if spec.folds else "* EXCLUDE (f1_score_std)"
    return streamed("train", spec.to_text(), relation, planner, columns)


def training_call(call: Call) -> Call:
    """Return the VISTA_TRAIN that a call's arguments ask for; what it trains is not kept."""
    values = {argument.name: call.values.get(argument.name) for argument in TRAINING}
    return Call(
        "vista_train", {**values, "model": "comparison", "label": call.get("label")}, call.places
    )


def transfer_of(call: Call, cnns: Sequence[Cnn], columns: Sequence[str], **more: object) -> Call:
    """Return one TRANSFER of layers: one join, one stream for all CNNs.

    Args:
        call: its arguments are passed on.
        cnns: whose layers they are.
        columns: the layers, as `column_of` names them.
        more: arguments in place of the call's.
    """
    arguments = _own_transfer.passed_on(call) | more
    arguments |= {"cnn": cnns[0].name, "layers": list(columns)}
    beside = tuple(cnn.name for cnn in cnns[1:])
    return replace(_own_transfer.transfer_call(call, arguments), beside=beside)


def _transfer(call: Call, *, in_random_order: bool) -> Call:
    """Return the TRANSFER of all layers that are compared."""
    cnns = cnns_of(call)
    columns = [column_of(cnn, name, cnns) for cnn, name in layers_of(call, cnns)]
    transferred = transfer_of(call, cnns, columns)
    if not in_random_order:
        return transferred
    structured_key, image_key = transferred.get("key")
    shuffled = {"plan": "fused"}  # no plan that brings rows of one image together
    for name, column in (("images", image_key), ("structured", structured_key)):
        if name in transferred.values:
            shuffled[name] = _shuffled(call.get(name), column, call)
    return replace(transferred, values={**transferred.values, **shuffled})


def _shuffled(relation: str, key: str, call: Call) -> str:
    """Return a relation in the order of a hash of its key: any number of first rows is a sample."""
    cleaned = parse.clean_relation(relation)
    order = f"hash(rows.{identifier(key)}, {call.get('seed')})"
    return f"(SELECT * FROM {cleaned} AS rows ORDER BY {order})"


def cnns_of(call: Call) -> list[Cnn]:
    """Return the CNNs to compare, in the order they are named."""
    cnns: dict[str, Cnn] = {}
    for name in call.get("cnn"):
        cnn = workload.named_cnn(call, name)
        if cnn.name in cnns:
            raise call.error("cnn", f"cnn => names {name!r} twice")
        cnns[cnn.name] = cnn
    if not cnns:
        raise call.error("cnn", "cnn => names no CNN")
    called: dict[str, str] = {}
    for cnn in cnns.values():
        other = called.setdefault(cnn.short_name.lower(), cnn.name)
        if other != cnn.name:
            raise call.error(
                "cnn",
                f"cnn => {other!r} and {cnn.name!r} are both called {cnn.short_name!r} here, where "
                f"layers are {cnn.short_name + '.…'!r}: rename one of the files",
            )
    return list(cnns.values())


def layers_of(call: Call, cnns: Sequence[Cnn]) -> list[tuple[Cnn, str]]:
    """Return the layers to compare, each with its CNN."""
    layers = call.get("layers")
    if layers is None:
        return [(cnn, name) for cnn in cnns for name in cnn.feature_layers]
    return [pair for layer in layers for pair in _named(call, cnns, layer)]


def column_of(cnn: Cnn, name: str, cnns: Sequence[Cnn]) -> str:
    """Return how TRANSFER names a layer, and its column, where the layers are of several CNNs."""
    plain = (cnns[0].name if len(cnns) == 1 else "", roster.DESCRIPTOR)
    return name if cnn.name in plain else f"{cnn.short_name}.{name}"


def _named(call: Call, cnns: Sequence[Cnn], layer: str | int) -> list[tuple[Cnn, str]]:
    """Return the CNNs that a layer in `layers` is of, each with its name there.

    A whole name goes before one in two parts, of a CNN and its layer.

    Raises:
        UnknownNameError: no CNN that is compared has the layer.
    """
    if isinstance(layer, int):
        return [(cnn, workload.counted(call, cnn, layer)) for cnn in cnns]
    place = call.place("layers")
    having = [cnn for cnn in cnns if _has(cnn, layer)]
    for cnn in () if having else cnns:
        if layer.lower().startswith(f"{cnn.short_name.lower()}."):
            tail = layer[len(cnn.short_name) + 1 :]
            if not _has(cnn, tail):
                where = f"cnn {cnn.short_name!r}"
                raise UnknownNameError("layer", tail, cnn.feature_layers, place, where)
            return [(cnn, tail)]
    if not having:
        known = tuple(dict.fromkeys(name for cnn in cnns for name in cnn.feature_layers))
        where = f"cnn {', '.join(repr(cnn.short_name) for cnn in cnns)}"
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
