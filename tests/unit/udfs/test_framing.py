"""How an image comes to a network's size: OpenCV's, Pillow's and torchvision's words for it."""

from __future__ import annotations

import math
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image
from vista_sql.udfs.images import decoding, framing, headers
from vista_sql.udfs.images.framing import Place, place

from vista_sql.roster import Framing, Preprocessing

CROP = Framing("triangle", "crop", 224 / 256)
PHOTO = (300, 400)


def photo(height, width, channels=3):
    """A smooth picture with edges, whose JPEG says much the same at every scale."""
    y, x = np.mgrid[:height, :width]
    planes = [127 + 90 * np.sin(y / 9 + x / 31), 255 * (x > y), 255 * y / height]
    return np.stack(planes[:channels], -1).astype(np.uint8).squeeze()


def png(image):
    return cv2.imencode(".png", image if image.ndim == 2 else image[..., ::-1])[1].tobytes()


def jpeg(image, *options):
    swapped = image if image.ndim == 2 else image[..., ::-1]
    return cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, 95, *options])[1].tobytes()


def decoded(data, how, order="rgb", shape=(224, 224)):
    out = np.full((*shape, 1 if order == "gray" else 3), 77, np.uint8)
    reason = decoding.decode(data, order, out, how=how)
    assert reason is None, reason
    return out


# ── where an image lies ─────────────────────────────────────────────────────────────────────────


def torchvision(height, width, resize, crop):
    """Resize(resize) and CenterCrop(crop), by torchvision's formulas."""
    short, long = (width, height) if width <= height else (height, width)
    new_short, new_long = resize, int(resize * long / short)
    new_w, new_h = (new_short, new_long) if width <= height else (new_long, new_short)
    top, left = round((new_h - crop) / 2.0), round((new_w - crop) / 2.0)
    return Place((new_h, new_w), top, left)


IMAGES = [(375, 500), (500, 375), (224, 224), (1, 9), (3000, 4000), (301, 299), (333, 1000)]


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (255, 240), (224, 224)])
def test_crop_is_torchvisions(image, resize, crop):
    found = place(image, (crop, crop), "crop", crop / resize)
    assert found == torchvision(*image, resize, crop)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.95, 0.965, 1.0])
def test_crop_is_timms(image, crop_pct):
    scale_size = math.floor(224 / crop_pct)  # transforms_imagenet_eval's
    assert place(image, (224, 224), "crop", crop_pct) == torchvision(*image, scale_size, 224)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("shape", [(224, 224), (100, 300), (300, 100)])
def test_pad_keeps_the_aspect_and_stands_in_the_middle(image, shape):
    (height, width), (rows, columns) = image, shape
    (tall, wide), top, left = (found := place(image, shape, "pad")).sides, found.top, found.left
    assert tall == rows or wide == columns
    assert tall <= rows
    assert wide <= columns
    ratio = max(height / rows, width / columns)  # timm's ResizeKeepRatio with longest=1
    assert (tall, wide) == (max(1, round(height / ratio)), max(1, round(width / ratio)))
    assert -top == (rows - tall) // 2  # torchvision's CenterCrop of a smaller image
    assert -left == (columns - wide) // 2


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("shape", [(224, 224), (100, 300), (300, 100)])
def test_an_image_covers_what_is_cropped_from_it(image, shape):
    found = place(image, shape, "crop", 0.9)
    for side, start, wanted in zip(found.sides, (found.top, found.left), shape, strict=True):
        assert 0 <= start <= start + wanted <= side


# ── what is resized, and how ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["rgb", "gray"])
@pytest.mark.parametrize("image", [PHOTO, (100, 400), (400, 224), (100, 90), (224, 224)])
def test_antialias_averages_areas_where_both_sides_shrink(image, order):
    pixels = photo(*image, 3 if order == "rgb" else 1)
    shrinks = min(image) > 224
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    expected = cv2.resize(pixels, (224, 224), interpolation=method)
    found = decoded(png(pixels), Framing(), order)
    assert np.array_equal(found.squeeze(), expected)
    bilinear = decoded(png(pixels), Framing("bilinear"), order)
    linear = cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(bilinear.squeeze(), linear)
    assert np.array_equal(bilinear, found) != shrinks


@pytest.mark.parametrize("order", ["rgb", "gray"])
@pytest.mark.parametrize("image", [PHOTO, (400, 300), (500, 100), (90, 100)])
def test_crop_is_pillows_resize_and_crop(image, order):
    pixels = photo(*image, 3 if order == "rgb" else 1)
    lies = torchvision(*image, 256, 224)
    resized = Image.fromarray(pixels).resize(lies.sides[::-1], Image.Resampling.BILINEAR)
    box = (lies.left, lies.top, lies.left + 224, lies.top + 224)
    expected = np.asarray(resized.crop(box)).astype(int)
    found = decoded(png(pixels), CROP, order)
    assert np.array_equal(found.squeeze(), expected)


