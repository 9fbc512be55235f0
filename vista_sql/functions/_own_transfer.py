"""TRANSFER's own arguments in place of `data`: where the rows of a call come from.

A function that takes them says `*beside(…)` in its arguments and asks for `source_of(call)`, or
`relation_for(model, call)` where a kept model remembers how its features are made; what reads the
images itself asks for `image_rows_for(model, call)`. The TRANSFER is planned as a call, not written
as text: its arguments stand where the user wrote them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.functions import _provenance, transfer
from vista_sql.models import Model
from vista_sql.planning import workload
from vista_sql.planning.engines import AUTO
from vista_sql.sql import edit, folders
from vista_sql.sql.calls import Argument, Call, ImageRows, Planner
from vista_sql.sql.kinds import KeyNames

FIRST = ("images", "structured", "key")
"""What a call by position gives after `data`."""

ASKS = ("cnn", "images")
"""Either of them asks for a TRANSFER."""


def beside(*own: Argument) -> tuple[Argument, ...]:
    """Return a function's own arguments, and after them those of TRANSFER that it has not."""
    names = {argument.name for argument in own}
    first = [transfer.FUNCTION.argument(name) for name in FIRST]
    every = (*first, *(argument for argument in transfer.ARGUMENTS if argument.name not in FIRST))
    optional = (replace(argument, default=None, required=False) for argument in every)
    return (*own, *(argument for argument in optional if argument.name not in names))


def passed_on(call: Call) -> dict[str, object]:
    """Return the values of a call's arguments that are TRANSFER's too, as they are written."""
    names = {argument.name for argument in transfer.ARGUMENTS}
    return {name: v for name, v in call.values.items() if name in names and v is not None}


def transfer_call(call: Call, values: Mapping[str, object]) -> Call:
    """Return the TRANSFER with `values` that a call makes; its errors stand in that call.

    Raises:
        ArgumentError, UnknownNameError: a value is none of its argument's kind.
    """
    return Call("transfer", values, call.places).checked()


class Source(Struct, frozen=True):
    """Where the rows of a call come from: its argument `data`, or a TRANSFER of its own."""

    call: Call
    own: Call | None = None  # None: `data`
    features: bool = True  # of the TRANSFER: with its layers, or its relations' columns alone

    def relation(self, planner: Planner) -> str:
        """Return the rows as text that can stand after FROM.

        Raises:
            QueryError: an argument, or the text of `data`, is wrong.
        """
        if self.own is not None:
            return planner.transferred(self.own, self.call.function, features=self.features)
        return planner.relation(self.call.get("data"), self.call, "data")

    def transfers(self, planner: Planner) -> list[Call]:
        """Return the TRANSFERs that make the rows; `relation` finds what is wrong with them."""
        if self.own is not None:
            return [self.own]
        return _provenance.transfer_calls(self.call.get("data"), planner)

    def with_layer(self, layer: str, planner: Planner) -> tuple[Source, str]:
        """Return the source with one more layer in its (first) TRANSFER, and that layer's column.

        Raises:
            QueryError: there is no TRANSFER, or its rows do not come through one by one.
        """
        if self.own is None:
            data, column = edit.with_layer(
                self.call.get("data"), layer, planner.resolved, _layer_names, planner.dialect
            )
            call = replace(self.call, values={**self.call.values, "data": data})
            return replace(self, call=call), column
        names, column = _layer_names(self.own), f"{self.own.get('prefix')}{layer}"
        if layer in [name.lower() for name in names]:
            return self, column
        values = {**self.own.values, "layers": [*names, layer]}
        return replace(self, own=replace(self.own, values=values)), column


def _layer_names(call: Call) -> tuple[str, ...]:
    return workload.layer_names(call, workload.load_cnn(call))


def source_of(call: Call, shared: Collection[str] = ()) -> Source:
    """Return where a call's rows come from.

    Args:
        call: of a function that takes `data`, or TRANSFER's arguments in its place.
        shared: those of TRANSFER's arguments that the function reads beside `data` too.

    Raises:
        ArgumentError: it gives both, or neither, or not all that TRANSFER must have.
    """
    if _has_data(call, "cnn => … and images => …", shared):
        return Source(call)
    if call.get("cnn") is None:
        meaning = transfer.FUNCTION.argument("cnn").meaning
        raise call.error("", f"{call.function.upper()} needs cnn => … beside images: {meaning}")
    return Source(call, transfer_call(call, passed_on(call)))


def relation_for(model: Model, call: Call, planner: Planner) -> str:
    """Return the rows that a kept model scores, as text that can stand after FROM.

    A TRANSFER of the call's own makes features as the model's were made.

    Raises:
        ArgumentError: as `source_of`; or an argument is not as the model was trained.
        ModelError: the rows' features are made in another way than the model's.
    """
    source = Source(call)
    if not _has_data(call, "images => …"):
        own = as_trained(model, call, planner)
        source = Source(call, own, features=bool(model.layers))
    try:
        relation = source.relation(planner)
    except UnknownNameError as error:
        raise _about_default(error, model, call) or error from None
    _provenance.check(model, source.transfers(planner), planner)
    return relation


def as_trained(model: Model, call: Call, planner: Planner) -> Call:
    """Return the TRANSFER of a call's own that makes features as a kept model's were made.

    Raises:
        ArgumentError: an argument is not as the model was trained.
    """
    own = transfer_call(call, _as_trained(model, call, planner))
    _check_columns(model, own)
    return own


