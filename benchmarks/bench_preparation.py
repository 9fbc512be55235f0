"""Time fetching and preparing images, by how they are kept: `bench_preparation.py [IMAGES]`.

The same JPEGs as files, as BLOBs of a DuckDB table, and in TFRecord files, plain and gzip; and raw
prepared images (VISTA_PREPARE, 224 × 224) as a table, Parquet and TFRecord. For each, with 1, 2 and
4 threads: `fetch` brings the bytes into memory, cold (the system's cache of these files is dropped
with posix_fadvise, where it can be) and warm; `prep` makes pixels of bytes in memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from machine import cores
from photos import photos
from rounds import spread

import vista_sql
from vista_sql import catalog
from vista_sql.roster import Framing

SIDE = 224
THREADS = (1, 2, 4)
ROWS = 256  # of a batch that is fetched

FORMS = {  # how images are kept → the relation of them
    "JPEG files": "",
    "JPEG BLOBs": "jpegs",
    "JPEG TFRecord": "VISTA_READ_TFRECORD('{folder}/jpegs.tfrecord')",
    "JPEG TFRecord gzip": "VISTA_READ_TFRECORD('{folder}/jpegs_gzip.tfrecord')",
    "raw table": "prepared",
    "raw Parquet zstd": "'{folder}/prepared.parquet'",
    "raw TFRecord": "VISTA_READ_TFRECORD('{folder}/prepared.tfrecord')",
    "raw TFRecord gzip": "VISTA_READ_TFRECORD('{folder}/prepared_gzip.tfrecord')",
}
DATABASES = {"jpegs": "jpegs.duckdb", "prepared": "prepared.duckdb"}


def write(folder: Path, n_images: int) -> None:
    """Keep the same images in all forms, each in files of its own."""
    images = photos(n_images)
    (folder / "files").mkdir()
    for i, data in enumerate(images):
        (folder / "files" / f"{i:06}.jpg").write_bytes(data)
    rows = pa.table({"id": range(n_images), "image": images})
    for table, file in DATABASES.items():
        with vista_sql.connect(folder / file) as db:
            db.con.register("rows", rows)
            made = "rows"
            if table == "prepared":
                made = f"(SELECT id, image FROM VISTA_PREPARE(size => {SIDE}, images => 'rows'))"
            db.query(f"CREATE TABLE {table} AS FROM {made}")
            for name, how in ((table, "none"), (f"{table}_gzip", "gzip")):
                target = folder / f"{name}.tfrecord"
                db.query(
                    f"FROM VISTA_WRITE_TFRECORD('{table}', '{target}', compression => '{how}')"
                ).arrow()
            if table == "prepared":
                db.query(f"COPY prepared TO '{folder}/prepared.parquet' (COMPRESSION zstd)")


def files_of(folder: Path, form: str) -> list[Path]:
    """Return the files in which a form keeps its images."""
    relation = FORMS[form]
    if not relation:
        return sorted((folder / "files").iterdir())
    if relation in DATABASES:
        return [folder / DATABASES[relation]]
    return [Path(relation.partition("'")[2].partition("'")[0].format(folder=folder))]


def drop_cache(files: Iterable[Path]) -> bool:
    """Ask the system to forget what it keeps of files; return whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    os.sync()
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return True


@contextmanager
def fetching(folder: Path, form: str, threads: int) -> Iterator[Callable[[], list[bytes]]]:
    """Yield what brings the bytes of all images into memory; all is open that can be before."""
    relation, files = FORMS[form].format(folder=folder), files_of(folder, form)
    if not relation:
        with ThreadPoolExecutor(threads) as pool:
            yield lambda: list(pool.map(Path.read_bytes, files))
        return
    with duckdb.connect() as con:
        con.execute(f"SET threads = {threads}")
        vista_sql.attach(con)
        if relation in DATABASES:
            con.execute(f"ATTACH '{files[0]}' AS kept (READ_ONLY); USE kept")

        def fetch() -> list[bytes]:
            reader = con.sql(f"SELECT image FROM {relation}").to_arrow_reader(ROWS)
            return [one.as_buffer().to_pybytes() for batch in reader for one in batch[0]]

        yield fetch


def prep_seconds(images: list[bytes], threads: int) -> float:
    """Return the seconds in which threads make pixels of bytes."""
    decoding = catalog.module("vista_sql.udfs", "images.decoding")
    out = np.empty((len(images), SIDE, SIDE, 3), np.uint8)

    def share(first: int) -> None:
        for i in range(first, len(images), threads):
            reason = decoding.decode(images[i], "rgb", out[i], how=Framing())
            assert reason is None, reason

    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(share, range(threads)))
        return time.perf_counter() - begun


def measure(
    folder: Path, form: str, threads: int, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of fetching cold and warm, and of preparing, in each round."""
    files = files_of(folder, form)
    cold, warm, prep = [], [], []
    for _ in range(rounds):
        with fetching(folder, form, threads) as fetch:
            is_cold = drop_cache(files)
            for seconds in (cold, warm) if is_cold else (warm,):
                begun = time.perf_counter()
                images = fetch()
                seconds.append(time.perf_counter() - begun)
        prep.append(prep_seconds(images, threads))
    return cold, warm, prep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="?", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; it must be empty")
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    given = parser.parse_args()
    if given.smoke:
        given.images, given.rounds = 32, 1
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        write(folder, given.images)
        print(f"{given.images} JPEGs of 500 × 375, {cores()} cores; images per second")
        heads = "".join(f"{head:>28}" for head in ("fetch, cold", "fetch, warm", "prep"))
        print(f"{'':20}{'KB':>6}{'threads':>9}{heads}")
        for form in FORMS:
            size = sum(file.stat().st_size for file in files_of(folder, form)) / given.images / 1000
            for threads in THREADS:
                rates = [
                    spread([given.images / s for s in seconds]) if seconds else "–"
                    for seconds in measure(folder, form, threads, given.rounds)
                ]
                shown = "".join(f" {rate:>27}" for rate in rates)
                print(f"{form:20}{size:6.0f}{threads:9}{shown}", flush=True)


if __name__ == "__main__":
    main()
