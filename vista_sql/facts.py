"""What the database can tell of a workload's data before it is planned."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from vista_sql import rewrite
from vista_sql.functions import identifier
from vista_sql.plans import Plan, fused
from vista_sql.workload import Facts, Workload

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
    simple = Plan("fused", "after", fused.stages(told), 1, None, 0, 0)
    staged = rewrite.stage(told, simple, lambda _: name)
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
