"""Work that is killed: a process that forks one for each piece of work it is told of.

A line of stdin, `work folder`, makes a child that does the work in the folder and notes in the file
`told` what it was told is done; its id is printed, and `ended <status>` when it has.
"""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pyarrow as pa

import vista_sql
from vista_sql.cli import app
from vista_sql.hosts.duckdb.functions import kernels

N_IMAGES = 60
N_MODELS = 4
HOG = "TRANSFER(cnn => 'hog', images => 'images', store => 'store')"
FEATURES = f"SELECT id, hog FROM {HOG} ORDER BY id"
MAPS = "SELECT id, conv2 FROM TRANSFER(cnn => 'lenet5', layers => ['conv2'], images => 'images', store => 'store') ORDER BY id"
RUN = ["run", "models", "--db", "work.duckdb"]
FILES = {
    "features": f"{{{{ config(materialized='table') }}}} {FEATURES}",
    "known": "{{ config(materialized='table') }} SELECT id, hog, id % 2 AS y FROM {{ ref('features') }}",
    "figures": "{{ config(materialized='table') }} SELECT feature_set, round(f1_score, 6) AS f1 FROM "
    "VISTA_TRAIN(model => 'm', label => 'y', max_iterations => 5, data => '{{ ref('known') }}')",
    "new": "{{ config(materialized='incremental') }} SELECT id, y FROM {{ ref('known') }} "
    "{% if is_incremental() %} WHERE id NOT IN (SELECT id FROM {{ this }}) {% endif %}",
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Make what all work needs: a database with images and their labels, and query files."""
    draws = np.random.default_rng(5)
    pictures = [
        cv2.resize(draws.integers(0, 255, (9, 9, 3), np.uint8), (90, 90)) for _ in range(N_IMAGES)
    ]
    blobs = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
    made = pa.table({"id": pa.array(range(N_IMAGES), pa.int32()), "image": blobs})
    with duckdb.connect(folder / "work.duckdb") as con:
        con.register("made", made)
        con.execute("CREATE TABLE images AS FROM made")
        con.execute(
            "CREATE TABLE labelled AS SELECT i AS id, i % 3 > 0 AS y, sin(i) AS x, "
            "[cos(i * j) FOR j IN range(40)]::FLOAT[40] AS f FROM range(120) AS t(i)"
        )
    (folder / "models").mkdir()
    for name, text in FILES.items():
        (folder / "models" / f"{name}.sql").write_text(text)


def stream() -> Iterator[object]:
    """Tell the rows whose features were returned, a few at a time."""
    with vista_sql.connect("work.duckdb") as db:
        for batch in db.query(f"SELECT id, hog FROM {HOG}").reader(4):
            yield from batch["id"].to_pylist()


def train() -> Iterator[object]:
    """Tell the names of models that were kept."""
    with vista_sql.connect("work.duckdb") as db:
        for i in range(N_MODELS):
            rows = db.query(
                f"FROM VISTA_TRAIN(model => 'm{i % 3}', label => 'y', data => 'labelled', "
                f"max_iterations => {5 + i})"
            ).fetchall()
            yield rows[0][0]


def materialize() -> Iterator[object]:
    """Tell that all raw maps are kept."""
    with vista_sql.connect("work.duckdb") as db:
        db.query(
            "FROM VISTA_MATERIALIZE(cnn => 'lenet5', layer => 'conv2', images => 'images', store => 'store')"
        ).fetchall()
        yield "conv2"


def run() -> Iterator[object]:
    """Run query files; the command's own lines tell what is there."""
    app(RUN, standalone_mode=False)
    yield "all"


def records() -> Iterator[object]:
    """Tell TFRecord files that were written, one again and again."""
    with vista_sql.connect("work.duckdb") as db:
        db.query("CREATE TEMP TABLE plain AS SELECT id, x::FLOAT AS x FROM labelled")
        for i in range(8):
            db.query(
                f"FROM VISTA_WRITE_TFRECORD(data => 'FROM plain LIMIT {50 + i}', file => 'f.tfrecord')"
            ).fetchall()
            yield i


WORK: dict[str, Callable[[], Iterator[object]]] = {
    work.__name__: work for work in (stream, train, materialize, run, records)
}


def done(work: str, folder: str) -> None:
    """Do some work in a folder."""
    os.chdir(folder)
    told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    for what in WORK[work]():
        os.write(told, f"{what}\n".encode())


if __name__ == "__main__":
    list(kernels())  # loaded once, for all children
    for line in sys.stdin:
        if not (child := os.fork()):
            code = 1
            try:
                done(*line.split())
                code = 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(child, flush=True)
        print("ended", os.waitpid(child, 0)[1], flush=True)
