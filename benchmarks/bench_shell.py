"""Time what the duckdb shell adds: `python benchmarks/bench_shell.py`.

Bytes across the socket both ways, with a worker that computes nothing, and 1,000 images through
ResNet50's avg_pool in the shell beside the same through `query()`, each warm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from photos import photos

import vista_sql
from vista_sql.hosts.shell import binary, build, columns, init, places, server
from vista_sql.machine.resources import own_version

VALUES = 2048  # of one row's features: ResNet50's avg_pool
IMAGE_BYTES = 100_000


class Idle:
    """Returns features that are there already, and takes images without a look."""

    def __init__(self) -> None:
        matrix = np.random.default_rng(7).random((2048, VALUES), np.float32)
        self.kind = columns.declared("{l1=[10;error=17;}")
        self.values = pa.array(matrix.reshape(-1))

    def call(self, request: server.Request) -> tuple[pa.Array, pa.DataType]:
        rows = request.rows
        if request.function == "vista_error":
            return pa.nulls(rows, pa.large_string()), pa.large_string()
        offsets = pa.array(np.arange(rows + 1, dtype=np.int64) * VALUES)
        lists = pa.LargeListArray.from_arrays(offsets, self.values[: rows * VALUES])
        return pa.StructArray.from_arrays(
            [lists, pa.nulls(rows, pa.string())], ["l1", "error"]
        ), self.kind

    def close(self) -> None:
        pass


def shell(*statements: str, database: str = ":memory:") -> list[float]:
    """Run statements in one shell and return the seconds of each, as it tells."""
    read = f".read '{init.written(build.built())}'"
    text = "\n".join([".timer on", *(f"{statement};" for statement in statements)])
    done = subprocess.run(
        [binary.find(), "-unsigned", "-cmd", read, database],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    if done.stderr:
        raise RuntimeError(done.stderr)
    marks = [line for line in done.stdout.splitlines() if line.startswith("Run Time")]
    return [float(mark.partition("real ")[2].split()[0]) for mark in marks]


def crossing(rows: int, rounds: int) -> dict[str, float]:
    """Return GB/s of features into the shell and of images out of it."""
    serving = server.Server(places.socket_path(), lambda *_: Idle(), own_version(), 1e6)
    threading.Thread(target=serving.serve, daemon=True).start()
    image = f"repeat('x', {IMAGE_BYTES})::BLOB AS image"
    table = f"CREATE TABLE i AS SELECT {image} FROM range({rows // 10})"
    features = f"SELECT sum(vista_infer_1('s', range, '').l1[1]) FROM range({rows})"
    images = "SELECT count(vista_error('s', image, '')) FROM i"
    seconds = shell(table, *[features] * rounds, *[images] * rounds)[1:]
    serving.stop()
    return {
        "features into the shell, GB/s": rows * VALUES * 4 / median(seconds[:rounds]) / 1e9,
        "images to the worker, GB/s": rows // 10 * IMAGE_BYTES / median(seconds[rounds:]) / 1e9,
    }


def beside_query(
    n_images: int, rounds: int, cnn: str, layer: str, folder: Path
) -> dict[str, float]:
    """Return seconds of one statement in the shell and in Python, interleaved."""
    path = str(folder / "photos.duckdb")
    with vista_sql.connect(path) as db:
        rows = pa.table({"id": range(n_images), "image": photos(n_images)})
        db.con.register("rows", rows)
        db.con.execute("CREATE TABLE images AS SELECT id, image::BLOB AS image FROM rows")
    weights = "" if cnn == "lenet5" else ", weights => 'random'"

    def statement(marker: str) -> str:
        """Return a statement over images whose bytes no earlier one has seen."""
        images = f"(SELECT id, image || ''{marker}''::BLOB AS image FROM images)"
        call = f"TRANSFER(cnn => '{cnn}', layers => ['{layer}'], images => '{images}'{weights})"
        return f"SELECT sum({layer}[1]) AS total FROM {call}"

    here, there = [], []
    for n in range(rounds + 1):
        there.append(shell(statement(f"a{n}"), statement(f"b{n}"), database=path)[-1])
        with vista_sql.connect(path) as db:
            begun = time.perf_counter()
            db.query(statement(f"c{n}")).arrow()
            here.append(time.perf_counter() - begun)
    return {
        "query(), s": median(here[1:]),
        "shell, s": median(there[1:]),
        "shell / query()": median(there[1:]) / median(here[1:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="little data, once")
    smoke = parser.parse_args().smoke
    folder = Path(tempfile.mkdtemp(prefix="vista", dir="/tmp"))
    os.environ |= {"XDG_RUNTIME_DIR": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    os.environ |= {"VISTA_SQL_STORE": "false"}  # else all rounds but the first only read it
    try:
        found: dict[str, Any] = crossing(20_000 if smoke else 400_000, 1 if smoke else 5)
        cnn, layer, n = ("lenet5", "fc6", 100) if smoke else ("resnet50", "avg_pool", 1000)
        found |= beside_query(n, 1 if smoke else 3, cnn, layer, folder)
    finally:
        subprocess.run([sys.executable, "-m", "vista_sql", "worker", "--stop"], check=False)
        shutil.rmtree(folder)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
