"""Features of photos/ to features.parquet/, those there kept: `resume.py DTYPE CNN LAYER…`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 32
SIDE = 224
folder = Path("features.parquet")
folder.mkdir(exist_ok=True)
layers = sys.argv[3:]


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def write(request, files):
    columns = {"file": pa.array(files)}
    for layer, output in zip(missing, request.output_tensors, strict=True):
        values = output.data.reshape(len(files), -1)
        columns[layer] = pa.FixedSizeListArray.from_arrays(
            pa.array(values.ravel()), values.shape[1]
        )
    part = sha256(" ".join(files + missing).encode()).hexdigest()[:16]
    pq.write_table(
        pa.table(columns),
        folder / f".{part}",
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    (folder / f".{part}").rename(folder / f"{part}.parquet")  # whole, or not there


done = {}  # of a file, the layers that are kept
for part in folder.glob("*.parquet"):
    kept = pq.ParquetFile(part)
    for file in kept.read(["file"])["file"].to_pylist():
        done.setdefault(file, set()).update(kept.schema_arrow.names)
paths = sorted(Path("photos").iterdir())
wanted = {}  # the layers that are missing, and where
for path in paths:
    lacks = tuple(layer for layer in layers if layer not in done.get(path.name, ()))
    if lacks:
        wanted.setdefault(lacks, []).append(path)
core = ov.Core()
options = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
for lacking, batches in wanted.items():
    missing = list(lacking)
    whole = core.read_model("network.xml")
    outputs = [whole.output(layer) for layer in missing]
    network = core.compile_model(ov.Model(outputs, whole.get_parameters()), "CPU", options)
    queue = ov.AsyncInferQueue(network)
    queue.set_callback(write)
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(batches), BATCH):
            batch = batches[first : first + BATCH]
            pixels = np.stack(list(pool.map(read, batch)))
            queue.start_async(pixels, [path.name for path in batch])
    queue.wait_all()
