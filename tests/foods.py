"""A small database of foods and their images, as awkward as real ones, for tests of statements."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest

import vista_sql

IMAGES = (  # (key, what is shown): keys repeat and are NULL, one image is broken, one is NULL
    *((key, key) for key in range(4)),
    (4, "broken"),
    (5, 5),
    (6, 6),
    (7, 7),
    (7, 77),
    (None, 9),
    (8, None),
    (9, 2),  # the same image as that of key 2
)

TABLES = """
CREATE TABLE foods AS SELECT * FROM (VALUES
  (0, 1.5, 'apple', true, DATE '2024-01-01', [1, 2], {'a': 1, 'b': 'x'}, 'c1'),
  (1, 2.5, 'bread', false, DATE '2024-02-01', [2], {'a': 2, 'b': 'y'}, 'c2'),
  (2, 2.5, NULL, true, DATE '2024-03-01', [], {'a': 3, 'b': 'z'}, 'c1'),
  (3, NULL, 'dates', NULL, DATE '2024-04-01', [4, 5], NULL, 'c2'),
  (4, 4.0, 'Egg', false, NULL, NULL, {'a': 5, 'b': NULL}, NULL),
  (5, -5.0, 'fig%', true, DATE '2024-06-01', [1], {'a': 6, 'b': 'x'}, 'c1'),
  (7, 7.0, 'g''rape', true, DATE '2024-07-01', [7, 1], {'a': 7, 'b': 'x'}, 'c3'),
  (7, 7.5, 'ham', false, DATE '2024-08-01', [7], {'a': 8, 'b': 'w'}, 'c3'),
  (8, 8.0, 'ice', true, DATE '2024-09-01', [8], {'a': 9, 'b': 'x'}, 'c1'),
  (9, 9.0, 'jam', false, DATE '2024-10-01', [9], {'a': 10, 'b': 'x'}, 'c2'),
  (NULL, 10.0, 'kiwi', true, DATE '2024-11-01', [10], {'a': 11, 'b': 'x'}, 'c1'),
  (42, 11.0, 'leek', true, DATE '2024-12-01', [11], {'a': 12, 'b': 'x'}, 'c1')
) AS v(id, price, name, "Is Healthy", made, tags, meta, cat);
CREATE TABLE other AS SELECT * FROM (VALUES
  (0, 'zero', 100.0, 'x'), (1, 'one', 1.0, 'y'), (1, 'uno', 2.5, 'y'), (3, 'three', NULL, NULL),
  (7, 'seven', 7.0, 'z'), (NULL, 'none', 0.0, 'n'), (99, 'far', 9.0, 'q')
) AS v(id, label, price, f6);
CREATE TABLE cats AS
  SELECT * FROM (VALUES ('c1', 'fruit'), ('c2', 'bakery'), ('c9', 'none')) AS v(cat, title);
CREATE MACRO total(x) AS sum(x);
CREATE MACRO many(x) AS unnest(x);
"""

CALL = (
    "TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], structured => 'foods', "
    "join_type => 'left')"
)
"""The call whose result the fixture `foods_db` keeps as the table `transfer`."""

LEFTOVERS = """
SELECT view_name FROM duckdb_views() WHERE view_name LIKE '%vista%'
UNION ALL SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%vista%'
"""
"""What a statement of ours left on a connection; nothing, it is hoped."""


@cache
def picture(seed: int) -> bytes:
    """Return a PNG file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 20), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def fill(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables `foods`, `images`, `other`, `cats`, two macros like functions."""
    blobs = [
        picture(shown) if isinstance(shown, int) else shown and shown.encode()
        for _, shown in IMAGES
    ]
    rows = pa.table({"id": pa.array([key for key, _ in IMAGES], pa.int32()), "image": blobs})
    con.register("rows_of_images", rows)
    con.execute(f"CREATE TABLE images AS FROM rows_of_images; {TABLES}")
    con.unregister("rows_of_images")


def connect() -> vista_sql.Session:
    """Return a session on a fresh database in memory with the tables."""
    db = vista_sql.connect()
    fill(db.con)
    return db


def texts(rows: list[tuple[Any, ...]]) -> list[str]:
    """Return rows as texts; floats are shown to the last bit."""
    return [_text(row) for row in rows]


def sorted_rows(rows: list[tuple[Any, ...]]) -> list[str]:
    """Return rows as texts, sorted."""
    return sorted(texts(rows))


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_text(v)}' for k, v in value.items())}}}"
    return value.hex() if isinstance(value, float) else repr(value)


@contextmanager
def arrays_in_outer_joins() -> Iterator[None]:
    """Skip where DuckDB 2.0.0 misreads an ARRAY in an outer join (docs/sql_hosts.md)."""
    try:
        yield
    except duckdb.ConversionException as error:
        if "Cannot cast list with length" not in str(error):
            raise
        pytest.skip("DuckDB 2.0.0 misread an ARRAY column in an outer join")


def leftovers(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return what statements of ours left on a connection."""
    if con.execute(LEFTOVERS).fetchall():
        gc.collect()  # a result that an earlier test dropped half-read lets go of its rows
    return [row[0] for row in con.execute(LEFTOVERS).fetchall()]
