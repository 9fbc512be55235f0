"""An upright image → the pixels of a network's input: how large it is made, what is cut or added.

What the words of `Framing` mean is in docs/images.md. OpenCV does 'antialias' and 'bilinear', the
filters of Pillow are in `filters`.
"""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from vista_sql.kernels import Fit
from vista_sql.roster import Framing

from . import filters
from .opencv import Pixels, opencv

if TYPE_CHECKING:
    from .header import Header

Sides: TypeAlias = tuple[int, int]
"""(height, width), in pixels."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height, in pixels of the upright image; finite, and not of no area."""

LONGEST = 16
"""How often one side may hold the other where an image is cropped: of a longer one, its middle."""

REDUCTIONS = (8, 4, 2)
"""A JPEG's sides can be decoded at 1 / so much of theirs."""

OVERSAMPLED = 2
"""A reduced JPEG is still so many times what it is resized to."""

ROUNDED_OFF = 1e-6
"""A size / crop_pct that misses a whole number by no more is one: 240 / (240 / 255) is 255."""


class Place(Struct, frozen=True):
    """Where an image lies to the input."""

    sides: Sides  # that all of the image is resized to
    top: int  # of the input within the resized image; negative: rows of border above it
    left: int


def place(image: Sides, shape: Sides, fit: Fit, crop_pct: float = 1.0) -> Place:
    """Return where an image lies to a network's input.

    Args:
        image: height and width of the image.
        shape: of the input.
        fit: the framing's.
        crop_pct: the framing's.

    Example: a photo of 4 : 3
        >>> place((3000, 4000), (224, 224), "crop", 224 / 256)
        Place(sides=(256, 341), top=16, left=58)
        >>> place((3000, 4000), (224, 224), "pad")
        Place(sides=(168, 224), top=-28, left=0)
    """
    (height, width), (rows, columns) = image, shape
    if fit == "stretch":
        return Place(shape, 0, 0)
    if fit == "pad":
        ratio = max(height / rows, width / columns)
        sides = max(1, round(height / ratio)), max(1, round(width / ratio))
        return Place(sides, -((rows - sides[0]) // 2), -((columns - sides[1]) // 2))
    tall, wide = (int(side / crop_pct + ROUNDED_OFF) for side in shape)
    if height * wide <= width * tall:
        sides = tall, int(tall * width / height)
    else:
        sides = int(wide * height / width), wide
    return Place(sides, round((sides[0] - rows) / 2), round((sides[1] - columns) / 2))


def reduction(header: Header, shape: Sides, framing: Framing) -> int:
    """Return by how much the sides of an image may be smaller as it is decoded; 1: they may not.

    Args:
        header: of the image.
        shape: height and width of the network's input.
        framing: of the network.
    """
    if header.format != "JPEG" or framing.resize != "antialias" or not header.pixels:
        return 1
    image = _middle(header.upright, framing.fit)
    wanted = place(image, shape, framing.fit, framing.crop_pct).sides
    return next(
        (
            by
            for by in REDUCTIONS
            if all(side >= by * OVERSAMPLED * to for side, to in zip(image, wanted, strict=True))
        ),
        1,
    )


def frame(image: Pixels, sides: Sides, framing: Framing, out: Pixels) -> None:
    """Write an upright image to a network's input.

    Args:
        image: uint8 (height, width[, 3]).
        sides: height and width that it would have, had it not been reduced as it was decoded.
        framing: the network's.
        out: uint8 (height, width, channels).
    """
    rows, columns, channels = out.shape
    target = out[:, :, 0] if channels == 1 else out
    lies = place(_middle(sides, framing.fit), (rows, columns), framing.fit, framing.crop_pct)
    if framing.fit == "pad":
        out[:] = framing.border
    top, left = max(lies.top, 0), max(lies.left, 0)
    part = (
        slice(top, top + min(rows, lies.sides[0])),
        slice(left, left + min(columns, lies.sides[1])),
    )
    above, beside = max(-lies.top, 0), max(-lies.left, 0)
    into = target[above : above + lies.sides[0], beside : beside + lies.sides[1]]
    into[:] = _resized(_cut(image, framing.fit), lies.sides, part, framing)


def in_input(
    box: Box, image: Sides, shape: Sides, framing: Framing
) -> tuple[float, float, float, float] | None:
    """Return where a box of an image lies in a network's input: left, top, right, bottom, pixels.

    What lies outside of the image, or of what the framing leaves of it, is cut off; None: all does.

    Args:
        box: of the upright image.
        image: height and width of that image.
        shape: of the input.
        framing: the network's.

    Example: half of a photo of 4 : 3, in a square
        >>> in_input((1000, 0, 2000, 9000), (3000, 4000), (224, 224), Framing(fit="pad"))
        (56.0, 28.0, 168.0, 196.0)
        >>> in_input((1000, 0, 2000, 9000), (3000, 4000), (224, 224), Framing(fit="stretch"))
        (56.0, 0.0, 168.0, 224.0)
    """
    middle = _middle(image, framing.fit)
    lies = place(middle, shape, framing.fit, framing.crop_pct)
    x, y, width, height = box

    def along(axis: int, start: float, length: float, offset: int) -> tuple[float, float]:
        first = (image[axis] - middle[axis]) // 2  # pixel of the image that is resized
        scale = lies.sides[axis] / middle[axis]
        ends = [(end - first) * scale - offset for end in (start, start + length)]
        least, most = max(-offset, 0), min(lies.sides[axis] - offset, shape[axis])
        return max(ends[0], float(least)), min(ends[1], float(most))

    (left, right), (top, bottom) = along(1, x, width, lies.left), along(0, y, height, lies.top)
    return None if left >= right or top >= bottom else (left, top, right, bottom)


def cut_out(box: Box, image: Sides) -> tuple[slice, slice] | None:
    """Return the pixels that a box touches: rows and columns of the image; None: there are none.

    Example:
        >>> cut_out((-3, 1.5, 5, 2), (10, 10)), cut_out((10, 0, 5, 5), (10, 10))
        ((slice(1, 4, None), slice(0, 2, None)), None)
    """
    x, y, width, height = box
    left, right = max(floor(x), 0), min(ceil(x + width), image[1])
    top, bottom = max(floor(y), 0), min(ceil(y + height), image[0])
    return None if left >= right or top >= bottom else (slice(top, bottom), slice(left, right))


def _resized(image: Pixels, sides: Sides, part: tuple[slice, slice], framing: Framing) -> Pixels:
    """Return a part of an image that is resized."""
    match framing.resize:
        case "triangle" | "bicubic" as by:
            return filters.resized(image, sides, part, by)
    cv2 = opencv()
    height, width = sides
    shrinks = image.shape[0] > height and image.shape[1] > width
    by_areas = framing.resize == "antialias" and shrinks
    method = cv2.INTER_AREA if by_areas else cv2.INTER_LINEAR
    whole: Pixels = cv2.resize(image, (width, height), interpolation=method)
    return whole[part]


def _middle(sides: Sides, fit: Fit) -> Sides:
    """Return how much of an image there is to crop from."""
    height, width = sides
    return (min(height, LONGEST * width), min(width, LONGEST * height)) if fit == "crop" else sides


def _cut(image: Pixels, fit: Fit) -> Pixels:
    """Return the middle of an image that there is to crop from, a view."""
    height, width = image.shape[:2]
    rows, columns = _middle((height, width), fit)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]
