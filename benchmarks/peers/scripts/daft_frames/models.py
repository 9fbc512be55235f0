"""A model of each layer for the cheap tenth of products.parquet."""

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import daft
import numpy as np
import openvino as ov
import pyarrow as pa
from daft import DataType, col, lit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

SIDE = 224
warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are what is asked for
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
products = daft.read_parquet("products.parquet").where(col("price") < 10).collect()
images = products.select("file").distinct()
path = lit(str(Path("photos").absolute()) + "/") + col("file")
images = images.with_column("data", path.download())
images = images.select("file", network.features(col("data")))
table = products.join(images, on="file").to_arrow().combine_chunks()

labels = table["sells"].to_numpy()
given = np.column_stack([table["price"], table["rating"]]).astype(np.float32)
split = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=7)
train, test = next(split.split(given, labels, table["file"].to_numpy()))
scores = {}
for layer, n in dims.items():
    values = table[layer].chunk(0).flatten().to_numpy().reshape(-1, n)
    data = np.hstack([given, values])
    scaler = StandardScaler().fit(data[train])
    regression = LogisticRegression(
        solver="saga", l1_ratio=0.5, C=1 / (0.01 * len(train)), max_iter=10, random_state=7
    )
    regression.fit(scaler.transform(data[train]), labels[train])
    scores[layer] = f1_score(labels[test], regression.predict(scaler.transform(data[test])))
Path("scores.json").write_text(json.dumps(scores))
