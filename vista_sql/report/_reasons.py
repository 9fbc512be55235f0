"""A model's mistakes and hits → why: heat maps of their images, and what lies nearest to a miss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vista_sql import catalog, kernels, session
from vista_sql.errors import VistaError
from vista_sql.functions import transfer
from vista_sql.report._mistakes import Neighbour, Reasons
from vista_sql.report._pictures import thumbnails, transfers
from vista_sql.sql import folders, parse
from vista_sql.sql.calls import Call
from vista_sql.sql.quoting import identifier, literal, text_literal

if TYPE_CHECKING:
    import duckdb

N_NEIGHBOURS = 3
MOST_ROWS = 5_000
"""Images of a run among which neighbours are sought: of more, a page would have to wait where their
features are not in the store."""


def reasons(
    con: duckdb.DuckDBPyConnection,
    home: str,
    document: Mapping[str, Any],
    statement: str,
    keys: Sequence[str],
    misses: Sequence[str],
    n_images: int,
) -> Reasons:
    """Return heat maps of rows, and the neighbours of those that were missed.

    They are sought on a cursor, so that nothing that fails ends a transaction of the caller's.

    Args:
        con: of the database where the model was trained.
        home: the folder of models.
        document: of the model's version.
        statement: that trained it.
        keys: of the rows, as text.
        misses: those of them whose neighbours are sought.
        n_images: that the statement read.
    """
    import duckdb

    best = next((row for row in document["rows"] if row.get("is_best")), None)
    call = next(transfers(statement), None)
    if best is None or call is None or not keys:
        return Reasons()
    if len(best["layers"]) != 1:
        return Reasons(lacking=f"{best['feature_set']} does not use one layer")
    rows = _Rows(call, document)
    reference = f"{document['name']}/{best['part']}@{document['version']}"
    maps: dict[str, str] = {}
    neighbours: dict[str, list[Neighbour]] = {}
    lacking = []
    with con.cursor() as cursor:
        session.attach(cursor)
        cursor.execute("SET VARIABLE vista_home = ?", [home])
        try:
            maps = _maps(cursor, rows, reference, keys)
        except (VistaError, duckdb.Error) as error:
            lacking.append(_said(error))
        try:
            if n_images > MOST_ROWS:
                lacking.append(f"neighbours are not sought among more than {MOST_ROWS:,} images")
            elif misses:
                neighbours = _neighbours(cursor, rows, best["layers"][0][0], statement, misses)
        except (VistaError, duckdb.Error) as error:
            lacking.append(_said(error))
    return Reasons(maps, neighbours, "; ".join(dict.fromkeys(lacking)))


class _Rows:
    """The rows of a training's TRANSFER, as arguments of other functions."""

    def __init__(self, call: Call, document: Mapping[str, Any]) -> None:
        names = {argument.name for argument in transfer.ARGUMENTS}
        self._given = {k: v for k, v in call.values.items() if k in names and v is not None}
        self.label = str(document["label"])
        self.prefix = str(self._given.get("prefix", ""))
        text = str(self._given["images"])
        is_folder = folders.is_folder(text)
        usual = folders.KEY if is_folder else "id"
        key = self._given.get("key") or usual
        pair = key if isinstance(key, list) else [key]
        self.key, self._image_key = str(pair[0]), str(pair[-1])
        self._images = f"({folders.select(text)})" if is_folder else parse.clean_relation(text)
        structured = self._given.get("structured")
        self.labelled = self._images
        if structured is not None:
            self.labelled = parse.clean_relation(str(structured))

    def images(self, keys: Sequence[str]) -> str:
        """Return the images of some rows, as a relation's text."""
        return f"(SELECT * FROM {self._images} WHERE {listed(self._image_key, keys)})"

    def arguments(self, names: Sequence[str] | None = None, **others: object) -> str:
        """Return the TRANSFER's arguments of some names, or all, as a call has them; and others."""
        kept = {k: v for k, v in self._given.items() if names is None or k in names}
        given = {**kept, **others}
        return ", ".join(f"{name} => {literal(v)}" for name, v in given.items() if v is not None)


def listed(key: str, keys: Sequence[str]) -> str:
    """Return the condition that a key, as text, is one of some."""
    return f"CAST({identifier(key)} AS VARCHAR) IN ({', '.join(map(text_literal, keys))})"


def _maps(
    con: duckdb.DuckDBPyConnection, rows: _Rows, reference: str, keys: Sequence[str]
) -> dict[str, str]:
    """Return thumbnails of images with their heat maps over them, as data: URIs by key."""
    given = rows.arguments(
        ("structured", "key", "image"), model=reference, images=rows.images(keys)
    )
    small = catalog.module(kernels.PACKAGE, "images.thumbnails")
    found = con.execute(
        f"SELECT CAST({identifier(rows.key)} AS VARCHAR), picture FROM VISTA_HEATMAP({given})"
    ).fetchall()
    uris = ((key, small.of_value(picture)) for key, picture in found)
    return {key: uri for key, uri in uris if uri is not None}


def _neighbours(
    con: duckdb.DuckDBPyConnection,
    rows: _Rows,
    column: str,
    statement: str,
    misses: Sequence[str],
) -> dict[str, list[Neighbour]]:
    """Return the nearest rows of each miss, by key, the nearest first."""
    layer = column.removeprefix(rows.prefix)
    given = rows.arguments(
        None, layers=layer, queries=rows.images(misses), k=N_NEIGHBOURS + 1, on_error=None
    )
    near = con.execute(
        "SELECT CAST(id AS VARCHAR), CAST(neighbor_id AS VARCHAR), distance "
        f"FROM VISTA_NEIGHBORS({given}) WHERE id <> neighbor_id ORDER BY id, rank"
    ).fetchall()
    keys = list(dict.fromkeys(other for _, other, _ in near))
    if not keys:
        return {}
    labels = dict(
        con.execute(
            f"SELECT CAST({identifier(rows.key)} AS VARCHAR), "
            f"CAST({identifier(rows.label)} AS VARCHAR) "
            f"FROM {rows.labelled} WHERE {listed(rows.key, keys)}"
        ).fetchall()
    )
    pictures, _ = thumbnails(con, statement, keys)
    found: defaultdict[str, list[Neighbour]] = defaultdict(list)
    for key, other, distance in near:
        if len(found[key]) < N_NEIGHBOURS:
            found[key].append(Neighbour(other, labels.get(other), distance, pictures.get(other)))
    return dict(found)


def _said(error: Exception) -> str:
    return str(error).splitlines()[0]
