"""Time images to features from SQL against inference alone: `python benchmarks/bench_pipeline.py`.

Contestants, in interleaved rounds: `infer` runs the network on pixels in memory, `decode` the
decoder on JPEG bytes, and `sql` a statement of TRANSFER over a DuckDB table of the same JPEGs,
without hints, the features of all default layers read as Arrow. On the same cores it is not faster
than 1 / (1 / infer + 1 / decode). Weights are random: cost, not quality.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from machine import cores
from photos import photos
from rounds import compete, serve, spread

from vista_sql import roster

CONTESTANTS = ("infer", "decode", "sql")


def prepare(
    cnn: str, n_images: int, dtype: str, engine: str | None
) -> Callable[[str], Callable[[], float]]:
    def contestant(name: str) -> Callable[[], float]:
        run = {"infer": infer, "decode": decode, "sql": sql}[name](cnn, n_images, dtype, engine)

        def timed() -> float:
            begun = time.perf_counter()
            run()
            return time.perf_counter() - begun

        return timed

    return contestant


def infer(cnn: str, n_images: int, dtype: str, engine: str | None) -> Callable[[], object]:
    from vista_sql.hosts.duckdb.process import process
    from vista_sql.hosts.engines import here
    from vista_sql.kernels import InferSpec
    from vista_sql.planning.engines import choose
    from vista_sql.settings import Settings

    engine = engine or choose(Settings().value("engine"), here(), dtype).name
    facts = roster.load(cnn)
    names = tuple(dict.fromkeys(map(facts.canonical, facts.feature_layers)))
    spec = InferSpec(cnn, names, weights="random", dtype=dtype, engine=engine)
    network = process().runtime.network(spec)
    pixels = np.random.default_rng(0).integers(0, 256, (n_images, *facts.input_shape), np.uint8)

    def run() -> None:
        for first in range(0, n_images, network.batch_rows):
            network.features(names, "max2x2", pixels[first : first + network.batch_rows])

    return run


def decode(cnn: str, n_images: int, dtype: str, engine: str | None) -> Callable[[], object]:
    from vista_sql import catalog

    decoder = catalog.module("vista_sql.udfs", "images.decoding")
    images, pool = photos(n_images), ThreadPoolExecutor(cores())
    shape = roster.load(cnn).input_shape

    def run() -> None:
        out = np.empty((n_images, *shape), np.uint8)
        list(pool.map(lambda i: decoder.decode(images[i], "rgb", out[i]), range(n_images)))

    return run


def sql(cnn: str, n_images: int, dtype: str, engine: str | None) -> Callable[[], object]:
    import pyarrow as pa

    import vista_sql

    db = vista_sql.connect()
    db.con.register("made", pa.table({"id": range(n_images), "image": photos(n_images)}))
    db.con.execute("CREATE TABLE images AS SELECT * FROM made")
    db.con.unregister("made")
    runs = [0]

    asked = f", engine => '{engine}'" if engine else ""

    def run() -> int:
        runs[0] += 1  # the bytes differ from run to run: nothing is remembered from the one before
        images = f"(SELECT id, image || ''{runs[0]}''::BLOB AS image FROM images)"
        statement = (
            f"SELECT * FROM TRANSFER(cnn => '{cnn}', images => '{images}', store => false, "
            f"weights => 'random', dtype => '{dtype}'{asked})"
        )
        errors = rows = 0
        for batch in db.query(statement):
            rows += batch.num_rows
            errors += batch.num_rows - batch.column("error").null_count
        assert (rows, errors) == (n_images, 0)
        return rows

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="resnet50", choices=roster.names())
    parser.add_argument("--images", type=int, default=128, help="in a round")
    parser.add_argument("--engine", choices=("tensorflow", "openvino"))
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    n_images = given.images
    if given.smoke:
        given.cnn, n_images, given.rounds = "alexnet", 64, 1
    if given.serve:
        serve(prepare(given.cnn, n_images, given.dtype, given.engine), given.serve)
        return
    arguments = [given.cnn, "--images", str(n_images), "--dtype", given.dtype]
    arguments += ["--engine", given.engine] if given.engine else []
    seconds = compete(__file__, list(CONTESTANTS), arguments, given.rounds, lambda: None)
    engine = given.engine or "engine by default"
    print(f"{given.cnn} {given.dtype}, {engine}, {n_images} JPEGs a round")
    for name, found in seconds.items():
        print(f"  {name:8}{spread([n_images / s for s in found]):>24} images/s")
    rounds = zip(seconds["infer"], seconds["decode"], seconds["sql"], strict=True)
    shares = [(i / s, (i + d) / s) for i, d, s in rounds]
    print(f"  of pure inference: {spread([share for share, _ in shares])}")
    print(f"  of the bound:      {spread([share for _, share in shares])}")


if __name__ == "__main__":
    main()
