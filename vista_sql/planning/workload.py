"""A TRANSFER call bound to what is known about it: Workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from vista_sql import kernels, roster, weights
from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.kernels import ROI_POOLS, Device, Dtype, Fit, Pool, Region, Resize
from vista_sql.planning import image_types, onnx_files, regions
from vista_sql.planning.engines import UNASKED, EngineChoice
from vista_sql.roster import Cnn, Layer, Preprocessing
from vista_sql.sql.calls import Call
from vista_sql.sql.kinds import LayerNames, wrong
from vista_sql.sql.needs import EVERYTHING, Needs
from vista_sql.store import OFF, Choice

JoinType = Literal["inner", "left"]
Format = Literal["wide", "long"]
"""A column per layer, or a row per image and layer."""
OnError = Literal["null", "skip", "raise"]
"""What becomes of a row whose image cannot be read."""


class Relation(Struct, frozen=True):
    """A relation as DuckDB text that can stand after FROM, and its columns (name → type).

    `columns` is None where the planner cannot see them; then DuckDB's binder and the kernels find
    at run time what the planner would have found now.
    """

    text: str
    columns: Mapping[str, str] | None = None
    is_computed: bool = False  # by a call of ours: to count its rows could cost what they do

    def column(self, name: str, call: Call, argument: str, what: str) -> str:
        """Return the column called `name` (any case) as it is spelt in the relation.

        Raises:
            UnknownNameError: the columns are known and none has that name.
        """
        if self.columns is None:
            return name
        by_lower = {column.lower(): column for column in self.columns}
        if name.lower() not in by_lower:
            raise UnknownNameError(
                "column",
                name,
                self.columns,
                call.place(argument),
                where=f"{what} => {self.text}",
            )
        return by_lower[name.lower()]


class Tap(Struct, frozen=True):
    """One layer that the user asked for, and the column it becomes."""

    column: str
    layer: Layer
    values: int  # per image, after pooling
    cnn: Cnn | None = None  # whose layer it is, where it is not the workload's


class Prefix(Struct, frozen=True):
    """What a CNN has in common with one that runs before it; CNNs are "" for the workload's own."""

    taker: str
    layer: Layer  # the taker's, up to which both compute the same
    lender: str
    lent: Layer  # the lender's
    computation: str  # of either, as a digest


class BaseTable(Struct, frozen=True):
    """A relation of a layer's raw maps, by the digests of images' bytes (`base_tables`)."""

    text: str  # as text after FROM
    layer: Layer
    made_by: str  # what its rows say that may be used


class StoredShare(Struct, frozen=True):
    """What the feature store holds of a share of the images: layers by the network's names."""

    features: frozenset[str]  # pooled as the workload has them
    maps: frozenset[str]  # raw
    share: float


class Facts(Struct, frozen=True):
    """What is known of the data without reading an image; None where it is not known."""

    rows: int | None = None  # after the join and everything that runs below inference
    images: int | None = None  # of these rows, those that have an image
    distinct_images: int | None = None
    exact: bool = True  # else `distinct_images` is an estimate: equal bytes are not looked for
    image_bytes: float | None = None  # mean of some encoded images, if they are here
    image_rows: int | None = None  # of the image relation
    stored: tuple[StoredShare, ...] = ()  # shares add up to 1; none where nothing is known
    decoding_bytes: int | None = None  # the most that one of some images takes, if they are here
    prepared_share: float = 0.0  # of some images, those that are prepared and never decoded
    is_inline: bool = False  # the column is of text that holds the images themselves


