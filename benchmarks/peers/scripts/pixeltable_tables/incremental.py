"""Features of photos/ in a table that stays; new files and layers only: `… CNN LAYER…`."""

import sys
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import PIL.Image
import pixeltable as pxt
from pixeltable.func import Batch

SIDE = 224
OPTIONS = {"INFERENCE_PRECISION_HINT": "bf16"}
core = ov.Core()
whole = core.read_model("network.xml")
compiled = {}


@pxt.udf(batch_size=32)
def feature(images: Batch[PIL.Image.Image], layers: str) -> Batch[pxt.Array[pxt.Float]]:
    if layers not in compiled:
        outputs = [whole.output(layer) for layer in layers.split()]
        model = ov.Model(outputs, whole.get_parameters())
        compiled[layers] = core.compile_model(model, "CPU", OPTIONS)
    pixels = [
        cv2.resize(np.asarray(image.convert("RGB")), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for image in images
    ]
    outputs = compiled[layers](np.stack(pixels)[..., ::-1]).to_tuple()
    return list(np.hstack([output.reshape(len(images), -1) for output in outputs]))


schema = {"file": pxt.Required[pxt.String], "image": pxt.Image}
table = pxt.create_table("photos", schema, if_exists="ignore")
held = [name for name in table.columns() if name.startswith("of_")]
have = {layer for name in held for layer in name.removeprefix("of_").split("__")}
missing = [layer for layer in sys.argv[2:] if layer not in have]
if missing:
    column = {"of_" + "__".join(missing): feature(table.image, layers=" ".join(missing))}
    table.add_computed_column(**column)
done = set(table.select(table.file).collect()["file"])
new = [path for path in sorted(Path("photos").iterdir()) if path.name not in done]
for first in range(0, len(new), 64):  # an insert is all or nothing: in parts, a part is safe
    table.insert([{"file": path.name, "image": str(path)} for path in new[first : first + 64]])
print(table.count(), "rows")
