"""Pictures of kinds that neither OpenCV nor Pillow writes; and what Pillow makes of a picture."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageOps

WIDTH, HEIGHT = 64, 48
_Y, _X = np.mgrid[:HEIGHT, :WIDTH]

COLOURS = np.dstack([
    _X * 255 // WIDTH, _Y * 255 // HEIGHT, (_X + _Y) * 255 // (WIDTH + HEIGHT),
]).astype(np.uint8)  # fmt: skip
COLOURS[:12, :12] = (250, 20, 10)  # turned or mirrored, it is another picture
GRAY = COLOURS[:, :, 0].copy()
ALPHA = (_X * 255 // (WIDTH - 1)).astype(np.uint8)
TRANSPARENT = np.dstack([COLOURS, ALPHA])
OPAQUE = np.dstack([COLOURS, np.full_like(ALPHA, 255)])

RGB, RGBA, L = (Image.fromarray(pixels) for pixels in (COLOURS, TRANSPARENT, GRAY))
LA = Image.merge("LA", (L, Image.fromarray(ALPHA)))


def saved(image, format_, **options):
    """Return a picture as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def over_white(rgba):
    """Return RGB uint8: RGBA laid over white."""
    wide = rgba.astype(int)
    alpha = wide[..., 3:]
    return ((wide[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def pillow(data):
    """Return RGB as Pillow reads it: the first frame, upright, over white, 16 bits cut to 8."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.array(image) >> 8).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        return over_white(np.array(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def orientation(number):
    """Return EXIF with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def lines(pixels):
    """Return the rows of a BMP, the last first, each filled up to four bytes."""
    rows = [np.ascontiguousarray(row).tobytes() for row in pixels[::-1]]
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


def bmp(bits, rows, *, compression=0, masks=b"", palette=b"", header=40):
    """Return a BMP: `masks` after a header of 40 bytes or in a longer one; 12 bytes are OS/2's."""
    if header == 12:
        head = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
    else:
        numbers = (header, WIDTH, HEIGHT, 1, bits, compression, len(rows), 2835, 2835)
        head = struct.pack("<IiiHHIIiiII", *numbers, len(palette) // 4, 0) + masks
        head = head.ljust(header, b"\0")
    begin = 14 + len(head) + len(palette)
    file = struct.pack("<IHHI", begin + len(rows), 0, 0, begin)
    return b"BM" + file + head + palette + rows


def tiff(
    pixels,
    *,
    photometric,
    planar=False,
    extra=None,
    sample_format=1,
    bits=None,
    packed=None,
    palette=(),
    turned=1,
    big=False,
    order="<",
):
    """Return an uncompressed TIFF or BigTIFF of one strip, or of one for each plane."""
    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    bits = bits or 8 * pixels.itemsize
    planes = np.moveaxis(pixels, 2, 0) if planar else pixels
    data = packed or planes.astype(pixels.dtype.newbyteorder(order)).tobytes()
    strips = samples if planar else 1
    size = len(data) // strips
    entries = [
        (256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * samples), (259, "H", [1]),
        (262, "H", [photometric]), (273, "I", [0] * strips), (274, "H", [turned]),
        (277, "H", [samples]), (278, "I", [height]), (279, "I", [size] * strips),
        (284, "H", [2 if planar else 1]), (320, "H", list(palette)), (338, "H", extra or []),
        (339, "H", [sample_format] * samples),
    ]  # fmt: skip
    entries = [entry for entry in entries if entry[2]]
    room, word = (8, "Q") if big else (4, "I")
    begin = (16 + 8 + 20 * len(entries) + 8) if big else (8 + 2 + 12 * len(entries) + 4)
    long = sum(len(v) * struct.calcsize(c) for _, c, v in entries if _outside(c, v, room))
    directory, values = b"", b""
    for tag, code, numbers in entries:
        if tag == 273:
            numbers = [begin + long + i * size for i in range(strips)]
        raw = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(raw) > room:
            raw, values = struct.pack(order + word, begin + len(values)), values + raw
        kind = 3 if code == "H" else 4
        directory += struct.pack(f"{order}HH{word}", tag, kind, len(numbers))
        directory += raw.ljust(room, b"\0")
    name = b"II" if order == "<" else b"MM"
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    head = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    return name + head + count + directory + bytes(room) + values + data


def _outside(code, numbers, room):
    return len(numbers) * struct.calcsize(code) > room
