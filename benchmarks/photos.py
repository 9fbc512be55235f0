"""Generated photographs as JPEG bytes: smooth gradients, edges and noise.

Those of the web take about 48 KB each, those of a phone 3 MB.
"""

from __future__ import annotations

import cv2
import numpy as np

WIDTH, HEIGHT = 500, 375  # of the paper's Foods images
PHONE_WIDTH, PHONE_HEIGHT = 4000, 3000
QUALITY, PHONE_QUALITY = 88, 92


def photo(
    seed: int, width: int = WIDTH, height: int = HEIGHT, noise: int = 7, quality: int = QUALITY
) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    for _ in range(12):
        x, y, r = rng.integers(0, width), rng.integers(0, height), rng.integers(8, 70)
        r = r * width // WIDTH
        cv2.circle(image, (int(x), int(y)), int(r), tuple(map(int, rng.integers(0, 256, 3))), -1)
    image += rng.normal(0, noise, image.shape).astype(np.int16)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def phone_photos(n: int, distinct: int = 4) -> list[bytes]:
    """Return `n` photographs of 12 megapixels, of which `distinct` differ."""
    made = [
        photo(seed, PHONE_WIDTH, PHONE_HEIGHT, 6, PHONE_QUALITY) for seed in range(min(n, distinct))
    ]
    return [made[i % len(made)] for i in range(n)]


def photos(n: int, distinct: int = 256) -> list[bytes]:
    """Return `n` photographs, of which `distinct` differ in their bytes beyond a trailing marker.

    A JPEG may be followed by anything: the number of the image follows it, so that no two are equal
    and none is taken for another.
    """
    made = [photo(seed) for seed in range(min(n, distinct))]
    return [made[i % len(made)] + i.to_bytes(8, "big") for i in range(n)]
