"""What a training's figures must be read with, and what is wrong where no row can be used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vista_sql.models import ModelRow
from vista_sql.train.columns import excluding
from vista_sql.train.encoding import Encoding
from vista_sql.train.ledger import Ledger
from vista_sql.train.near_duplicates import NearDuplicates
from vista_sql.train.race import Race
from vista_sql.train.rows import RowReader, text_of
from vista_sql.train.spec import TrainSpec


def untested(
    spec: TrainSpec, ledger: Ledger, reader: RowReader, values: Sequence[Any]
) -> list[str]:
    """Return what is to be said of the test side where classes are missing there."""
    if spec.folds:
        return []
    tested = {code for (side, code), n in ledger.counts().items() if side == 1 and n}
    if reader.of_numbers and tested:
        return []
    missing = [repr(text_of(value)) for value in values if reader.codes[value] not in tested]
    if not missing:
        return []
    if not spec.test_fraction:
        remedy = "give test_fraction or folds"
    elif spec.split_by:
        remedy = "choose another seed, a larger test_fraction, or columns of more groups"
    else:
        remedy = "choose a larger test_fraction"
    if not tested:
        return [f"no row tests, so there are no figures and no best model: {remedy}"]
    named = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
    return [f"no test row is of class {named}, of which the figures say nothing: {remedy}"]


def lost(reader: RowReader, n_fed: int) -> list[str]:
    """Return what is to be said of rows that were skipped for want of a feature."""
    by_column = [(n, s.column) for s, n in reader.skipped.items() if s.part == "feature"]
    if not by_column:
        return []
    total = sum(n for n, _ in by_column)
    named = ", ".join(f"{column!r} in {n}" for n, column in sorted(by_column, reverse=True)[:3])
    remedy = "" if reader.fills else "; missing => 'mean' fills in numbers"
    if not {column for _, column in by_column} & set(reader.columns.structured):
        remedy = ""
    return [
        f"{total} of {n_fed} rows are skipped, for a feature is NULL or no number there "
        f"({named}{', …' if len(by_column) > 3 else ''})"
        + (f", the first image: {reader.reason}" if reader.reason else "")
        + remedy
    ]


def rare(reader: RowReader, encoding: Encoding) -> list[str]:
    """Return what is to be said of text columns of more values than have a column."""
    return [
        f"column {name!r} has {len(levels.names) + levels.n_others:,} values, of which "
        f"{levels.n_others:,}, the rarest, are one: group them in the data if they say something"
        for name, levels in zip(reader.columns.texts, encoding.levels, strict=True)
        if levels.n_others
    ]


def unfinished(row: ModelRow, spec: TrainSpec, race: Race | None) -> list[str]:
    """Return what is to be said of a model that is not at the least of its objective."""
    if not math.isfinite(row["objective"]):
        return ["its loss is not a number: columns have values that are too large"]
    if row["converged"]:
        return []
    cut = race is not None and race.training_over and row["iterations"] != spec.max_iterations
    remedy = "budget_seconds" if cut else "max_iterations, reg or tolerance"
    return [f"not converged after {row['iterations']} iterations: raise {remedy}"]


def shared(row: ModelRow, spec: TrainSpec, images: int, shown: int) -> list[str]:
    """Return what is to be said of images on several sides of the split; see `Ledger.shared`."""
    if not images or not row["layers"]:
        return []
    where = "several folds" if spec.folds else "both sides of the split"
    transfers = spec.provenance.get("transfers", ())
    of_boxes = any(transfer["arguments"].get("boxes") for transfer in transfers)
    what = "boxes" if of_boxes else "images"
    return [
        f"{images} {what} (rows of equal layers) stand on {where}, {shown} of {row['n_test']} test "
        "rows show one: split_by => keeps such rows together"
    ]


def nearly_shared(found: NearDuplicates | None, reader: RowReader, spec: TrainSpec) -> list[str]:
    """Return what is to be said of test rows that show nearly what a training row shows."""
    if found is None or not found.near:
        return []
    other = "a row of another fold" if spec.folds else "a training row"
    return [
        f"{found.near:,} of {found.tested:,} test rows looked at are nearly equal to {other} in "
        f"{reader.columns.layers[found.layer]!r}: VISTA_DUPLICATES finds such images, and "
        "split_by => keeps them together"
    ]


def all_skipped(
    spec: TrainSpec, reader: RowReader, n_fed: int, function: str = "the training"
) -> str:
    """Return the message where no row is usable: what skips most of them, and a remedy."""
    skip, n_rows = max(reader.skipped.items(), key=lambda item: item[1])
    remedy = f"; {excluding([skip.column])} leaves it out" if skip.part == "feature" else ""
    transfers = spec.provenance.get("transfers", ())
    if n_rows == n_fed and any(skip.column in t["columns"] for t in transfers):
        remedy = (
            ": can its images be read? TRANSFER's column error and VISTA_ERRORS() say why not; "
            f"relative paths start at {Path.cwd()}"
        )
    if reader.reason is not None:
        remedy = (
            f", for its images cannot be read, the first: {reader.reason}; relative paths "
            f"start at {Path.cwd()}"
        )
    return f"{function} skipped all {n_fed} rows: in {n_rows} of them {skip}{remedy}"
