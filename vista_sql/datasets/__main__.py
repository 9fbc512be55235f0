"""`python -m vista_sql.datasets foods FOLDER --rows N`: write generated data."""

from __future__ import annotations

import argparse
import sys
import time

from vista_sql.datasets import GENERATED, amazon, foods
from vista_sql.datasets._generated import AMAZON_ROWS, FOODS_ROWS


def main(arguments: list[str] | None = None) -> None:
    """Write what the arguments ask for, and say what was written."""
    parser = argparse.ArgumentParser(
        prog="python -m vista_sql.datasets",
        description=f"Write tables and images of the paper's shapes: {GENERATED}.",
    )
    parser.add_argument("table", choices=("foods", "amazon"))
    parser.add_argument("folder", help="created if absent; FOLDER/foods.duckdb is written")
    parser.add_argument(
        "--rows", type=int, help=f"default: the paper's, {FOODS_ROWS:,} and {AMAZON_ROWS:,}"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", choices=("blobs", "files"), default="blobs")
    asked = parser.parse_args(arguments)
    if asked.rows is not None and asked.rows < 1:
        parser.error("--rows takes a number of at least 1")
    write = foods if asked.table == "foods" else amazon
    rows = asked.rows or (FOODS_ROWS if asked.table == "foods" else AMAZON_ROWS)
    began = time.perf_counter()
    file = write(asked.folder, rows=rows, seed=asked.seed, images=asked.images)
    seconds = time.perf_counter() - began
    sys.stderr.write(f"{rows:,} rows and images, {GENERATED}, in {seconds:.1f} s\n")
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
