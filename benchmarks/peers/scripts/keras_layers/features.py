"""Features of photos/ to features.parquet: all images by `predict`, once for each layer."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SIDE = 224
whole = keras.saving.load_model("network.keras", compile=False)
paths = sorted(Path("photos").iterdir())
images = [
    keras.utils.load_img(path, target_size=(SIDE, SIDE), interpolation="box") for path in paths
]
pixels = np.stack([np.asarray(image)[..., ::-1] for image in images])
columns = {"file": pa.array([path.name for path in paths])}
for name, output in whole.output.items():
    network = keras.Model(whole.input, output)
    values = network.predict(pixels, batch_size=32, verbose=0).reshape(len(paths), -1)
    columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
pq.write_table(pa.table(columns), "features.parquet")
