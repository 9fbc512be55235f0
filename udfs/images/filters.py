"""Pillow's antialiased filters: along rows, then along columns, by narrow bands of weights.

A filter is as wide as the image shrinks (`reducing_gap=None`), centres are those of pixels, and
between the two passes there are whole grey levels. Weights are multiples of 2⁻¹⁵: sums of float32
are exact then, in whatever order and by however many threads products are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .opencv import Pixels, opencv

Filter = Literal["triangle", "bicubic"]
Floats: TypeAlias = npt.NDArray[np.float32]

UNIT = 1 << 15
"""255 × 2¹⁵ × 2, which sums of magnitudes stay below, has 24 bits: as many as float32 holds."""

BAND_RESULTS = 8
"""Results of one product: of more, more is multiplied with zeros; of fewer, there are more calls."""

PRODUCT_OPERATIONS = 1 << 18
"""Of one product, multiply-adds: what OpenBLAS computes in the thread that asks."""

LONG_SIDE = 1 << 15
"""Pixels. The weights of a longer side are not kept, and it is resized first."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A side of an image, and which results of it are wanted."""

    n_pixels: int
    n_results: int  # that all pixels become
    first: int  # of the results that are wanted
    last: int  # … and the one after them
    by: Filter

    @property
    def scale(self) -> float:
        """Pixels to a result."""
        return self.n_pixels / self.n_results

    @property
    def stretch(self) -> float:
        """How much wider the filter is than where nothing shrinks."""
        return max(self.scale, 1.0)

    @property
    def radius(self) -> float:
        """How far from its centre a result reads, in pixels."""
        return _RADII[self.by] * self.stretch

    @property
    def band_results(self) -> int:
        """Results of one band."""
        return BAND_RESULTS if self.n_pixels <= LONG_SIDE else 1

    @property
    def operations(self) -> int:
        """Multiply-adds of a band over one column of pixels, at most."""
        return self.band_results * int(self.band_results * self.scale + 2 * self.radius + 2)


@dataclass(frozen=True, slots=True)
class Band:
    """The weights of results that are neighbours, and of the pixels that any of them reads."""

    results: slice  # counted from the first that is wanted
    start: int
    stop: int
    weights: Floats  # (results, pixels from `start` to `stop`)


def resized(image: Pixels, sides: tuple[int, int], part: tuple[slice, slice], by: Filter) -> Pixels:
    """Return a part of an image that is resized.

    Args:
        image: uint8 (height, width[, 3]).
        sides: height and width that all of it is resized to.
        part: which rows and columns of that.
        by: the filter.
    """
    cv2 = opencv()
    if image.shape[0] > LONG_SIDE:  # the side that shrinks first: there would be too much between
        turned = resized(cv2.transpose(image), sides[::-1], part[::-1], by)
        return np.ascontiguousarray(turned.swapaxes(0, 1))
    rows, columns = part
    down = _kept(Axis(image.shape[0], sides[0], rows.start, rows.stop, by))
    across = Axis(image.shape[1], sides[1], columns.start, columns.stop, by)
    n_rows, n_columns = rows.stop - rows.start, columns.stop - columns.start
    n_channels = image[0, 0].size
    sums = np.zeros((n_rows, n_columns * n_channels), np.float32)
    step = max(1, PRODUCT_OPERATIONS // (across.operations * n_channels))
    for start in range(down[0].start, down[-1].stop, step):
        stripe = image[start : min(start + step, down[-1].stop)]
        stored = cv2.transpose(stripe).reshape(image.shape[1], -1)
        narrow = _along(across, stored).reshape(n_columns, len(stripe), *image.shape[2:])
        floats = cv2.transpose(narrow).reshape(len(stripe), -1).astype(np.float32)
        for band in down:
            _add(sums[band.results], band, floats, start)
    return _levels(sums).reshape(n_rows, n_columns, *image.shape[2:])


def _along(axis: Axis, pixels: Pixels) -> Pixels:
    """Return the wanted results of an axis, (results, columns), from (pixels, columns)."""
    sums = np.empty((axis.last - axis.first, pixels.shape[1]), np.float32)
    bands: Iterable[Band] = _kept(axis) if axis.n_pixels <= LONG_SIDE else _bands(axis)
    for band in bands:
        read = pixels[band.start : band.stop].astype(np.float32)
        np.matmul(band.weights, read, out=sums[band.results])
    return _levels(sums)


def _add(sums: Floats, band: Band, rows: Floats, first: int) -> None:
    """Add to a band's sums what some rows of the image contribute.

    Args:
        sums: (results, columns).
        band: the band.
        rows: (rows, columns).
        first: which row of the image the first of them is.
    """
    step = max(1, PRODUCT_OPERATIONS // sums.size)
    stop = min(band.stop, first + len(rows))
    for start in range(max(band.start, first), stop, step):
        end = min(start + step, stop)
        weights = band.weights[:, start - band.start : end - band.start]
        sums += weights @ rows[start - first : end - first]


def _levels(sums: Floats) -> Pixels:
    """Return the nearest grey levels; changes the sums."""
    sums += 0.5
    np.clip(sums, 0, 255, out=sums)
    return sums.astype(np.uint8)


@lru_cache(maxsize=32)  # images of one size follow each other
def _kept(axis: Axis) -> tuple[Band, ...]:
    return tuple(_bands(axis))


def _bands(axis: Axis) -> Iterator[Band]:
    """Yield the weights of the wanted results, in order."""
    for first in range(axis.first, axis.last, axis.band_results):
        last = min(first + axis.band_results, axis.last)
        centres = (np.arange(first, last)[:, None] + 0.5) * axis.scale
        begins = np.maximum((centres - axis.radius + 0.5).astype(int), 0)
        ends = np.minimum((centres + axis.radius + 0.5).astype(int), axis.n_pixels)
        start, stop = int(begins[0, 0]), int(ends[-1, 0])
        pixels = np.arange(start, stop)
        weights = _FILTERS[axis.by](np.abs(pixels + 0.5 - centres) / axis.stretch)
        weights[(pixels < begins) | (pixels >= ends)] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        # what is rounded off one weight goes to the next: their sum stays 1
        summed = np.rint(np.cumsum(weights, axis=1) * UNIT)
        rounded = np.diff(summed, axis=1, prepend=0) / UNIT
        results = slice(first - axis.first, last - axis.first)
        yield Band(results, start, stop, rounded.astype(np.float32))


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(1 - x, 0)


def _bicubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cubic convolution of Keys with a = -1/2, at distances from the centre."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_FILTERS: dict[Filter, Callable[[Any], npt.NDArray[np.float64]]] = {
    "triangle": _triangle,
    "bicubic": _bicubic,
}
_RADII: dict[Filter, float] = {"triangle": 1.0, "bicubic": 2.0}
