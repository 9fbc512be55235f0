"""The first directory of a TIFF → its header; also of a BigTIFF, and of EXIF, which is a TIFF.

What OpenCV decodes right is a list of kinds; all others are refused by their name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from .header import Header

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_TAGS, MOST_VALUES = 512, 16
MOST_TILE = 1 << 22  # pixels of a tile, of an image that is smaller

_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
_COMPRESSION_NAMES = {
    6: "old JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
    50002: "JPEG XL",
}  # fmt: skip
MIN_IS_WHITE, GRAY, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
_PHOTOMETRIC_NAMES = {8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "raw (CFA)", 32844: "LogL"}
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2


def header(data: memoryview) -> Header:
    """Return the header of a TIFF.

    Raises:
        struct.error, IndexError: it ends within its directory.
    """
    found = tags(data)
    width, height = (found.get(tag, (None,))[0] for tag in (0x0100, 0x0101))
    samples = found.get(0x0115, (1,))[0]
    bits = found.get(0x0102, (1,))[0]
    extra = found.get(0x0152, ())
    is_big = bytes(data[2:4]) in (b"+\0", b"\0+")
    refused = _refused(data, found)
    alpha = found.get(0x0106, (GRAY,))[0] == RGB and samples == 4 and extra[:1] != (UNSPECIFIED,)
    straight = not extra or (bits == 16 and extra[0] == STRAIGHT)
    odd = samples == 4 and found.get(0x0106, (GRAY,))[0] == RGB and (straight or not alpha)
    return Header(
        "TIFF", width, height, alpha=alpha, refused=refused, bits=bits,
        premultiplied=not straight, changed=bool(refused) or is_big or odd,
        pixel_bytes=(20 if alpha else 16) if bits == 16 else (12 if alpha else 10),
        mode=_mode(found.get(0x0106, (GRAY,))[0], bits, samples),
    )  # fmt: skip


def _mode(photometric: int, bits: int, samples: int) -> str:
    """Return the mode of the pixels by Pillow's names; "": none of those."""
    if photometric in (MIN_IS_WHITE, GRAY):
        return {1: "1", 16: "I;16"}.get(bits, "L" if samples == 1 else "LA")
    names = {RGB: "RGB", PALETTE: "P", CMYK: "CMYK", YCBCR: "YCbCr"}
    return "RGBA" if photometric == RGB and samples == 4 else names.get(photometric, "")


def _refused(data: memoryview, found: Mapping[int, tuple[int, ...]]) -> str:
    """Return the name of a kind that is not read right; "": it is read."""
    bits, samples = found.get(0x0102, (1,)), found.get(0x0115, (1,))[0]
    photometric, compression = found.get(0x0106, (GRAY,))[0], found.get(0x0103, (1,))[0]
    if bytes(data[8:10]) == b"CR" or 0xC612 in found:
        return "camera raw (CR2 or DNG)"
    if compression not in _COMPRESSIONS:
        return f"TIFF compressed with {_COMPRESSION_NAMES.get(compression, f'code {compression}')}"
    if photometric not in (MIN_IS_WHITE, GRAY, RGB, PALETTE, CMYK, YCBCR):
        return f"{_PHOTOMETRIC_NAMES.get(photometric, f'photometric {photometric}')} TIFF"
    kind = found.get(0x0153, (1,))[0]
    if kind == 3:
        return f"TIFF of {bits[0]}-bit floating point"
    if kind not in (1, 4):
        return "TIFF of signed or complex numbers"
    if len(set(bits)) > 1:
        return "TIFF of channels with unequal bits"
    tile_pixels = found.get(0x0142, (0,))[0] * found.get(0x0143, (0,))[0]
    if tile_pixels > max(MOST_TILE, 2 * found[0x0100][0] * found[0x0101][0]):
        return "TIFF of tiles that are larger than it"
    planar = found.get(0x011C, (1,))[0] == 2 and samples > 1
    read: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {  # → samples, bits
        MIN_IS_WHITE: ((1,), (1, 8)),
        GRAY: ((1,), (1, 8, 16)),
        RGB: ((3, 4), (8,) if planar else (8, 16)),
        PALETTE: ((1,), (1, 2, 4, 8)),
        CMYK: ((4,), (8,)),
        YCBCR: ((3,), (8,)),
    }
    allowed_samples, allowed_bits = read[photometric]
    if samples not in allowed_samples:
        with_alpha = photometric in (MIN_IS_WHITE, GRAY) and samples == 2
        return "gray TIFF with alpha" if with_alpha else f"TIFF of {samples} channels"
    if bits[0] not in allowed_bits:
        planes = ", planar" if planar else ""
        inverted = ", 0 for white" if photometric == MIN_IS_WHITE else ""
        return f"TIFF of {bits[0]} bits a channel{planes}{inverted}"
    return ""


def tags(data: memoryview) -> dict[int, tuple[int, ...]]:
    """Return the whole numbers in the first directory, by their tags; of each at most some.

    Raises:
        struct.error, IndexError: it ends within its directory.
    """
    order = "<" if bytes(data[:2]) == b"II" else ">"
    is_big = bytes(data[2:4]) in (b"+\0", b"\0+")
    word, room, head, step = ("Q", 8, 8, 20) if is_big else ("I", 4, 2, 12)
    at = struct.unpack_from(order + word, data, 8 if is_big else 4)[0]
    n_entries = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)[0]
    numbers = {}
    for entry in range(min(n_entries, MOST_TAGS)):
        place = at + head + step * entry
        tag, kind, count = struct.unpack_from(f"{order}HH{word}", data, place)
        code = _CODES.get(kind)
        if code is None or not count:
            continue
        value = place + step - room
        if count * struct.calcsize(order + code) > room:
            value = struct.unpack_from(order + word, data, value)[0]
        many = min(count, MOST_VALUES)
        try:
            numbers[tag] = struct.unpack_from(f"{order}{many}{code}", data, value)
        except struct.error:
            continue  # it points beyond the end: the decoder judges
    return numbers