def image_rows_for(model: Model, call: Call, planner: Planner) -> ImageRows:
    """Return the rows before inference of the TRANSFER that makes a kept model's features.

    The call takes no `data`.

    Raises:
        ArgumentError: an argument is not as the model was trained, or lacks what it needs.
        ModelError: the features would be made in another way than the model's.
    """
    own = as_trained(model, call, planner)
    try:
        rows = planner.image_rows(own, call.function)
    except UnknownNameError as error:
        raise _about_default(error, model, call) or error from None
    _provenance.check(model, [own], planner)
    return rows


def _check_columns(model: Model, own: Call) -> None:
    """Check that a model of structured columns is not applied to a folder alone.

    Raises:
        ArgumentError: it is; no image is read for that.
    """
    if own.get("structured") is not None or not folders.is_folder(own.get("images")):
        return
    lacking = [name for name in model.structured if name.lower() not in folders.COLUMNS]
    if lacking:
        raise own.error(
            "images",
            f"model {model.reference!r} needs {', '.join(map(repr, lacking))}, which a folder does "
            "not have: give structured => …, a table with these columns and the name of each file",
        )


def _about_default(error: UnknownNameError, model: Model, call: Call) -> ArgumentError | None:
    """Return the error about a column that the user did not name, but the model remembers."""
    kept = _provenance.remembered(model)
    for name in _provenance.COLUMNS:
        columns = kept.get(name)
        named = columns if isinstance(columns, list) else [columns]
        if (
            call.values.get("data") is None
            and call.values.get(name) is None
            and error.name in named
        ):
            return call.error(
                "",
                f"model {model.reference!r} was trained with {name} => {columns!r}, and "
                f"{error.where or 'there'} has no column {error.name!r} but "
                f"{', '.join(error.known)}: give {name} => …",
            )
    return None


def _has_data(call: Call, instead: str, shared: Collection[str] = ()) -> bool:
    """Return whether a call gives `data`; else it asks for a TRANSFER of its own.

    Raises:
        ArgumentError: it gives both, or neither, or a format without columns of layers.
    """
    name, given = call.function.upper(), passed_on(call)
    if call.get("data") is not None:
        for other in given:
            if other not in shared:
                raise call.error(
                    other,
                    f"data and {other} exclude each other: {other} is of the TRANSFER that stands "
                    "in place of data",
                )
        return True
    if not any(asks in given for asks in ASKS):
        raise call.error("", f"{name} needs data => …, or {instead} to transfer itself")
    if call.get("format") == "long":
        raise call.error("format", f"{name} takes a column per layer: leave format => 'long' out")
    return False


def _as_trained(model: Model, call: Call, planner: Planner) -> dict[str, object]:
    """Return the arguments of the TRANSFER that makes a model's layers, as it was trained.

    Raises:
        ArgumentError: the model does not know how they are made and the call does not say; or the
            call says otherwise.
    """
    given, kept = passed_on(call), _fitting(_provenance.runnable(model, planner), call)
    if "cnn" not in kept | given:
        why = "uses no layer: give it data => … with its columns"
        if model.layers:
            why = (
                "does not know how its features are made: give it data => … with its columns, or "
                "cnn => … (weights, pool, dtype and prefix too, where they were not the defaults)"
            )
        raise call.error("", f"model {model.reference!r} {why}")
    if not model.layers:  # of whatever CNN: what is remembered of another is not of this one
        of_rows = {name: kept[name] for name in _provenance.DEFAULTS if name in kept}
        return (of_rows if "cnn" in given else kept) | given
    if "engine" in kept and call.get("engine") == AUTO:
        del given["engine"]  # any, so the model's own
    for name in _provenance.REMEMBERED:
        if name in given and name in kept and not _agree(name, call.get(name), kept[name]):
            raise call.error(
                name,
                f"model {model.reference!r} was trained with {name} => {kept[name]!r}, not "
                f"{call.get(name)!r}: leave {name} out",
            )
    arguments = kept | given
    prefix = str(arguments.get("prefix", ""))
    needed = [name.removeprefix(prefix) for name in model.layers]
    if "layers" not in given:
        return arguments | {"layers": needed}
    named = [name.lower() for name in _layer_names(transfer_call(call, arguments))]
    if lacking := [name for name in needed if name.lower() not in named]:
        raise call.error(
            "layers", f"model {model.reference!r} needs layer {lacking[0]!r}: leave layers out"
        )
    return arguments


def _fitting(kept: Mapping[str, object], call: Call) -> dict[str, object]:
    """Return what a model remembers, but of key and image what the columns of a folder leave of it.

    Example: a model of tables, over a folder
        >>> values = {"images": "new/", "structured": "facts"}
        >>> _fitting({"key": "pid", "image": "photo"}, Call("vista_predict", values, {}))
        {'key': 'pid'}
        >>> _fitting({"key": ["pid", "file"]}, Call("vista_predict", {"images": "new/"}, {}))
        {'key': 'file'}
    """
    if not folders.is_folder(call.get("images")):
        return dict(kept)
    of_structured, of_images = KeyNames().read("key", kept.get("key", folders.KEY))
    key: object = of_structured  # of one name that is not the folder's, the pair is made there
    if of_images.lower() in folders.COLUMNS:
        key = [of_structured, of_images]
    if call.get("structured") is None:
        key = of_images if of_images.lower() in folders.COLUMNS else folders.KEY
    others = {name: value for name, value in kept.items() if name not in _provenance.COLUMNS}
    return {**others, "key": key}


def _agree(name: str, given: object, kept: object) -> bool:
    """Return whether an argument says what a model remembers, in another spelling at most.

    Files are told apart by their content (`_provenance.check`): they may have moved.
    """
    if name in _provenance.FILES and Path(str(kept)).is_absolute():
        return True
    if isinstance(given, tuple) and isinstance(kept, list):  # one number is that of all channels
        return list(given) == kept or (len(given) == 1 and set(kept) == set(given))
    return str(given).lower() == str(kept).lower()
