"""The boxes of an AVIF (ISO base media) → its header: of the primary picture alone.

`ftyp` has the brands; `meta` holds `pitm`, which picture, and `iprp`: `ipco`, the properties, and
`ipma`, whose they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .header import Header

BRANDS = (b"avif", b"avis")
_TURNS = {  # (quarter turns to the left, mirrored) → EXIF's orientation; irot comes before imir
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
}  # fmt: skip


def is_avif(data: memoryview) -> bool:
    """Return whether the file's brands, major or compatible, say AVIF."""
    size = min(struct.unpack_from(">I", data)[0], 1024)
    brands = [bytes(data[8:12]), *(bytes(data[i : i + 4]) for i in range(16, size, 4))]
    return any(brand in BRANDS for brand in brands)


def header(data: memoryview) -> Header:
    """Return the header of an AVIF.

    Raises:
        struct.error, LookupError: it ends within its boxes.
    """
    meta = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
    if meta is None:
        return Header("AVIF", alpha=True, whole=False, changed=True)
    inside = dict(_boxes(meta[4:]))
    has_alpha = any(b":alpha" in bytes(b) for k, b in _properties(inside[b"iprp"]) if k == b"auxC")
    width = height = mirrored = None
    turns, bits, is_gray, is_cropped = 0, 8, False, False
    for kind, body in _primary(inside):
        match kind:
            case b"ispe":
                width, height = struct.unpack_from(">II", body, 4)
            case b"irot":
                turns = body[0] & 3
            case b"imir":
                mirrored = body[0] & 1
            case b"av1C":
                bits = (12 if body[2] & 0x20 else 10) if body[2] & 0x40 else 8
                is_gray = bool(body[2] & 0x10)
            case b"clap":
                is_cropped = True
            case _:
                pass
    refused = "gray AVIF with alpha" if is_gray and has_alpha else ""
    return Header(
        "AVIF", width, height, alpha=True, orientation=_TURNS[turns, mirrored], bits=bits,
        refused="cropped AVIF (clap)" if is_cropped else refused, changed=True,
        whole=width is not None,
        pixel_bytes=33 if bits == 8 else 40,
        mode=("LA" if has_alpha else "L") if is_gray else ("RGBA" if has_alpha else "RGB"),
    )  # fmt: skip


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the type and the body of each box that is whole."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            size, begin = struct.unpack_from(">Q", data, begin)[0], at + 16
        end = len(data) if size == 0 else at + size
        if end < begin:
            return
        yield kind, data[begin:end]
        at = end


def _properties(iprp: memoryview) -> list[tuple[bytes, memoryview]]:
    return list(_boxes(dict(_boxes(iprp))[b"ipco"]))


def _primary(inside: dict[bytes, memoryview]) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the properties that belong to the primary picture."""
    pitm = inside[b"pitm"]
    wanted = struct.unpack_from(">H" if pitm[0] == 0 else ">I", pitm, 4)[0]
    properties = _properties(inside[b"iprp"])
    ipma = dict(_boxes(inside[b"iprp"]))[b"ipma"]
    version, is_wide = ipma[0], ipma[3] & 1
    at = 8
    for _ in range(struct.unpack_from(">I", ipma, 4)[0]):
        item = struct.unpack_from(">I" if version else ">H", ipma, at)[0]
        at += 4 if version else 2
        n_properties, at = ipma[at], at + 1
        for _ in range(n_properties):
            number = (_u16(ipma, at) & 0x7FFF) if is_wide else (ipma[at] & 0x7F)
            at += 2 if is_wide else 1
            if item == wanted and 0 < number <= len(properties):
                yield properties[number - 1]


def _u16(data: memoryview, at: int) -> int:
    value: int = struct.unpack_from(">H", data, at)[0]
    return value
