"""What Pixeltable computes of an image: all outputs of network.xml, one after the other."""

import cv2
import numpy as np
import openvino as ov
import PIL.Image
import pixeltable as pxt
from pixeltable.func import Batch

SIDE = 224
OPTIONS = {"INFERENCE_PRECISION_HINT": "bf16"}
network = ov.Core().compile_model("network.xml", "CPU", OPTIONS)
dims = {o.any_name: int(np.prod(o.partial_shape[1:].to_shape())) for o in network.outputs}
TOTAL = sum(dims.values())


@pxt.udf(batch_size=32)
def features(images: Batch[PIL.Image.Image]) -> Batch[pxt.Array[(TOTAL,), pxt.Float]]:
    pixels = [
        cv2.resize(np.asarray(image.convert("RGB")), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for image in images
    ]
    outputs = network(np.stack(pixels)[..., ::-1]).to_tuple()
    return list(np.hstack([output.reshape(len(images), -1) for output in outputs]))
