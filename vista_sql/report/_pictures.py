"""The images that a run read → thumbnails, where they can be read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vista_sql import catalog, kernels
from vista_sql.errors import QueryError
from vista_sql.planning import workload
from vista_sql.sql import folders, parse
from vista_sql.sql.calls import Call
from vista_sql.sql.quoting import identifier, text_literal

if TYPE_CHECKING:
    import duckdb


def thumbnails(
    con: duckdb.DuckDBPyConnection, statement: str, keys: Sequence[str]
) -> tuple[dict[str, str], str]:
    """Return thumbnails of the images that a statement's TRANSFER read.

    Args:
        con: of the database where the statement ran.
        statement: it.
        keys: of the images, as text.

    Returns:
        key → data: URI of those that can be read; and why there are others, "" where there are
        none.
    """
    import duckdb

    if not keys:
        return {}, ""
    calls = list(transfers(statement))
    if not calls:
        return {}, "the statement names no images that can be found again"
    small = catalog.module(kernels.PACKAGE, "images.thumbnails")
    found: dict[str, str] = {}
    try:
        for call in calls:
            for key, value in _images(con, call, keys):
                uri = small.of_value(value)
                if uri is not None:
                    found.setdefault(key, uri)
    except (QueryError, duckdb.Error) as error:
        return found, str(error).splitlines()[0]
    lacking = len(set(keys) - found.keys())
    return found, f"{lacking} cannot be read any more" if lacking else ""


def transfers(statement: str) -> Iterator[Call]:
    """Yield a statement's TRANSFERs that name their images, those in the text of `data` too."""
    try:
        calls = [found.call for one in parse.parse(statement) for found in one.calls]
        for call in calls:
            data = call.values.get("data")
            if isinstance(call.values.get("images"), str):
                yield call
            elif isinstance(data, str) and parse.mentions(data):
                cleaned = parse.clean_relation(data)
                if cleaned.startswith("("):
                    yield from transfers(cleaned[1:-1])
    except QueryError:
        return


def _images(
    con: duckdb.DuckDBPyConnection, call: Call, keys: Sequence[str]
) -> Iterator[tuple[str, bytes | str | None]]:
    """Yield the keys, as text, and the images (BLOBs or paths) that a TRANSFER has of some keys.

    Raises:
        QueryError: its relation has no image column.
        duckdb.Error: its relation is not there.
    """
    text, image = str(call.values["images"]), call.values.get("image")
    if folders.is_folder(text):
        relation, usual_key, image = f"({folders.select(text)})", folders.KEY, folders.IMAGE
    else:
        relation, usual_key = parse.clean_relation(text), "id"
    key = call.values.get("key") or usual_key
    key = str(key[-1] if isinstance(key, list) else key)
    if image is None:
        columns = {
            str(name): str(kind)
            for name, kind, *_ in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        }
        image = workload.find_image_column(columns, key, lambda _, why: QueryError(why))
    listed = ", ".join(map(text_literal, keys))
    shown = f"CAST({identifier(key)} AS VARCHAR)"
    yield from con.execute(
        f"SELECT {shown}, {identifier(str(image))} FROM {relation} WHERE {shown} IN ({listed})"
    ).fetchall()