class Workload(Struct, frozen=True, dict=True):
    """Everything that planning needs to know about one TRANSFER call."""

    cnn: Cnn
    taps: tuple[Tap, ...]  # as asked, bottom to top or as the user ordered them
    images: Relation
    image_key: str
    image_column: str | None  # None: the kernel finds it
    structured: Relation | None
    structured_key: str
    join_type: JoinType
    pool: Pool
    format: Format
    prefix: str
    weights: str | None
    seed: int
    dtype: Dtype
    device: Device
    on_error: OnError
    store: Choice = OFF
    base: BaseTable | None = None  # where images start whose raw maps are in it
    schemes: str = ""  # of URIs that may be read; "": all
    is_image_sure: bool = True  # False: nobody named it, and the key may be text, too
    engine: EngineChoice = UNASKED
    resize: Resize | None = None  # None: as the weights want their images
    fit: Fit | None = None  # likewise
    region: Region | None = None  # None: rows are images; else `structured` is of their boxes
    box_column: str = ""  # that `structured` has beside its columns: STRUCT(x, y, width, height)
    reason_column: str | None = None
    """The image relation's column that says why an image is NULL, as VISTA_PREPARE has it."""
    needs: Needs = EVERYTHING
    facts: Facts = Facts()
    decoders: int | None = None  # images decoded at once: one by each core; None: not known
    prefixes: tuple[Prefix, ...] = ()

    def cnn_named(self, name: str) -> Cnn:
        """Return the CNN of that name of which layers are asked for; "": the workload's own."""
        found = (tap.cnn for tap in self.taps if tap.cnn is not None and tap.cnn.name == name)
        return next(found, self.cnn)

    @property
    def pools_boxes(self) -> bool:
        """Whether a layer's map is pooled by the boxes on its image, one map for all of them."""
        return self.region in ROI_POOLS

    @property
    def kept_pool(self) -> Pool:
        """What the feature store has of an image's layers: maps where boxes are pooled."""
        return "none" if self.pools_boxes else self.pool

    @property
    def has_placements(self) -> bool:
        """Whether inference could also stand before the join: images alone are read there."""
        return self.structured is not None and self.region is None

    @property
    def error_column(self) -> str:
        """The name of the column that says why an image could not be read."""
        return f"{self.prefix}error"

    @property
    def narrow_columns(self) -> Mapping[str, str] | None:
        """The structured columns of the result (name → type), the key once; None if unknown."""
        if self.structured is not None:
            return self.structured.columns
        if self.images.columns is None:
            return None
        hidden = {None if self.image_column == self.image_key else self.image_column}
        if not self.prefix:
            hidden.add(self.reason_column)
        return {name: kind for name, kind in self.images.columns.items() if name not in hidden}

    @property
    def added_columns(self) -> dict[str, str]:
        """The columns that TRANSFER adds (name → DuckDB type)."""
        if self.format == "long":
            names = {f"{self.prefix}layer": "VARCHAR", f"{self.prefix}features": "FLOAT[]"}
        else:
            names = {tap.column: array_type(tap.values) for tap in self.taps}
        return names | {self.error_column: "VARCHAR"}

    @cached_property
    def used_taps(self) -> tuple[Tap, ...]:
        """The layers that must be computed, in the network's order from the bottom."""
        used = self.needs.columns
        if used is not None and self.format == "long":
            taps = self.taps if f"{self.prefix}features".lower() in used else ()
        elif used is not None:
            taps = tuple(tap for tap in self.taps if tap.column.lower() in used)
        else:
            taps = self.taps
        cnns = list(dict.fromkeys(["", *(tap.cnn.name for tap in self.taps if tap.cnn)]))

        def place(tap: Tap) -> tuple[int, int]:
            cnn = tap.cnn or self.cnn
            height = cnn.positions.get(tap.layer.name, -1)  # the image lies below all layers
            return cnns.index(tap.cnn.name if tap.cnn else ""), height

        return tuple(sorted(taps, key=place))

    @cached_property
    def passes(self) -> tuple[tuple[Cnn, tuple[Tap, ...]], ...]:
        """The used layers grouped by CNN, in the network's order from the bottom."""
        passes: dict[str, tuple[Cnn, tuple[Tap, ...]]] = {}
        for tap in self.used_taps:
            cnn = tap.cnn or self.cnn
            passes[cnn.name] = (cnn, (*passes.get(cnn.name, (cnn, ()))[1], tap))
        return tuple(passes.values())

    def starts_of(self, cnn: Cnn) -> frozenset[str]:
        """Return the layers of a CNN from whose maps on bits are those of the whole network."""
        rounds = self.dtype != "float32" and self.engine.name == "openvino"
        return cnn.stops if rounds else frozenset(cnn.positions)

    def weights_of(self, cnn: Cnn) -> str | None:
        """Return the weights of a CNN in this call; None: the CNN's default.

        A weights file applies to the call's own CNN only, 'random' and 'imagenet' to every CNN.
        """
        if cnn.name == self.cnn.name:
            return self.weights
        known = ("random", "imagenet") if cnn.catalogue is None else ("random",)
        shared = self.weights in known and cnn.name != roster.DESCRIPTOR
        return self.weights if shared else None

    def preprocessing_of(self, cnn: Cnn) -> Preprocessing:
        """Return how images become a CNN's input: as its weights say, unless the call does."""
        published = weights.preprocessing(cnn, self.weights_of(cnn))
        return published.asked(self.resize, self.fit)

    @property
    def error_used(self) -> bool:
        """Whether the statement reads the error column."""
        return self.needs.columns is None or self.error_column.lower() in self.needs.columns


