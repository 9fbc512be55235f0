"""Images made different at random, so that few of them teach as many would.

Each image is drawn for by itself. Pixels stay within [0, 1] of their range: what brightness and
saturation take out of it is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

from vista_sql.roster import Order

from .process import Tensor, load

LEAST_SIDE = 7 / 8
"""Of a crop, as a share of the image's: AlexNet's 224 of 256 (Krizhevsky 2012, section 4.1)."""
BRIGHTER = 32 / 255
"""The most that is added to, or taken from, all of an image's values."""
LEAST_SATURATION, MOST_SATURATION = 0.5, 1.5
"""Factors of an image's saturation."""


def augmented(pixels: Tensor, kinds: Sequence[str], order: Order, seed: Tensor) -> Tensor:
    """Return images of the same shape, changed at random.

    Args:
        pixels: float32 (rows, height, width, channels), 0 to 255.
        kinds: of vista_sql.train.tuning.AUGMENTATIONS; they are applied in that order.
        order: of the channels.
        seed: int32 (2,): equal seeds draw alike.
    """
    tf, _ = load()
    values, rows = pixels / 255, tf.shape(pixels)[0]

    def drawn(number: int, least: float, most: float, *shape: int) -> Tensor:
        own = tf.random.fold_in(seed, number)
        return tf.random.stateless_uniform((rows, *shape), own, least, most)

    if "flip" in kinds:
        flipped = drawn(0, 0.0, 1.0, 1, 1, 1) < 0.5
        values = tf.where(flipped, tf.reverse(values, [2]), values)
    if "crop" in kinds:
        side = drawn(1, LEAST_SIDE, 1.0, 1)
        corner = drawn(2, 0.0, 1.0, 2) * (1 - side)
        size = values.shape[1:3]
        boxes = tf.concat([corner, corner + side], axis=1)
        values = tf.image.crop_and_resize(values, boxes, tf.range(rows), size)
    if "brightness" in kinds:
        values = tf.clip_by_value(values + drawn(3, -BRIGHTER, BRIGHTER, 1, 1, 1), 0.0, 1.0)
    if "saturation" in kinds:
        values = _saturated(values, drawn(4, LEAST_SATURATION, MOST_SATURATION, 1, 1, 1), order)
    return values * 255


def _saturated(values: Tensor, factor: Tensor, order: Order) -> Tensor:
    """Return images (rows, height, width, 3) with their saturation times a factor, up to 1."""
    tf, _ = load()
    rgb = tf.reverse(values, [3]) if order == "bgr" else values
    hue, saturation, value = tf.split(tf.image.rgb_to_hsv(rgb), 3, axis=3)
    saturation = tf.clip_by_value(saturation * factor, 0.0, 1.0)
    rgb = tf.image.hsv_to_rgb(tf.concat([hue, saturation, value], axis=3))
    return tf.reverse(rgb, [3]) if order == "bgr" else rgb
