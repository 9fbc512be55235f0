"""Features of whatever lies in photos/ to features.parquet/; what cannot be decoded is NULL."""

import daft
import numpy as np
import openvino as ov
import pyarrow as pa
from daft import DataType, col

SIDE = 224
OPTIONS = {"INFERENCE_PRECISION_HINT": "bf16"}
shapes = ov.Core().read_model("network.xml").outputs
dims = {one.any_name: int(np.prod(one.partial_shape[1:].to_shape())) for one in shapes}
fields = {name: DataType.list(DataType.float32()) for name in dims}


@daft.cls(max_concurrency=1, use_process=False)
class Network:
    def __init__(self):
        self.network = ov.Core().compile_model("network.xml", "CPU", OPTIONS)

    @daft.method.batch(return_dtype=DataType.struct(fields), unnest=True, batch_size=32)
    def features(self, images):
        pixels = images.to_pylist()
        good = [i for i, image in enumerate(pixels) if image is not None]
        columns = [[None] * len(pixels) for _ in dims]
        if good:
            batch = np.stack([pixels[i] for i in good])[..., ::-1]
            for column, output in zip(columns, self.network(batch).to_tuple(), strict=True):
                for i, values in zip(good, output, strict=True):
                    column[i] = values.ravel()
        arrays = [pa.array(column, pa.list_(pa.float32())) for column in columns]
        return pa.StructArray.from_arrays(arrays, list(dims))


network = Network()
frame = daft.from_glob_path("photos/*").select(col("path").alias("file"))
image = col("file").download(on_error="null").decode_image(on_error="null", mode="RGB")
frame = frame.with_column("image", image.resize(SIDE, SIDE))
frame = frame.select("file", network.features(col("image")))
frame.write_parquet("features.parquet", compression="none")
