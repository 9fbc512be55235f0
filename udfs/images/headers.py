"""Encoded bytes → what they say about themselves, before any memory is spent on their pixels.

A kind of a format that cannot be read right is refused here, by its name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct

from . import boxes, foreign, prepared, tiff
from .header import Header

PNG_GRAY, PNG_RGB = 0, 2  # colour types
JPEG_READ = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # baseline, extended, progressive; arithmetic
BMP_COMPRESSIONS = (0, 1, 2, 3, 6)  # none, RLE8, RLE4, bit fields, with alpha
BMP_MASKS = {
    (16, 0x7C00, 0x3E0, 0x1F): "555",
    (16, 0xF800, 0x7E0, 0x1F): "565",
    (32, 0xFF0000, 0xFF00, 0xFF): "888",
}

_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # by channels
_PNG_MODES = {2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # by colour type
_GRAY_MODES = {1: "1", 16: "I;16"}  # of a gray PNG, by bits; else 'L'

_BEGINNINGS = (
    (b"\xff\xd8", "JPEG"),
    (b"PNG", "PNG"),
    (b"GIF", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP"),
    (b"II", "TIFF"),
    (b"MM", "TIFF"),
    (b"ftyp", "AVIF"),
    (b"VISTA", prepared.FORMAT),
    (b"P", "PNM"),
)


class Chunk(Struct, frozen=True):
    """A chunk of a PNG: its name, and where its body and the whole of it stand."""

    name: bytes
    body: memoryview
    start: int
    end: int


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
            whole_gif = data[-1] == ord(";")
            return Header(
                "GIF", width, height, alpha=True, changed=not whole_gif, pixel_bytes=11, mode="P"
            )
        if start.startswith(b"BM"):
            return _bmp(data)
        if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
            return _webp(data)
        if start.startswith(tiff.BEGINNINGS):
            return tiff.header(data)
        if prepared.is_one(start):
            return prepared.header(data)
        if start[4:8] == b"ftyp" and boxes.is_avif(data):
            return boxes.header(data)
        if start[:2] in (b"P4", b"P5", b"P6") and start[2:3].isspace():
            return _pnm(data)
    except (struct.error, LookupError, ValueError, OverflowError):  # it ends within its header
        found = (name for begin, name in _BEGINNINGS if begin in start[:8])
        return Header(next(found, ""), whole=False, changed=True)
    refused = foreign.name(start)
    return Header("", refused=refused, changed=bool(refused))


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none.

    Args:
        exif: a TIFF structure, as it stands in a PNG's eXIf chunk; "Exif" may stand before it.
    """
    exif = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    try:
        number = tiff.tags(memoryview(exif)).get(0x0112, (1,))[0]
    except (struct.error, IndexError):
        return 1
    return number if 1 <= number <= 8 else 1


def _jpeg(data: memoryview) -> Header:
    """Walk the segments up to the first scan; the file's end marker must come after it.

    Looking for the marker alone would find the one of a thumbnail in the EXIF segment.
    """
    width = height = None
    turned, refused, progressive, n_channels, strays = 1, "", False, 3, False
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:  # bytes that belong to no segment: decoders step over them
            strays, at = True, at + 1
            continue
        marker = data[at + 1]
        if marker in (0xFF, 0x00):  # padding
            at += 1
            continue
        if marker == 0xDA:
            whole = bytes(data[-2:]) == b"\xff\xd9" or b"\xff\xd9" in bytes(data[at:])
            return Header(
                "JPEG", width, height, whole, orientation=turned, refused=refused,
                lacks="its end marker (FF D9)", changed=strays or bool(refused),
                pixel_bytes=3 + 3 * n_channels if progressive else 6,
                kept_bytes=3 * n_channels if progressive else 0,
                mode=_JPEG_MODES.get(n_channels, ""),
            )  # fmt: skip
        if marker == 0xF7:
            refused = "JPEG-LS"
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            progressive, n_channels = marker in (0xC2, 0xCA), max(data[at + 9], 1)
            if marker not in JPEG_READ:
                refused = "lossless or hierarchical JPEG"
            elif data[at + 4] != 8:
                refused = f"JPEG of {data[at + 4]} bits a channel"
        elif marker == 0xE1 and turned == 1:
            body = bytes(data[at + 4 : at + 2 + _u16(data, at + 2)])
            turned = orientation(body) if body.startswith(b"Exif\0\0") else 1
        at += 2 if 0xD0 <= marker <= 0xD8 or marker == 1 else 2 + _u16(data, at + 2)
    return Header("JPEG", width, height, whole=False, changed=True)


def chunks(data: memoryview) -> Iterator[Chunk]:
    """Yield the chunks of a PNG that are whole, up to its end."""
    at = 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        if at + 12 + size > len(data):
            return
        body = data[at + 8 : at + 8 + size]
        found = Chunk(bytes(data[at + 4 : at + 8]), body, at, at + 12 + size)
        yield found
        if found.name == b"IEND":
            return
        at = found.end


