"""The paper's workload over foods.parquet and photos/: `foods.py DTYPE CNN`."""

import json
import sys
from pathlib import Path

import numpy as np
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

CNN = sys.argv[2]


def features(batches):
    import cv2
    import openvino as ov
    import pyarrow as pa

    cv2.setNumThreads(1)
    options = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1}
    network = ov.Core().compile_model(f"{CNN}/network.xml", "CPU", options)
    side = network.input().partial_shape[1].get_length()
    names = [output.any_name for output in network.outputs]
    for batch in batches:
        pixels = []
        for data in batch.column("content").to_pylist():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            pixels.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
        columns = [batch.column("file")]
        for output in network(np.stack(pixels)).to_tuple():
            values = output.reshape(len(pixels), -1)
            offsets = np.arange(len(pixels) + 1, dtype=np.int32) * values.shape[1]
            columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel())))
        yield pa.RecordBatch.from_arrays(columns, ["file", *names])


def names():
    import openvino as ov

    return [output.any_name for output in ov.Core().read_model(f"{CNN}/network.xml").outputs]


spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "4g")
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", 32)
    .config("spark.sql.files.minPartitionNum", 2)
    .config("spark.sql.files.maxPartitionBytes", "4g")
    .config("spark.sql.shuffle.partitions", 2)
    .getOrCreate()
)
foods = spark.read.parquet("foods.parquet")
given = [name for name in foods.columns if name not in ("file", "veg")]
images = spark.read.format("binaryFile").load("photos")
images = images.select(F.element_at(F.split("path", "/"), -1).alias("file"), "content")
schema = "file string, " + ", ".join(f"{name} array<float>" for name in names())
rows = images.mapInArrow(features, schema).join(F.broadcast(foods), "file")
rows = rows.withColumn("label", F.col("veg").cast("double"))
rows = rows.withColumn("is_test", F.pmod(F.xxhash64("file"), F.lit(5)) == 0).persist()
scores = {}
for layer in names():
    data = rows.withColumn("vector", array_to_vector(layer))
    data = VectorAssembler(inputCols=[*given, "vector"], outputCol="features").transform(data)
    regression = LogisticRegression(regParam=0.01, elasticNetParam=0.5, maxIter=10)
    model = regression.fit(data.where("NOT is_test"))
    told = model.transform(data.where("is_test"))
    scores[layer] = MulticlassClassificationEvaluator(
        metricName="fMeasureByLabel", metricLabel=1.0
    ).evaluate(told)
Path("scores.json").write_text(json.dumps(scores))
