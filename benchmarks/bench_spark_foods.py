"""Time the Vista paper's Foods job on Spark: `python benchmarks/bench_spark_foods.py`.

Images and a table of 130 columns, five layers of ResNet50, a logistic regression on each (elastic
net, .01 and .5, ten iterations). The paper has 20,129 of them; `--images` says how many.
Contestants are whole jobs on `local[cores]`, in interleaved rounds, one after the other: `ours` is
one statement without hints. `naive` is the same with the choices of the paper's Naive: a pass of
the network for each layer, a shuffled join, rows kept deserialized. `script` is what one writes by
hand with these choices: `mapInArrow` with Keras, image by image, a layer at a time, pooled to
2 × 2, and MLlib.

`--within 5g` runs each contestant on a `local-cluster` of one executor in a memory control group of
that size, as yarn and Kubernetes hold an executor to its memory, and tells who finishes: the group
holds the driver and the executor (a heap of 1 GB each) and the Python workers. It needs Linux's
control groups of version 1, and root. Weights are random: cost, not quality.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import cores
from photos import photos
from rounds import compete, serve, spread
from spark_session import cpu_seconds, session

from vista_sql.hosts.spark.cluster import size

COLUMNS = 129  # and the label
LAYERS = {
    "resnet50": (
        *("conv4_block6_out", "conv5_block1_out", "conv5_block2_out"),
        *("conv5_block3_out", "avg_pool"),
    ),
    "vgg16": ("fc1", "fc2", "predictions"),
    "mobilenetv2": ("block_13_expand_relu", "out_relu"),
}
KERAS = {"resnet50": "ResNet50", "vgg16": "VGG16", "mobilenetv2": "MobileNetV2"}
NAIVE = ", plan => 'lazy', join => 'shuffle', pers => 'deserialized'"
FAILED = -1.0


def tables(folder: str, n_images: int) -> None:
    """Write the images and the structured rows."""
    rng = np.random.default_rng(0)
    made = {f"c{i}": rng.standard_normal(n_images).astype("float32") for i in range(COLUMNS)}
    label = (made["c0"] + rng.standard_normal(n_images) > 0).tolist()
    ids = list(range(n_images))
    pq.write_table(pa.table({"id": ids, "plants": label} | made), f"{folder}/foods.parquet")
    pq.write_table(pa.table({"id": ids, "image": photos(n_images)}), f"{folder}/images.parquet")


def prepare(given: argparse.Namespace) -> Callable[[str], Callable[[], list[float]]]:
    def contestant(name: str) -> Callable[[], list[float]]:
        held = {"spark.driver.memory": "1g", "spark.executor.memory": "1g"}
        if given.within:
            confine(name, size(given.within))
        spark = session(given.master, **(held if given.within else {}))
        for table in ("foods", "images"):
            spark.read.parquet(f"{given.folder}/{table}.parquet").createOrReplaceTempView(table)
        job = by_hand if name == "script" else in_sql
        hints = NAIVE if name == "naive" else ""
        runs = [0]

        def run() -> list[float]:
            runs[0] += 1  # the bytes differ from run to run: nothing is remembered
            spark.sql(
                f"SELECT id, concat(image, binary('{name}{runs[0]}')) AS image "
                f"FROM parquet.`{given.folder}/images.parquet`"
            ).createOrReplaceTempView("images")
            begun, spent = time.perf_counter(), cpu_seconds()
            try:
                n_models = job(spark, given, hints)
            except Exception as error:
                if not given.within:
                    raise
                Path(given.folder, f"{name}.txt").write_text(str(error))
                return [FAILED, FAILED]
            assert n_models == len(LAYERS[given.cnn]) + 1
            return [time.perf_counter() - begun, cpu_seconds() - spent]

        return run

    return contestant


def confine(name: str, most_bytes: int) -> None:
    """Put this process, and what it starts, into a memory control group."""
    group = Path(f"/sys/fs/cgroup/memory/vista-bench-{name}-{os.getpid()}")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(most_bytes))
    (group / "cgroup.procs").write_text(str(os.getpid()))


def in_sql(spark: Any, given: argparse.Namespace, hints: str) -> int:
    """Train in one statement; return how many models there are."""
    import vista_sql

    db = vista_sql.spark(spark)
    spark.conf.set("spark.vista.home", f"{given.folder}/home")
    layers = ", ".join(f"'{layer}'" for layer in LAYERS[given.cnn])
    found = db.query(
        f"SELECT feature_set FROM VISTA_TRAIN(model => 'plants', label => 'plants', seed => 1, "
        f'reg => 0.01, l1_ratio => 0.5, max_iterations => 10, data => "SELECT * FROM '
        f"TRANSFER(cnn => '{given.cnn}', layers => array({layers}), images => 'images', "
        f"structured => 'foods', weights => 'random'{hints})\")"
    )
    return len(found.collect())


def by_hand(spark: Any, given: argparse.Namespace, hints: str) -> int:
    """Train with Keras, a pass for each layer, and MLlib; return how many models there are."""
    from pyspark import StorageLevel
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.functions import array_to_vector

    foods = spark.table("foods").selectExpr("*", "int(plants) AS label")
    columns = [f"c{i}" for i in range(COLUMNS)]
    n_models = 0
    for layer in (None, *LAYERS[given.cnn]):
        rows, inputs = foods, list(columns)
        if layer is not None:
            looked = spark.table("images").repartition(cores())
            infer = one_layer(KERAS[given.cnn], layer)
            seen = looked.mapInArrow(infer, "id bigint, features array<float>")
            rows = foods.join(seen.hint("shuffle_hash"), "id")
            rows = rows.withColumn("vector", array_to_vector("features")).drop("features")
            inputs.append("vector")
        rows = VectorAssembler(inputCols=inputs, outputCol="features").transform(rows)
        rows = rows.select("label", "features").persist(StorageLevel.MEMORY_AND_DISK_DESER)
        LogisticRegression(regParam=0.01, elasticNetParam=0.5, maxIter=10).fit(rows)
        rows.unpersist()
        n_models += 1
    return n_models


def one_layer(network: str, layer: str) -> Callable[[Iterator[pa.RecordBatch]], Any]:
    def inferred(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import io

        import keras
        import numpy as np
        from PIL import Image

        whole = getattr(keras.applications, network)(weights=None)
        model = keras.Model(whole.input, whole.get_layer(layer).output)
        for batch in batches:
            vectors = []
            for data in batch.column("image").to_pylist():
                image = Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224))
                found = np.asarray(model(np.asarray(image, "float32")[None], training=False))[0]
                if found.ndim == 3:
                    half = (found.shape[0] + 1) // 2
                    parts = (slice(0, half), slice(found.shape[0] - half, None))
                    found = np.concatenate([found[r, c].max((0, 1)) for r in parts for c in parts])
                vectors.append(found.ravel())
            values = pa.array(vectors, pa.list_(pa.float32()))
            yield pa.RecordBatch.from_arrays([batch.column("id"), values], ["id", "features"])

    return inferred


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="resnet50", choices=sorted(LAYERS))
    parser.add_argument("--images", type=int, default=512, help="the paper has 20129")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--within", metavar="SIZE", help="of memory, for all processes")
    parser.add_argument("--only", choices=("ours", "naive", "script"), nargs="+")
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--master", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smoke:
        given.cnn, given.images, given.rounds = "mobilenetv2", 32, 1
    given.master = given.master or (
        f"local-cluster[1,{cores()},2048]" if given.within else f"local[{cores()}]"
    )
    if given.serve:
        serve(prepare(given), given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="vista-bench-") as folder:
        tables(folder, given.images)
        arguments = [given.cnn, "--images", str(given.images), "--master", given.master]
        arguments += ["--folder", folder]
        arguments += ["--within", given.within] if given.within else []
        names = given.only or ["ours", "naive", "script"]
        found = compete(__file__, names, arguments, 1 if given.within else given.rounds, _nothing)
        print(
            f"{given.cnn}, {len(LAYERS[given.cnn])} layers, {given.images} images, {given.master}"
        )
        for name, seconds in found.items():
            wall, processor = map(list, zip(*seconds, strict=True))
            if FAILED in wall:
                why = Path(folder, f"{name}.txt").read_text().strip()
                print(f"  {name:8} FAILED within {given.within}: {_last(why)}")
                continue
            against = zip(
                processor, (spent for _, spent in found.get("ours", seconds)), strict=True
            )
            ratio = spread([mine / ours for mine, ours in against])
            print(
                f"  {name:8}{spread(wall):>24} s {spread(processor):>24} s of processor, × {ratio}"
            )


def _nothing() -> None:
    return None


def _last(said: str) -> str:
    """Return what says most in an error of Spark's."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "exited" in line or "memory" in line]
    return (telling or lines or ["no reason"])[-1][:300]


if __name__ == "__main__":
    main()
