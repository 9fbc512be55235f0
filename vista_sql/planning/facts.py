"""What the database can tell of a workload's data before it is planned; what it is worth to cut."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from vista_sql.errors import QueryError
from vista_sql.planning import rewrite
from vista_sql.planning.workload import Facts, Workload
from vista_sql.sql import parse
from vista_sql.sql.needs import Needs
from vista_sql.sql.quoting import identifier
from vista_sql.sql.semi_joins import ROW
from vista_sql.sql.steady import steady_view

EXACT_BYTES = 64 * 2**20
"""The most bytes of images that are read to tell equal ones: a tenth of a second, or less."""

SAMPLE_ROWS = 64
"""Images whose sizes stand for all; DuckDB reads a vector of at most 2,048 to give them."""

_KERNEL = re.compile(r"(?<![\w])vista_\w+\(")

Counts = Callable[[str], tuple[float | None, ...]]
"""A SELECT of one row of numbers → the row."""


def gather(workload: Workload, name: str, counts: Counts) -> Facts:
    """Return the facts of a workload's data, as its needs leave them.

    Rows are counted upon keys alone. Equal images are told by their paths, or by a hash of their
    bytes where all have `EXACT_BYTES` or less; else each row of the image relation is taken for an
    image of its own, and `exact` is False.

    Args:
        workload: columns known.
        name: an identifier that no user's name equals; generated ones begin with it.
        counts: asks the database.
    """
    image = workload.image_column
    if image is None or workload.images.columns is None or _infers(workload):
        return Facts()
    blobs = workload.images.columns[image] == "BLOB"
    sides = counts(f"SELECT {_sides(workload, blobs)}")
    image_rows, keys, image_bytes, structured_rows = map(_number, sides)
    exact = not blobs or (image_bytes or 0.0) * (image_rows or 0) <= EXACT_BYTES
    told = workload if exact else replace(workload, image_column=workload.image_key)
    staged = rewrite.narrow(told, name)
    shown = "0, 0"
    if staged.image_name in staged.rows:
        column = staged.image_name
        shown = f"count({column}), count(DISTINCT hash({column}))"
    found = counts(f"SELECT count(*), {shown} FROM (\n{staged.rows}\n)")
    rows, images, distinct = (int(value or 0) for value in found)
    if not exact and workload.structured is None:
        images = distinct = rows
    elif not exact:
        distinct = min(images, round(distinct * (image_rows or 0) / max(keys or 0, 1)))
    return Facts(
        rows=rows,
        images=images,
        distinct_images=distinct,
        exact=exact,
        image_bytes=image_bytes,
        image_rows=None if image_rows is None else int(image_rows),
        structured_rows=None if structured_rows is None else int(structured_rows),
    )


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


def worthwhile(
    workload: Workload,
    counts: Counts,
    plan: Callable[[str], str],
    views: Callable[[], Mapping[str, str]],
) -> Needs:
    """Return a workload's needs with only those semi-joins that cut rows and cost little.

    Each is evaluated below inference and, as the join or condition it comes from, above it. Where a
    LIMIT or a rank relies on them all stay.

    Args:
        workload: columns known; its needs are all that may run below.
        counts: asks the database.
        plan: returns DuckDB's physical plan of a query, as JSON.
        views: returns the definitions of views by name, in lower case.
    """
    needs, relation = workload.needs, workload.structured or workload.images
    if not needs.semi_joins:
        return needs
    none = replace(needs, semi_joins=(), limit=None, order=(), qualify=None)
    if not rewrite.reads_images(workload):
        return none
    narrow = workload.narrow_columns or {}
    a_row = ", ".join(
        f"unnest(CAST([NULL] AS {t}[])) AS {identifier(n)}" for n, t in narrow.items()
    )
    held = " AND ".join(f"({text})" for text in needs.predicates) or "true"
    dear = SMALL_SECONDS
    if not _KERNEL.search(relation.text):
        (rows,) = counts(f"SELECT count(*) FROM {relation.text} WHERE {held}")
        flops = max((tap.layer.flops for tap in workload.used_taps), default=0)
        seconds = (rows or 0) * (flops / FLOPS_PER_SECOND + SECONDS_PER_IMAGE)
        dear = max(dear, DEAR_SHARE * seconds)
    kept, told = [], []
    for text in needs.semi_joins:
        try:
            planned = json.loads(plan(f"SELECT ({text}) FROM (SELECT {a_row}) AS {ROW}"))
        except QueryError:
            continue
        operators = list(_operators(planned))
        passed = sum(rows for _, _, rows in operators)
        if any(_varies(*operator) for operator in operators) or _reads_varying(text, views()):
            told.append(f"not {text}: it may give other rows when it is evaluated again")
        elif passed / ROWS_PER_SECOND > dear:
            told.append(f"not {text}: it passes about {passed:,} rows, dear beside inference")
        else:
            kept.append(text)
    if needs.limit is not None or needs.qualify is not None:
        if len(kept) == len(needs.semi_joins):
            return needs
        needs = none
    if not kept or _KERNEL.search(relation.text):
        return replace(needs, semi_joins=tuple(kept), cuts=tuple(told))
    shown = ", ".join(f"({text}) AS kept_{i}" for i, text in enumerate(kept))
    counted = ", ".join(f"count_if(kept_{i})" for i in range(len(kept)))
    rows, *left = counts(
        f"SELECT count(*), {counted} FROM "
        f"(SELECT {shown} FROM {relation.text} AS {ROW} WHERE {held})"
    )
    cutting = []
    for text, n in zip(kept, left, strict=True):
        if (n or 0) < (rows or 0):
            cutting.append(text)
            told.append(f"{text}: keeps {n or 0:,} of {rows:,} rows")
        else:
            told.append(f"not {text}: it keeps all {rows:,} rows")
    return replace(needs, semi_joins=tuple(cutting), cuts=tuple(told))


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


def _reads_varying(text: str, views: Mapping[str, str]) -> bool:
    """Return whether a view that a text reads has functions that are not known to be the same."""
    seen: set[str] = set()
    found = parse.identifiers(text) & views.keys()
    while found:
        if not all(steady_view(views[name]) for name in found):
            return True
        seen |= found
        read = (parse.identifiers(views[name]) for name in found)
        found = (set().union(*read) & views.keys()) - seen
    return False


def _operators(plan: Any) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Yield (name, what it says, rows estimated) of each operator of a plan."""
    for node in plan if isinstance(plan, list) else [plan]:
        said = node.get("extra_info", {})
        estimated = str(said.get("Estimated Cardinality", "0"))
        yield node["name"], said, int(estimated) if estimated.isdigit() else 0
        yield from _operators(node.get("children", []))


def _infers(workload: Workload) -> bool:
    """Return whether a relation is itself inferred: to count its rows could cost what they do."""
    relations = (workload.images, workload.structured)
    return any(relation and _KERNEL.search(relation.text) for relation in relations)


def _sides(workload: Workload, blobs: bool) -> str:
    """Return the select list of: image rows, their distinct keys, mean bytes, structured rows."""
    images, structured = workload.images.text, workload.structured
    key, image = identifier(workload.image_key), identifier(workload.image_column or "")
    some = f"(SELECT {image} AS image FROM {images} LIMIT {SAMPLE_ROWS})"
    return ", ".join([
        f"(SELECT count(*) FROM {images})",
        f"(SELECT count(DISTINCT {key}) FROM {images})",
        f"(SELECT avg(octet_length(image)) FROM {some})" if blobs else "NULL",
        f"(SELECT count(*) FROM {structured.text})" if structured else "NULL",
    ])  # fmt: skip


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
