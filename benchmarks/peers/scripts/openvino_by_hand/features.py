"""Features of photos/ to features.parquet, all outputs of network.xml."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 32
SIDE = 224

cv2.setNumThreads(1)
core = ov.Core()
options = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
network = core.compile_model("network.xml", "CPU", options)
names = [output.any_name for output in network.outputs]
widths = [output.partial_shape[1:].to_shape() for output in network.outputs]
dims = [int(np.prod(width)) for width in widths]
schema = pa.schema(
    [("file", pa.string())]
    + [(name, pa.list_(pa.float32(), n)) for name, n in zip(names, dims, strict=True)]
)
writer = pq.ParquetWriter(
    "features.parquet", schema, compression="none", use_dictionary=False, write_statistics=False
)
writing = threading.Lock()


def read(path):
    large = path.stat().st_size > 1_000_000  # a camera's: an eighth of its size is enough
    kind = cv2.IMREAD_REDUCED_COLOR_8 if large else cv2.IMREAD_COLOR
    pixels = cv2.imread(str(path), kind)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def write(request, files):
    columns = [pa.array(files)]
    for output, n in zip(request.output_tensors, dims, strict=True):
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(output.data.ravel()), n))
    with writing:
        writer.write_table(pa.table(columns, schema=schema))


queue = ov.AsyncInferQueue(network)
queue.set_callback(write)
paths = sorted(Path("photos").iterdir())
with ThreadPoolExecutor() as pool:
    for first in range(0, len(paths), BATCH):
        batch = paths[first : first + BATCH]
        queue.start_async(np.stack(list(pool.map(read, batch))), [path.name for path in batch])
queue.wait_all()
writer.close()
