"""Features of whatever lies in photos/ to features.parquet; what cannot be read keeps a reason."""

from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

BATCH = 32
SIDE = 224


def read(path):
    with Image.open(path) as image:
        image.load()  # Pillow refuses what ends too early
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):  # convert() would clip it
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        pixels = np.asarray(image.convert("RGB"))[..., ::-1]
    shrinks = min(pixels.shape[:2]) >= SIDE
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=kind)


options = {"INFERENCE_PRECISION_HINT": "bf16"}
network = ov.Core().compile_model("network.xml", "CPU", options)
names = [output.any_name for output in network.outputs]
rows = []
for path in sorted(Path("photos").iterdir()):
    try:
        rows.append((path.name, read(path), None))
    except Exception as error:  # whatever Pillow raises is the file's
        rows.append((path.name, None, f"{type(error).__name__}: {error}"))
good = [i for i, row in enumerate(rows) if row[1] is not None]
found = [None] * len(rows)
for first in range(0, len(good), BATCH):
    places = good[first : first + BATCH]
    outputs = network(np.stack([rows[i][1] for i in places])).to_tuple()
    for row, i in enumerate(places):
        found[i] = [output[row].ravel().tolist() for output in outputs]
columns = {"file": [row[0] for row in rows], "error": [row[2] for row in rows]}
for n, name in enumerate(names):
    values = [None if one is None else one[n] for one in found]
    columns[name] = pa.array(values, pa.list_(pa.float32()))
pq.write_table(pa.table(columns), "features.parquet")
