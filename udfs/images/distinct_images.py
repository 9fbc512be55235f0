"""A column of images → its distinct images: which rows show each, and what identifies it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..passes.arrow import to_numpy
from . import paths, prepared, sources
from .digests import crop_digest
from .framing import Box
from .image_column import Images
from .regions import Boxes


def _told_apart(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return values among which no two are equal, and for each row its place there; -1: NULL.

    Prepared images are large and told apart by their heads, where these differ: they are not moved.
    """
    is_valid = to_numpy(values.is_valid())
    if pa.types.is_large_binary(values.type) and len(values) > values.null_count:
        heads = pc.binary_slice(values, 0, prepared.HEAD_BYTES).drop_null()
        are_prepared = pc.all(pc.starts_with(heads, prepared.MAGIC)).as_py()
        if are_prepared and pc.count_distinct(heads).as_py() == len(heads):
            return values, np.where(is_valid, np.arange(len(values)), -1)
    encoded = values.dictionary_encode()
    return encoded.dictionary, np.where(is_valid, to_numpy(encoded.indices).astype(np.int64), -1)


class DistinctImages:
    """The distinct images of one column, numbered in the order in which they first occur."""

    def __init__(
        self, images: Images, folder: str, schemes: str = "", crops: Boxes | None = None
    ) -> None:
        """Number the images of a column.

        Args:
            images: bytes, or paths and URIs.
            folder: what relative paths are relative to; "" is the process's folder.
            schemes: of URIs that may be read, with commas between; "": all.
            crops: what is cut out of each row's image, which makes it an image of its own; None:
                nothing is.
        """
        given = images.reasons
        known = pa.nulls(len(images.blobs), pa.large_string()) if given is None else given
        kinds = [_told_apart(k) for k in (images.blobs, images.texts, known)]
        self._blobs, self._texts, self._reasons = (values for values, _ in kinds)
        self._folder, self._schemes = folder, schemes
        codes, before = np.full(len(known), -1), 0
        for values, places in kinds:
            codes = np.where(places >= 0, places + before, codes)
            before += len(values)
        self.not_null: np.ndarray = codes >= 0
        """bool (rows,): which rows have an image."""
        rows = np.flatnonzero(self.not_null)
        told_apart = codes[rows] if crops is None else _apart(codes[rows], crops.values[rows])
        found, first, at = np.unique(told_apart, return_index=True, return_inverse=True)
        by_first = np.argsort(first)
        self._codes = codes[rows[first[by_first]]]
        """Of each image, or of what it is cut out of: its place in _blobs, _texts, _reasons."""
        self._crops = None if crops is None else Boxes(crops.values[rows[first[by_first]]])
        self._whole: dict[int, Hashable] = {}  # identities of what crops are cut out of
        numbers = np.argsort(by_first)[at]
        order = np.argsort(numbers, kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(numbers[order], np.arange(len(found) + 1))
        self.last: int = int(numbers[-1]) if len(rows) else -1
        """The image of the last row that has one; -1: no row has any."""

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def n_rows(self) -> int:
        """How many rows the column has, with an image or without."""
        return len(self.not_null)

    @property
    def n_not_null(self) -> int:
        """How many rows have an image."""
        return int(np.count_nonzero(self.not_null))

    def rows(self, image: int) -> np.ndarray:
        """Return the rows that show one image, ascending."""
        return self._rows[self._starts[image] : self._starts[image + 1]]

    def source(self, image: int) -> int:
        """Return what one image is read from: a number that its other crops have too."""
        return int(self._codes[image])

    def crop(self, image: int) -> Box | None:
        """Return what an image is cut out of its source; None: it is all of it."""
        return None if self._crops is None else self._crops.of(image)

    def _value(self, image: int) -> pa.Scalar:
        code = int(self._codes[image])
        n_blobs = len(self._blobs)
        return self._blobs[code] if code < n_blobs else self._texts[code - n_blobs]

    def _reason(self, image: int) -> str | None:
        """Return why there is no image, where that is known already."""
        place = int(self._codes[image]) - len(self._blobs) - len(self._texts)
        return None if place < 0 else str(self._reasons[place])

    def identity(self, image: int) -> Hashable:
        """Return what equal images share within a process."""
        if self._crops is None:
            return self._identity(image)
        source = self.source(image)
        if source not in self._whole:
            self._whole[source] = self._identity(image)
        whole = self._whole[source]
        if isinstance(whole, bytes):
            return crop_digest(whole, self._crops.of(image))
        return sources.Crop(whole, self._crops.values[image].tobytes())

    def _identity(self, image: int) -> Hashable:
        """Return what equal images share that an image is, or is cut out of."""
        reason = self._reason(image)
        if reason is not None:
            return ("reason", reason)
        return sources.identity(self._value(image), self._folder)

    def is_remote(self, image: int) -> bool:
        """Return whether one image waits for more than this machine's files."""
        if self._reason(image) is not None:
            return False
        value = self._value(image)
        return sources.is_text(value) and paths.local_path(value.as_py(), self._folder) is None

    def read(self, image: int, grow: Callable[[int], None] = paths.ignored) -> pa.Buffer | bytes:
        """Return the encoded bytes of one image.

        Args:
            image: the image.
            grow: told of bytes that are not in the column; it may wait until there is room.

        Raises:
            Unreadable: there is nothing to read; the text says what and why.
        """
        reason = self._reason(image)
        if reason is not None:
            raise paths.Unreadable(reason)
        return sources.read(self._value(image), self._folder, self._schemes, grow)


def _apart(codes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return a number for each row, equal where images and boxes are, to the bit."""
    pairs = np.column_stack([codes, np.ascontiguousarray(boxes).view(np.int64)])
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
