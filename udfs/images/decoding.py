"""Decode and resize one image: what is read, what it becomes, and what is an error.

The decode policy, the same for every CNN and a part of what its features mean:

* JPEG (baseline and progressive; grayscale, CMYK and YCCK become RGB), PNG, BMP, TIFF, WebP, GIF,
  AVIF, and binary PBM, PGM and PPM: those kinds of them that OpenCV reads right. All others are
  refused by their name. Palettes are resolved; 1-bit and gray images become RGB with equal
  channels; of more than 8 bits the upper 8 are kept. Of an animation or several pages, the first.
* Orientations are applied: EXIF's, and AVIF's own.
* Transparent pixels are laid over white.
* Gray networks get ITU-R 601 luma (a JPEG's own where it has no transparency).
* Then it comes to the network's size, as `framing` says.

A prepared image (`prepared`) has gone that way already, and is copied.

Not an image, and said so in one line: no bytes, other bytes, an end that is missing (truncated),
data that OpenCV cannot decode, and what would take more memory than an image may, which is decided
from the header before any is spent. Damage that the decoder can step over is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vista_sql.kernels import DECODING_BYTES, MOST_DECODING_BYTES
from vista_sql.roster import Framing

from . import framing, headers, memory, paths, prepared, regions
from .header import Header
from .opencv import MAX_PIXELS, Pixels, opencv
from .silence import silence

STRIPE_PIXELS = 1 << 20  # are laid over white at once

USUAL = Framing()
"""How images come to a size where nobody says otherwise."""


def decode(
    data: pa.Buffer | bytes,
    order: str,
    out: Pixels,
    most_bytes: int = MOST_DECODING_BYTES,
    how: Framing = USUAL,
) -> str | None:
    """Decode one image into `out` (height, width, channels), channels in `order`.

    Args:
        data: the encoded image.
        order: of the channels, 'rgb', 'bgr' or 'gray'.
        out: uint8.
        most_bytes: what it may take; images that are decoded at once share them, too.
        how: it comes to the size of `out`.

    Returns:
        None, or the reason why there is no image; `out` is then undefined.

    Raises:
        ArgumentError: it was prepared for another input.
    """
    shape = out.shape[0], out.shape[1]

    def framed(image: Pixels, sides: framing.Sides) -> None:
        framing.frame(image, sides, how, out)

    if prepared.is_one(data):
        view = memoryview(data).cast("B")
        reason = _refusal(headers.header(view), len(view), 0, most_bytes)
        return reason or prepared.place(view, prepared.Wanted(order, how, out.shape), out)
    return _decoded(data, order, most_bytes, framed, lambda h: framing.reduction(h, shape, how))


def decode_picture(
    data: pa.Buffer | bytes, order: str, out: Pixels, most_bytes: int = MOST_DECODING_BYTES
) -> str | None:
    """Decode one image for people, or to compare it, as `decode` does for a network.

    A prepared image is a picture of its own size here, and comes to any other as a picture does.
    """
    if not prepared.is_one(data):
        return decode(data, order, out, most_bytes)
    image, reason = prepared.read(memoryview(data).cast("B"))
    if image is None:
        return reason
    cv2 = opencv()
    if image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    image = _in_order(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), order)
    framing.frame(image, (image.shape[0], image.shape[1]), USUAL, out)
    return None


def decode_crops(
    data: pa.Buffer | bytes,
    order: str,
    crops: Sequence[tuple[framing.Box, Pixels]],
    most_bytes: int = MOST_DECODING_BYTES,
    how: Framing = USUAL,
) -> list[str | None]:
    """Decode one image and cut boxes out of it, each an image of its own.

    An image is decoded at its full size, whatever is cut out of it: a crop does not depend on what
    others there are.

    Args:
        data: the encoded image.
        order: of the channels.
        crops: boxes, each with the array that its pixels come to; as `decode`'s `out`.
        most_bytes: as `decode`'s.
        how: each comes to the size of its array.

    Returns:
        For each crop None, or the reason why there is none.

    Raises:
        ArgumentError: it is a prepared image.
    """
    regions.refuse_prepared(data)
    reasons: list[str | None] = [None] * len(crops)

    def cut(image: Pixels, sides: framing.Sides) -> None:
        for place, (box, out) in enumerate(crops):
            part = None if regions.fault(box) else framing.cut_out(box, sides)
            if part is None:
                reasons[place] = regions.fault(box) or regions.outside(box, sides)
                continue
            crop = image[part]
            framing.frame(crop, (crop.shape[0], crop.shape[1]), how, out)

    reason = _decoded(data, order, most_bytes, cut)
    return reasons if reason is None else [reason] * len(crops)


def _decoded(
    data: pa.Buffer | bytes,
    order: str,
    most_bytes: int,
    use: Callable[[Pixels, framing.Sides], None],
    reduced: Callable[[Header], int] = lambda header: 1,
) -> str | None:
    """Decode one image and hand it over while there is memory for it.

    Args:
        data: the encoded image.
        order: of the channels.
        most_bytes: what it may take.
        use: takes the upright pixels, and the sides of an image that was not reduced.
        reduced: returns by how much its sides are smaller as it is decoded.

    Returns:
        None, or the reason why there is no image.
    """
    view = memoryview(data).cast("B")  # an Arrow buffer counts its bytes as signed
    header = headers.header(view)
    reduction = reduced(header)
    needed = header.takes(reduction)
    reason = _refusal(header, len(view), needed, most_bytes)
    if reason is not None:
        return reason
    damaged = f"damaged {header.format} ({len(view)} bytes)"
    cv2 = opencv()
    try:
        budget_bytes = min(most_bytes, DECODING_BYTES)
        with memory.turns().held(needed, budget_bytes), silence().kept():
            image = _pixels(_readable(view, header), order, header, reduction)
            if image is None:
                return f"{damaged}: it cannot be decoded"
            height, width = image.shape[:2] if reduction == 1 else header.upright
            use(image, (height, width))
    except (cv2.error, MemoryError) as error:
        said = " ".join((getattr(error, "err", "") or str(error)).split())
        return paths.shortened(f"{damaged}: {said}")
    return None


def _refusal(header: Header, n_bytes: int, needed: int, most_bytes: int) -> str | None:
    """Return why an image is not decoded; None: it is worth a try."""
    size = f"{header.width} × {header.height} pixels"
    if header.pixels > MAX_PIXELS:
        return f"a {header.format} of {size}, the limit is {MAX_PIXELS:,} pixels: scale it down"
    if header.refused:
        return header.refusal
    if not header.whole:
        lacks = f": {header.lacks} is missing" if header.lacks else ""
        return f"truncated {header.format} ({n_bytes} bytes){lacks}"
    if not header.format:
        return f"not an image ({n_bytes} bytes)"
    if needed > MOST_DECODING_BYTES:
        return (
            f"a {header.format} of {size} takes {needed >> 20:,} MiB to decode, the limit is "
            f"{MOST_DECODING_BYTES >> 20:,} MiB: scale it down"
        )
    if needed > most_bytes:
        return (
            f"a {header.format} of {size} takes {needed >> 20:,} MiB to decode, memory_limit "
            f"leaves {most_bytes >> 20:,} MiB: raise it, or scale the image down"
        )
    return None


def _readable(view: memoryview, header: Header) -> Pixels:
    """Return the bytes as OpenCV takes them: without what is done here, with what may lack."""
    if header.key is not None:  # the transparent colour of a PNG: applied here
        clear = next(chunk for chunk in headers.chunks(view) if chunk.name == b"tRNS")
        view = memoryview(b"".join((view[: clear.start], view[clear.end :])))
    elif header.format == "GIF" and view[-1] != ord(";"):  # the trailer, which decoders add
        view = memoryview(bytes(view) + b";")
    return np.frombuffer(view, np.uint8)


def _pixels(raw: Pixels, order: str, header: Header, reduction: int) -> Pixels | None:
    """Return the pixels in the channels' order, upright; None where it cannot be decoded.

    Args:
        raw: the encoded image.
        order: of the channels.
        header: of the image.
        reduction: the sides are decoded at 1 / so much of theirs; of a JPEG.
    """
    cv2 = opencv()
    image = _over_white(raw, order, header) if header.alpha else None
    if image is None:
        is_short = header.format == "BMP" and header.bits == 16
        flag = _flag("bgr" if is_short else order, reduction)
        image = cv2.imdecode(raw, flag | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is not None and reduction > 1:  # but for pixels that lie mostly beyond the end
            sides = (round((side or 0) / reduction) for side in (header.height, header.width))
            image = image[tuple(map(slice, sides))]
        if image is not None and is_short:
            image = _in_order(_low_bits_filled(image, header.layout), order)
    return None if image is None else _upright(image, header.orientation)


def _in_order(image: Pixels, order: str) -> Pixels:
    """Return BGR pixels in another order of the channels."""
    cv2 = opencv()
    if order == "bgr":
        return np.ascontiguousarray(image)
    converted: Pixels = cv2.cvtColor(
        image, cv2.COLOR_BGR2RGB if order == "rgb" else cv2.COLOR_BGR2GRAY
    )
    return converted


def _flag(order: str, reduction: int) -> int:
    cv2 = opencv()
    flags = {
        "rgb": cv2.IMREAD_COLOR_RGB,
        "bgr": cv2.IMREAD_COLOR_BGR,
        "gray": cv2.IMREAD_GRAYSCALE,
    }
    scale = getattr(cv2, f"IMREAD_REDUCED_GRAYSCALE_{reduction}") if reduction > 1 else 0
    return int(flags[order] | scale)


def _over_white(raw: Pixels, order: str, header: Header) -> Pixels | None:
    """Decode an image over white; None where it has no transparent pixel and is read as others."""
    cv2 = opencv()
    image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    if header.key is not None:
        clear = _is_key(image, header)
        image = _eight_bits(image, header)
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        image[clear] = 255
    else:
        image = _eight_bits(image, header)
        has_alpha = image.ndim == 3 and image.shape[2] == 4
        if has_alpha and image[:, :, 3].min() < 255:
            image = _laid(image, is_premultiplied=header.format == "TIFF" and header.premultiplied)
        elif header.format != "AVIF":  # of which OpenCV mixes the channels up, read as others
            return None
        elif image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return _in_order(image[:, :, :3], order)


def _eight_bits(image: npt.NDArray[np.uint8 | np.uint16], header: Header) -> Pixels:
    """Return the upper 8 bits of each channel."""
    if image.dtype == np.uint8:
        return image  # type: ignore[return-value,unused-ignore]
    bits = header.bits if header.format == "AVIF" else 16
    return (image >> (bits - 8)).astype(np.uint8)


def _is_key(image: npt.NDArray[np.uint8 | np.uint16], header: Header) -> npt.NDArray[np.bool_]:
    """Return which pixels of a PNG have the transparent colour."""
    key = np.array(header.key[::-1] if header.key else (), np.int64)
    if header.bits < 8:  # OpenCV spreads fewer bits over all eight
        key = (key & ((1 << header.bits) - 1)) * 255 // ((1 << header.bits) - 1)
    elif header.bits == 8:
        key &= 0xFF
    if image.ndim == 2:
        return np.asarray(image == key[0])
    clear = image[:, :, 0] == key[0]
    for channel in range(1, len(key)):
        clear &= image[:, :, channel] == key[channel]
    return np.asarray(clear)


def _laid(image: Pixels, *, is_premultiplied: bool) -> Pixels:
    """Lay BGRA over white, in place, some rows at a time; return it as BGR."""
    rows = max(1, STRIPE_PIXELS // image.shape[1])
    for start in range(0, image.shape[0], rows):
        stripe = image[start : start + rows]
        alpha = stripe[:, :, 3:].astype(np.uint16)
        colours = stripe[:, :, :3]
        if is_premultiplied:
            stripe[:, :, :3] = np.minimum(colours + (255 - alpha), 255)
        else:
            stripe[:, :, :3] = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    return image[:, :, :3]


def _low_bits_filled(image: Pixels, layout: str) -> Pixels:
    """Spread the 5 or 6 bits of a channel over all 8: OpenCV leaves the low ones 0."""
    for channel, bits in enumerate((5, 6 if layout == "565" else 5, 5)):
        image[:, :, channel] |= image[:, :, channel] >> bits
    return image


def _upright(image: Pixels, orientation: int) -> Pixels:
    """Turn an image (height, width[, channels]) as its EXIF orientation says."""
    if orientation == 1:
        return image
    if orientation >= 5:  # the stored rows are columns
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