def array_type(values: int, limit: int = 100_000) -> str:
    """Return the DuckDB type of a layer column: an ARRAY up to the limit, a LIST above it."""
    return f"FLOAT[{values}]" if values <= limit else "FLOAT[]"


def pooled_values(shape: Sequence[int], pool: Pool, grid: tuple[int, int] | None = None) -> int:
    """Return how many values a layer of `shape` has after `pool`; vectors are left as they are.

    Args:
        shape: of one image.
        pool: what it is reduced by.
        grid: the places of a layer of tokens, which is pooled as a map of them.

    Example:
        >>> pooled_values((14, 14, 1024), "max2x2"), pooled_values((2048,), "max2x2")
        (4096, 2048)
        >>> [pooled_values((197, 768), pool, (14, 14)) for pool in ("cls", "mean", "max2x2")]
        [768, 768, 3072]
    """
    if grid is not None and pool != "none":
        shape = (*grid, shape[-1])
    if len(shape) != 3 or pool == "none":
        size = 1
        for side in shape:
            size *= side
        return size
    height, width, channels = shape
    if pool in ("max2x2", "avg2x2", "grid"):
        return min(height, 2) * min(width, 2) * channels
    return channels


def bind(
    call: Call,
    cnn: Cnn,
    images: Relation,
    structured: Relation | None,
    glimpsed: Mapping[str, str] | None = None,
    **given: Any,
) -> Workload:
    """Bind a call's arguments: check each, and find layers, keys and the image column.

    Args:
        call: a checked TRANSFER call.
        cnn: the CNN it names.
        images: the image relation.
        structured: the structured relation, or None.
        glimpsed: the image relation's columns as far as they could be seen beforehand, where
            `images.columns` is None.
        given: `seed`, `device`, `engine`, `store` and `schemes`, as the settings have them.

    Raises:
        ArgumentError, UnknownNameError: an argument has a value it cannot have.
    """
    beside = tuple(onnx_files.with_pixels(call, other) for other in load_beside(call))
    cnn = onnx_files.with_pixels(call, cnn)
    region, pool = regions.of(call)
    structured_key, image_key = call.get("key")
    image_key = images.column(image_key, call, "key", "images")
    if region is not None and call.get("structured") is None:
        structured_key = image_key  # of the boxes
    if structured is not None:
        structured_key = structured.column(structured_key, call, "key", "structured")
    columns = images.columns if glimpsed is None else glimpsed
    is_found = structured is None and call.get("image") is None
    seen = Relation(images.text, columns if is_found else images.columns)
    prefix = call.get("prefix")
    image_column = _image_column(call, seen, image_key)
    types = seen.columns or {}
    used = (image_column, image_key)
    others = (n for n, t in (columns or {}).items() if t == "VARCHAR" and n not in used)
    workload = Workload(
        cnn=cnn,
        taps=_taps(call, (cnn, *beside), pool, prefix, region),
        images=images,
        image_key=image_key,
        image_column=image_column,
        is_image_sure=call.get("image") is not None
        or any(map(image_types.holds_bytes, types.values()))
        or types.get(image_key, "VARCHAR") != "VARCHAR",
        structured=structured,
        structured_key=structured_key,
        join_type=call.get("join_type"),
        pool=pool,
        format=call.get("format"),
        prefix=prefix,
        weights=call.get("weights"),
        dtype=call.get("dtype"),
        resize=call.get("resize"),
        fit=call.get("fit"),
        reason_column=next((name for name in others if name.lower() == kernels.REASON), None),
        on_error=call.get("on_error"),
        region=region,
        **given,
    )
    _refuse_collisions(call, workload)
    return workload


