"""Time ten fine-tuned variants of one network: `python benchmarks/bench_variants.py resnet50`.

The variants are `.keras` files that differ in the weights of the last block and above. Contestants,
in interleaved rounds, each over images whose bytes are new to the process: `apart` compares each
variant in a statement of its own, without a store; `store` keeps the raw maps below the last block
by one VISTA_MATERIALIZE, which is timed too, and then does the same; `together` compares all of
them in one statement, without a store. What lies below the last block is inferred ten times, once,
and once. Weights are random: cost, not quality.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from photos import photos
from rounds import compete, serve, spread

CONTESTANTS = ("apart", "store", "together")
LAYER = "avg_pool"
BELOW = {"resnet50": "conv5_block2_out", "resnet18": "conv5_block1_out"}
"""The layer below the last block; what is above it has the block's name, or is the classifier."""
BLOCK = {"resnet50": "conv5_block3", "resnet18": "conv5_block2"}


def save_variants(cnn: str, number: int, folder: str) -> None:
    """Save variants of a network, each with other weights in its last block."""
    from vista_sql import catalog, kernels, roster, weights

    known = roster.load(cnn)
    network = weights.load_network(known, weights.resolve(known, "random"))
    keras = catalog.module(kernels.PACKAGE, "network.keras_reader").keras()
    image = keras.Input(known.input_shape)
    whole = keras.Model(image, network(keras.layers.Rescaling(1 / 127.5, -1, name="scale")(image)))
    tuned = [one for one in network.weights if one.path.startswith(BLOCK[cnn])]
    before = [np.asarray(one) for one in tuned]
    for variant in range(number):
        chance = np.random.default_rng(variant)
        for one, values in zip(tuned, before, strict=True):
            one.assign(values * chance.uniform(0.9, 1.1, values.shape))
        whole.save(Path(folder, f"variant{variant}.keras"))


def prepare(
    cnn: str, n_images: int, n_variants: int, folder: str
) -> Callable[[str], Callable[[], float]]:
    paths = [str(Path(folder, f"variant{i}.keras")) for i in range(n_variants)]

    def contestant(name: str) -> Callable[[], float]:
        import pyarrow as pa

        import vista_sql

        db = vista_sql.connect()
        made = {
            "id": range(n_images),
            "image": photos(n_images),
            "odd": [i % 2 for i in range(n_images)],
        }
        db.con.register("made", pa.table(made))
        db.con.execute("CREATE TABLE made_images AS SELECT * FROM made")
        db.con.execute("CREATE TABLE labels AS SELECT id, odd FROM made")
        runs = [0]
        kept = Path(folder, f"store-{name}")

        def compare(files: list[str], store: str) -> None:
            layer = f"{cnn}/{LAYER}"
            beside = [f"{Path(file).stem}.{layer}" for file in files]
            layers = [layer] if len(files) == 1 else beside
            rows = db.query(
                f"SELECT * FROM VISTA_COMPARE(cnn => {files}, layers => {layers}, label => 'odd', "
                "images => 'images', structured => 'labels', max_iterations => 1, "
                f"store => {store})"
            ).fetchall()
            assert len(rows) == len(files), rows

        def timed() -> float:
            runs[0] += 1  # the bytes differ from run to run: nothing is remembered
            db.con.execute(
                "CREATE OR REPLACE TABLE images AS "
                f"SELECT id, image || '{runs[0]}'::BLOB AS image FROM made_images"
            )
            shutil.rmtree(kept, ignore_errors=True)
            begun = time.perf_counter()
            if name == "together":
                compare(paths, "false")
                return time.perf_counter() - begun
            store = "false" if name == "apart" else f"'{kept}'"
            if name == "store":
                db.query(
                    f"FROM VISTA_MATERIALIZE(cnn => '{paths[0]}', layer => '{cnn}/{BELOW[cnn]}', "
                    f"images => 'images', store => {store})"
                ).fetchall()
            for path in paths:
                compare([path], store)
            return time.perf_counter() - begun

        return timed

    return contestant


def first_digests(folder: str) -> tuple[float, float]:
    """Return the seconds that the digests of a variant's weights take: at first, and later."""
    from vista_sql import files, weights
    from vista_sql.weights import variables

    path = str(Path(folder, "variant0.keras"))
    cnn = weights.facts(path)
    choice = weights.resolve(cnn)
    weights.network_data(cnn)  # read by Keras, once; without data nothing would be shared
    shutil.rmtree(files.user_cache() / variables.FOLDER, ignore_errors=True)
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        weights.variable_digests(cnn, choice)
        seconds.append(time.perf_counter() - begun)
    return seconds[0], seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="resnet50", choices=sorted(BELOW))
    parser.add_argument("--images", type=int, default=64, help="in a round")
    parser.add_argument("--variants", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smoke:
        given.cnn, given.images, given.variants, given.rounds = "resnet18", 8, 2, 1
    if given.serve:
        serve(prepare(given.cnn, given.images, given.variants, given.folder), given.serve)
        return
    folder = tempfile.mkdtemp(prefix="vista-variants-")
    try:
        save_variants(given.cnn, given.variants, folder)
        first, later = first_digests(folder)
        arguments = [given.cnn, "--images", str(given.images), "--variants", str(given.variants)]
        arguments += ["--folder", folder]
        seconds = compete(__file__, list(CONTESTANTS), arguments, given.rounds, lambda: None)
        print(f"{given.variants} variants of {given.cnn}, {LAYER} of {given.images} JPEGs a round")
        print(f"  digests of one file's weights: {first:.3g} s, then {later:.2g} s")
        for name, found in seconds.items():
            rate = spread([given.variants * given.images / s for s in found])
            times = [apart / own for apart, own in zip(seconds["apart"], found, strict=True)]
            print(f"  {name:9}{median(found):7.3g} s {rate:>24} images/s, {spread(times)} × apart")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
