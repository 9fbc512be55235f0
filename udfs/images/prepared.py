"""A prepared image: pixels of a network's size behind a head, so that nobody decodes it again.

The head, little-endian: 8 bytes of magic, u16 version, u16 channels (3: RGB, 1: gray), u32 height,
u32 width, 16 bytes of digest of the preprocessing, 16 bytes of digest of the pixels, u32 CRC-32C of
all other bytes. Then the pixels: uint8 (height, width, channels), row by row.

The digest of the preprocessing is of resize, fit, crop_pct and border in words: an image that was
prepared in another way than a network wants is an error, and never a slightly different feature.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import get_args

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vista_sql import store
from vista_sql.errors import ArgumentError
from vista_sql.kernels import Fit, Resize
from vista_sql.roster import Framing

from .header import Header
from .opencv import Pixels, opencv

MAGIC = b"\x89VISTA\r\n"  # no text in any encoding, and no other format's beginning
VERSION = 1
FORMAT = "prepared image"

_HEAD = struct.Struct("<8sHHII16s16s")
_CHECKSUM = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CHECKSUM.size


class Wanted(Struct, frozen=True):
    """What a network takes an image as; equal ones take equal pixels."""

    order: str  # of the channels: 'rgb', 'bgr' or 'gray'
    framing: Framing
    shape: tuple[int, int, int]  # height, width, channels

    @property
    def prepared(self) -> Wanted:
        """The same, with the channels in the order in which prepared images have them."""
        if self.order != "bgr":
            return self
        border = self.framing.border[::-1]
        return replace(self, order="rgb", framing=replace(self.framing, border=border))

    @property
    def words(self) -> str:
        """All of it as text.

        Example:
            >>> Wanted("bgr", Framing(), (224, 224, 3)).words
            '224 × 224 pixels of RGB, antialias, stretch'
        """
        kind = "gray" if self.shape[2] == 1 else "RGB"
        framing = self.prepared.framing.words
        return f"{self.shape[0]} × {self.shape[1]} pixels of {kind}, {framing}"


def is_one(data: store.Buffer) -> bool:
    """Return whether bytes begin as a prepared image, which is copied and not decoded."""
    return bytes(memoryview(data)[: len(MAGIC)]) == MAGIC


def header(data: memoryview) -> Header:
    """Return the header of a prepared image.

    Raises:
        struct.error: it ends within its head.
    """
    _, version, channels, height, width, _, _ = _HEAD.unpack_from(data)
    refused = "" if version == VERSION else f"{FORMAT} of version {version}"
    size = HEAD_BYTES + height * width * channels
    return Header(
        FORMAT, width, height, len(data) >= size, refused=refused, pixel_bytes=0,
        lacks="a part of its pixels", mode="L" if channels == 1 else "RGB",
    )  # fmt: skip


def encode(image: Pixels, wanted: Wanted, head: Pixels) -> None:
    """Write the head of an image.

    Args:
        image: uint8 (height, width, channels), RGB or gray.
        wanted: what it was prepared for.
        head: uint8 (HEAD_BYTES,), written to.
    """
    height, width, channels = image.shape
    pixels = np.ascontiguousarray(image).reshape(-1)
    begin = _HEAD.pack(
        MAGIC, VERSION, channels, height, width,
        _preprocessing(wanted.prepared.framing), store.digest(pixels),
    )  # fmt: skip
    head[:] = np.frombuffer(begin + _CHECKSUM.pack(_checksum(begin, pixels)), np.uint8)


def digest(data: memoryview) -> bytes | None:
    """Return what identifies a prepared image: a digest of its head, which has its pixels' own.

    None where it is not whole, or its bytes are not those that were written.
    """
    return None if read(data)[0] is None else store.digest(data[:HEAD_BYTES])


def place(data: memoryview, wanted: Wanted, out: Pixels) -> str | None:
    """Write a whole prepared image to a network's input.

    Args:
        data: the prepared image.
        wanted: what the network takes.
        out: uint8 of the shape wanted; undefined where there is a reason.

    Returns:
        None, or the reason why there is no image.

    Raises:
        ArgumentError: it was prepared for another input.
    """
    image, reason = read(data)
    if image is None:
        return reason
    shape: tuple[int, int, int] = image.shape
    preprocessing = _HEAD.unpack_from(data)[5]
    if shape != wanted.shape or preprocessing != _preprocessing(wanted.prepared.framing):
        raise ArgumentError(
            f"the image was prepared as {_words(shape, preprocessing)}, and is wanted as "
            f"{wanted.words}: prepare the images for that (VISTA_PREPARE), or take the originals"
        )
    if wanted.order == "bgr":
        cv2 = opencv()
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR, dst=out)
    else:
        out[:] = image
    return None


def read(data: memoryview) -> tuple[Pixels | None, str | None]:
    """Return the pixels of a prepared image, uint8 (height, width, channels); or why not."""
    if len(data) < HEAD_BYTES:
        return None, f"truncated {FORMAT} ({len(data)} bytes)"
    found = header(data)
    if found.refused:
        return None, found.refusal
    if not found.whole:
        return None, f"truncated {FORMAT} ({len(data)} bytes): {found.lacks} is missing"
    (written,) = _CHECKSUM.unpack_from(data, _HEAD.size)
    if written != _checksum(bytes(data[: _HEAD.size]), data[HEAD_BYTES:]):
        return None, f"damaged {FORMAT} ({len(data)} bytes): its checksum does not match"
    _, _, channels, height, width, _, _ = _HEAD.unpack_from(data)
    image = np.frombuffer(data, np.uint8, offset=HEAD_BYTES).reshape(height, width, channels)
    return image, None


def _checksum(begin: bytes, rest: store.Buffer | Pixels) -> int:
    import google_crc32c

    values = np.frombuffer(rest, np.uint8)  # of a memoryview it takes a copy alone
    return int(google_crc32c.extend(google_crc32c.value(begin), values))


@lru_cache(maxsize=64)
def _preprocessing(framing: Framing) -> bytes:
    """Return the digest of how an image came to its size."""
    return store.digest(framing.words.encode())


def _words(shape: tuple[int, int, int], preprocessing: bytes) -> str:
    """Return what an image was prepared as; of a framing, what can be told from its digest."""
    usual = (Framing(r, f) for r in get_args(Resize) for f in get_args(Fit) if f != "pad")
    framing = next((f.words for f in usual if _preprocessing(f) == preprocessing), "")
    words = Wanted("gray" if shape[2] == 1 else "rgb", Framing(), shape).words
    return f"{words.rpartition(', antialias')[0]}, {framing or 'of another resize and fit'}"