def layer_names(call: Call, cnn: Cnn) -> tuple[str, ...]:
    """Return the names of the layers that a call asks for; where it names none, the roster's.

    Raises:
        ArgumentError: an integer counts further down than the CNN has layers.
    """
    layers = call.get("layers")
    if layers is None:
        return tuple(cnn.feature_layers)
    return tuple(counted(call, cnn, n) if isinstance(n, int) else n for n in layers)


def _taps(
    call: Call, cnns: Sequence[Cnn], pool: Pool, prefix: str, region: Region | None
) -> tuple[Tap, ...]:
    """Return the layers that a call asks for, each with the column that it becomes."""
    cnn = cnns[0]
    taps: dict[tuple[str, str], Tap] = {}
    for name in layer_names(call, cnn):
        if not prefix + name:  # the image itself has no name, and what is made of it needs one
            raise wrong("layers", LayerNames().words, name).at(call.place("layers"))
        try:
            owner, layer = _layer_beside(cnns, name) or _layer(cnn, name)
        except (ArgumentError, UnknownNameError) as error:
            raise error.at(call.place("layers")) from None
        if (owner.name, layer.name) in taps:
            other = taps[owner.name, layer.name].column.removeprefix(prefix)
            raise call.error("layers", f"layers {other!r} and {name!r} are the same layer")
        onnx_files.check_pool(call, owner, layer, pool)
        foreign = None if owner.name == cnn.name else owner
        if region is not None and region in ROI_POOLS:
            values = regions.pooled_values(call, region, owner, layer, pool)
        else:
            values = pooled_values(layer.shape, pool, layer.grid)
        taps[owner.name, layer.name] = Tap(prefix + name, layer, values, foreign)
    if len(taps) > kernels.LAYER_SLOTS[-1]:
        raise call.error("layers", f"at most {kernels.LAYER_SLOTS[-1]} layers in one TRANSFER")
    return tuple(taps.values())


def _layer_beside(cnns: Sequence[Cnn], name: str) -> tuple[Cnn, Layer] | None:
    """Return a layer `<short name>.<layer>` of a call's CNNs, with its CNN; None: it is none.

    Raises:
        UnknownNameError: the CNN has no such layer.
    """
    for cnn in cnns:
        if name.lower().startswith(f"{cnn.short_name.lower()}."):
            is_whole = len(cnns) == 1 and any(layer.name == name for layer in cnn.layers)
            return None if is_whole else (cnn, cnn.layer(name[len(cnn.short_name) + 1 :]))
    return None


def _layer(cnn: Cnn, name: str) -> tuple[Cnn, Layer]:
    """Return a layer's CNN and the layer: `fc6` of the call's CNN, `vgg16.fc6` of any, or `hog`.

    The layer "" is the image.

    Raises:
        UnknownNameError: there is no such layer.
    """
    if not name:
        return cnn, cnn.image
    try:
        return cnn, cnn.layer(name)
    except UnknownNameError:
        head, dot, tail = name.lower().partition(".")
        if not dot and head == roster.DESCRIPTOR:
            tail = head
        elif not dot or head not in (cnn.name.lower(), *roster.names(), roster.DESCRIPTOR):
            raise
    owner = cnn if head == cnn.name.lower() else roster.load(head)
    return owner, owner.layer(tail)


def counted(call: Call, cnn: Cnn, index: int) -> str:
    """Return the layer that a negative integer names, counted from the top.

    Raises:
        ArgumentError: the CNN has not so many.
    """
    n_layers = len(cnn.counted_layers)
    if not -n_layers <= index <= -1:
        raise call.error(
            "layers",
            f"layer {index} of {cnn.name}: numbers count from the top: -1 "
            f"({cnn.counted_layers[-1]}) to -{n_layers} ({cnn.counted_layers[0]})",
        )
    return cnn.counted_layers[index]


