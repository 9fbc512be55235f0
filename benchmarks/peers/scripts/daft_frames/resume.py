"""Features of photos/ to Parquet, files already there left out: `resume.py DTYPE CNN LAYER…`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import daft
import numpy as np
import openvino as ov
import pyarrow as pa
from daft import DataType, col

SIDE = 224
layers = sys.argv[3:]
cv2.setNumThreads(1)
OPTIONS = {"INFERENCE_PRECISION_HINT": "bf16"}
shapes = [ov.Core().read_model("network.xml").output(layer) for layer in layers]
dims = [int(np.prod(one.partial_shape[1:].to_shape())) for one in shapes]
kinds = [DataType.fixed_size_list(DataType.float32(), n) for n in dims]
fields = dict(zip(layers, kinds, strict=True))


def read(data):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@daft.cls(max_concurrency=1, use_process=False)
class Network:
    def __init__(self):
        core = ov.Core()
        whole = core.read_model("network.xml")
        wanted = ov.Model([whole.output(layer) for layer in layers], whole.get_parameters())
        self.network = core.compile_model(wanted, "CPU", OPTIONS)
        self.pool = ThreadPoolExecutor()

    @daft.method.batch(return_dtype=DataType.struct(fields), unnest=True, batch_size=32)
    def features(self, data):
        outputs = self.network(np.stack(list(self.pool.map(read, data.to_pylist())))).to_tuple()
        columns = [
            pa.FixedSizeListArray.from_arrays(pa.array(np.array(output).ravel()), n)
            for output, n in zip(outputs, dims, strict=True)
        ]
        return pa.StructArray.from_arrays(columns, layers)


network = Network()
folder = Path("features-" + "-".join(layers) + ".parquet")  # one of each choice of layers
frame = daft.from_glob_path("photos/*").select(col("path").alias("file"))
if folder.exists() and any(folder.glob("*.parquet")):
    done = daft.read_parquet(f"{folder}/*.parquet").select("file")
    frame = frame.join(done, on="file", how="anti")
frame = frame.with_column("data", col("file").download())
frame = frame.select("file", network.features(col("data")))
frame.write_parquet(str(folder), compression="none", write_mode="append")
