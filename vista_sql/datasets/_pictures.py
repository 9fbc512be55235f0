"""Generated photographs: a food on a plate, a thing on a white ground, told apart by one number.

The number (`signal`, about -3 to 3) shifts colour, shape and texture; all else is chance. Networks
with random weights see the three as well as trained ones see a subject.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels: TypeAlias = npt.NDArray[np.uint8]

Painter = Callable[["np.random.Generator", float], "Pixels"]
"""Paints one image, uint8 (height, width, 3) in blue, green, red, from chance and a signal."""

FOOD_SIZE = (500, 375)  # width, height: of the paper's Foods images
PRODUCT_SIZE = (300, 300)
QUALITY = 78
N_MORSELS, N_FEATURES = 14, 7
SHARPNESS = 1.2
"""How much a unit of signal moves the odds of how each part looks: the parts may disagree."""

GRAIN_SIZE = 1024  # of the noise that every texture is cut out of
GRAIN_SEED = 1


def food(chance: np.random.Generator, signal: float) -> Pixels:
    """Paint a plate: leafy and green for a large signal, round and brown for a small one."""
    import cv2
    import numpy as np

    width, height = FOOD_SIZE
    coarse = chance.integers(90, 200, (3, 4, 3), np.uint8)
    image: Any = cv2.resize(coarse, FOOD_SIZE, interpolation=cv2.INTER_CUBIC)
    middle = (width // 2 + _near(chance, 30), height // 2 + _near(chance, 20))
    plate = int(chance.integers(140, 175))
    cv2.circle(image, middle, plate, (205, 212, 215), -1, cv2.LINE_AA)
    cv2.circle(image, middle, plate - 22, (225, 230, 232), -1, cv2.LINE_AA)
    likely = _odds(signal)
    for _ in range(N_MORSELS):
        turn, away = chance.uniform(0, 2 * math.pi), plate * 0.7 * math.sqrt(chance.random())
        at = (middle[0] + int(away * math.cos(turn)), middle[1] + int(away * math.sin(turn)))
        size = int(chance.integers(16, 44))
        if chance.random() < likely:
            colour = _near_colour(chance, (50, 135, 75))
            _leaf(image, at, size, chance.uniform(0, math.pi), colour)
        else:
            colour = _near_colour(chance, (45, 80, 140))
            cv2.circle(image, at, size, colour, -1, cv2.LINE_AA)
    return _grained(chance, image, fine=likely, strength=0.16)


def product(chance: np.random.Generator, signal: float) -> Pixels:
    """Paint a thing on white: striped and angular for a large signal, plain and round otherwise."""
    import cv2
    import numpy as np

    width, height = PRODUCT_SIZE
    image: Any = np.full((height, width, 3), 250, np.uint8)
    likely = _odds(signal)
    body = tuple(int(v) for v in chance.integers(40, 210, 3))
    half = (int(chance.integers(60, 120)), int(chance.integers(60, 120)))
    middle = (width // 2 + _near(chance, 20), height // 2 + _near(chance, 20))
    if chance.random() < likely:
        low, high = (tuple(m + s * h for m, h in zip(middle, half, strict=True)) for s in (-1, 1))
        cv2.rectangle(image, low, high, body, -1)
    else:
        cv2.ellipse(image, middle, half, 0, 0, 360, body, -1, cv2.LINE_AA)
    for _ in range(N_FEATURES):
        at = tuple(m + _near(chance, h // 2) for m, h in zip(middle, half, strict=True))
        size, colour = int(chance.integers(8, 30)), tuple(map(int, chance.integers(0, 256, 3)))
        if chance.random() < likely:
            for step in range(-size, size, 6):
                start, end = (at[0] + step, at[1] - size), (at[0] + step, at[1] + size)
                cv2.line(image, start, end, colour, 2)
        else:
            cv2.circle(image, at, size, colour, -1, cv2.LINE_AA)
    return _grained(chance, image, fine=likely, strength=0.2)


def jpeg(pixels: Pixels) -> bytes:
    """Return an image as a JPEG file."""
    import cv2

    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _odds(signal: float) -> float:
    return 1 / (1 + math.exp(-SHARPNESS * signal))


def _near(chance: np.random.Generator, most: int) -> int:
    return int(chance.integers(-most, most + 1))


def _near_colour(chance: np.random.Generator, colour: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(c + int(d) for c, d in zip(colour, chance.integers(-40, 41, 3), strict=True))  # type: ignore[return-value]


def _leaf(
    image: Any, at: tuple[int, int], size: int, turn: float, colour: tuple[int, int, int]
) -> None:
    """Draw a pointed oval with a vein."""
    import cv2
    import numpy as np

    along = np.array([math.cos(turn), math.sin(turn)])
    across = np.array([-along[1], along[0]]) * 0.35
    ends = [along, along * 0.3 + across, -along * 0.3 + across, -along]
    ends += [-along * 0.3 - across, along * 0.3 - across]
    points = (np.array(at) + 1.4 * size * np.array(ends)).astype(np.int32)
    cv2.fillPoly(image, [points], colour, cv2.LINE_AA)
    vein = tuple(min(c + 50, 255) for c in colour)
    cv2.line(image, points[0].tolist(), points[3].tolist(), vein, 2, cv2.LINE_AA)


def _grained(chance: np.random.Generator, image: Pixels, fine: float, strength: float) -> Pixels:
    """Return an image under grain: `fine` of it fine, the rest coarse."""
    import cv2

    height, width = image.shape[:2]
    for grain, share in zip(_grains(), (fine, 1 - fine), strict=True):
        x, y = (int(chance.integers(0, GRAIN_SIZE - side)) for side in (width, height))
        cut, weight = grain[y : y + height, x : x + width], strength * share
        image = cv2.addWeighted(image, 1, cut, weight, -128 * weight)
    return image


@cache
def _grains() -> tuple[Pixels, Pixels]:
    """Return noise of single pixels, and noise of patches of eight, around 128."""
    import cv2
    import numpy as np

    chance = np.random.default_rng(GRAIN_SEED)
    fine = np.clip(chance.normal(128, 32, (GRAIN_SIZE, GRAIN_SIZE, 3)), 0, 255).astype(np.uint8)
    few = GRAIN_SIZE // 8
    coarse = np.clip(chance.normal(128, 32, (few, few, 3)), 0, 255).astype(np.uint8)
    patches: Any = cv2.resize(coarse, (GRAIN_SIZE, GRAIN_SIZE), interpolation=cv2.INTER_CUBIC)
    return fine, patches
