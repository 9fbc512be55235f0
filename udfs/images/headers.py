"""Read what an encoded image says about itself, before any memory is spent on its pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SHOWN_BYTES = 12  # of what is not an image, in its reason

_BEGINNINGS = (
    (b"\xff\xd8", "JPEG"),
    (b"PNG", "PNG"),
    (b"GIF", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"ftyp", "AVIF"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes say; sizes are as stored, before any EXIF orientation."""

    format: str  # "" where it is none of those read here; OpenCV may know it all the same
    width: int | None = None  # None: not found
    height: int | None = None
    whole: bool = True  # False: the end that the format prescribes is not there
    alpha: bool = False  # there may be an alpha channel


def header(data: memoryview) -> Header:
    """Return the header of an encoded image; never fails.

    Args:
        data: bytes, contiguous.
    """
    start = bytes(data[:16])
    try:
        if start.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if start.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if start.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
            return Header("GIF", width, height, alpha=True)
        if start.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return Header("BMP", abs(width), abs(height), alpha=data[28] == 32)
        if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
            return _webp(data)
        if start.startswith((b"II*\0", b"MM\0*")):
            return _tiff(data)
        if start[4:12] in (b"ftypavif", b"ftypavis"):
            return _avif(data)
    except (struct.error, IndexError):  # it ends within its header
        return Header(next(name for begin, name in _BEGINNINGS if begin in start[:8]), whole=False)
    return Header("")


def described(data: memoryview) -> str:
    """Return '12 bytes, starts with "…"' for the reason of what is not an image."""
    start = bytes(data[:SHOWN_BYTES])
    if not start:
        return "0 bytes"
    plain = all(32 <= byte < 127 for byte in start)
    shown = f'"{start.decode("ascii")}"' if plain else start.hex(" ")
    return f"{len(data)} bytes, starts with {shown}"


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none.

    Args:
        exif: a TIFF structure, as it stands in a PNG's eXIf chunk.
    """
    exif = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    try:
        number = _tags(memoryview(exif)).get(0x0112, 1)
    except (struct.error, IndexError):
        return 1
    return number if 1 <= number <= 8 else 1


def _jpeg(data: memoryview) -> Header:
    """Walk the segments up to the first scan; the file's end marker must come after it.

    Looking for the marker alone would find the one of a thumbnail in the EXIF segment.
    """
    width = height = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA:
            whole = bytes(data[-2:]) == b"\xff\xd9" or b"\xff\xd9" in bytes(data[at:])
            return Header("JPEG", width, height, whole)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
        at += 2 if 0xD0 <= marker <= 0xD8 or marker == 1 else 2 + _u16(data, at + 2)
    return Header("JPEG", width, height, whole=False)


def _png(data: memoryview) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    kind = data[25]
    whole = b"IEND" in bytes(data[-64:]) or b"IEND" in bytes(data)
    first = bytes(data[: 1 << 14])  # tRNS stands before the pixels, after at most some metadata
    return Header("PNG", width, height, whole, kind in (4, 6) or b"tRNS" in first)


def _webp(data: memoryview) -> Header:
    size, chunk = struct.unpack_from("<I", data, 4)[0], bytes(data[12:16])
    whole = size + 8 <= len(data)
    if chunk == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        return Header("WebP", width, height, whole, alpha=True)
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), whole, alpha=True)
    width, height = struct.unpack_from("<HH", data, 26)
    return Header("WebP", width & 0x3FFF, height & 0x3FFF, whole)


def _tiff(data: memoryview) -> Header:
    tags = _tags(data)
    return Header("TIFF", tags.get(0x0100), tags.get(0x0101), alpha=0x0152 in tags)


def _tags(data: memoryview) -> dict[int, int]:
    """Return the numbers in the first directory of a TIFF structure, by their tags."""
    order = "<" if bytes(data[:2]) == b"II" else ">"
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    numbers = {}
    for entry in range(struct.unpack_from(f"{order}H", data, at)[0]):
        place = at + 2 + 12 * entry
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        if kind in (3, 4):  # SHORT, LONG
            code = "H" if kind == 3 else "I"
            numbers[tag] = struct.unpack_from(f"{order}{code}", data, place + 8)[0]
    return numbers


def _avif(data: memoryview) -> Header:
    at = bytes(data[:4096]).find(b"ispe")  # the box with the size in pixels
    if at < 0:
        return Header("AVIF", alpha=True)
    width, height = struct.unpack_from(">II", data, at + 8)
    return Header("AVIF", width, height, alpha=True)


def _u16(data: memoryview, at: int) -> int:
    value: int = struct.unpack_from(">H", data, at)[0]
    return value
