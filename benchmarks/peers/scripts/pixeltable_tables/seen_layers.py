"""What Pixeltable computes of an image: chosen outputs of network.xml, one after the other."""

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
def features(images: Batch[PIL.Image.Image], layers: str) -> Batch[pxt.Array[pxt.Float]]:
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
