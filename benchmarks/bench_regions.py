"""Fast R-CNN against R-CNN, by SQL: `python benchmarks/bench_regions.py`.

Photographs of the web with boxes on them through ResNet50 with random weights, one layer, without a
store: each box as an image of its own (`crop`), and all boxes of an image from one map
(`roi_align`, `roi_pool`), in interleaved rounds. At most MOST_CROPS crops are inferred: each costs
the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from machine import cores
from photos import HEIGHT, WIDTH, photos
from rounds import compete, serve, spread

REGIONS = ("crop", "roi_align", "roi_pool")
IMAGES = {10: 16, 100: 4, 2000: 2}  # by boxes an image
MOST_CROPS = 160
SMOKE = {3: 2}
CNN, LAYER = "resnet50", "conv4_6"


def n_rows(region: str, n_images: int, n_boxes: int) -> int:
    n = n_images * n_boxes
    return min(n, MOST_CROPS) if region == "crop" else n


def boxes(n_images: int, n_boxes: int, n_rows: int) -> pa.Table:
    random = np.random.default_rng(7)
    n = n_images * n_boxes
    width, height = random.uniform(20, 250, n), random.uniform(20, 180, n)
    return pa.table({
        "id": np.repeat(np.arange(n_images), n_boxes),
        "x": random.uniform(0, WIDTH - width),
        "y": random.uniform(0, HEIGHT - height),
        "width": width,
        "height": height,
    }).slice(0, n_rows)  # fmt: skip


def prepare(
    cnn: str, layer: str, n_images: int, n_boxes: int
) -> Callable[[str], Callable[[], float]]:
    def contestant(region: str) -> Callable[[], float]:
        import vista_sql

        folder = Path(tempfile.mkdtemp())
        for key, data in enumerate(photos(n_images)):
            (folder / f"{key}.jpg").write_bytes(data)
        db = vista_sql.connect()
        db.con.execute("SET VARIABLE vista_store = false")
        paths = [str(folder / f"{key}.jpg") for key in range(n_images)]
        db.con.register("images", pa.table({"id": np.arange(n_images), "path": paths}))
        n = n_rows(region, n_images, n_boxes)
        db.con.register("boxes", boxes(n_images, n_boxes, n))
        weights = "" if cnn == "lenet5" else ", weights => 'random'"
        statement = (
            f"SELECT count({layer}) FROM TRANSFER(cnn => '{cnn}', layers => ['{layer}'], "
            f"boxes => 'boxes', region => '{region}'{weights})"
        )

        def run() -> float:
            process().sharing.__init__()  # no image's map is there from the round before
            begun = time.perf_counter()
            ((found,),) = db.query(statement).fetchall()
            assert found == n
            return time.perf_counter() - begun

        return run

    return contestant


def process():
    from vista_sql.hosts.duckdb.process import process

    return process().runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("given", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        cnn, layer, n_images, n_boxes = given.given
        serve(prepare(cnn, layer, int(n_images), int(n_boxes)), given.serve)
        return
    sizes, rounds = (SMOKE, 1) if given.smoke else (IMAGES, given.rounds)
    cnn, layer = ("lenet5", "conv2") if given.smoke else (CNN, LAYER)
    print(f"{cnn}'s {layer}, JPEGs of {WIDTH} × {HEIGHT}, {cores()} cores")
    print(f"  {'boxes an image':>14}  {'region':10}{'boxes/s':>28}{'× crop':>10}")
    for n_boxes, n_images in sizes.items():
        arguments = [cnn, layer, str(n_images), str(n_boxes)]
        seconds = compete(__file__, list(REGIONS), arguments, rounds, lambda: None)
        for region, found in seconds.items():
            rates = [n_rows(region, n_images, n_boxes) / s for s in found]
            crops = [n_rows("crop", n_images, n_boxes) / s for s in seconds["crop"]]
            ratio = median(own / crop for own, crop in zip(rates, crops, strict=True))
            print(f"  {n_boxes:>14,}  {region:10}{spread(rates):>28}{ratio:>10.1f}")


if __name__ == "__main__":
    main()
