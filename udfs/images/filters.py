"""Pillow's antialiased filters to the bit: along one axis, then the other, by bands of weights.

A filter is as wide as the image shrinks (`reducing_gap=None`), centres are those of pixels, and
between the two passes there are whole grey levels. Rows come first, and columns where these lose
more than twice as many pixels as rows do, as in Pillow 13. Weights are Pillow's, multiples of 2⁻²²:
sums of float64 are exact then, in whatever order and by however many threads they are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from .opencv import Pixels, opencv

Filter = Literal["triangle", "bicubic"]
Floats: TypeAlias = npt.NDArray[np.float64]

UNIT = 1 << 22
"""Into so many parts 1 is divided: weights are whole numbers of them."""

BAND_RESULTS = 8
"""Of one product: with more, more is multiplied with zeros; with fewer, there are more calls."""

PRODUCT_OPERATIONS = 1 << 18
"""Of one product, multiply-adds: what OpenBLAS computes in the thread that asks."""

LONG_SIDE = 1 << 15
"""Pixels. The weights of a longer side are not kept, and it is resized first, unlike Pillow's."""


class Axis(Struct, frozen=True):
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


class Band(Struct, frozen=True):
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
    shorter, narrower = image.shape[0] - sides[0], image.shape[1] - sides[1]
    if shorter > max(2 * narrower, 0) or image.shape[0] > LONG_SIDE:  # columns come first
        turned = resized(cv2.transpose(image), sides[::-1], part[::-1], by)
        return np.ascontiguousarray(turned.swapaxes(0, 1))
    rows, columns = part
    down = _kept(Axis(image.shape[0], sides[0], rows.start, rows.stop, by))
    across = Axis(image.shape[1], sides[1], columns.start, columns.stop, by)
    n_rows, n_columns = rows.stop - rows.start, columns.stop - columns.start
    n_channels = image[0, 0].size
    sums = np.zeros((n_rows, n_columns * n_channels), np.float64)
    step = max(1, PRODUCT_OPERATIONS // (across.operations * n_channels))
    for start in range(down[0].start, down[-1].stop, step):
        stripe = image[start : min(start + step, down[-1].stop)]
        stored = cv2.transpose(stripe).reshape(image.shape[1], -1)
        narrow = _along(across, stored).reshape(n_columns, len(stripe), *image.shape[2:])
        floats = cv2.transpose(narrow).reshape(len(stripe), -1).astype(np.float64)
        for band in down:
            _add(sums[band.results], band, floats, start)
    return _levels(sums).reshape(n_rows, n_columns, *image.shape[2:])


def _along(axis: Axis, pixels: Pixels) -> Pixels:
    """Return the wanted results of an axis, (results, columns), from (pixels, columns)."""
    sums = np.empty((axis.last - axis.first, pixels.shape[1]), np.float64)
    bands: Iterable[Band] = _kept(axis) if axis.n_pixels <= LONG_SIDE else _bands(axis)
    for band in bands:
        read = pixels[band.start : band.stop].astype(np.float64)
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
        weights = _FILTERS[axis.by](np.abs((pixels - centres + 0.5) * (1 / axis.stretch)))
        weights[(pixels < begins) | (pixels >= ends)] = 0
        weights /= np.cumsum(weights, axis=1)[:, -1:]  # one after the other, as Pillow adds
        weights = np.trunc(weights * UNIT + np.copysign(0.5, weights)) / UNIT
        results = slice(first - axis.first, last - axis.first)
        yield Band(results, start, stop, weights)


def _triangle(x: Floats) -> Floats:
    return np.maximum(1 - x, 0)


def _bicubic(x: Floats) -> Floats:
    """Return the cubic convolution of Keys with a = -1/2, at distances from the centre."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_FILTERS: dict[Filter, Callable[[Floats], Floats]] = {
    "triangle": _triangle,
    "bicubic": _bicubic,
}
_RADII: dict[Filter, float] = {"triangle": 1.0, "bicubic": 2.0}
