"""Time the paper's main job on Spark three ways: `python benchmarks/bench_spark_foods.py`.

Foods as the paper has them, generated: pictures, 129 structured columns and a binary label. For
each layer of a CNN a regression is trained on it and on the structured columns (reg 0.01, l1_ratio
0.5, 10 iterations). Contestants, in interleaved rounds on one machine:

    vista    one statement of VISTA_COMPARE, no hint
    naive    the paper's baseline by our hints: each layer by a statement of its own, from the
             image, after a shuffled join, a worker a core, deserialized, partitions of 100 rows
             (Spark's default of 200, of the paper's 20,129 rows); MLlib
    script   what one writes by hand, a layer at a time: mapInArrow with Keras's `predict`; MLlib

Wall and processor seconds are of the whole job. `--memory 6GiB` asks who finishes instead: each
contestant once, on a cluster of one executor of all cores with a heap of 1 GB, whose processes
together get that much and no more, as in a container; where a plan does not fit, the planner says
so before anything runs. Weights are random: cost, not quality.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa
from machine import cores
from rounds import compete, serve, spread
from spark_session import cpu_seconds, session

from vista_sql import datasets
from vista_sql.units import parse_bytes

sys.path.append(str(Path(__file__).parent / "peers"))

LAYERS = {
    "alexnet": ("conv5", "fc6", "fc7", "fc8"),
    "vgg16": ("fc6", "fc7", "fc8"),
    "resnet50": ("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool"),
}
"""The paper's; in place of ResNet50's classifier stands what is below it."""

NAMES = ("vista", "naive", "script")
REG, L1_RATIO, ITERATIONS = 0.01, 0.5, 10
TRAINED = (
    f"reg => {REG}, l1_ratio => {L1_RATIO}, max_iterations => {ITERATIONS}, baselines => array(), "
    "label => 'plant_based', structured => 'foods', store => false, weights => 'random'"
)
PARTITION_ROWS = 100  # of Naive
PREDICT_ROWS = 32  # Keras's own
SMALL_HEAP = "1g"
TOLD = "told.txt"  # what ended a contestant, in its folder


def prepare(given: argparse.Namespace) -> Callable[[str], Callable[[], list[float]]]:
    def contestant(name: str) -> Callable[[], list[float]]:
        spark = opened(given)
        run = {"vista": vista, "naive": naive, "script": script}[name](given, spark)
        runs = [0]

        def timed() -> list[float]:
            runs[0] += 1  # the bytes differ from run to run: nothing is remembered
            begun, spent = time.perf_counter(), cpu_seconds()
            n_models = run(f"SELECT id, concat(image, binary('{runs[0]}')) AS image FROM files")
            assert n_models == len(LAYERS[given.cnn]), n_models
            return [time.perf_counter() - begun, cpu_seconds() - spent]

        return timed

    return contestant


def opened(given: argparse.Namespace) -> Any:
    heap = {"spark.driver.memory": SMALL_HEAP} if "cluster" in given.master else {}
    spark = session(given.master, **heap)
    spark.conf.set("spark.vista.home", given.folder)
    spark.read.parquet(f"{given.folder}/images.parquet").createOrReplaceTempView("files")
    spark.read.parquet(f"{given.folder}/foods.parquet").createOrReplaceTempView("foods")
    return spark


def vista(given: argparse.Namespace, spark: Any) -> Callable[[str], int]:
    import vista_sql

    db, layers = vista_sql.spark(spark), ", ".join(f"'{name}'" for name in LAYERS[given.cnn])

    def run(images: str) -> int:
        call = f"cnn => '{given.cnn}', layers => array({layers}), images => \"{images}\", {TRAINED}"
        return len(db.query(f"SELECT f1_score FROM VISTA_COMPARE({call})").collect())

    return run


def naive(given: argparse.Namespace, spark: Any) -> Callable[[str], int]:
    import vista_sql

    db = vista_sql.spark(spark)
    partitions = max(cores(), -(-given.images // PARTITION_ROWS))
    hints = (
        "plan => 'lazy', placement => 'after', join => 'shuffle', pers => 'deserialized', "
        f"np => {partitions}, cpu => {cores()}, trainer => 'mllib'"
    )

    def run(images: str) -> int:
        return sum(
            len(
                db.query(
                    f"SELECT f1_score FROM VISTA_TRAIN(model => 'naive', cnn => '{given.cnn}', "
                    f"layers => array('{layer}'), images => \"{images}\", {hints}, {TRAINED})"
                ).collect()
            )
            for layer in LAYERS[given.cnn]
        )

    return run


def script(given: argparse.Namespace, spark: Any) -> Callable[[str], int]:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    foods = spark.table("foods")
    columns = [name for name in foods.columns if name not in ("id", "plant_based")]
    schema = "id bigint, layer array<float>"
    regression = LogisticRegression(
        regParam=REG, elasticNetParam=L1_RATIO, maxIter=ITERATIONS, labelCol="label"
    )
    f1 = MulticlassClassificationEvaluator(metricName="fMeasureByLabel", metricLabel=1.0)

    def run(images: str) -> int:
        scores = []
        for layer in LAYERS[given.cnn]:
            rows = spark.sql(images).repartition(cores())
            rows = rows.mapInArrow(predicted(given.cnn, layer), schema).join(foods, "id")
            rows = rows.withColumn("label", F.col("plant_based").cast("double"))
            rows = rows.withColumn("vector", array_to_vector("layer"))
            rows = VectorAssembler(inputCols=[*columns, "vector"], outputCol="features").transform(
                rows
            )
            rows = rows.withColumn("is_test", F.pmod(F.xxhash64("id"), F.lit(5)) == 0).persist()
            model = regression.fit(rows.where("NOT is_test"))
            scores.append(f1.evaluate(model.transform(rows.where("is_test"))))
            rows.unpersist()
        return len(scores)

    return run


def predicted(cnn: str, layer: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[Any]]:
    """Return what the script's workers run: pictures → one layer, maps as 2 × 2 maxima."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import io

        import keras
        import numpy as np
        from PIL import Image

        from vista_sql import roster, weights

        facts = roster.load(cnn)
        network = weights.load_network(facts, weights.resolve(facts, "random"))
        output = network.get_layer(facts.canonical(layer)).output
        if len(output.shape) == 4:
            side = output.shape[1]
            output = keras.layers.MaxPooling2D((side + 1) // 2, side // 2)(output)
        model = keras.Model(network.inputs, keras.layers.Flatten(name="flat_features")(output))
        height, width, _ = facts.input_shape
        for batch in batches:
            for start in range(0, len(batch), PREDICT_ROWS):
                part = batch.slice(start, PREDICT_ROWS)
                pixels = np.stack(
                    [
                        np.asarray(
                            Image.open(io.BytesIO(data)).convert("RGB").resize((width, height))
                        )
                        for data in part.column("image").to_pylist()
                    ]
                )
                vectors = model.predict(pixels.astype("float32"), verbose=0)
                values = pa.array(list(vectors), pa.list_(pa.float32()))
                ids = part.column("id").cast(pa.int64())
                yield pa.RecordBatch.from_arrays([ids, values], ["id", "layer"])

    return run


def write_foods(folder: str, n_images: int) -> None:
    file = datasets.foods(folder, rows=n_images)
    with duckdb.connect(str(file), read_only=True) as con:
        con.sql(f"COPY (FROM food_images) TO '{folder}/images.parquet'")
        con.sql(f"COPY (FROM foods) TO '{folder}/foods.parquet'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="alexnet", choices=tuple(LAYERS))
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--master", default=f"local[{cores()}]")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES))
    parser.add_argument("--memory", help="who finishes in so much, once each; '6GiB'")
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smoke:
        given.images, given.rounds = 48, 1
    if given.serve:
        serve(prepare(given), given.serve)
        return
    if given.once:
        try:
            print(prepare(given)(given.once)())
        except Exception as error:
            Path(TOLD).write_text(f"{type(error).__name__}: {error}")
            raise
        return
    with tempfile.TemporaryDirectory(prefix="vista-bench-") as folder:
        write_foods(folder, given.images)
        arguments = [given.cnn, "--folder", folder, "--images", str(given.images)]
        print(f"{given.cnn}, {given.images} images, {len(LAYERS[given.cnn])} layers")
        if given.memory:
            finished(given, [*arguments, "--master", f"local-cluster[1,{cores()},1024]"])
            return
        arguments += ["--master", given.master]
        found = compete(__file__, given.only, arguments, given.rounds, lambda: None)
    report(given, found)


def report(given: argparse.Namespace, found: dict[str, Any]) -> None:
    print(
        f"{given.master}, {given.rounds} rounds; load: {os.getloadavg()[0]:.1f} on {cores()} cores"
    )
    for name, taken in found.items():
        wall, processor = zip(*taken, strict=True)
        print(f"  {name:8}{spread(list(wall)):>24} s{spread(list(processor)):>24} s of processor")
    for name in found.keys() - {"vista"} if "vista" in found else ():
        for place, what in enumerate(("wall", "processor")):
            pairs = zip(found[name], found["vista"], strict=True)
            ratios = [theirs[place] / ours[place] for theirs, ours in pairs]
            print(f"  {name} ÷ vista, {what}: {spread(ratios)}, median {median(ratios):.2f}")


def finished(given: argparse.Namespace, arguments: list[str]) -> None:
    """Print what became of each contestant whose processes together have so much memory."""
    from launched import launch

    limit_bytes = parse_bytes(given.memory)
    print(f"{arguments[-1]}, all processes in {given.memory}")
    for name in given.only:
        with tempfile.TemporaryDirectory(prefix="vista-bench-") as folder:
            taken = launch(
                [sys.executable, __file__, "--once", name, *arguments],
                Path(folder),
                dict(os.environ),
                timeout_seconds=900,
                limit_bytes=limit_bytes,
            )
            told = Path(folder, TOLD)
            said = told.read_text() if told.exists() else "nothing was said"
        print(
            f"  {name:8}{taken.outcome:>16}, {taken.wall_seconds:.0f} s, "
            f"{taken.cpu_seconds:.0f} s of processor, {taken.peak_bytes / 2**30:.1f} GiB"
            f"{'' if taken.outcome == 'finished' else f': {said[:300]!r}'}"
        )


if __name__ == "__main__":
    main()
