"""Features of photos/ to features.parquet, by a Python function in DuckDB."""

import cv2
import duckdb
import numpy as np
import openvino as ov
import pyarrow as pa
from duckdb.sqltypes import BLOB, DuckDBPyType

BATCH = 32
SIDE = 224
network = ov.Core().compile_model("network.xml", "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
names = [output.any_name for output in network.outputs]


def read(data):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def features(images):
    images, found = images.to_pylist(), []
    for first in range(0, len(images), BATCH):
        pixels = np.stack([read(image) for image in images[first : first + BATCH]])
        outputs = network(pixels).to_tuple()
        found.append([output.reshape(len(pixels), -1).copy() for output in outputs])
    columns = []
    for parts in zip(*found, strict=True):
        values = np.concatenate(parts)
        offsets = np.arange(len(images) + 1, dtype=np.int32) * values.shape[1]
        columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel())))
    return pa.StructArray.from_arrays(columns, names)


kind = "STRUCT(" + ", ".join(f"{name} FLOAT[]" for name in names) + ")"
con = duckdb.connect()
con.create_function("features", features, [BLOB], DuckDBPyType(kind), type="arrow")
con.execute("""
    COPY (SELECT file, unnest(found) FROM
          (SELECT parse_filename(filename) AS file, features(content) AS found
           FROM read_blob('photos/*')))
    TO 'features.parquet'
""")
