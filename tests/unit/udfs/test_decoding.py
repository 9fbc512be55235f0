"""The decode policy, on images made here."""

from __future__ import annotations

import base64
import ctypes
import struct
import threading
import time
import zlib

import cv2
import numpy as np
import pytest
from vista_sql.udfs.images import decoding, memory

RED, GREEN, BLUE, YELLOW = (200, 30, 40), (20, 180, 60), (30, 50, 210), (230, 220, 40)
SIZE = 16
PLACES = ((3, 3), (3, 12), (12, 3), (12, 12))

# Made by Pillow from `quarters()`, since OpenCV writes none of these.
CMYK_JPEG = base64.b64decode(
    """
    /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAW
    EBETFBUVFQwPFxgWFBgSFBUU/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYH
    CAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBka
    JSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeo
    qaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD7Ar8+
    q+FK/VOvwfr9kK7aituvykr9kKK/oVr9xa/Dmiv/2Q==
    """
)
ANIMATED_WEBP = base64.b64decode(
    """
    UklGRtAAAABXRUJQVlA4WAoAAAACAAAADwAADwAAQU5JTQYAAAAAAAAAAABBTk1GTgAAAAAAAAAAAA8AAA8AAAAAAAJW
    UDhMNQAAAC8PwAMAHyAkIJ5bJVtkkNCG6LLs/7lSIEAI0yFN7/yHGvYpgDDbaJKTPMm9zyCi/7HBp3UFAEFOTUZOAAAA
    AAAAAAAADwAADwAAAAAAAFZQOEw1AAAALw/AAwAfICQgnlslW2SQ0Ibosuz/uVIgQAjTIU3v/Ica9imAMNtokpOc5L3P
    IKL/odtXcAEA
    """
)
ANIMATED_GIF = base64.b64decode(
    """
    R0lGODdhEAAQAIEAAObcKBS0PB4y0sgeKCwAAAAAEAAQAAAIRgAHCBwoMIDBgwYJEkSIUOFAhgcdFoQYQOIAihUlYrS4
    USNFASBDggRAsiRJkSJNmkQZUmVJliNdAoApQOZMmDZp5sQpMyAAIfkEAQAABAAsAAAAABAAEACB5twoFLQ8HjLSyB4o
    CEYABQgcKBCAwYMGCRJEiFDhQIYHHRaECECiAIoVJWK0uFEjxQEgQ4IMQLIkSZEiTZpEGVJlSZYjXQaAOUDmTJg2aebE
    KTMgADs=
    """
)


def quarters(colours=(RED, GREEN, BLUE, YELLOW)):
    """RGB (16, 16, 3): four quarters."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for colour, (y, x) in zip(colours, PLACES, strict=True):
        image[y // 8 * 8 :, x // 8 * 8 :] = colour
    return image


def encode(rgb, suffix, *options):
    image = rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, *range(3, rgb.shape[2])]]
    done, data = cv2.imencode(suffix, image, list(options))
    assert done
    return data.tobytes()


def decoded(data, order="rgb", size=SIZE):
    out = np.zeros((size, size, 1 if order == "gray" else 3), np.uint8)
    reason = decoding.decode(data, order, out)
    assert reason is None, reason
    return out


def refused(data):
    reason = decoding.decode(data, "rgb", np.zeros((SIZE, SIZE, 3), np.uint8))
    assert reason is not None
    assert "\n" not in reason
    return reason


def seen(pixels):
    return [tuple(int(value) for value in pixels[place]) for place in PLACES]


def near(found, expected, by):
    return np.abs(np.array(found, int) - np.array(expected, int)).max() <= by


def png(kind, depth, rows, *chunks):
    """A PNG of a colour type and bit depth that OpenCV does not write."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", SIZE, SIZE, depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(rgba):
    """An uncompressed TIFF whose fourth sample is declared to be (unassociated) alpha."""
    one = {
        256: SIZE,
        257: SIZE,
        258: 200,
        259: 1,
        262: 2,
        273: 208,
        277: 4,
        278: SIZE,
        279: rgba.size,
    }
    entries = [struct.pack("<HHII", k, 3, 4 if k == 258 else 1, v) for k, v in one.items()]
    entries.append(struct.pack("<HHII", 338, 3, 1, 2))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    return head.ljust(200, b"\0") + struct.pack("<4H", 8, 8, 8, 8) + rgba.tobytes()


def exif(orientation):
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


