"""Time Spark on one machine against a single process there: `python benchmarks/bench_spark.py`.

Contestants, in interleaved rounds, over the same Parquet file of JPEGs: `single` is a statement of
TRANSFER in this process (DuckDB), `spark` the same on `local[cores]`, `script` what one writes by
hand there, `mapInArrow` with Pillow and Keras's `predict`. Images per second are of the steady
state: a run is timed on few and on more images, and what is the same in both (planning, starting a
job) is not in the difference. Beside them images per second of processor, of all processes of a
contestant, which other work on the machine hardly touches. No hint is given. Weights are random:
cost, not quality.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from machine import cores
from photos import photos
from rounds import compete, serve, spread
from spark_session import cpu_seconds, session

CNNS = ("mobilenetv2", "resnet50", "vgg16")
KERAS = {"mobilenetv2": "MobileNetV2", "resnet50": "ResNet50", "vgg16": "VGG16"}
PREDICT_ROWS = 32  # Keras's own


def prepare(given: argparse.Namespace) -> Callable[[str], Callable[[], list[float]]]:
    def contestant(name: str) -> Callable[[], list[float]]:
        run = {"single": single, "spark": spark, "script": script}[name](given)
        runs = [0]

        def timed(n_images: int) -> tuple[float, float]:
            runs[0] += 1  # the bytes differ from run to run: nothing is remembered
            begun, spent = time.perf_counter(), cpu_seconds()
            assert run(n_images, str(runs[0])) == n_images
            return time.perf_counter() - begun, cpu_seconds() - spent

        def rates() -> list[float]:
            few, more = timed(given.few), timed(given.images)
            return [(given.images - given.few) / (b - a) for a, b in zip(few, more, strict=True)]

        return rates

    return contestant


def features(cnn: str, images: str) -> str:
    return (
        f"SELECT * FROM TRANSFER(cnn => '{cnn}', images => \"{images}\", store => false, "
        "weights => 'random')"
    )


def single(given: argparse.Namespace) -> Callable[[int, str], int]:
    import vista_sql

    db = vista_sql.connect()

    def run(n_images: int, number: str) -> int:
        images = f"SELECT id, image || $${number}$$::BLOB AS image FROM '{given.file}'"
        statement = features(given.cnn, f"{images} WHERE id < {n_images}").replace('"', "$_$")
        return sum(batch.num_rows for batch in db.query(statement))

    return run


def spark(given: argparse.Namespace) -> Callable[[int, str], int]:
    import vista_sql

    db = vista_sql.spark(session(given.master))
    db.spark.read.parquet(given.file).createOrReplaceTempView("files")

    def run(n_images: int, number: str) -> int:
        images = f"SELECT id, concat(image, binary('{number}')) AS image FROM files"
        return written(db.query(features(given.cnn, f"{images} WHERE id < {n_images}")))

    return run


def written(frame: Any) -> int:
    """Compute all columns of a DataFrame, as a statement that writes does, and return its rows."""
    from pyspark.sql import Observation
    from pyspark.sql.functions import count, lit

    seen = Observation()
    frame.observe(seen, count(lit(1)).alias("n")).write.format("noop").mode("overwrite").save()
    return int(seen.get["n"])


def script(given: argparse.Namespace) -> Callable[[int, str], int]:
    spark, network = session(given.master), KERAS[given.cnn]

    def predicted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import io

        import keras
        import numpy as np
        from PIL import Image

        model = getattr(keras.applications, network)(weights=None, include_top=False, pooling="avg")
        for batch in batches:
            images = [
                np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224)))
                for data in batch.column("image").to_pylist()
            ]
            vectors = model.predict(np.stack(images).astype("float32"), verbose=0)
            values = pa.array(list(vectors), pa.list_(pa.float32()))
            yield pa.RecordBatch.from_arrays([batch.column("id"), values], ["id", "features"])

    def run(n_images: int, number: str) -> int:
        rows = spark.read.parquet(given.file).where(f"id < {n_images}").repartition(cores())
        return written(rows.mapInArrow(predicted, "id bigint, features array<float>"))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="mobilenetv2", choices=CNNS)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--few", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--master", default=f"local[{cores()}]")
    parser.add_argument("--only", choices=("single", "spark", "script"), nargs="+")
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smoke:
        given.few, given.images, given.rounds = 16, 64, 1
    if given.serve:
        serve(prepare(given), given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="vista-bench-") as folder:
        file = str(Path(folder, "images.parquet"))
        pq.write_table(pa.table({"id": range(given.images), "image": photos(given.images)}), file)
        arguments = [given.cnn, "--images", str(given.images), "--few", str(given.few)]
        arguments += ["--master", given.master, "--file", file]
        names = given.only or ["single", "spark", "script"]
        found = compete(__file__, names, arguments, given.rounds, lambda: None)
    report(given, found)


def report(given: argparse.Namespace, found: dict[str, Any]) -> None:
    print(f"{given.cnn}, {given.master}, {given.few} → {given.images} JPEGs, {given.rounds} rounds")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {cores()} cores")
    for name, rates in found.items():
        seconds, processor = zip(*rates, strict=True)
        print(f"  {name:8}{spread(list(seconds)):>24} images/s{spread(list(processor)):>24} a core")
    for name in found.keys() - {"single"} if "single" in found else ():
        for place, what in enumerate(("images/s", "images/s of processor")):
            pairs = zip(found[name], found["single"], strict=True)
            shares = [mine[place] / alone[place] for mine, alone in pairs]
            print(f"  {name} ÷ single, {what}: {spread(shares)}, median {median(shares):.2f}")


if __name__ == "__main__":
    main()
