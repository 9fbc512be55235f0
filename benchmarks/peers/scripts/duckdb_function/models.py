"""A model of each layer for the cheap tenth of products.parquet, by a Python function in DuckDB."""

import json
import warnings
from pathlib import Path

import cv2
import duckdb
import numpy as np
import openvino as ov
import pyarrow as pa
from duckdb.sqltypes import BLOB, DuckDBPyType
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

BATCH = 32
SIDE = 224
warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are what is asked for
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
rows = con.execute("""
    SELECT file, price, rating, sells, unnest(features(content))
    FROM 'products.parquet'
    JOIN (SELECT parse_filename(filename) AS file, content FROM read_blob('photos/*')) USING (file)
    WHERE price < 10
""").to_arrow_reader(256)
table = rows.read_all()

labels = table["sells"].to_numpy()
given = np.column_stack([table["price"], table["rating"]]).astype(np.float32)
split = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=7)
train, test = next(split.split(given, labels, table["file"].to_numpy()))
scores = {}
for layer in names:
    values = table[layer].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    data = np.hstack([given, values])
    scaler = StandardScaler().fit(data[train])
    regression = LogisticRegression(
        solver="saga", l1_ratio=0.5, C=1 / (0.01 * len(train)), max_iter=10, random_state=7
    )
    regression.fit(scaler.transform(data[train]), labels[train])
    scores[layer] = f1_score(labels[test], regression.predict(scaler.transform(data[test])))
Path("scores.json").write_text(json.dumps(scores))