@pytest.mark.parametrize("order", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("resize", ["antialias", "triangle", "bicubic", "bilinear"])
def test_pad_has_a_border_of_the_means_colour(resize, order):
    mean = (20.4,) if order == "gray" else (103.9, 116.8, 300.0)
    how = Preprocessing(order, mean, mean, resize, "pad").framing
    pixels = photo(*PHOTO, 1 if order == "gray" else 3)
    found = decoded(png(pixels), how, order)
    border = (20,) if order == "gray" else (104, 117, 255)
    assert (found[:28] == border).all()
    assert (found[-28:] == border).all()
    inner = decoded(png(pixels), Framing(resize), order, (168, 224))
    assert np.array_equal(found[28:-28], inner)


def test_how_an_image_is_framed_says_no_more_than_matters():
    published = Preprocessing("rgb", (1.0,) * 3, (1.0,) * 3, "triangle", "crop", 0.875)
    assert published.framing == Framing("triangle", "crop", 0.875)
    assert published.asked(None, "stretch").framing == Framing("triangle", "stretch")
    assert published.asked("bicubic", None).framing == Framing("bicubic", "crop", 0.875)
    assert published.asked(None, "pad").framing.border == (1, 1, 1)
    assert published.asked(None, None) == published


# ── large JPEGs ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("image", "how", "by"),
    [
        ((447, 900), Framing(), 1),
        ((448, 448), Framing(), 1),
        ((896, 900), Framing(), 2),
        ((1792, 1792), Framing(), 4),
        ((3584, 4000), Framing(), 8),
        ((9000, 9000), Framing(), 8),
        ((9000, 9000), Framing("bilinear"), 1),
        ((9000, 9000), Framing("triangle"), 1),
        ((896, 1800), Framing(fit="pad"), 4),  # it becomes 112 × 224
        ((1792, 9000), Framing(fit="crop"), 4),
        ((1792, 9000), Framing(fit="crop", crop_pct=0.875), 2),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_of_twice_the_size(image, how, by):
    header = headers.Header("JPEG", image[1], image[0])
    assert framing.reduction(header, (224, 224), how) == by
    turned = headers.Header("JPEG", *image, orientation=6)
    assert framing.reduction(turned, (224, 224), how) == by
    assert framing.reduction(headers.Header("PNG", *image), (224, 224), how) == 1
    assert framing.reduction(headers.Header("JPEG"), (224, 224), how) == 1


FLAGS = {"rgb": cv2.IMREAD_COLOR_RGB, "bgr": cv2.IMREAD_COLOR_BGR, "gray": cv2.IMREAD_GRAYSCALE}
PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


@pytest.mark.parametrize("order", FLAGS)
@pytest.mark.parametrize("options", [(), PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_large_jpeg_is_averaged_from_its_reduced_pixels(order, options):
    data = jpeg(photo(601, 803), *options)
    raw = np.frombuffer(data, np.uint8)
    reduced = cv2.imdecode(raw, FLAGS[order] | cv2.IMREAD_REDUCED_GRAYSCALE_4)
    assert reduced.shape[:2] == (151, 201)
    reduced = reduced[:150]  # of the last row a quarter lies in the image
    expected = cv2.resize(reduced, (64, 64), interpolation=cv2.INTER_AREA)
    found = decoded(data, Framing(), order, (64, 64)).squeeze()
    assert np.array_equal(found, expected)
    full = cv2.resize(
        cv2.imdecode(raw, FLAGS[order]), (64, 64), interpolation=cv2.INTER_AREA
    )  # the same picture: areas of areas
    assert np.abs(found.astype(int) - full).mean() < 1.5
    linear = cv2.resize(cv2.imdecode(raw, FLAGS[order]), (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(decoded(data, Framing("bilinear"), order, (64, 64)).squeeze(), linear)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_large_jpeg_stands_upright(fit):
    how = Preprocessing("rgb", (9.0,) * 3, (1.0,) * 3, fit=fit).framing
    pixels = photo(600, 800)
    lying = np.rot90(pixels)  # what orientation 6 turns back, clockwise
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = jpeg(np.ascontiguousarray(lying))
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + data[2:]
    found = decoded(turned, how, shape=(64, 64)).astype(int)
    assert np.abs(found - decoded(jpeg(pixels), how, shape=(64, 64))).mean() < 2


def test_large_cmyk_and_gray_jpegs_are_reduced_alike(tmp_path):
    pixels = Image.fromarray(photo(600, 800))
    for mode in ("CMYK", "L"):
        pixels.convert(mode).save(tmp_path / "a.jpg", quality=95)
        data = (tmp_path / "a.jpg").read_bytes()
        found = decoded(data, Framing(), shape=(64, 64)).astype(int)
        full = decoded(data, Framing("triangle"), shape=(64, 64))
        assert np.abs(found - full).mean() < 4  # a triangle is twice as wide as an area


def test_a_reduced_jpeg_takes_less_memory():
    baseline = headers.header(memoryview(jpeg(photo(600, 800))))
    assert baseline.takes() == 600 * 800 * 6
    assert baseline.takes(4) == 600 * 800 * 6 // 16
    progressive = headers.header(memoryview(jpeg(photo(600, 800), *PROGRESSIVE)))
    assert progressive.takes() == 600 * 800 * 12
    assert progressive.takes(8) == 600 * 800 * 9 + 600 * 800 * 3 // 64


@pytest.mark.parametrize("resize", ["antialias", "triangle", "bicubic", "bilinear"])
@pytest.mark.parametrize("image", [(2, 40_000), (40_000, 2)])
def test_memory_is_bounded_whatever_the_aspect(resize, image):
    data = png(photo(*image))
    for fit in ("stretch", "crop", "pad"):
        how = Preprocessing("rgb", (9.0,) * 3, (1.0,) * 3, resize, fit).framing
        tracemalloc.start()
        decoded(data, how)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # of 224 rows for its 2, an image to be cropped would have 3 GB
        assert peak < 16 << 20, fit
