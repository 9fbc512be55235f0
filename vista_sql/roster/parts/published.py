"""How published weights want their pixels, and where Keras's weights lie: facts that CNNs share."""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.roster import Preprocessing, WeightsFile

KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"

CAFFE = Preprocessing(
    order="bgr",
    mean=(103.939, 116.779, 123.68),
    scale=(1.0, 1.0, 1.0),
    source="keras.applications.imagenet_utils, mode 'caffe'",
)

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in 0 to 1


def torch_mode(source: str) -> Preprocessing:
    """Return (pixels / 255 - ImageNet's mean) / ImageNet's standard deviation, per channel."""
    mean = tuple(round(255 * value, 6) for value in _MEAN)
    return Preprocessing("rgb", mean, tuple(1 / (255 * one) for one in _DEVIATION), source=source)


def tf_mode(source: str) -> Preprocessing:
    """Return pixels / 127.5 - 1."""
    return Preprocessing("rgb", (127.5,) * 3, (1 / 127.5,) * 3, source=source)


def as_they_are(source: str) -> Preprocessing:
    """Return RGB pixels from 0 to 255: the network scales them itself."""
    return Preprocessing("rgb", (0.0,) * 3, (1.0,) * 3, source=source)


def torchvision(pixels: Preprocessing, shorter_side: int, side: int = 224) -> Preprocessing:
    """Return torchvision's transforms: the shorter side to so many pixels, then the centre.

    torchvision/transforms/_presets.py, ImageClassification.
    """
    return replace(pixels, resize="triangle", fit="crop", crop_pct=side / shorter_side)


def timm(pixels: Preprocessing, crop_pct: float) -> Preprocessing:
    """Return timm's transforms: the shorter side to side / crop_pct, bicubic, then the centre."""
    return replace(pixels, resize="bicubic", fit="crop", crop_pct=crop_pct)


def keras_file(folder: str, file: str, md5: str) -> WeightsFile:
    """Return weights that Keras publishes with their md5, as most of its files are."""
    return WeightsFile(file=file, url=f"{KERAS_URL}{folder}/{file}", sha256=None, md5=md5)