def _image_column(call: Call, images: Relation, image_key: str) -> str | None:
    """Return the image column: the one named, else the one found; None: the kernel finds it."""
    named = call.get("image")
    if named is not None:
        column = images.column(named, call, "image", "images")
        kind = (images.columns or {}).get(column, "BLOB")
        if not (image_types.holds_bytes(kind) or image_types.holds_texts(kind)):
            advice = image_types.as_blobs(kind)
            raise call.error(
                "image", f"image column {column!r} is {kind}, not BLOBs or paths{advice}"
            )
        return column
    if images.columns is None:
        return None  # the kernel finds it
    return find_image_column(images.columns, image_key, call.error)


def find_image_column(
    columns: Mapping[str, str], key: str, error: Callable[[str, str], Exception]
) -> str:
    """Return the only column of bytes, else the only VARCHAR that is not the key, else the key.

    Bytes are BLOBs, also with a path beside them (`image_types`). An ENUM is mostly a label, and
    JSON is much else: as images they are taken where the call names them.

    Args:
        columns: name → DuckDB type.
        key: the image relation's key.
        error: makes the error to raise from (argument, message).
    """
    blobs = [name for name, kind in columns.items() if image_types.holds_bytes(kind)]
    texts = [name for name, kind in columns.items() if kind == "VARCHAR"]
    candidates = blobs or [name for name in texts if name != key] or texts
    if len(candidates) == 1:
        return candidates[0]
    shown = ", ".join(candidates or columns)
    kind = "BLOB" if blobs else "VARCHAR"
    what = f"{len(candidates)} {kind} columns" if candidates else "no column of BLOBs or paths"
    raise error(
        "images", f"the image relation has {what} ({shown}): say which holds the images, image => …"
    )


def _refuse_collisions(call: Call, workload: Workload) -> None:
    narrow = {name.lower() for name in workload.narrow_columns or {}}
    if workload.format == "wide":
        _refuse_equal_columns(call, workload)
    for name in workload.added_columns:
        if name.lower() in narrow:
            raise ArgumentError(
                f"TRANSFER adds a column {name!r}, which the "
                f"{_narrow_words(call, workload)} has already; "
                "give prefix => '…' for the columns that TRANSFER adds",
                call.place("layers"),
            )


def _narrow_words(call: Call, workload: Workload) -> str:
    if workload.region is not None:
        return "relation of boxes" if call.get("structured") is None else "join with the boxes"
    return "structured relation" if workload.structured else "image relation"


def _refuse_equal_columns(call: Call, workload: Workload) -> None:
    """Check that no two columns that TRANSFER adds have one name, to a database that ignores case.

    Raises:
        ArgumentError: two layers differ by case only, or one is called as the column of reasons.
    """
    seen = {workload.error_column.lower(): "the column of reasons"}
    for tap in workload.taps:
        other = seen.get(tap.column.lower())
        if other is not None:
            raise ArgumentError(
                f"layer {tap.layer.name!r} would be called {tap.column!r}, and so is {other}: "
                "take format => 'long', where layers are rows, or leave it out of layers",
                call.place("layers"),
            )
        seen[tap.column.lower()] = f"layer {tap.layer.name!r}"


def load_cnn(call: Call) -> Cnn:
    """Return the CNN that a call's argument `cnn` names.

    Raises:
        UnknownNameError: the roster has none of that name.
        WeightsError: it is a file that cannot be read.
    """
    return named_cnn(call, call.get("cnn"))


def load_beside(call: Call) -> tuple[Cnn, ...]:
    """Return the CNNs of a call beside the one that it names.

    Raises:
        UnknownNameError, WeightsError: as `named_cnn`.
    """
    return tuple(named_cnn(call, name) for name in call.beside)


def named_cnn(call: Call, name: str) -> Cnn:
    """Return the CNN of a name in a call's argument `cnn`, or of a file that holds one.

    Raises:
        UnknownNameError: the roster has none of that name.
        WeightsError: it is a file that cannot be read.
    """
    if roster.kind_of_file(name):
        return weights.facts(name)
    try:
        return roster.load(name)
    except UnknownNameError as error:
        raise call.located(error) from None