def _png(data: memoryview) -> Header:
    if bytes(data[12:16]) == b"CgBI":
        return Header("PNG", refused="CgBI PNG (Apple's, of an iOS app)", changed=True)
    width, height = struct.unpack_from(">II", data, 16)
    depth, kind = data[24], data[25]
    whole = alpha = False
    key: tuple[int, ...] | None = None
    turned, late = 1, False
    for chunk in chunks(data):
        if chunk.name == b"tRNS":
            alpha, late = True, chunk.start > 1 << 14
            if kind in (PNG_GRAY, PNG_RGB):
                key = struct.unpack_from(">H" if kind == PNG_GRAY else ">3H", chunk.body)
        elif chunk.name == b"eXIf":
            turned = orientation(bytes(chunk.body))
        whole = whole or chunk.name == b"IEND"
    has_alpha = alpha or kind in (4, 6)
    return Header(
        "PNG", width, height, whole or b"IEND" in bytes(data[-64:]), has_alpha,
        orientation=turned, bits=depth, key=key,
        changed=alpha and (late or key is not None),
        pixel_bytes=6 if not has_alpha else (20 if depth == 16 else 12),
        mode=_GRAY_MODES.get(depth, "L") if kind == PNG_GRAY else _PNG_MODES.get(kind, ""),
    )  # fmt: skip


def _bmp(data: memoryview) -> Header:
    size = struct.unpack_from("<I", data, 14)[0]
    if size == 12:  # OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return Header("BMP", width, height, bits=bits, changed=True, mode=_bmp_mode(bits))
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    made = {"width": abs(width), "height": abs(height)}
    if bits not in (1, 4, 8, 16, 24, 32) or compression not in BMP_COMPRESSIONS:
        refused = f"BMP of {bits} bits compressed with code {compression}"
        return Header("BMP", **made, refused=refused, changed=True)
    if compression not in (3, 6):
        layout = "555" if bits == 16 else "888"
        mode = _bmp_mode(bits)
        return Header("BMP", **made, bits=bits, layout=layout, changed=bits == 16, mode=mode)
    masks = struct.unpack_from("<IIII" if size >= 56 or compression == 6 else "<III", data, 54)
    layout = BMP_MASKS.get((bits, *masks[:3]), "")
    alpha = len(masks) == 4 and masks[3] != 0
    if not layout or (bits == 16 and (size > 40 or alpha)) or (alpha and masks[3] != 0xFF000000):
        refused = f"BMP of {bits} bits with unusual masks"
        return Header("BMP", **made, refused=refused, changed=True)
    return Header(
        "BMP", **made, alpha=alpha, bits=bits, layout=layout, changed=not alpha,
        pixel_bytes=12 if alpha else 6, mode="RGBA" if alpha else "RGB",
    )  # fmt: skip


def _bmp_mode(bits: int) -> str:
    return {1: "1", 4: "P", 8: "P"}.get(bits, "RGB")


def _webp(data: memoryview) -> Header:
    size, kind = struct.unpack_from("<I", data, 4)[0], bytes(data[12:16])
    whole = size + 8 <= len(data)
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        turned, at = 1, 12
        while at + 8 <= len(data):
            length = struct.unpack_from("<I", data, at + 4)[0]
            if bytes(data[at : at + 4]) == b"EXIF":
                turned = orientation(bytes(data[at + 8 : at + 8 + length]))
            at += 8 + length + length % 2
        return Header(
            "WebP", width, height, whole, alpha=True, orientation=turned,
            changed=turned > 1, pixel_bytes=12, mode="RGBA" if data[20] & 0x10 else "RGB",
        )  # fmt: skip
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header(
            "WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), whole, True, pixel_bytes=12,
            mode="RGBA" if bits >> 28 & 1 else "RGB",
        )  # fmt: skip
    width, height = struct.unpack_from("<HH", data, 26)
    return Header("WebP", width & 0x3FFF, height & 0x3FFF, whole, pixel_bytes=7, mode="RGB")


def _pnm(data: memoryview) -> Header:
    """Read 'P6 <width> <height> 255', with comments."""
    numbers: list[int] = []
    words = bytes(data[2:4096]).split(b"\n")
    for line in words:
        numbers += [int(word) for word in line.split(b"#")[0].split()[: 3 - len(numbers)]]
        if len(numbers) == 3 or (data[1] == ord("4") and len(numbers) == 2):
            break
    name = {ord("4"): "PBM", ord("5"): "PGM", ord("6"): "PPM"}[data[1]]
    most = numbers[2] if name != "PBM" else 255
    refused = "" if most == 255 else f"{name} of values up to {most}"
    return Header(
        name, numbers[0], numbers[1], refused=refused, changed=bool(refused),
        mode={"PBM": "1", "PGM": "L", "PPM": "RGB"}[name],
    )  # fmt: skip


def _u16(data: memoryview, at: int) -> int:
    value: int = struct.unpack_from(">H", data, at)[0]
    return value
