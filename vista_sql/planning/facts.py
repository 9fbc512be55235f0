"""Workload + database → the facts of its data: rows, distinct images, what is worth to cut, stored.

The store is asked which layers it has anything of; only then some images are read and looked up.
They are those with the smallest hashes of their keys: any share of the rows is hit alike, and the
same data gives the same answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from vista_sql import catalog, kernels, roster, weights
from vista_sql.errors import QueryError, StoreError, VistaError
from vista_sql.kernels import AtHand
from vista_sql.planning import image_types, prefixes
from vista_sql.planning.database import Database
from vista_sql.planning.rows import Identifiers, joined_rows, reads_images
from vista_sql.planning.workload import Facts, StoredShare, Workload
from vista_sql.sql import parse, steady
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.needs import Needs
from vista_sql.sql.semi_joins import ROW
from vista_sql.store import Space, Store, device_class, space

EXACT_BYTES = 64 * 2**20
"""The most bytes of images that are read to tell equal ones: a tenth of a second, or less."""

SAMPLE_IMAGES = 64
"""Images that stand for all: of 64, an image's share of the rows is told to within some 6 % (its
standard deviation); DuckDB reads a vector of at most 2,048 rows to give their sizes."""


def known(workload: Workload, database: Database, names: Identifiers) -> Workload:
    """Return a workload with the facts of its data, where the statement uses any layer.

    Args:
        workload: its needs are the statement's.
        database: is asked.
        names: identifiers that no user's name equals, in the database's dialect.

    Raises:
        QueryError: counting fails, in the database's words.
    """
    if not workload.used_taps:
        return workload
    facts = gather(workload, database, names)
    if facts.rows is not None:
        seen = at_hand(workload, database, names)
        if facts.image_bytes is None:
            facts = replace(facts, image_bytes=seen.image_bytes)
        facts = replace(
            facts, decoding_bytes=seen.decoding_bytes, prepared_share=seen.prepared_share
        )
        facts = replace(facts, stored=stored_shares(workload, database, names))
    if workload.base is not None:  # of all images, as far as is known before they are read
        maps = frozenset({workload.base.layer.name})
        facts = replace(facts, stored=(StoredShare(frozenset(), maps, 1.0),))
    return replace(workload, facts=facts, prefixes=prefixes.found(workload))


def gather(workload: Workload, database: Database, names: Identifiers) -> Facts:
    """Return the facts of a workload's data, as its needs leave them.

    Rows are counted upon keys alone. Equal images are told by their paths, or by a hash of their
    bytes where all have `EXACT_BYTES` or less; else each row of the image relation is taken for an
    image of its own, and `exact` is False.

    Example: paths are compared as text, and one path stands in two rows
        >>> from vista_sql.planning.database import Unseen
        >>> class Counting(Unseen):
        ...     def counts(self, query):
        ...         print(query)
        ...         return (3.0, None, None) if "count(*) FROM photos" in query else (3.0, 3.0, 2.0)
        >>> from vista_sql.planning.workload import Relation, bind, load_cnn
        >>> from vista_sql.sql.calls import Call
        >>> call = Call("transfer", {"cnn": "lenet5", "layers": ["f6"]}, {})
        >>> photos = Relation("photos", {"id": "INTEGER", "path": "VARCHAR"})
        >>> workload = bind(call, load_cnn(call), photos, None, seed=0, device="auto")
        >>> gather(workload, Counting(), Identifiers("__v_")).distinct_images
        SELECT (SELECT count(*) FROM photos), NULL, (SELECT avg(strlen(image)) FROM (SELECT "path" \
AS image FROM photos LIMIT 64))
        SELECT count(*), count(__v_image), count(DISTINCT hash(__v_image)) FROM (
        SELECT "images =>"."id", "images =>"."id" AS __v_key, "images =>"."path" AS __v_image
        FROM photos AS "images =>"
        )
        2
    """
    image = workload.image_column
    if image is None or workload.images.columns is None or _is_computed(workload):
        return Facts()
    kind = workload.images.columns[image]
    image_rows, keys, image_bytes = database.counts(f"SELECT {_sides(workload, kind, names)}")
    blobs, is_inline = image_types.holds_bytes(kind), False
    if not blobs and image_bytes is not None:  # the mean letters of texts
        blobs = is_inline = image_bytes > image_types.LONGEST_PATH
        image_bytes = image_types.BASE64_BYTES * image_bytes if is_inline else None
    exact = not blobs or (image_bytes or 0.0) * (image_rows or 0) <= EXACT_BYTES
    exact = exact and workload.region is None  # a key stands for its image: of each, many rows
    compared = workload if exact else _with_keys(workload)
    shown = "0, 0"
    if reads_images(workload):
        shown = f"count({names.image}), count(DISTINCT {names.hash_of_image})"
    counted = database.counts(f"SELECT count(*), {shown} FROM (\n{joined_rows(compared, names)}\n)")
    rows, images, distinct = (int(value or 0) for value in counted)
    if not exact and workload.structured is None:
        images = distinct = rows
    elif workload.region == "crop":
        distinct = images  # each is an image of its own
    elif not exact and keys is not None:
        distinct = min(images, round(distinct * (image_rows or 0) / max(keys or 0, 1)))
    return Facts(
        rows=rows,
        images=images,
        distinct_images=distinct,
        exact=exact,
        image_bytes=None if image_bytes is None else float(image_bytes),
        is_inline=is_inline,
        image_rows=None if image_rows is None else int(image_rows),
    )


def _with_keys(workload: Workload) -> Workload:
    """Return a workload whose images are their keys: no image is read to tell rows apart."""
    return replace(workload, image_column=workload.image_key, reason_column=None)


def _is_computed(workload: Workload) -> bool:
    """Return whether a relation is itself inferred: to count its rows could cost what they do."""
    relations = (workload.images, workload.structured)
    return any(relation is not None and relation.is_computed for relation in relations)


def _sides(workload: Workload, kind: str, names: Identifiers) -> str:
    """Return the select list of: image rows; of bytes also distinct keys; mean size of some."""
    images = workload.images.text
    key, image = (
        names.dialect.identifier(workload.image_key),
        names.dialect.identifier(workload.image_column or ""),
    )
    some = f"(SELECT {image} AS image FROM {images} LIMIT {SAMPLE_IMAGES})"
    size = image_types.size_of("image", kind, names.dialect.text_bytes)
    holds_bytes = image_types.holds_bytes(kind)
    return ", ".join([
        f"(SELECT count(*) FROM {images})",
        f"(SELECT count(DISTINCT {key}) FROM {images})" if holds_bytes else "NULL",
        f"(SELECT avg({size}) FROM {some})" if size else "NULL",
    ])  # fmt: skip


# ── semi-joins ──────────────────────────────────────────────────────────────────────────────────

_CHOOSES = re.compile(r"LIMIT|TOP_N|SAMPLE|WINDOW")
"""Operators that may choose other rows next time."""

_SAME = ("count", "min(", "max(", "bool_", "first(")
"""Aggregates that do not depend on the order of rows; `first` is DuckDB's own, of one row."""

