"""The DuckDB type of an image column → what the planner does with it: pure text."""

from __future__ import annotations

import re

from vista_sql.kernels import BYTES_OF_A_LIST

_PAIR = re.compile(
    r"""STRUCT\("?bytes"? (BLOB|"NULL"), "?path"? (VARCHAR|"NULL")\)"""
    r"""|STRUCT\("?path"? (VARCHAR|"NULL"), "?bytes"? (BLOB|"NULL")\)""",
    re.IGNORECASE,
)

LONGEST_PATH = 4096
"""Letters of a text: beyond, it is no path but an image itself, in base64."""

HEAD_BYTES = 1 << 18
"""Of an image, those in which its header lies."""

HEAD_LETTERS = HEAD_BYTES // 3 * 4

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
    return f": give it as {BYTES_OF_A_LIST}, if these are the bytes of files"


def size_of(column: str, kind: str, text_bytes: str = "strlen") -> str | None:
    """Return the bytes or letters of an image column's value as an expression; None: it has none.

    Example:
        >>> size_of("image", "STRUCT(bytes BLOB, path VARCHAR)"), size_of("image", "VARCHAR")
        ('octet_length(image.bytes)', 'strlen(image)')
    """
    if _has_blobs(kind):
        return f"octet_length({_bytes(column, kind)})"
    return f"{text_bytes}({column})" if kind in ("VARCHAR", "JSON") else None


def beginnings(column: str, kind: str) -> str:
    """Return the select list of: an image's bytes, its first ones, and its text or path.

    Example:
        >>> beginnings("image", "BLOB")
        'octet_length(image), image[1:262144], NULL'
    """
    text = {"BLOB": "NULL", "VARCHAR": f"{column}[1:{HEAD_LETTERS}]"}.get(kind)
    if text is None:
        part = f"{column}.path" if holds_bytes(kind) else column
        text = f"CAST({part} AS VARCHAR)[1:{HEAD_LETTERS}]"
    if not _has_blobs(kind):
        return f"NULL, NULL, {text}"
    data = _bytes(column, kind)
    return f"octet_length({data}), {data}[1:{HEAD_BYTES}], {text}"


def _has_blobs(kind: str) -> bool:
    return "BLOB" in kind and holds_bytes(kind)


def _bytes(column: str, kind: str) -> str:
    return column if kind == "BLOB" else f"{column}.bytes"
