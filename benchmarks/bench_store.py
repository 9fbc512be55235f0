"""Time the feature store: `python benchmarks/bench_store.py resnet50`.

Contestants, in interleaved rounds: `off` is a statement of TRANSFER without a store, `first` the
same with an empty one (what keeping costs), `second` the same again (what it saves), each over
images whose bytes are new to the process; with one layer and with several. Then the store alone:
GB/s written and read, of features and of raw maps. Weights are random: cost, not quality. Writes
reach the folder's disk; reads come from the page cache, as those of a run soon after another do.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench_inference import BATCH, FIVE
from photos import photos
from rounds import compete, serve, spread

CONTESTANTS = ("off-1", "first-1", "second-1", "off-5", "first-5", "second-5")


def prepare(
    cnn: str, n_images: int, dtype: str, folder: str
) -> Callable[[str], Callable[[], float]]:
    def contestant(name: str) -> Callable[[], float]:
        import pyarrow as pa

        import vista_sql

        how, n_layers = name.split("-")
        layers = FIVE[cnn] if n_layers == "5" else FIVE[cnn][-1:]
        db = vista_sql.connect()
        db.con.register("made", pa.table({"id": range(n_images), "image": photos(n_images)}))
        db.con.execute("CREATE TABLE images AS SELECT * FROM made")
        db.con.unregister("made")
        runs = [0]

        def run(kept: str | None) -> float:
            # the bytes differ from run to run: nothing is remembered from the one before
            images = f"(SELECT id, image || ''{runs[0]}''::BLOB AS image FROM images)"
            shown = ", ".join(f"'{layer}'" for layer in layers)
            statement = (
                f"SELECT * FROM TRANSFER(cnn => '{cnn}', layers => [{shown}], "
                f"images => '{images}', store => {'false' if kept is None else repr(kept)}, "
                f"weights => 'random', dtype => '{dtype}')"
            )
            begun = time.perf_counter()
            rows = sum(batch.num_rows for batch in db.query(statement))
            assert rows == n_images
            return time.perf_counter() - begun

        def timed() -> float:
            runs[0] += 1
            if how == "off":
                return run(None)
            kept = Path(folder) / name
            shutil.rmtree(kept, ignore_errors=True)
            seconds = run(str(kept))
            if how == "second":
                _forget()
                seconds = run(str(kept))
            return seconds

        return timed

    return contestant


def _forget() -> None:
    """Make the process forget what it inferred, as a new one would not know it."""
    from vista_sql.hosts.duckdb.process import process

    runtime = process().runtime
    runtime.sharing = type(runtime.sharing)()


def alone(n_bytes: int, zeros: float, total_bytes: int, folder: str) -> tuple[float, float, float]:
    """Return GB/s written, GB/s read, and the share of bytes on disk, of one image's values."""
    from vista_sql import catalog, roster, store

    packing = catalog.module("vista_sql.udfs", "passes.store_view")
    rng = np.random.default_rng(0)
    values = rng.standard_normal((32, n_bytes // 4)).astype(np.float32)
    values[rng.random(values.shape) < zeros] = 0
    space = store.space(roster.load("resnet50"), "random:0", "none", device="cpu")
    shutil.rmtree(folder, ignore_errors=True)
    kept = store.Store(folder, 2 * total_bytes)
    n_batches = max(1, total_bytes // values.nbytes)
    digests = [[store.digest(b"%d %d" % (b, i)) for i in range(32)] for b in range(n_batches)]
    begun, written = time.perf_counter(), 0
    for batch in digests:
        sparse = packing.is_sparse(values)
        written += kept.keep(
            store.Entry(space, digest, *packing.packed(row, sparse=sparse))
            for digest, row in zip(batch, values, strict=True)
        )
    wrote = time.perf_counter() - begun
    out = np.empty_like(values)
    begun = time.perf_counter()
    for batch in digests:
        with kept.reading() as reading:
            assert reading is not None
            for row, digest in enumerate(batch):
                out[row] = packing.unpacked(reading.get(space, digest))
    read = time.perf_counter() - begun
    assert np.array_equal(out, values)
    total = n_batches * values.nbytes
    kept.clear()
    return total / wrote / 1e9, total / read / 1e9, written / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="resnet50", choices=sorted(BATCH))
    parser.add_argument("--images", type=int, help="in a round; by default about eight batches")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", help="of the stores, on the disk to measure; default: temporary"
    )
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    n_images = given.images or 8 * BATCH[given.cnn]
    total_bytes = 1 << 30
    if given.smoke:
        given.cnn, n_images, given.rounds, total_bytes = "alexnet", 64, 1, 1 << 25
    if given.serve:
        serve(prepare(given.cnn, n_images, given.dtype, given.folder), given.serve)
        return
    folder = tempfile.mkdtemp(prefix="vista-store-", dir=given.folder)
    try:
        arguments = [given.cnn, "--images", str(n_images), "--dtype", given.dtype]
        arguments += ["--folder", folder] + (["--smoke"] if given.smoke else [])
        seconds = compete(__file__, list(CONTESTANTS), arguments, given.rounds, lambda: None)
        print(f"{given.cnn} {given.dtype}, {n_images} JPEGs a round")
        for name, found in seconds.items():
            print(f"  {name:9}{spread([n_images / s for s in found]):>28} images/s")
        for n in ("1", "5"):
            trio = [seconds[f"{how}-{n}"] for how in ("off", "first", "second")]
            cost = [100 * (first / off - 1) for off, first, _ in zip(*trio, strict=True)]
            gain = [first / second for _, first, second in zip(*trio, strict=True)]
            print(f"  {n} layers: keeping costs {spread(cost)} %, then {spread(gain)} × faster")
        print("the store alone: GB/s written, GB/s read, share of the bytes on disk")
        for what, n_bytes, zeros in (
            ("features, 2,048 values", 8192, 0.1),
            ("features, 8,192 values", 32768, 0.1),
            ("a raw map, 14 x 14 x 1,024, half zeros", 802816, 0.5),
        ):
            wrote, read, share = alone(n_bytes, zeros, total_bytes, f"{folder}/alone")
            print(f"  {what:40}{wrote:6.2f}{read:6.2f}{share:6.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
