"""Whether what a script wrote is right: rows, features against a reference, scores, reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOLERANCE = 0.3
"""Of features: the root of their squared difference over that of their spread between pictures.

In bfloat16 OpenVINO's networks of the same decoder differ by some hundredths; TensorFlow and torch,
which round the values between layers, by .13, Keras, which rounds more of them, by .23; a wrong
picture by more than one.
"""
WRONG = 0.5
"""Of one picture's features, the same measure: beyond it the picture is taken for another."""
SCORE_TOLERANCE, TEST_SHARE = 0.1, 0.2
"""Of F1, and 2 / √(rows tested) more: each tool splits in its own way, and some stop early; a
difference of two such F1 has a deviation of 1 / √(rows tested) or less."""
SAMPLE = 32
"""Pictures that are compared, the first by name: whole maps of all would not fit in memory."""

Features = dict[str, np.ndarray]
"""Of a layer, float32 values (rows, dims), in the order of the files' names."""


@dataclass(frozen=True)
class Found:
    """What a folder's features.parquet holds.

    `files` are of all rows; `sampled` those whose `features` were read, NULL ones left out;
    `reasons` are of rows whose `error` is not empty.
    """

    files: list[str]
    sampled: list[str]
    features: Features
    reasons: dict[str, str]


def parts(folder: Path) -> Iterator[pq.ParquetFile]:
    place = folder / "features.parquet"
    for path in sorted(place.rglob("*.parquet")) if place.is_dir() else [place]:
        yield pq.ParquetFile(path)


def values_of(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of lists, fixed lists or tensors without NULLs as (rows, dims)."""
    array = column.combine_chunks()
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    n = len(array)
    flat = array.flatten()
    while pa.types.is_nested(flat.type):
        flat = flat.flatten()
    return flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(n, -1)


def read(folder: Path, layers: tuple[str, ...], sample: int | None = SAMPLE) -> Found:
    """Read what a script wrote; of `layers` the rows of the first `sample` files."""
    names = [
        Path(file).name
        for part in parts(folder)
        for file in part.read(["file"])["file"].to_pylist()
    ]
    wanted = set(sorted(set(names))[:sample])
    reasons: dict[str, str] = {}
    kept: list[tuple[str, list[np.ndarray]]] = []
    for part in parts(folder):
        reads = ["file", *layers, *(["error"] if "error" in part.schema_arrow.names else [])]
        for batch in part.iter_batches(16, columns=reads):
            table = pa.Table.from_batches([batch])
            files = [Path(file).name for file in table["file"].to_pylist()]
            if "error" in table.column_names:
                told = zip(files, table["error"].to_pylist(), strict=True)
                reasons |= {file: why for file, why in told if why}
            there = table[layers[0]].is_valid().to_pylist()
            rows = [i for i, file in enumerate(files) if file in wanted and there[i]]
            if rows:
                taken = table.take(rows)
                columns = [values_of(taken[layer]) for layer in layers]
                kept += [(files[i], [one[k] for one in columns]) for k, i in enumerate(rows)]
    kept.sort(key=lambda one: one[0])
    features = {
        layer: np.stack([one[1][i] for one in kept]) if kept else np.empty((0, 0), np.float32)
        for i, layer in enumerate(layers)
    }
    return Found(sorted(names), [one[0] for one in kept], features, reasons)


def difference(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the difference over the spread between pictures; infinite if shapes differ."""
    if found.shape != reference.shape:
        return float("inf")
    spread = np.linalg.norm(reference - reference.mean(0))
    return float(np.linalg.norm(found - reference) / max(spread, 1e-12))


def compare_features(found: Found, reference: Found, n_rows: int) -> dict[str, Any]:
    """Return rows, the largest difference of any layer, and whether both are right."""
    same = found.sampled == reference.sampled
    worst = max(
        difference(found.features[layer], reference.features[layer]) if same else float("inf")
        for layer in reference.features
    )
    right = len(found.files) == n_rows and worst <= TOLERANCE
    return {"rows": len(found.files), "difference": round(worst, 4), "right": right}


def compare_dirty(found: Found, clean: Found) -> dict[str, Any]:
    """Return what became of pictures and of files that are none.

    `clean` are features of what each picture shows, under the picture's name and `.png`.
    """
    place = {file.removesuffix(".png"): i for i, file in enumerate(clean.sampled)}
    (layer,) = clean.features
    reference = clean.features[layer]
    spread = np.sqrt(np.mean(np.sum((reference - reference.mean(0)) ** 2, axis=1)))
    kept, wrong, junk = 0, [], []
    for file, values in zip(found.sampled, found.features[layer], strict=True):
        if file not in place:
            junk.append(file)
        elif np.linalg.norm(values - reference[place[file]]) / spread > WRONG:
            wrong.append(file)
        else:
            kept += 1
    bad = {file for file in found.files if file not in place}
    return {
        "pictures": len(place),
        "kept": kept,
        "wrong": len(wrong),
        "junk": len(junk),
        "reasons": sum(file in bad for file in found.reasons),
        "rows": len(found.files),
        "wrong_kinds": sorted({file.rpartition("-")[0] for file in wrong}),
        "lost_kinds": sorted({f.rpartition("-")[0] for f in place if f not in found.sampled}),
        "junk_kinds": sorted({file.rpartition("-")[0] for file in junk}),
        "right": kept == len(place) and not junk and not wrong,
    }


def compare_scores(
    folder: Path, reference: dict[str, float] | None, n_rows: float
) -> dict[str, Any]:
    """Return F1 of each layer or variant, and how far the furthest is from the reference.

    `n_rows` are those that a model has, about; a fifth of them are tested.
    """
    scores: dict[str, float] = json.loads((folder / "scores.json").read_text())
    if reference is None:
        return {"scores": scores}
    same = scores.keys() == reference.keys()
    allowed = SCORE_TOLERANCE + 2 * max(1.0, TEST_SHARE * n_rows) ** -0.5
    far = max(abs(scores[one] - reference[one]) for one in scores) if same else float("inf")
    return {"scores": scores, "difference": round(far, 4), "right": far <= allowed}


def count_files(folder: Path, said: str) -> int:
    """Return the distinct files of all Parquet files, or what the script said: `120 rows`."""
    files: set[str] = set()
    for path in folder.rglob("*.parquet"):
        if path.is_file() and "file" in (part := pq.ParquetFile(path)).schema_arrow.names:
            files |= {Path(one).name for one in part.read(["file"])["file"].to_pylist()}
    told = re.findall(r"^(\d+) rows$", said, re.MULTILINE)
    return len(files) if files else int(told[-1]) if told else 0
