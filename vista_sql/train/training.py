"""Batches of rows → a version of kept models: one VISTA_TRAIN or VISTA_COMPARE."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import to_builtins
from msgspec.structs import replace

from vista_sql import models, train
from vista_sql.errors import ModelError, PlanError
from vista_sql.fed_runs import DATA
from vista_sql.machine import resources
from vista_sql.models import ModelRow
from vista_sql.train import Options, cautions
from vista_sql.train.chunks import Array, Chunk
from vista_sql.train.columns import choose
from vista_sql.train.compare import Tested, fit_and_test, result_rows
from vista_sql.train.contenders import contenders
from vista_sql.train.curves import FALSE_POSITIVE_RATES
from vista_sql.train.encoded import merged
from vista_sql.train.ledger import Ledger
from vista_sql.train.moments import rescale
from vista_sql.train.near_duplicates import near_duplicates
from vista_sql.train.race import Race, in_order, judge
from vista_sql.train.remote import RemoteSides, There, Told
from vista_sql.train.rows import RowReader, columns_of, text_of
from vista_sql.train.sides import Sides, Split
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training_rows import IN_MEMORY_SHARE

FORMAT = 3  # of the arithmetic: a fingerprint of another format is another training
MANY_VALUES = 20  # of a numeric label: more are rather a measurement than classes


def _examples(tested: Sequence[Tested], reader: RowReader) -> dict[str, list[dict[str, Any]]]:
    """Return the best model's worst mistakes and surest hits whose keys are known, as kept."""
    best = next((model for model in tested if model.row["is_best"]), None)
    found = {"mistakes": best.mistakes, "surest": best.surest} if best else {"mistakes": []}
    keys = reader.keys.of([one[0] for some in found.values() for one in some])
    return {
        kind: [
            {"key": keys[row_hash], "expected": expected, "predicted": said, "chance": round(p, 4)}
            for row_hash, expected, said, p in some
            if row_hash in keys
        ]
        for kind, some in found.items()
    }