_ONCE = "PYTHON_ARROW_SCAN"
"""Reads an Arrow table; or a reader, which can be read once, and is estimated at one row."""

ROWS_PER_SECOND = 1e7
"""Rows that DuckDB's operators pass on, one after another; stated, on the slow side."""

FLOPS_PER_SECOND, SECONDS_PER_IMAGE = 1e11, 5e-4
"""How fast images are inferred and decoded at best; stated, on the fast side."""

SMALL_SECONDS, DEAR_SHARE = 0.02, 0.1
"""A sub-query is dear that takes longer, and more than this share of what inference takes."""


def worthwhile(workload: Workload, database: Database, dialect: Dialect = DUCKDB) -> Needs:
    """Return a workload's needs with the semi-joins that cut rows and cost little, and reasons.

    A semi-join is evaluated below inference and, as the join or condition it comes from, above it.
    Where a LIMIT or a rank relies on them all stay, or none does.

    Args:
        workload: its columns are known; its needs are all that may run below inference.
        database: is asked for plans and counts.
        dialect: of its texts.
    """
    needs = workload.needs
    if not needs.semi_joins:
        return needs
    none = replace(needs, semi_joins=(), limit=None, order=(), qualify=None)
    if not reads_images(workload):
        return none
    steady, reasons = _steady(workload, database, dialect)
    if needs.limit is not None or needs.qualify is not None:
        if len(steady) == len(needs.semi_joins):
            return needs
        needs = none
    relation = workload.structured or workload.images
    if not steady or relation.is_computed:
        return replace(needs, semi_joins=steady, cuts=reasons)
    cutting, counts = _cutting(workload, steady, database)
    return replace(needs, semi_joins=cutting, cuts=(*reasons, *counts))


