"""Features of what can be read of photos/ to features.parquet: `dirty.py DTYPE`."""

import sys
from pathlib import Path

import keras
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

BATCH = 32
SIDE = 224

options = {"auto_mixed_precision_onednn_bfloat16": sys.argv[1] == "bfloat16"}
tf.config.optimizer.set_experimental_options(options)
network = keras.saving.load_model("network.keras", compile=False)
infer = tf.function(
    lambda pixels: network(pixels, training=False),
    input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)],
)


def read(path):
    pixels = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    pixels = tf.image.resize(pixels, (SIDE, SIDE), method="area")
    return tf.strings.split(path, "/")[-1], pixels[..., ::-1]


paths = [str(path) for path in sorted(Path("photos").iterdir())]
data = tf.data.Dataset.from_tensor_slices(paths)
data = data.map(read, num_parallel_calls=2).ignore_errors().batch(BATCH).prefetch(2)
parts = []
for files, pixels in data:
    columns = {"file": pa.array([file.decode() for file in files.numpy()])}
    for name, output in infer(pixels).items():
        values = output.numpy().reshape(len(files), -1)
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    parts.append(pa.table(columns))
pq.write_table(pa.concat_tables(parts), "features.parquet")