def with_exif(jpeg, orientation):
    body = b"Exif\0\0" + exif(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".png", ()), (".bmp", ()), (".tiff", ()), (".webp", LOSSLESS), (".ppm", ())],
)
def test_lossless_formats_are_read_as_they_are(suffix, options):
    data = encode(quarters(), suffix, *options)
    assert np.array_equal(decoded(data), quarters())
    assert np.array_equal(decoded(data, "bgr"), quarters()[..., ::-1])


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_jpeg_is_read(options):
    data = encode(quarters(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98, *options)
    assert near(seen(decoded(data)), [RED, GREEN, BLUE, YELLOW], 6)


def test_cmyk_and_ycck_jpeg_become_rgb():
    assert near(seen(decoded(CMYK_JPEG)), [RED, GREEN, BLUE, YELLOW], 2)
    ycck = bytearray(CMYK_JPEG)
    ycck[ycck.index(b"Adobe") + 11] = 2  # the transform: now the same values are YCCK
    pillow = [(178, 0, 229), (255, 204, 143), (110, 255, 255), (148, 0, 0)]
    assert near(seen(decoded(bytes(ycck))), pillow, 2)


@pytest.mark.parametrize("data", [ANIMATED_GIF, ANIMATED_WEBP], ids=["gif", "webp"])
def test_of_an_animation_the_first_frame_is_read(data):
    assert near(seen(decoded(data)), [RED, GREEN, BLUE, YELLOW], 1)


def test_gray_becomes_equal_channels_and_colours_become_luma():
    gray = np.arange(256, dtype=np.uint8).reshape(SIZE, SIZE)
    assert np.array_equal(decoded(encode(gray, ".png")), np.repeat(gray[..., None], 3, 2))
    luma = quarters() @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decoded(encode(quarters(), ".png"), "gray")[..., 0] - luma).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_of_16_bits_the_upper_8_are_kept(suffix):
    gray = np.arange(256, dtype=np.uint16).reshape(SIZE, SIZE) * 256 + 77
    assert np.array_equal(decoded(encode(gray, suffix))[..., 0], gray >> 8)


def test_palettes_and_single_bits_are_resolved():
    index = np.zeros((SIZE, SIZE), np.uint8)
    index[:8, 8:], index[8:, :8], index[8:, 8:] = 1, 2, 3
    palette = (b"PLTE", bytes(RED + GREEN + BLUE + YELLOW))
    assert np.array_equal(decoded(png(3, 8, [bytes(row) for row in index], palette)), quarters())
    bits = [b"\xf0\x0f"] * SIZE
    expected = np.repeat([[255] * 4 + [0] * 8 + [255] * 4], SIZE, 0)
    assert np.array_equal(decoded(png(0, 1, bits))[..., 0], expected)


def over_white(rgb, alpha):
    alpha = alpha[..., None] / 255
    return rgb * alpha + 255 * (1 - alpha)


ALPHA = np.repeat([[255] * 6 + [128] * 5 + [0] * 5], SIZE, 0).astype(np.uint8)


@pytest.mark.parametrize(("suffix", "options"), [(".png", ()), (".webp", LOSSLESS), ("tiff", ())])
def test_transparency_is_laid_over_white(suffix, options):
    image = np.dstack([quarters(), ALPHA])
    data = tiff(image) if suffix == "tiff" else encode(image, suffix, *options)
    assert np.abs(decoded(data) - over_white(quarters(), ALPHA)).max() <= 1
    assert np.abs(decoded(data, "bgr")[..., ::-1] - over_white(quarters(), ALPHA)).max() <= 1


def test_transparent_gray_and_palettes_are_laid_over_white():
    gray = np.full((SIZE, SIZE), 100, np.uint8)
    la = png(4, 8, [np.dstack([gray, ALPHA])[y].tobytes() for y in range(SIZE)])
    assert np.abs(decoded(la)[..., 0] - over_white(gray[..., None], ALPHA)[..., 0]).max() <= 1
    palette, clear = (b"PLTE", bytes(RED + GREEN)), (b"tRNS", bytes([255, 0]))
    rows = [bytes([0] * 8 + [1] * 8)] * SIZE
    assert seen(decoded(png(3, 8, rows, palette, clear)))[:2] == [RED, (255, 255, 255)]


def test_opaque_images_with_an_alpha_channel_are_read_as_they_are():
    opaque = np.dstack([quarters(), np.full((SIZE, SIZE), 255, np.uint8)])
    assert np.array_equal(decoded(encode(opaque, ".png")), quarters())


