"""Statements over a few images with a store of their own, and what the kernels count in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import duckdb
import numpy as np
import pyarrow as pa

import vista_sql
from vista_sql import Session
from vista_sql.hosts.duckdb.process import process

N = 60


def png(seed: int) -> bytes:
    """Return a PNG file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@contextmanager
def images_db(folder: Path, host: str) -> Iterator[Session]:
    """Yield a session on N images, its store in `folder`; its `run` runs a statement in one way.

    Args:
        folder: for the store.
        host: 'query' or 'attach'.
    """
    with duckdb.connect() as con:
        con.execute(f"SET VARIABLE vista_store = '{folder / 'store'}'")
        rows = pa.table({"id": range(N), "image": [png(i) for i in range(N)]})
        con.register("rows_of_images", rows)
        con.execute("CREATE TABLE images AS FROM rows_of_images")
        session = vista_sql.Session(con, own=False)
        session.run = session.query if host == "query" else con.sql
        yield session


class Count:
    """What the kernels count in statements that start from nothing in memory."""

    def __init__(self, db: Session) -> None:
        self.db, self.runtime, self.totals = db, process().runtime, {}

    def __call__(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows, sorted."""
        self.forget()
        self.totals.clear()
        counted = self.runtime.count

        def counting(run: str, **amounts: float) -> None:
            for name, amount in amounts.items():
                self.totals[name] = self.totals.get(name, 0) + amount
            counted(run, **amounts)

        self.runtime.count = counting
        try:
            found = self.db.run(statement).fetchall()
        finally:
            del self.runtime.count
        return sorted(found, key=lambda row: str(row[0]))

    def forget(self) -> None:
        self.runtime.sharing.__init__()
        self.runtime._outcomes.clear()

    def __getattr__(self, name: str) -> int:
        return int(self.totals.get(name, 0))


def statement(layers: str = "'c5', 'f6'", **arguments: str) -> str:
    """Return a statement that asks LeNet-5 for layers of all images."""
    shown = "".join(f", {name} => {value}" for name, value in arguments.items())
    call = f"TRANSFER(cnn => 'lenet5', layers => [{layers}]{shown})"
    return f"SELECT id, * EXCLUDE (id, error), error FROM {call}"
