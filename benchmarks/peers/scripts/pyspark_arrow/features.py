"""Features of photos/ to features.parquet/, by mapInArrow: a network for each of two tasks."""

import numpy as np
from pyspark.sql import SparkSession

SIDE = 224


def features(batches):
    import cv2
    import openvino as ov
    import pyarrow as pa

    cv2.setNumThreads(1)
    options = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1}
    network = ov.Core().compile_model("network.xml", "CPU", options)
    names = [output.any_name for output in network.outputs]
    for batch in batches:
        pixels = []
        for data in batch.column("content").to_pylist():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            pixels.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        columns = [batch.column("path")]
        for output in network(np.stack(pixels)).to_tuple():
            values = output.reshape(len(pixels), -1)
            offsets = np.arange(len(pixels) + 1, dtype=np.int32) * values.shape[1]
            columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel())))
        yield pa.RecordBatch.from_arrays(columns, ["file", *names])


def names():
    import openvino as ov

    return [output.any_name for output in ov.Core().read_model("network.xml").outputs]


spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", 32)
    .config("spark.sql.files.minPartitionNum", 2)
    .config("spark.sql.files.maxPartitionBytes", "4g")
    .config("spark.sql.parquet.compression.codec", "uncompressed")
    .config("parquet.enable.dictionary", "false")
    .getOrCreate()
)
images = spark.read.format("binaryFile").load("photos").select("path", "content")
schema = "file string, " + ", ".join(f"{name} array<float>" for name in names())
images.mapInArrow(features, schema).write.parquet("features.parquet")