R, G, B, Y = RED, GREEN, BLUE, YELLOW
UPRIGHT = {  # EXIF 2.3: what the stored quarters (R G / B Y) look like upright
    1: (R, G, B, Y),
    2: (G, R, Y, B),
    3: (Y, B, G, R),
    4: (B, Y, R, G),
    5: (R, B, G, Y),
    6: (B, R, Y, G),
    7: (Y, G, B, R),
    8: (G, Y, R, B),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientations_are_applied(orientation):
    jpeg = encode(quarters(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98)
    assert near(seen(decoded(with_exif(jpeg, orientation))), UPRIGHT[orientation], 6)
    rows = [np.dstack([quarters(), ALPHA | 254])[y].tobytes() for y in range(SIZE)]
    upright = decoded(png(6, 8, rows, (b"eXIf", exif(orientation))))
    assert near(seen(upright), UPRIGHT[orientation], 2)


def test_resizing_is_bilinear_with_half_pixel_centres():
    gray = np.zeros((2, 2), np.uint8)
    gray[:, 1] = 200
    found = decoded(encode(gray, ".png"), size=4)[0, :, 0]
    assert found.tolist() == [0, 50, 150, 200]


def test_every_cut_of_a_jpeg_is_refused_and_says_so():
    data = encode(quarters(), ".jpg")
    thumbnail = encode(quarters()[:4, :4], ".jpg")  # its own end marker must not count
    body = b"Exif\0\0" + thumbnail
    whole = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    decoded(whole)
    decoded(whole + b"trailing bytes")
    for length in range(3, len(whole)):
        assert refused(whole[:length]).startswith(f"truncated JPEG ({length} bytes)")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff", ".gif"])
def test_cuts_of_other_formats_are_refused(suffix):
    data = encode(quarters(), suffix)
    for length in range(12, len(data) - 12, 7):
        assert refused(data[:length]).startswith(("truncated", "damaged", "not an image"))


def test_what_is_no_image_says_what_it_is():
    assert refused(b"") == "not an image (0 bytes)"
    assert refused(b"hello, this is text") == "not an image (19 bytes)"  # and no word of it
    assert refused(b"\0\1\2") == "not an image (3 bytes)"


def headers_of(width, height):
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
    yield start + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0) + bytes(16) + b"IEND"
    yield b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, width, -height, 1, 24, 0) + bytes(40)
    entries = struct.pack("<HHIIHHII", 0x100, 4, 1, width, 0x101, 4, 1, height)
    yield b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(64)
    yield (
        b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8X"
        + bytes(8)
        + b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
        + bytes(8)
    )


@pytest.mark.parametrize(
    "data", list(headers_of(100_000, 100_000)), ids=["png", "bmp", "tiff", "webp"]
)
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(data, monkeypatch):
    monkeypatch.setattr(decoding, "opencv", lambda: pytest.fail("reached the decoder"))
    reason = refused(data)
    assert "of 100000 × 100000 pixels, the limit is 268,435,456 pixels" in reason


def test_a_jpeg_that_claims_too_many_pixels_is_refused(monkeypatch):
    data = bytearray(encode(quarters(), ".jpg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    monkeypatch.setattr(decoding, "opencv", lambda: pytest.fail("reached the decoder"))
    assert refused(bytes(data)).startswith("a JPEG of 60000 × 60000 pixels")


def test_an_image_that_takes_too_much_memory_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr(decoding, "opencv", lambda: pytest.fail("reached the decoder"))
    head = struct.pack(">IIBBBBB", 16_000, 16_000, 8, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + bytes(16) + b"IEND"
    assert refused(data) == (
        "a PNG of 16000 × 16000 pixels takes 2,929 MiB to decode, the limit is 1,536 MiB: "
        "scale it down"
    )


def test_large_images_take_turns():
    begun, inside, most = threading.Barrier(4), [0], [0]

    def decode_one():
        begun.wait()
        with memory.turns().held(memory.DECODING_BYTES // 2):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=decode_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 2
    with memory.turns().held(2 * memory.DECODING_BYTES):  # more than all may share: it goes alone
        pass


def test_stripes_lay_over_white_as_the_whole_does(monkeypatch):
    data = encode(np.dstack([quarters(), ALPHA]), ".png")
    whole = decoded(data)
    monkeypatch.setattr(decoding, "STRIPE_PIXELS", 3 * SIZE)
    assert np.array_equal(decoded(data), whole)


def test_libraries_print_nothing(capfd):
    jpeg = bytearray(encode(quarters(), ".jpg"))
    jpeg[-6:-2] = b"\xff\x00\xff\x00"  # damage that libjpeg warns of
    image = b"".join(bytes([0, *row]) for row in quarters().reshape(SIZE, -1))
    damaged = png(2, 8, [], (b"iCCP", b"x\0\0no profile"), (b"IDAT", zlib.compress(image)))
    for data in (bytes(jpeg), damaged, tiff(np.dstack([quarters(), ALPHA]))[:-9]):
        decoding.decode(data, "rgb", np.zeros((SIZE, SIZE, 3), np.uint8))
    assert capfd.readouterr().err == ""
    ctypes.CDLL(None).perror(b"others are heard")
    assert "others are heard" in capfd.readouterr().err
