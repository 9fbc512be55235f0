"""What VISTA_NEIGHBORS, VISTA_DUPLICATES and VISTA_OUTLIERS share: rows, and how SQL has them.

The rows' keys stay in DuckDB, whatever type they have: a run knows rows by the numbers that
`vista_feed` gives them, and the ranks of their keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import UnknownNameError
from vista_sql.fed_runs import DATA
from vista_sql.functions import _own_transfer, _provenance
from vista_sql.functions._own_transfer import Source
from vista_sql.neighbors.order import OTHERS, NearOrder
from vista_sql.planning import workload
from vista_sql.planning.memory import trainer_bytes
from vista_sql.sql.calls import Argument, Call, Planner
from vista_sql.sql.kinds import KeyNames, Number, OneLayer, OneOf, RelationText, SettingValue
from vista_sql.sql.quoting import identifier, text_literal

SHARED = ("key", "memory_limit")
"""Arguments that are given beside `data` too."""

DATA_ARGUMENT = Argument("data", "the rows, with features", RelationText())
LAYER = Argument(
    "layer",
    "the column of features, or a TRANSFER's layer; may be left out where there is one",
    OneLayer(),
)
K = Argument("k", "how many neighbours", Number(1, whole=True), 10)
METRIC = Argument("metric", "of distances", OneOf(("cosine", "l2")), "cosine")
KEY = Argument("key", "the column that identifies a row (its TRANSFER's, or 'id')", KeyNames())
MEMORY = Argument("memory_limit", "most memory to use", SettingValue("memory_limit"))


class Rows(Struct, frozen=True):
    """A relation whose rows are compared."""

    source: Source
    argument: str  # that gives them
    keys: tuple[str, ...]  # its key is the first of these that there is

    def relation(self, planner: Planner) -> tuple[str, str]:
        """Return the rows as text that can stand after FROM, and their key.

        Raises:
            UnknownNameError: there is no such key, or no such layer, and that can be seen.
        """
        text, call = self.source.relation(planner), self.source.call
        columns = planner.columns(text)
        if columns is None:  # then DuckDB says so
            return text, self.keys[0]
        where = f"the {self.argument} of {call.function.upper()}"
        layer = call.get("layer") if self.source.own is None else None
        named = {"layer": () if layer is None else (layer,), "key": self.keys}
        for argument, names in named.items():
            found = [c for n in names for c in columns if c.lower() == n.lower()]
            if names and not found:
                raise UnknownNameError(
                    f"{argument} column", names[0], tuple(columns), call.place(argument),
                    where=where, argument=argument,
                )  # fmt: skip
        return text, found[0]


def data_of(call: Call, planner: Planner) -> Rows:
    """Return the rows of a call: its argument `data`, or a TRANSFER of its own of one layer.

    Raises:
        ArgumentError: the call gives both or neither; or its TRANSFER has several layers and none
            is chosen.
    """
    source = _own_transfer.source_of(call, SHARED)
    if source.own is None:
        _check_data(source, call, planner)
        key = call.get("key")
        if key is not None and key[0] != key[1]:
            raise call.error(
                "key", f"key => {list(key)!r} names columns of two relations, but data is one"
            )
        return Rows(source, DATA, _keys(source, planner))
    own = _of_one_layer(source.own, call)
    return Rows(replace(source, own=own), DATA, (own.get("key")[0],))


def _check_data(source: Source, call: Call, planner: Planner) -> None:
    """Check that rows of `data` are of one layer, as far as its text says.

    Raises:
        ArgumentError: they are of several, or the layer is a number, which data does not have.
    """
    layer = call.get("layer")
    if isinstance(layer, int):
        raise call.error(
            "layer",
            f"layer => {layer} counts a network's layers, and data has columns: name one of them",
        )
    for transfer in source.transfers(planner):
        if transfer.get("format") != "long":
            continue
        names = workload.layer_names(transfer, workload.load_cnn(transfer))
        if len(names) > 1:
            raise call.error(
                "data",
                f"with format => 'long' the rows of data are of {len(names)} layers "
                f"({', '.join(names)}), and {call.function.upper()} compares vectors of one: leave "
                "format out and give layer => …, or name one layer in layers",
            )


def others_of(call: Call, argument: str, planner: Planner) -> Rows | None:
    """Return the rows of another relation that a call gives; None: it gives none.

    Beside `data` they have features; beside a TRANSFER of the call's own they are images, and
    become features in the same way.
    """
    text = call.get(argument)
    if text is None:
        return None
    if call.get("data") is not None:
        other = replace(call, values={**call.values, "data": text}, places=dict(call.places))
        if argument in call.places:
            other = replace(other, places={**call.places, "data": call.places[argument]})
        source = Source(other)
        _check_data(source, other, planner)
        return Rows(source, argument, _keys(source, planner))
    values = _own_transfer.passed_on(call) | {"images": text}
    values.pop("structured", None)
    match values.get("key"):
        case [_, of_images]:
            values["key"] = of_images
    places = dict(call.places)
    if argument in places:
        places["images"] = places[argument]
    own = _own_transfer.transfer_call(replace(call, places=places), values)
    own = _of_one_layer(own, call)
    return Rows(Source(call, own), argument, (own.get("key")[0],))


def _keys(source: Source, planner: Planner) -> tuple[str, ...]:
    key = source.call.get("key")
    if key is not None:
        return (key[0],)
    return _provenance.keys_of(source.transfers(planner))


def _of_one_layer(own: Call, call: Call) -> Call:
    """Return a call's TRANSFER with the layer that the call chooses.

    Raises:
        ArgumentError: it does not, and there are several.
        UnknownNameError: it chooses none of them.
    """
    layer = call.get("layer")
    if isinstance(layer, int):
        layer = workload.counted(call, workload.load_cnn(own), layer)
    if layer is not None and own.values.get("layers") is None:
        places = {**own.places}
        if "layer" in call.places:
            places["layers"] = call.places["layer"]
        return replace(own, values={**own.values, "layers": [layer]}, places=places)
    names = workload.layer_names(own, workload.load_cnn(own))
    if layer is not None:
        chosen = [name for name in names if name.lower() == layer.lower()]
        if not chosen:
            raise UnknownNameError(
                "layer", layer, names, call.place("layer"), where="layers => …", argument="layer"
            )
        return replace(own, values={**own.values, "layers": chosen})
    if len(names) > 1:
        raise call.error(
            "layers" if own.values.get("layers") is not None else "",
            f"{call.function.upper()} compares the vectors of one layer: give layer => …, one of "
            f"{', '.join(names)}",
        )
    return own


def order_of(call: Call, planner: Planner, *, others: str = "") -> NearOrder:
    """Return what a call orders, as far as its arguments are common to the three functions."""
    limit = planner.setting("memory_limit", call).value
    layer, prefix = call.get("layer"), call.get("prefix")
    if isinstance(layer, int):  # a TRANSFER's, which then has no other
        layer = None
    return NearOrder(
        function=call.function.upper(),
        layer=f"{prefix}{layer}" if layer and prefix else layer,
        others=others,
        memory_bytes=trainer_bytes(limit) if isinstance(limit, int) else 0,
        run=planner.new_run(),
    )


class Result(Struct, frozen=True):
    """The text that feeds a run, and the names that its parts have."""

    clauses: str  # WITH …
    rows: str  # the result rows
    keys: tuple[str, ...]  # of each relation: `number` and `key` of its rows
    number: str
    key: str


def fed(
    kind: str, order: NearOrder, relations: Sequence[tuple[str, str]], planner: Planner
) -> Result:
    """Return the text that feeds relations to a run and ends it.

    Args:
        kind: of the run.
        order: of the run.
        relations: the data, and what is beside it: each one's text after FROM, and its key.
        planner: makes names.
    """
    names = [planner.fresh_name(role) for role in ("run", "id", "number", "key", "result")]
    run, id_, number, key, rows = map(identifier, names)
    clauses = [
        f"{run} AS MATERIALIZED (SELECT vista_begin({text_literal(order.to_text(kind))}) AS {id_})"
    ]
    told, keys = [], []
    for role, (relation, column) in zip((DATA, OTHERS), relations, strict=False):
        name = identifier(planner.fresh_name(role))
        row = identifier(f"{order.others if role == OTHERS else DATA} =>")  # as DuckDB's errors say
        keys.append(name)
        clauses.append(
            f"{name} AS MATERIALIZED (SELECT "
            f"vista_feed({id_}, {row}, {text_literal(role)}) AS {number}, "
            f"{row}.{identifier(column)} AS {key} "
            f"FROM {run}, {planner.fenced(relation)} AS {row})"
        )
        told.append(
            f"'{role}': (SELECT list({key} ORDER BY {number}) FROM (SELECT {number}, "
            f"dense_rank() OVER (ORDER BY {key}) AS {key} FROM {name}))"
        )
    if len(told) == 1:
        told.append(f"'{OTHERS}': NULL")
    clauses.append(
        f"{rows} AS MATERIALIZED (SELECT unnest(vista_finish_{kind}({id_}, "
        f"{{{', '.join(told)}}}), recursive := true) FROM {run})"
    )
    return Result("WITH " + ",\n".join(clauses), rows, tuple(keys), number, key)
