"""Features of photos/ to features.parquet/, each content inferred once."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import daft
import numpy as np
import openvino as ov
import pyarrow as pa
from daft import DataType, col

SIDE = 224
cv2.setNumThreads(1)
OPTIONS = {"INFERENCE_PRECISION_HINT": "bf16"}
shapes = ov.Core().read_model("network.xml").outputs
dims = {one.any_name: int(np.prod(one.partial_shape[1:].to_shape())) for one in shapes}
fields = {name: DataType.fixed_size_list(DataType.float32(), n) for name, n in dims.items()}


def read(data):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@daft.cls(max_concurrency=1, use_process=False)
class Network:
    def __init__(self):
        self.network = ov.Core().compile_model("network.xml", "CPU", OPTIONS)
        self.pool = ThreadPoolExecutor()

    @daft.method.batch(return_dtype=DataType.struct(fields), unnest=True, batch_size=32)
    def features(self, data):
        outputs = self.network(np.stack(list(self.pool.map(read, data.to_pylist())))).to_tuple()
        columns = [
            pa.FixedSizeListArray.from_arrays(pa.array(np.array(output).ravel()), n)
            for output, n in zip(outputs, dims.values(), strict=True)
        ]
        return pa.StructArray.from_arrays(columns, list(dims))


network = Network()
frame = daft.from_glob_path("photos/*").select(col("path").alias("file"))
frame = frame.with_column("data", col("file").download())
frame = frame.with_column("digest", col("data").hash()).collect()
distinct = frame.groupby("digest").agg(col("data").any_value())
distinct = distinct.select("digest", network.features(col("data")))
frame = frame.select("file", "digest").join(distinct, on="digest").exclude("digest")
frame.write_parquet("features.parquet", compression="none")