class TrainingRun:
    """One training: takes rows from several threads, splits them, and trains when all are there."""

    def __init__(self, spec: TrainSpec, clock: Callable[[], float] = time.monotonic) -> None:
        self.spec = spec
        # as `memory.trainer_bytes` has it: the kernels and DuckDB have the rest
        self.memory_bytes = spec.memory_bytes or resources.machine().memory_bytes // 4
        self._lock = threading.Lock()
        self._reader: RowReader | None = None
        self._sides: Sides | None = None  # None: no row was usable yet
        self._elsewhere: RemoteSides | None = None  # in place of them
        self._race = Race(spec.budget_seconds, clock) if spec.budget_seconds else None
        self.closed = False  # no more rows are wanted
        self._n_fed = 0
        self._sum = self._xor = 0  # of row hashes: the same for any order
        self._of_numbers = train.load(spec.trainer).learns == "numbers"
        self._ledger = Ledger(spec.folds, spec.test_fraction)

    @property
    def gate(self) -> str:
        """Under which kernels ask whether further images are wanted."""
        return self.spec.gate

    def feed(self, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Take a batch of rows, each a struct, and return the number of the first.

        Where enough were seen they are only counted.

        Raises:
            ModelError: columns that are no features, or values that nothing can be learned of.
            UnknownNameError: a column that the call names is not among the batch's.
        """
        with self._lock:
            first = self._n_fed
            self._n_fed += len(rows)
        if self.closed:
            return first
        batch = columns_of(rows)
        with self._lock:
            if self._reader is None:
                types = {name: column.type for name, column in batch.items()}
                columns = choose(types, self.spec)
                self._reader = RowReader(
                    columns,
                    self.spec.seed,
                    fills=self.spec.missing == "mean",
                    of_numbers=self._of_numbers,
                )
            reader = self._reader
        read = reader.read(batch)
        parts = [] if read is None else self._ledger.split(read[0])
        with self._lock:
            if read is not None:
                self._ledger.add(*read)
            for side, part in parts:
                self._keep(side, part, reader)
            if self._race is not None and not self.closed:
                self._round(self._race, reader)
        return first

    def take(self, there: There) -> int:
        """Take the rows that a cluster has, and return how many they are; in place of `feed`.

        They are encoded there. They come here where they fit, for passes are quicker here; else,
        and for a trainer of the cluster's own, they stay.

        Raises:
            ModelError: what `feed` raises.
            UnknownNameError: likewise.
        """
        summary = merged(there.encoded(self.spec))
        if summary is None:
            return 0
        told = Told.of(summary, self.spec, there)
        self._n_fed, self._reader, self._ledger = summary.n_fed, told.reader, told.ledger
        if not len(told.hashes):
            return self._n_fed
        is_theirs = bool(train.load(self.spec.trainer).host)
        if is_theirs or told.n_bytes > self.memory_bytes * IN_MEMORY_SHARE:
            self._identify(told.hashes)
            self._elsewhere = RemoteSides(told, there)
            return self._n_fed
        for part in there.records():
            for side, chunk in self._ledger.split(told.decode.chunk(part)):
                self._keep(side, chunk, told.reader)
        return self._n_fed

    def _identify(self, hashes: Array) -> None:
        """Add rows to what the training is known by."""
        self._sum = (self._sum + int(hashes.sum(dtype=np.uint64))) % 2**64
        self._xor ^= int(np.bitwise_xor.reduce(hashes))

    def _round(self, race: Race, reader: RowReader) -> None:
        """Close where the budget is used up or the winner is clear on the rows so far."""
        sides = self._sides
        if sides is None:
            return
        if race.over:
            self.closed = self._is_enough(reader)
            return
        if not race.due(sides.n_rows) or sides.train.spooled:
            return
        n_rows = sides.n_rows
        race.next_rows = 2 * n_rows
        try:
            values = self._classes(reader)
            tested = self._fit(sides.copy(), reader, values)
        except (ModelError, PlanError):
            return  # too few rows of some class, say: the next round will see more
        if race.training_over:  # it may have been cut short
            self.closed = True
            return
        rows, hits = [model.row for model in tested], [model.hits for model in tested]
        self.closed = race.round(n_rows, rows, hits)

    def _is_enough(self, reader: RowReader) -> bool:
        """Return whether the rows so far can be trained on, and tested."""
        try:
            self._classes(reader)
        except ModelError:
            return False
        return True

    def _fit(self, sides: Split, reader: RowReader, values: list[Any]) -> list[Tested]:
        """Seal the rows, and fit and test what is asked for and was not dropped.

        Args:
            sides: the rows; afterwards no more can be added.
            reader: of the rows.
            values: the label's, in the order of the models' classes.
        """
        spec, codes = self.spec, np.empty(len(values), np.int64)
        codes[[reader.codes[value] for value in values]] = np.arange(len(values))
        sides.train.seal(codes)
        sides.test.seal(codes)
        rescale(
            sides.train,
            sides.test,
            texts=reader.texts_by_code,
            folds=spec.folds,
            fills=reader.fills,
        )
        options = Options(
            n_classes=len(values),
            balanced=spec.class_weight == "balanced",
            standardize=spec.standardize,
            max_iterations=spec.max_iterations,
            tolerance=spec.tolerance,
            folds=spec.folds,
            seed=spec.seed,
            memory_bytes=self.memory_bytes,
            label_values=tuple(values) if self._of_numbers else (),
        )
        if self._race is not None:
            race = self._race
            options = replace(options, is_over=lambda: race.training_over)
        dropped = self._race.dropped if self._race is not None else ()
        left = [
            contender
            for contender in contenders(reader.columns, spec)
            if contender.features.name not in dropped
        ]
        return fit_and_test(sides.train, sides.test, left, spec, options, reader)

    def _keep(self, side: int, chunk: Chunk, reader: RowReader) -> None:
        if self._sides is None:
            self._sides = Sides.empty(reader.layout)
        self._identify(chunk.hash)
        self._sides.keep(side, chunk, self.memory_bytes)

    def spool(self) -> None:
        """Move the rows out of memory."""
        with self._lock:
            if self._sides is not None:
                self._sides.spool()

    def close(self) -> None:
        """Free memory and disk."""
        for sides in (self._sides, self._elsewhere):
            if sides is not None:
                sides.close()

    def finish(self, fed: int | None) -> Sequence[Mapping[str, object]]:
        """Train, keep the models, and return a row per model.

        Args:
            fed: how many rows were fed, as the engine counts; None: none.

        Raises:
            ModelError: rows went missing, or nothing can be learned of them.
            PlanError: memory does not suffice.
        """
        n_rows = fed or 0
        if n_rows != self._n_fed:
            raise ModelError(
                f"{n_rows} rows were sent to VISTA_TRAIN and {self._n_fed} came: run it again"
            )
        reader, spec = self._reader, self.spec
        sides: Split | None = self._elsewhere or self._sides
        if n_rows == 0 or reader is None:
            raise ModelError("the data to train on has no rows")
        if sides is None:
            raise ModelError(cautions.all_skipped(spec, reader, self._n_fed))
        if not spec.split_by and not self._of_numbers:
            sides.stratify(self._ledger)
        values = self._classes(reader)
        contenders(reader.columns, spec)  # at odds with the columns? then before all else
        fingerprint = self._fingerprint(reader)
        if spec.home:
            known = models.with_fingerprint(spec.home, spec.model, fingerprint)
            if known is not None:
                return result_rows(self._kept(known))
        began = time.perf_counter()
        if self._race is not None:
            self._race.begin_last_training()
        tested = self._fit(sides, reader, values)
        rows = [model.row for model in tested]
        judge(rows, [model.hits for model in tested])
        self._warn(rows, reader, values, sides)
        facts = {
            "created": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
            "fingerprint": fingerprint,
            "label": reader.columns.label,
            "label_type": reader.columns.label_type,
            "key": reader.columns.key,
            "classes": [] if self._of_numbers else [text_of(value) for value in values],
            "options": spec.identity(),
            "provenance": spec.provenance,
            "run": spec.run,
            "n_rows": self._n_fed,
            "skipped": {str(skip): n for skip, n in reader.skipped.items()},
            "roc_at": FALSE_POSITIVE_RATES,
            "seconds": round(time.perf_counter() - began, 3),
            "rows": rows,
            **_examples(tested, reader),
        }
        if not spec.home:
            dropped = self._race.dropped.values() if self._race is not None else ()
            losers = [row for of_set in dropped for row in of_set]
            for row in losers:
                row["is_best"] = False
            return result_rows({**facts, "rows": [*in_order(rows), *in_order(losers)]})
        version = models.publish(spec.home, spec.model, facts, [model.arrays for model in tested])
        return result_rows(models.document(spec.home, spec.model, version))

    def _warn(
        self,
        rows: Sequence[ModelRow],
        reader: RowReader,
        values: list[Any],
        sides: Split,
    ) -> None:
        """Add `warning` to the rows: what their figures must be read with."""
        spec, ledger, race = self.spec, self._ledger, self._race
        of_all = [
            *cautions.untested(spec, ledger, reader, values),
            *cautions.lost(reader, self._n_fed),
            *cautions.rare(reader, sides.train.encoding),
        ]
        if race is not None and race.overrun is not None:
            of_all.append(race.overrun)
        images, shown = ledger.shared()
        sizes = reader.layout.layer_sizes
        near = None if race else near_duplicates(sides.train, sides.test, spec.folds, sizes)
        nearly = cautions.nearly_shared(near, reader, spec)
        for row in rows:
            of_row = [
                *cautions.unfinished(row, spec, race),
                *cautions.shared(row, spec, images, shown),
                *(nearly if row["layers"] else ()),
            ]
            row["warning"] = "; ".join([*of_all, *of_row]) or None

    def _classes(self, reader: RowReader) -> list[Any]:
        """Return the label's values, ascending.

        Raises:
            ModelError: one class, or a class that some side of the split cannot learn.
        """
        values, counts = sorted(reader.codes), self._ledger.counts()
        name, spec = reader.columns.label, self.spec
        if self._of_numbers:
            return self._numbers(name, values, {side for side, _ in counts})
        if len(values) == 1:
            raise ModelError(
                f"label {name!r} has one class, {text_of(values[0])!r}, in all "
                f"{sum(counts.values())} rows that can be used: a model needs two"
            )
        for value in values:
            code = reader.codes[value]
            sides = {side: n for (side, c), n in counts.items() if c == code}
            n = sum(sides.values())
            who = f"class {text_of(value)!r} of label {name!r} has"
            if n == 1:
                remedy = "merge the class with another or leave the row out"
                if len(values) > MANY_VALUES and not isinstance(value, str | bool):
                    remedy = (
                        f"the label is a number of {len(values)} values, so learn it as one with "
                        "trainer => 'linear', or make classes of it in the data (price > 10)"
                    )
                raise ModelError(
                    f"{who} one row: it takes two, one to train on and one to test on; {remedy}"
                )
            if spec.folds and len(sides) == 1:
                raise ModelError(
                    f"{who} its {n} rows all in one of {spec.folds} folds: choose another seed, "
                    "merge the class with another, or leave its rows out"
                )
            if not spec.folds and 0 not in sides:
                raise ModelError(
                    f"{who} all its {n} rows on the test side of the split: choose another seed, "
                    "a smaller test_fraction, or merge the class with another"
                )
        return values

    def _numbers(self, name: str, values: list[Any], sides: set[int]) -> list[Any]:
        """Return the values of a label that is a number.

        Raises:
            ModelError: there is one value, or there are no rows to train on.
        """
        if len(values) == 1:
            raise ModelError(
                f"label {name!r} is {text_of(values[0])} in all rows that can be used: there is "
                "nothing to learn"
            )
        if sides == {1} and not self.spec.folds:
            raise ModelError(
                "all rows are on the test side of the split: choose another seed or a smaller "
                "test_fraction"
            )
        return values

    def _kept(self, version: int) -> dict[str, Any]:
        """Return a version's document, its rows with a warning where the bare name is another's."""
        name, home = self.spec.model, self.spec.home
        kept, newest = models.document(home, name, version), models.versions(home, name)[-1]
        if newest == version:
            return kept
        said = (
            f"version {version} was trained from the same data before, and {name!r} is version "
            f"{newest}: '{name}@{version}' is this one"
        )
        rows = [
            row | {"warning": "; ".join(filter(None, (said, row.get("warning"))))}
            for row in kept["rows"]
        ]
        return kept | {"rows": rows}

    def _fingerprint(self, reader: RowReader) -> str:
        """Hash what the models follow from: rows in any order, columns, options, versions."""
        whole = {
            "format": FORMAT,
            "version": resources.own_version(),
            "columns": to_builtins(reader.columns),
            "sizes": reader.sizes,
            "options": self.spec.identity(),
            "rows": [self._n_fed, sum(self._ledger.counts().values()), self._sum, self._xor],
            "labels": sorted(text_of(value) for value in reader.codes),
        }
        text = json.dumps(whole, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
