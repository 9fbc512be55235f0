"""A heat map and its image → a PNG: what adds is laid over it in orange, what takes off in blue."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql.kernels import Fit
from vista_sql.roster import Cnn

from ..images import headers, prepared
from ..images.decoding import decode_picture
from ..images.framing import place
from ..images.opencv import Pixels, opencv

SIDE = 384  # pixels of the picture's longer side
ADDS, TAKES = (0.0, 94.0, 213.0), (178.0, 114.0, 0.0)
"""Blue, green, red: vermilion and blue of Okabe and Ito's colours, which all people tell apart."""


class Lies(Struct, frozen=True):
    """Where the places of a map lie in the image."""

    cnn: Cnn  # its preprocessing is that of the model
    method: str
    patch: int
    stride: int

    def on_input(self, heat: np.ndarray) -> np.ndarray:
        """Return a map (rows, columns) as float32 (height, width) of the network's input.

        Places of a feature map are spread evenly; a pixel under patches has the mean of theirs.
        """
        height, width, _ = self.cnn.input_shape
        if self.method == "cam":
            cv2 = opencv()
            spread: np.ndarray = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
            return spread
        total, n = np.zeros((height, width)), np.zeros((height, width))
        for (row, column), value in np.ndenumerate(heat):
            top, left = row * self.stride, column * self.stride
            under = slice(top, top + self.patch), slice(left, left + self.patch)
            total[under] += value
            n[under] += 1
        return (total / np.maximum(n, 1)).astype(np.float32)


def png(data: pa.Buffer | bytes, heat: np.ndarray, lies: Lies, opacity: float) -> bytes | None:
    """Return an image, upright and at most SIDE pixels long, with its map over it, as PNG.

    Args:
        data: the encoded image.
        heat: float32 (rows, columns); the largest absolute value is covered most.
        lies: where its places are.
        opacity: of the largest value, in [0, 1].

    Returns:
        None: the image cannot be read any more.
    """
    sides = headers.header(memoryview(data).cast("B")).upright
    longest = max(sides)
    shape = [max(1, round(side * SIDE / longest)) for side in sides] if longest else [1, 1]
    pixels = np.empty((*shape, 3), np.uint8)
    if decode_picture(data, "bgr", pixels) is not None:
        return None
    # a prepared image is the network's input, all of it
    fit: Fit = "stretch" if prepared.is_one(data) else lies.cnn.preprocessing.fit
    cv2 = opencv()
    _, encoded = cv2.imencode(
        ".png", covered(pixels, _on_picture(heat, sides, shape, lies, fit), opacity)
    )
    found: bytes = encoded.tobytes()
    return found


def covered(pixels: Pixels, heat: np.ndarray, opacity: float) -> Pixels:
    """Return pixels (height, width, 3), blue first, under a map of that height and width."""
    largest = float(np.abs(heat).max())
    share = (np.abs(heat) / largest if largest else np.zeros_like(heat))[:, :, None] * opacity
    colour = np.where(heat[:, :, None] > 0, ADDS, TAKES)
    mixed: Pixels = np.rint(pixels * (1 - share) + colour * share).astype(np.uint8)
    return mixed


def _on_picture(
    heat: np.ndarray, sides: tuple[int, int], shape: list[int], lies: Lies, fit: Fit
) -> np.ndarray:
    """Return a map in the picture's pixels; it is 0 where the network did not look."""
    cnn = lies.cnn
    at = place(sides, cnn.input_shape[:2], fit, cnn.preprocessing.framing.crop_pct)
    (height, width), (rows, columns) = at.sides, shape
    down, across = rows / height, columns / width  # the picture's pixels to one of the input
    moves = np.array(
        [
            [across, 0, (at.left + 0.5) * across - 0.5],
            [0, down, (at.top + 0.5) * down - 0.5],
        ]
    )
    cv2 = opencv()
    moved: np.ndarray = cv2.warpAffine(
        lies.on_input(heat), moves, (columns, rows), flags=cv2.INTER_LINEAR
    )
    return moved
