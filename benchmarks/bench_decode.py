"""Time decoding against its peers: `python benchmarks/bench_decode.py`.

JPEG bytes in memory in, 224 × 224 RGB pixels in one uint8 batch out, all cores, in interleaved
rounds; first photographs of the web, then of a phone. `vista` goes through the kernels' own decoder
(header checks, EXIF, policy and all), as by default, and with `resize => 'bilinear'`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np
from machine import cores
from photos import phone_photos, photos
from rounds import compete, serve, spread

SIDE = 224
PHONE_IMAGES = 16


def images_of(n_images: int, phone: bool) -> list[bytes]:
    return (phone_photos if phone else photos)(n_images)


def prepare(n_images: int, phone: bool) -> Callable[[str], Callable[[], float]]:
    def contestant(name: str) -> Callable[[], float]:
        images = images_of(n_images, phone)
        decode = DECODERS[name]()
        pool = ThreadPoolExecutor(cores())

        def share(out: np.ndarray, first: int, step: int) -> None:
            for i in range(first, n_images, step):
                decode(images[i], out[i])

        def run() -> float:
            begun = time.perf_counter()
            out = np.empty((n_images, SIDE, SIDE, 3), np.uint8)
            list(pool.map(lambda first: share(out, first, cores()), range(cores())))
            return time.perf_counter() - begun

        return run

    return contestant


Decode = Callable[[bytes, np.ndarray], Any]


def vista(resize: str = "antialias") -> Decode:
    from vista_sql import catalog
    from vista_sql.roster import Framing

    images, how = catalog.module("vista_sql.udfs", "images.decoding"), Framing(resize)

    def decode(data: bytes, out: np.ndarray) -> None:
        reason = images.decode(data, "rgb", out, how=how)
        assert reason is None, reason

    return decode


def opencv() -> Decode:
    import cv2

    cv2.setNumThreads(1)

    def decode(data: bytes, out: np.ndarray) -> None:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        cv2.resize(image, (SIDE, SIDE), dst=out, interpolation=cv2.INTER_LINEAR)

    return decode


def tensorflow() -> Decode:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)

    def decode(data: bytes, out: np.ndarray) -> None:
        image = tf.io.decode_jpeg(data, channels=3)
        out[:] = tf.cast(tf.image.resize(image, (SIDE, SIDE)), tf.uint8).numpy()

    return decode


def pillow() -> Decode:
    import io

    from PIL import Image

    def decode(data: bytes, out: np.ndarray) -> None:
        with Image.open(io.BytesIO(data)) as image:
            resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            out[:] = np.asarray(resized)

    return decode


DECODERS: dict[str, Callable[[], Decode]] = {
    "vista": vista,
    "bilinear": lambda: vista("bilinear"),
    "opencv": opencv,
    "tensorflow": tensorflow,
    "pillow": pillow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="?", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="once, on little data, no peers")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--phone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(prepare(given.images, given.phone), given.serve)
        return
    names, n_phone = list(DECODERS), PHONE_IMAGES
    if given.smoke:
        names, given.images, given.rounds, n_phone = ["vista", "opencv"], 64, 1, 1
    report(names, given.images, given.rounds, phone=False)
    report(names, n_phone, given.rounds, phone=True)


def report(names: list[str], n_images: int, rounds: int, *, phone: bool) -> None:
    size = median(len(image) for image in images_of(min(n_images, 64), phone)) / 1000
    print(f"{n_images} JPEGs of {size:.0f} KB to {SIDE} × {SIDE}, {cores()} threads")
    given = [str(n_images), *(["--phone"] if phone else [])]
    seconds = compete(__file__, names, given, rounds, lambda: None)
    print(f"  {'':12}{'images/s':>24}{'× opencv loop':>16}")
    for name, found in seconds.items():
        ratio = median(b / s for b, s in zip(seconds["opencv"], found, strict=True))
        print(f"  {name:12}{spread([n_images / s for s in found]):>24}{ratio:>16.2f}")


if __name__ == "__main__":
    main()
