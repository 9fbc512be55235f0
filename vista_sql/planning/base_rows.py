"""Narrow rows → the same with the raw maps of a base table; and the rows that such a one keeps."""

from __future__ import annotations

from vista_sql.planning.rows import Identifiers, indent
from vista_sql.planning.workload import BaseTable, Workload

DIGEST, MAP, ROWS, MADE_BY = "digest", "raw_map", "n_rows", "made_by"
"""The columns of a base table: SHA-256 of an image's bytes in hexadecimal digits, little-endian
float32 row-major, how many rows showed the image, and what the map was made by, as JSON."""


def with_maps(rows: str, workload: Workload, base: BaseTable, names: Identifiers) -> str:
    """Return the SELECT of narrow rows with the raw maps of their images; NULL: there is none.

    Args:
        rows: the SELECT of the narrow rows.
        workload: whose they are.
        base: the table; where it has an image twice, one of the rows is taken.
        names: of the generated columns.
    """
    quoted, maps = names.dialect.identifier, f"{names.map}s"
    of_base = (
        f"SELECT {DIGEST}, any_value({MAP}) AS {names.map}\n"
        f"FROM {base.text} AS {quoted('base =>')}\n"
        f"WHERE {MADE_BY} = {names.dialect.text(base.made_by)}\n"
        f"GROUP BY {DIGEST}"
    )
    return (
        f"SELECT {names.joined}.*, {maps}.{names.map}\n"
        f"FROM (\n{indent(rows)}\n) AS {names.joined}\n"
        f"LEFT JOIN (\n{indent(of_base)}\n) AS {maps}\n"
        f"  ON {_digest(workload, names)} = {maps}.{DIGEST}"
    )


def distinct_images(rows: str, workload: Workload, names: Identifiers) -> str:
    """Return the SELECT of narrow rows of distinct images: digest as key, image, count of rows.

    Args:
        rows: the SELECT of the narrow rows.
        workload: whose they are.
        names: of the generated columns.
    """
    image = _image(workload, names)
    return (
        f"SELECT sha2({image}, 256) AS {names.key}, any_value({names.image}) AS {names.image}, "
        f"count(*) AS {names.count}\n"
        f"FROM (\n{indent(rows)}\n) AS {names.joined}\n"
        f"WHERE {image} IS NOT NULL\nGROUP BY sha2({image}, 256)"
    )


def _digest(workload: Workload, names: Identifiers) -> str:
    """Return the digest of the image of a narrow row, as an expression."""
    return f"sha2({_image(workload, names)}, 256)"


def _image(workload: Workload, names: Identifiers) -> str:
    return names.image if workload.reason_column is None else f"{names.image}.image"
