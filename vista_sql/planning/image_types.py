"""The DuckDB type of an image column → what the planner does with it: pure text."""

from __future__ import annotations

import re

_PAIR = re.compile(
    r"""STRUCT\("?bytes"? (BLOB|"NULL"), "?path"? (VARCHAR|"NULL")\)"""
    r"""|STRUCT\("?path"? (VARCHAR|"NULL"), "?bytes"? (BLOB|"NULL")\)""",
    re.IGNORECASE,
)

LONGEST_PATH = 4096
"""Letters of a text: beyond, it is no path but an image itself, in base64."""

BASE64_BYTES = 0.75  # of an image for each letter of its text


def holds_bytes(kind: str) -> bool:
    """Return whether a DuckDB type is of images' bytes: BLOB, or Hugging Face's with a path.

    Example:
        >>> holds_bytes('STRUCT(bytes BLOB, "path" VARCHAR)'), holds_bytes("VARCHAR")
        (True, False)
    """
    return kind == "BLOB" or bool(_PAIR.fullmatch(kind))


def holds_texts(kind: str) -> bool:
    """Return whether a DuckDB type is of texts that can name images, or of NULLs alone."""
    return kind in ("VARCHAR", "JSON", '"NULL"') or kind.startswith("ENUM(")


def as_blobs(kind: str) -> str:
    """Return how a column that is not taken becomes one of BLOBs; "": it does not."""
    if kind != "UTINYINT[]":
        return ""
    return (
        ": give it as unhex(list_aggregate(list_transform(…, lambda b: format('{:02x}', b)), "
        "'string_agg', '')), if these are the bytes of files"
    )


def size_of(column: str, kind: str) -> str | None:
    """Return the bytes or letters of an image column's value as an expression; None: it has none.

    Example:
        >>> size_of("image", "STRUCT(bytes BLOB, path VARCHAR)"), size_of("image", "VARCHAR")
        ('octet_length(image.bytes)', 'strlen(image)')
    """
    if kind == "BLOB":
        return f"octet_length({column})"
    if "BLOB" in kind and holds_bytes(kind):
        return f"octet_length({column}.bytes)"
    return f"strlen({column})" if kind in ("VARCHAR", "JSON") else None