def _steady(
    workload: Workload, database: Database, dialect: Dialect
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the semi-joins that give equal rows each time, cheaply; and why the others do not."""
    narrow = workload.narrow_columns or {}
    null_row = ", ".join(
        f"unnest(CAST([NULL] AS {kind}[])) AS {dialect.identifier(name)}"
        for name, kind in narrow.items()
    )
    dear_seconds = _dear_seconds(workload, database)
    steady, reasons = [], []
    for text in workload.needs.semi_joins:
        try:
            plan = json.loads(database.plan(f"SELECT ({text}) FROM (SELECT {null_row}) AS {ROW}"))
        except QueryError:
            continue  # a column's type has no NULL list, say: it stays above
        operators = list(_operators(plan))
        passed = sum(rows for _, _, rows in operators)
        varies = any(_varies(*operator) for operator in operators)
        if varies or _reads_varying(text, database.views(), dialect):
            reasons.append(f"not {text}: it may give other rows when it is evaluated again")
        elif passed / ROWS_PER_SECOND > dear_seconds:
            reasons.append(f"not {text}: it passes about {passed:,} rows, dear beside inference")
        else:
            steady.append(text)
    return tuple(steady), tuple(reasons)


def _dear_seconds(workload: Workload, database: Database) -> float:
    """Return from how many seconds on a sub-query is dear beside the inference that it may cut."""
    relation = workload.structured or workload.images
    if relation.is_computed:
        return SMALL_SECONDS
    (rows,) = database.counts(f"SELECT count(*) FROM {relation.text} WHERE {_where(workload)}")
    flops = max((tap.layer.flops for tap in workload.used_taps), default=0)
    seconds = (rows or 0) * (flops / FLOPS_PER_SECOND + SECONDS_PER_IMAGE)
    return max(SMALL_SECONDS, DEAR_SHARE * seconds)


def _where(workload: Workload) -> str:
    """Return the plain conditions of a workload as one."""
    return " AND ".join(f"({text})" for text in workload.needs.predicates) or "true"


def _cutting(
    workload: Workload, steady: tuple[str, ...], database: Database
) -> tuple[tuple[str, ...], list[str]]:
    """Count what each semi-join keeps: those that cut, and a sentence about each."""
    relation = workload.structured or workload.images
    shown = ", ".join(f"({text}) AS kept_{i}" for i, text in enumerate(steady))
    counted = ", ".join(f"count_if(kept_{i})" for i in range(len(steady)))
    rows, *left = database.counts(
        f"SELECT count(*), {counted} FROM "
        f"(SELECT {shown} FROM {relation.text} AS {ROW} WHERE {_where(workload)})"
    )
    cutting, sentences = [], []
    for text, n in zip(steady, left, strict=True):
        if (n or 0) < (rows or 0):
            cutting.append(text)
            sentences.append(f"{text}: keeps {n or 0:,} of {rows:,} rows")
        else:
            sentences.append(f"not {text}: it keeps all {rows:,} rows")
    return tuple(cutting), sentences


def _varies(name: str, said: Mapping[str, Any], rows: int) -> bool:
    """Return whether an operator may give other rows next time, or infers, or reads only once."""
    aggregates = said.get("Aggregates") or []
    listed = [aggregates] if isinstance(aggregates, str) else aggregates
    return (
        bool(_CHOOSES.search(name))
        or "__vista_" in str(said)
        or not all(text.startswith(_SAME) for text in listed)
        or (name == _ONCE and rows <= 1)
    )


def _reads_varying(text: str, views: Mapping[str, str], dialect: Dialect) -> bool:
    """Return whether a view that a text reads has functions that are not known to be the same."""
    seen: set[str] = set()
    found = parse.identifiers(text, dialect) & views.keys()
    while found:
        if not all(steady.steady_view(views[name], dialect) for name in found):
            return True
        seen |= found
        read = (parse.identifiers(views[name], dialect) for name in found)
        found = (set().union(*read) & views.keys()) - seen
    return False


def _operators(plan: Any) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Yield (name, what it says, rows estimated) of each operator of a plan."""
    for node in plan if isinstance(plan, list) else [plan]:
        said = node.get("extra_info", {})
        estimated = str(said.get("Estimated Cardinality", "0"))
        yield node["name"], said, int(estimated) if estimated.isdigit() else 0
        yield from _operators(node.get("children", []))


# ── the feature store ───────────────────────────────────────────────────────────────────────────


def stored_shares(
    workload: Workload, database: Database, names: Identifiers
) -> tuple[StoredShare, ...]:
    """Return what the store holds of the images; () where nothing, or nothing is known."""
    if not workload.store.folder or workload.image_column is None or not workload.used_taps:
        return ()
    if workload.region == "crop":  # by digests of their own
        return ()
    store = Store(workload.store.folder, workload.store.limit_bytes)
    try:
        features, maps = _spaces(workload, {held.space for held in store.held()})
    except (StoreError, VistaError):
        return ()
    if not features and not maps:
        return ()
    digests = database.image_digests(_sample(workload, names), workload.schemes)
    found: Counter[tuple[frozenset[str], frozenset[str]]] = Counter()
    with store.reading() as reading:
        if reading is None or not digests:
            return ()
        for one in digests:
            layers = frozenset(n for n, there in features.items() if reading.has(there, one))
            bases = frozenset(n for n, there in maps.items() if reading.has(there, one))
            found[layers, bases] += 1
    return tuple(
        StoredShare(layers, bases, n / len(digests))
        for (layers, bases), n in sorted(found.items(), key=lambda item: (-item[1], str(item[0])))
    )


def at_hand(workload: Workload, database: Database, names: Identifiers) -> AtHand:
    """Return what is known of some images."""
    column = workload.image_column or ""
    kind = (workload.images.columns or {}).get(column, "")
    if names.dialect is not DUCKDB or kind == '"NULL"':  # slices are DuckDB's
        return AtHand()
    some = (
        f"(SELECT {names.dialect.identifier(column)} AS image FROM {workload.images.text} "
        f"LIMIT {SAMPLE_IMAGES})"
    )
    query = f"SELECT {image_types.beginnings('image', kind)} FROM {some}"
    return database.images_at_hand(query, workload.schemes)


def _spaces(workload: Workload, held: set[Space]) -> tuple[dict[str, Space], dict[str, Space]]:
    """Return the spaces of used layers' features, and of raw maps, that hold anything."""
    cnn = workload.cnn
    if not held or cnn.name == roster.DESCRIPTOR or not prefixes.are_here(workload, cnn):
        return {}, {}
    cnn = replace(cnn, preprocessing=workload.preprocessing_of(cnn))
    choice = weights.resolve(cnn, workload.weights, workload.seed)
    engine = workload.engine.name
    device = device_class(workload.device, engine)
    computed = catalog.module(kernels.PACKAGE, "network.computations").computations
    known = computed(cnn, choice, engine)

    def of(layer: str, pool: str) -> Space:
        return space(
            cnn,
            choice.identity,
            layer,
            pool,
            workload.dtype,
            device=device,
            engine=engine,
            computation="" if known is None else known.of(layer),
        )

    used = [tap.layer for tap in workload.used_taps if tap.cnn is None]
    features = {layer.name: of(layer.name, workload.kept_pool) for layer in used}
    maps = {}
    if used and any(_is_raw_beside(one, of(used[0].name, "none")) for one in held):
        starts = [x for x in cnn.layers if any(cnn.determines(x, layer) for layer in used)]
        maps = {layer.name: of(layer.name, "none") for layer in starts}
    return (
        {layer: there for layer, there in features.items() if there in held},
        {layer: there for layer, there in maps.items() if there in held},
    )


def _is_raw_beside(one: Space, other: Space) -> bool:
    """Return whether a space is of raw maps that are made as another's, but for the computation."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("pool", "dtype", "preprocessing", "made_by")
    )


def _sample(workload: Workload, names: Identifiers) -> str:
    """Return the SELECT of some images of the rows that are to be inferred."""
    keys = _with_keys(workload)
    image, key = (
        names.dialect.identifier(workload.image_column or ""),
        names.dialect.identifier(workload.image_key),
    )
    chosen = (
        f"SELECT {names.image} FROM (\n{joined_rows(keys, names)}\n) "
        f"ORDER BY {names.hash_of_image} LIMIT {SAMPLE_IMAGES}"
    )
    return (
        f"SELECT {image} FROM {workload.images.text} WHERE {key} IN (\n{chosen}\n) "
        f"LIMIT {2 * SAMPLE_IMAGES}"
    )
