"""Two hundred files as people have them: 140 pictures of fourteen kinds, 60 that are none.

Beside each picture lies what it shows as a plain RGB PNG, against which features are compared.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from photos import photo
from PIL import Image

KINDS, OF_EACH = 14, 10
BOMB_SIDE = 60_000
ORIENTATION = 0x0112  # Exif's tag
UPRIGHT = {  # how Exif's orientations are undone, from its specification
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_270],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_90],
}

Made = tuple[str, bytes, Image.Image]
"""The ending of the name, the file, and what it shows."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture(seed: int) -> Image.Image:
    return Image.open(io.BytesIO(photo(seed, 320, 240, quality=95))).convert("RGB")


def oriented(image: Image.Image, number: int) -> Made:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    upright = image
    for step in UPRIGHT[number]:
        upright = upright.transpose(step)
    return "jpg", saved(image, "JPEG", quality=95, exif=exif), upright


def sixteen_bit(image: Image.Image) -> Made:
    gray = np.asarray(image.convert("L"))
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    return "png", saved(deep, "PNG"), Image.fromarray(gray)


def animated(image: Image.Image) -> Made:
    first = image.quantize(64)
    later = image.transpose(Image.Transpose.ROTATE_180).quantize(64)
    return "gif", saved(first, "GIF", save_all=True, append_images=[later]), first


def as_mode(mode: str) -> Callable[[Image.Image], Made]:
    def make(image: Image.Image) -> Made:
        changed = image.quantize(64) if mode == "P" else image.convert(mode)
        return "png", saved(changed, "PNG"), changed

    return make


def jpeg(mode: str, **options: object) -> Callable[[Image.Image], Made]:
    def make(image: Image.Image) -> Made:
        changed = image.convert(mode)
        return "jpg", saved(changed, "JPEG", quality=95, **options), changed

    return make


def plain(kind: str, ending: str, **options: object) -> Callable[[Image.Image], Made]:
    return lambda image: (ending, saved(image, kind, **options), image)


PICTURES: dict[str, Callable[[Image.Image], Made]] = {
    "jpeg": jpeg("RGB"),
    "progressive": jpeg("RGB", progressive=True),
    "gray-jpeg": jpeg("L"),
    "cmyk": jpeg("CMYK"),
    "png": as_mode("RGB"),
    "rgba": as_mode("RGBA"),
    "la": as_mode("LA"),
    "palette": as_mode("P"),
    "one-bit": as_mode("1"),
    "16-bit": sixteen_bit,
    "animated": animated,
    "webp": plain("WEBP", "webp", lossless=True),
    "tiff": plain("TIFF", "tif"),
}
"""And `turned`, JPEGs of Exif's seven orientations."""


def bomb() -> bytes:
    """Return a PNG whose head claims 60,000 × 60,000 pixels."""
    head = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head
    chunk += struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\x00\x00\x00\x08IDAT" + bytes(12)


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def no_picture(kind: str, seed: int) -> tuple[str, bytes]:
    match kind:
        case "empty":
            return "jpg", b""
        case "text":
            return "jpg", f"this is note {seed}, no photograph\n".encode() * 20
        case "page":
            return "png", f"<html><body>404 Not Found {seed}</body></html>".encode()
        case "half-jpeg":
            return "jpg", half(photo(seed, 320, 240))
        case "half-png":
            return "png", half(saved(picture(seed), "PNG"))
        case _:
            return "png", bomb()


NO_PICTURES = ("empty", "text", "page", "half-jpeg", "half-png", "bomb")
N_KINDS = KINDS + len(NO_PICTURES)


def make(folder: Path, of_each: int = OF_EACH) -> None:
    """Write `photos/` and, under the same names with .png after them, `clean/`."""
    (folder / "photos").mkdir()
    (folder / "clean").mkdir()
    seed = 0
    for kind in (*PICTURES, "turned"):
        for i in range(of_each):
            seed += 1
            image = picture(seed)
            made = oriented(image, 2 + (i + 4) % 7) if kind == "turned" else PICTURES[kind](image)
            ending, data, shown = made
            (folder / "photos" / f"{kind}-{i}.{ending}").write_bytes(data)
            shown.convert("RGB").save(folder / "clean" / f"{kind}-{i}.{ending}.png")
    for kind in NO_PICTURES:
        for i in range(of_each):
            seed += 1
            ending, data = no_picture(kind, seed)
            (folder / "photos" / f"{kind}-{i}.{ending}").write_bytes(data)
