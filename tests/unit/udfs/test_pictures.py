"""Every kind of every format that docs/images.md lists: as Pillow reads it, or refused by name."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pictures
import pytest
from pictures import ALPHA, COLOURS, GRAY, LA, OPAQUE, RGB, RGBA, TRANSPARENT, L, saved
from PIL import Image, PngImagePlugin
from vista_sql.udfs.images import decoding

GRAY_16 = GRAY.astype(np.uint16) * 256 + 77
COLOURS_16, TRANSPARENT_16 = (p.astype(np.uint16) * 257 for p in (COLOURS, TRANSPARENT))
LOSSLESS = {"lossless": True}
BEST = {"quality": 100, "subsampling": "4:4:4"}
BIT = Image.fromarray(np.where(GRAY > 127, 255, 0).astype(np.uint8)).convert("1")


def decoded(data, order="rgb", shape=COLOURS.shape[:2]):
    out = np.full((*shape, 1 if order == "gray" else 3), 7, np.uint8)
    reason = decoding.decode(data, order, out)
    assert reason is None, reason
    return out


def refused(data):
    reason = decoding.decode(data, "rgb", np.zeros((8, 8, 3), np.uint8))
    assert reason is not None
    return reason


def same(data, expected, by=2):
    """Assert what a picture becomes, for every order of the channels."""
    found = decoded(data, shape=expected.shape[:2])
    assert np.abs(found.astype(int) - expected).max() <= by
    bgr = decoded(data, "bgr", expected.shape[:2])
    assert np.array_equal(bgr[..., ::-1], found)
    luma = decoded(data, "gray", expected.shape[:2])[..., 0]
    assert np.abs(luma - expected @ np.array([0.299, 0.587, 0.114])).max() <= by + 2


def as_pillow(data, by=2):
    same(data, pictures.pillow(data), by)


def encoded(ending, rgb, *options):
    """Return a picture as OpenCV writes it."""
    colours = rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, *range(3, rgb.shape[2])]]
    return cv2.imencode(ending, np.ascontiguousarray(colours), list(options))[1].tobytes()


MODES = {
    "RGB": RGB, "RGBA": RGBA, "opaque": Image.fromarray(OPAQUE), "gray": L, "gray, alpha": LA,
    "1 bit": BIT, "palette": RGB.quantize(64), "palette, alpha": RGBA.quantize(64),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format_", ["PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"])
def test_modes_of_formats(format_, mode):
    if (format_, mode) == ("BMP", "gray, alpha"):
        return  # there is none
    options = {"WEBP": LOSSLESS, "AVIF": BEST}.get(format_, {})
    data = saved(MODES[mode], format_, **options)
    if (format_, mode) == ("TIFF", "gray, alpha"):
        assert refused(data).startswith("gray TIFF with alpha is not read here: convert it")
    else:
        as_pillow(data, 6 if format_ == "AVIF" else 2)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_orientations_in_every_container(format_, number):
    options = {"WEBP": LOSSLESS, "AVIF": BEST, "JPEG": {"quality": 98, "subsampling": 0}}
    for image in (RGB, L) if format_ == "JPEG" else (RGB, RGBA, L):
        exif = pictures.orientation(number)
        data = saved(image, format_, exif=exif, **options.get(format_, {}))
        as_pillow(data, 6)


def test_orientation_of_webp_with_the_name_before_it():
    data = saved(RGB, "WEBP", lossless=True, exif=pictures.orientation(6))
    at = data.index(b"EXIF")
    size = struct.unpack_from("<I", data, at + 4)[0]
    body = b"Exif\0\0" + data[at + 8 : at + 8 + size]
    longer = data[8:at] + b"EXIF" + struct.pack("<I", len(body)) + body
    as_pillow(b"RIFF" + struct.pack("<I", len(longer)) + longer)


@pytest.mark.parametrize("subsampling", ["4:0:0", "4:2:0", "4:2:2", "4:4:4"])
def test_chroma_of_avif_and_jpeg(subsampling):
    smooth = Image.fromarray(cv2.GaussianBlur(COLOURS, (0, 0), 4))
    as_pillow(saved(smooth, "AVIF", quality=100, subsampling=subsampling), 6)
    if subsampling != "4:0:0":
        for progressive in (False, True):
            options = {"quality": 98, "subsampling": subsampling, "progressive": progressive}
            as_pillow(saved(smooth, "JPEG", **options), 6)


def test_jpegs_of_four_channels_and_of_rgb():
    as_pillow(saved(RGB.convert("CMYK"), "JPEG", quality=98), 6)
    as_pillow(saved(RGB.convert("CMYK"), "JPEG", quality=98, progressive=True), 6)
    as_pillow(saved(RGB, "JPEG", quality=98, keep_rgb=True), 6)
    as_pillow(saved(L, "JPEG", quality=98), 6)


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("pixels", [COLOURS, TRANSPARENT, OPAQUE, GRAY], ids=["", "A", "255", "L"])
def test_avifs_of_8_10_and_12_bits(depth, pixels):
    wide = pixels if depth == 8 else pixels.astype(np.uint16) << (depth - 8)
    options = (cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100)
    data = encoded(".avif", wide, *options)
    as_pillow(data, 6)
    major = data[:8] + b"mif1" + data[12:]  # phones write this brand first
    same(major, pictures.pillow(data), 6)


def test_an_avif_that_is_gray_with_alpha_is_refused():
    data = saved(RGBA, "AVIF", quality=100, subsampling="4:0:0")
    assert refused(data) == "gray AVIF with alpha is not read here: convert it to PNG or JPEG"


def key_png(image, key, n_text=0):
    """A PNG with a transparent colour, after `n_text` bytes of metadata."""
    info = PngImagePlugin.PngInfo()
    if n_text:
        info.add_text("made by", "x" * n_text)
    return saved(image, "PNG", transparency=key, pnginfo=info)


@pytest.mark.parametrize("n_text", [0, 40_000])
def test_transparent_colours_of_png(n_text):
    clear = (COLOURS == (250, 20, 10)).all(axis=2)
    expected = np.where(clear[..., None], 255, COLOURS)
    same(key_png(RGB, (250, 20, 10), n_text), expected)
    grays = np.repeat(np.where(GRAY == 250, 255, GRAY)[..., None], 3, 2)
    same(key_png(L, 250, n_text), grays)
    wide = Image.fromarray(GRAY_16)
    same(key_png(wide, 250 * 256 + 77, n_text), grays)
    same(key_png(wide, 250 * 256, n_text), np.repeat(GRAY[..., None], 3, 2))  # another gray
    same(key_png(BIT, 0, n_text), np.full_like(COLOURS, 255))
    as_pillow(key_png(RGB.quantize(64), 3, n_text))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits(bits):
    as_pillow(saved(RGB.quantize(2**bits), "PNG", bits=bits))
    as_pillow(saved(RGB.quantize(2**bits), "GIF", interlace=bits % 2))


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_of_16_bits_the_upper_8_are_kept(ending):
    same(encoded(ending, COLOURS_16), COLOURS, 0)
    if ending == ".png":
        same(encoded(ending, TRANSPARENT_16), pictures.over_white(TRANSPARENT))


def test_animations_show_their_first_frame():
    for format_, options in (("GIF", {}), ("PNG", {}), ("WEBP", LOSSLESS), ("AVIF", BEST)):
        for first in (RGB, RGBA):
            data = saved(
                first, format_, save_all=True, append_images=[first.rotate(180)], **options
            )
            as_pillow(data, 6)


@pytest.mark.parametrize("key", [None, 5])
def test_a_gif_whose_frame_is_smaller_than_its_canvas(key):
    options = {} if key is None else {"transparency": key}
    data = bytearray(saved(RGBA.quantize(64), "GIF", **options))
    data[6:10] = struct.pack("<HH", pictures.WIDTH + 16, pictures.HEIGHT + 16)
    as_pillow(bytes(data))


NORMAL = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
WITH_ALPHA = NORMAL + struct.pack("<I", 0xFF000000)


def bgrx(fourth):
    return pictures.lines(np.dstack([COLOURS[..., ::-1], np.broadcast_to(fourth, ALPHA.shape)]))


@pytest.mark.parametrize("fourth", [0, 255, ALPHA], ids=["0", "255", "any"])
def test_the_fourth_byte_of_a_bmp_is_no_alpha_unless_it_says_so(fourth):
    rows = bgrx(np.asarray(fourth, np.uint8))
    same(pictures.bmp(32, rows), COLOURS, 0)
    for header in (40, 52, 56, 108, 124):
        same(pictures.bmp(32, rows, compression=3, masks=NORMAL, header=header), COLOURS, 0)


@pytest.mark.parametrize("header", [56, 108, 124])
def test_bmps_with_alpha(header):
    data = pictures.bmp(32, bgrx(ALPHA), compression=3, masks=WITH_ALPHA, header=header)
    same(data, pictures.over_white(TRANSPARENT))


def test_bmps_of_16_bits():
    red, green, blue = (COLOURS[..., i].astype("<u2") for i in range(3))
    five = pictures.lines(red >> 3 << 10 | green >> 3 << 5 | blue >> 3)
    as_pillow(pictures.bmp(16, five))
    six = pictures.lines(red >> 3 << 11 | green >> 2 << 5 | blue >> 3)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    as_pillow(pictures.bmp(16, six, compression=3, masks=masks))
    white = np.full(red.shape, 0x7FFF, "<u2")
    same(pictures.bmp(16, pictures.lines(white)), np.full_like(COLOURS, 255), 0)
    odd = struct.pack("<III", 0xF00, 0xF0, 0xF)
    reason = refused(pictures.bmp(16, six, compression=3, masks=odd))
    assert reason.startswith("BMP of 16 bits with unusual masks is not read here")


def test_bmps_of_palettes_runs_and_os2():
    few = RGB.quantize(16)
    index, colours = np.array(few), np.array(few.getpalette()[:48], np.uint8).reshape(-1, 3)
    expected = colours[index]
    table = np.hstack([colours[:, ::-1], np.zeros((16, 1), np.uint8)]).tobytes()
    halves = index[:, ::2] << 4 | index[:, 1::2]
    same(pictures.bmp(4, pictures.lines(halves), palette=table), expected, 0)
    runs = b"".join(b"".join(bytes([1, v]) for v in row) + b"\0\0" for row in index[::-1])
    same(pictures.bmp(8, runs + b"\0\1", compression=1, palette=table), expected, 0)
    pairs = b"".join(b"".join(bytes([2, v]) for v in row) + b"\0\0" for row in halves[::-1])
    same(pictures.bmp(4, pairs + b"\0\1", compression=2, palette=table), expected, 0)
    same(pictures.bmp(24, pictures.lines(COLOURS[..., ::-1]), header=12), COLOURS, 0)
    short = colours[:, ::-1].tobytes().ljust(768, b"\0")
    same(pictures.bmp(8, pictures.lines(index), palette=short, header=12), expected, 0)
    upside = bytearray(pictures.bmp(24, pictures.lines(COLOURS[::-1, :, ::-1])))
    upside[22:26] = struct.pack("<i", -pictures.HEIGHT)
    same(bytes(upside), COLOURS, 0)


GRAYS = np.repeat(GRAY[..., None], 3, 2)
OVER_WHITE = pictures.over_white(TRANSPARENT)
MULTIPLIED = np.dstack([
    (COLOURS * (ALPHA[..., None] / 255)).round().astype(np.uint8), ALPHA
])  # fmt: skip
BITS = np.packbits(GRAY > 127, axis=1).tobytes()
CMYK = np.array(RGB.convert("CMYK"))
GREEN_TABLE = [0] * 256 + [i * 257 for i in range(256)] + [0] * 256

TIFFS = {
    "gray": (GRAYS, GRAY, {"photometric": 1}),
    "gray, 0 for white": (255 - GRAYS, GRAY, {"photometric": 0}),
    "gray of 16 bits": (GRAYS, GRAY_16, {"photometric": 1}),
    "1 bit": (np.where(GRAYS > 127, 255, 0), GRAY, {"photometric": 1, "bits": 1, "packed": BITS}),
    "1 bit, 0 for white": (
        np.where(GRAYS > 127, 0, 255), GRAY, {"photometric": 0, "bits": 1, "packed": BITS},
    ),
    "RGB": (COLOURS, COLOURS, {"photometric": 2}),
    "RGB, planar": (COLOURS, COLOURS, {"photometric": 2, "planar": True}),
    "RGB of 16 bits": (COLOURS, COLOURS_16, {"photometric": 2}),
    "RGBA": (OVER_WHITE, TRANSPARENT, {"photometric": 2, "extra": [2]}),
    "RGBA, planar": (OVER_WHITE, TRANSPARENT, {"photometric": 2, "extra": [2], "planar": True}),
    "RGBA, multiplied": (OVER_WHITE, MULTIPLIED, {"photometric": 2, "extra": [1]}),
    "RGBA, a fourth that is not said to be alpha": (
        COLOURS, TRANSPARENT, {"photometric": 2, "extra": [0]},
    ),
    "RGBA, nothing said": (OVER_WHITE, TRANSPARENT, {"photometric": 2}),
    "RGBA of 16 bits": (OVER_WHITE, TRANSPARENT_16, {"photometric": 2, "extra": [2]}),
    "RGBA of 16 bits, multiplied": (
        OVER_WHITE, MULTIPLIED.astype(np.uint16) * 257, {"photometric": 2, "extra": [1]},
    ),
    "palette": (GRAYS * [0, 1, 0], GRAY, {"photometric": 3, "palette": GREEN_TABLE}),
    "CMYK": (255 - CMYK[..., :3].astype(int), CMYK, {"photometric": 5}),
}  # fmt: skip


@pytest.mark.parametrize("big", [False, True], ids=["", "big"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TIFFS)
def test_kinds_of_tiff(kind, order, big):
    expected, pixels, options = TIFFS[kind]
    same(pictures.tiff(pixels, order=order, big=big, **options), expected)


@pytest.mark.parametrize("number", range(2, 9))
def test_orientations_of_tiffs(number):
    for pixels in (COLOURS, COLOURS_16, TRANSPARENT, GRAY_16):
        extra = [2] if pixels.ndim == 3 and pixels.shape[2] == 4 else None
        options = {"photometric": 1 if pixels.ndim == 2 else 2, "extra": extra}
        upright = pictures.tiff(pixels, **options)
        shape = (pictures.WIDTH, pictures.HEIGHT) if number >= 5 else COLOURS.shape[:2]
        found = decoded(pictures.tiff(pixels, turned=number, **options), shape=shape)
        as_it_is = Image.fromarray(decoded(upright))
        as_it_is.getexif()[0x0112] = number
        turned = pictures.pillow(saved(as_it_is, "PNG", exif=as_it_is.getexif()))
        assert np.abs(found.astype(int) - turned).max() <= 1


REFUSED_TIFFS = {
    "TIFF of 32-bit floating point": (
        GRAY.astype(np.float32), {"photometric": 1, "sample_format": 3},
    ),
    "TIFF of 32 bits a channel": (GRAY.astype(np.uint32), {"photometric": 1}),
    "TIFF of 4 bits a channel": (GRAY, {"photometric": 1, "bits": 4}),
    "TIFF of 16 bits a channel, 0 for white": (GRAY_16, {"photometric": 0}),
    "TIFF of 16 bits a channel, planar": (COLOURS_16, {"photometric": 2, "planar": True}),
    "TIFF of signed or complex numbers": (GRAY_16, {"photometric": 1, "sample_format": 2}),
    "TIFF of 2 channels": (np.dstack([GRAY] * 2), {"photometric": 2}),
    "gray TIFF with alpha": (np.dstack([GRAY, ALPHA]), {"photometric": 1, "extra": [2]}),
    "CIELab TIFF": (COLOURS, {"photometric": 8}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_TIFFS)
def test_other_kinds_of_tiff_are_refused_by_name(name):
    pixels, options = REFUSED_TIFFS[name]
    for big in (False, True):
        reason = refused(pictures.tiff(pixels, big=big, **options))
        assert reason == f"{name} is not read here: convert it to PNG or JPEG"


def test_compressions_of_tiff():
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        as_pillow(saved(RGB, "TIFF", compression=compression), 6)
    for compression in ("group3", "group4"):
        as_pillow(saved(BIT, "TIFF", compression=compression))
    reason = refused(saved(RGB, "TIFF", compression="zstd"))
    assert reason.startswith("TIFF compressed with Zstandard is not read here")


@pytest.mark.parametrize(
    ("image", "expected"),
    [(RGB, COLOURS), (L, GRAYS), (BIT, np.repeat(np.array(BIT)[..., None] * np.uint8(255), 3, 2))],
)
def test_portable_maps(image, expected):
    same(saved(image, "PPM"), expected, 0)


FOREIGN = {
    "JPEG 2000": saved(RGB, "JPEG2000"), "icon (ICO)": saved(RGB, "ICO"), "SGI": saved(RGB, "SGI"),
    "DDS": saved(RGB, "DDS"), "PCX": saved(RGB, "PCX"), "PDF": b"%PDF-1.7 and so on",
    "PFM": b"Pf\n2 2\n-1.0\n" + bytes(16), "PAM": b"P7\nWIDTH 2\nHEIGHT 2\n" + bytes(40),
    "text PPM": b"P3 1 1 255 1 2 3", "PGM of values up to 65535": b"P5 1 1 65535\n\1\2",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
    "HEIF": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40),
    "JPEG XL": b"\xff\x0a" + bytes(40), "Photoshop (PSD)": b"8BPS" + bytes(40),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "OpenEXR": b"\x76\x2f\x31\x01" + bytes(40),
    "Radiance HDR": b"#?RADIANCE\n" + bytes(40), "Sun raster": b"\x59\xa6\x6a\x95" + bytes(40),
    "CgBI PNG (Apple's, of an iOS app)": b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(40),
    "JPEG-LS": b"\xff\xd8\xff\xf7\0\x0b\x08\0\1\0\1\1\0\0\0\xff\xda" + bytes(20),
    "JPEG of 12 bits a channel": b"\xff\xd8\xff\xc1\0\x0b\x0c\0\1\0\1\1\0\0\0\xff\xda" + bytes(20),
    "lossless or hierarchical JPEG": (
        b"\xff\xd8\xff\xc3\0\x0b\x08\0\1\0\1\1\0\0\0\xff\xda" + bytes(20)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_other_formats_are_refused_by_name(name):
    assert refused(FOREIGN[name]) == f"{name} is not read here: convert it to PNG or JPEG"


def test_bytes_between_segments_and_a_missing_trailer_do_no_harm():
    data = saved(RGB, "JPEG", quality=98)
    at = data.index(b"\xff\xdb")
    same(data[:at] + b"\1\2\3" + data[at:], pictures.pillow(data), 6)
    gif = saved(RGB.quantize(64), "GIF")
    same(gif[:-1], pictures.pillow(gif))


def test_a_jpeg_without_its_end_says_so():
    data = saved(RGB, "JPEG", quality=98)[:-2]
    assert refused(data) == f"truncated JPEG ({len(data)} bytes): its end marker (FF D9) is missing"
