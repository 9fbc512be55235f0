"""Features of photos/ to features.parquet, all outputs of network.keras: `… DTYPE`."""

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
    data = tf.io.read_file(path)
    pixels = tf.cond(
        tf.strings.length(data) > 1_000_000,  # a camera's: an eighth of its size is enough
        lambda: tf.io.decode_jpeg(data, channels=3, ratio=8),
        lambda: tf.io.decode_jpeg(data, channels=3),
    )
    pixels = tf.image.resize(pixels, (SIDE, SIDE), method="area")
    return tf.strings.split(path, "/")[-1], pixels[..., ::-1]


paths = [str(path) for path in sorted(Path("photos").iterdir())]
data = tf.data.Dataset.from_tensor_slices(paths)
data = data.map(read, num_parallel_calls=2).batch(BATCH).prefetch(2)
writer = None
for files, pixels in data:
    columns = {"file": pa.array([file.decode() for file in files.numpy()])}
    for name, output in infer(pixels).items():
        values = output.numpy().reshape(len(files), -1)
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    table = pa.table(columns)
    if writer is None:
        writer = pq.ParquetWriter(
            "features.parquet",
            table.schema,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
    writer.write_table(table)
writer.close()
