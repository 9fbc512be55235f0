"""One training from its first row to its kept models."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from vista_sql import models
from vista_sql.errors import ModelError, PlanError
from vista_sql.machine import resources
from vista_sql.train import Options
from vista_sql.train.columns import choose
from vista_sql.train.compare import feature_sets, fit_and_test, result_rows
from vista_sql.train.curves import FALSE_POSITIVE_RATES
from vista_sql.train.ledger import Ledger
from vista_sql.train.moments import rescale
from vista_sql.train.race import Race, in_order, judge
from vista_sql.train.rows import Reader, columns_of, text_of
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training_rows import Array, Rows, Store

FORMAT = 2  # of the arithmetic: a fingerprint of another format is another training
IN_MEMORY_SHARE = 0.5  # rows are in memory twice while they are put in order


class TrainingRun:
    """Takes rows, splits them, and trains on them when they are all there."""

    def __init__(self, spec: TrainSpec) -> None:
        self.spec = spec
        # as `memory.trainer_bytes` has it: the kernels and DuckDB have the rest
        self.memory_bytes = spec.memory_bytes or resources.machine().memory_bytes // 4
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._train: Store | None = None
        self._test: Store | None = None
        self._race = Race(spec.budget_seconds) if spec.budget_seconds else None
        self.closed = False  # no more rows are wanted
        self._n_fed = 0
        self._sum = self._xor = 0  # of row hashes: the same for any order
        self._ledger = Ledger(spec.folds, spec.test_fraction)

    def feed(self, rows: pa.Array | pa.ChunkedArray) -> None:
        """Take a batch; only count it where enough rows were seen."""
        if self.closed:
            with self._lock:
                self._n_fed += len(rows)
            return
        batch = columns_of(rows)
        with self._lock:
            if self._reader is None:
                types = {name: column.type for name, column in batch.items()}
                self._reader = Reader(choose(types, self.spec), self.spec.seed)
            reader = self._reader
        read = reader.read(batch)
        parts = [] if read is None else self._parts(read[0])
        with self._lock:
            self._n_fed += len(rows)
            if read is not None:
                self._ledger.add(*read)
            for side, part in parts:
                self._keep(side, part, reader)
            if self._race is not None and not self.closed:
                self._round(self._race, reader)

    def _round(self, race: Race, reader: Reader) -> None:
        """Close where the budget is used up or the winner is clear on the rows so far."""
        self.closed = race.over
        stores = (self._train, self._test)
        n_rows = sum(store.n_rows for store in stores if store is not None)
        if self.closed or not race.due(n_rows) or stores[0] is None or stores[0].spooled:
            return
        race.next_rows = 2 * n_rows
        train, test = (store.copy() for store in stores if store is not None)
        try:
            values = self._classes(reader)
            rows, _, hits = self._fit(train, test, reader, values)
        except (ModelError, PlanError):
            return  # too few rows of some class, say: the next round will see more
        self.closed = race.round(n_rows, rows, hits) or race.over

    def _fit(
        self, train: Store, test: Store, reader: Reader, values: list[Any]
    ) -> tuple[list[dict[str, Any]], list[Mapping[str, Array]], list[Array]]:
        """Seal the stores, and fit and test what is asked for and was not dropped."""
        spec, codes = self.spec, np.empty(len(values), np.int64)
        codes[[reader.codes[value] for value in values]] = np.arange(len(values))
        train.seal(codes)
        test.seal(codes)
        rescale(train, test)
        options = Options(
            n_classes=len(values),
            balanced=spec.class_weight == "balanced",
            standardize=spec.standardize,
            max_iterations=spec.max_iterations,
            tolerance=spec.tolerance,
            folds=spec.folds,
            seed=spec.seed,
            memory_bytes=self.memory_bytes,
        )
        dropped = self._race.dropped if self._race is not None else ()
        sets = [one for one in feature_sets(reader.columns, spec) if one.name not in dropped]
        return fit_and_test(train, test, sets, spec, options, reader)

    def _parts(self, rows: Rows) -> list[tuple[int, Rows]]:
        """Return copies of the rows of each side of the split: 0 trains, 1 tests."""
        if self.spec.folds or not self.spec.test_fraction:
            return [(0, rows.take(slice(None)))]
        tests = rows.unit < self.spec.test_fraction
        sides = ((0, np.flatnonzero(~tests)), (1, np.flatnonzero(tests)))
        return [(side, rows.take(own)) for side, own in sides if len(own)]

    def _keep(self, side: int, rows: Rows, reader: Reader) -> None:
        if self._train is None or self._test is None:
            self._train, self._test = Store(reader.layout), Store(reader.layout)
        self._sum = (self._sum + int(rows.hash.sum(dtype=np.uint64))) % 2**64
        self._xor ^= int(np.bitwise_xor.reduce(rows.hash))
        (self._train, self._test)[side].append(rows)
        held = self._train.memory_bytes + self._test.memory_bytes
        if held > self.memory_bytes * IN_MEMORY_SHARE:
            self._spool()

    def spool(self) -> None:
        """Move the rows out of memory."""
        with self._lock:
            self._spool()

    def _spool(self) -> None:
        for store in (self._train, self._test):
            if store is not None and not store.sealed:
                store.spool()

    def close(self) -> None:
        """Give back memory and disk."""
        for store in (self._train, self._test):
            if store is not None:
                store.close()

    def finish(self, n_rows: int) -> list[dict[str, Any]]:
        """Train, keep the models, and return a row per model."""
        if n_rows != self._n_fed:
            raise ModelError(
                f"{n_rows} rows were sent to VISTA_TRAIN and {self._n_fed} came: run it again"
            )
        if n_rows == 0:
            raise ModelError("the data to train on has no rows")
        reader, spec = self._reader, self.spec
        if reader is None or self._train is None or self._test is None:
            raise ModelError(self._nothing_left())
        if not spec.split_by:
            self._stratify(self._train, self._test)
        values = self._classes(reader)
        feature_sets(reader.columns, spec)  # at odds with the columns? then before all else
        fingerprint = self._fingerprint(reader)
        if spec.home:
            known = models.with_fingerprint(spec.home, spec.model, fingerprint)
            if known is not None:
                return result_rows(models.document(spec.home, spec.model, known))
        began = time.perf_counter()
        rows, arrays, hits = self._fit(self._train, self._test, reader, values)
        judge(rows, hits)
        self._warn(rows)
        facts = {
            "created": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
            "fingerprint": fingerprint,
            "label": reader.columns.label,
            "label_type": reader.columns.label_type,
            "key": reader.columns.key,
            "classes": [text_of(value) for value in values],
            "options": spec.identity(),
            "provenance": spec.provenance,
            "run": spec.run,
            "n_rows": self._n_fed,
            "skipped": dict(reader.skipped),
            "roc_at": FALSE_POSITIVE_RATES,
            "seconds": round(time.perf_counter() - began, 3),
            "rows": rows,
        }
        if not spec.home:
            dropped = self._race.dropped.values() if self._race is not None else ()
            late = [{**row, "is_best": False} for some in dropped for row in some]
            return result_rows({**facts, "rows": [*in_order(rows), *in_order(late)]})
        version = models.publish(spec.home, spec.model, facts, arrays)
        return result_rows(models.document(spec.home, spec.model, version))

    def _stratify(self, train: Store, test: Store) -> None:
        """Move rows of small classes so that each class has its share of either side."""
        places = self._ledger.stratify()
        if not places:
            return
        hashes = np.array(sorted(places), np.uint64)
        for rows in [store.take_out(hashes) for store in (train, test)]:
            rows.unit[:] = [places[one] for one in rows.hash.tolist()]
            side = self._ledger.side(rows.unit) * (not self.spec.folds)
            for i, store in enumerate((train, test)):
                store.append(rows.take(np.flatnonzero(side == i)))

    def _warn(self, rows: Sequence[dict[str, Any]]) -> None:
        """Say in each row what its figures must be read with."""
        images, shown = self._ledger.shared()
        where = "several folds" if self.spec.folds else "both sides of the split"
        for row in rows:
            found = []
            if not row["converged"]:
                found.append(
                    f"not converged after {row['iterations']} iterations: raise max_iterations, "
                    "reg or tolerance"
                )
            if images and row["layers"]:
                found.append(
                    f"{images} images (rows of equal layers) stand on {where}, {shown} of "
                    f"{row['n_test']} test rows show one: split_by => keeps such rows together"
                )
            row["warning"] = "; ".join(found) or None

    def _nothing_left(self) -> str:
        skipped = self._reader.skipped if self._reader else {}
        reason, n = max(skipped.items(), key=lambda item: item[1], default=("", 0))
        column = reason.partition("'")[2].partition("'")[0]
        remedy = f"; exclude => ['{column}'] leaves it out" if reason.startswith("column") else ""
        return f"VISTA_TRAIN skipped all {self._n_fed} rows: in {n} of them {reason}{remedy}"

    def _classes(self, reader: Reader) -> list[Any]:
        """Return the label's values, ascending.

        Raises:
            ModelError: one class, or a class that some side of the split cannot learn.
        """
        values, counts = sorted(reader.codes), self._ledger.counts()
        name, spec = reader.columns.label, self.spec
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
                raise ModelError(
                    f"{who} one row: it takes two, one to train on and one to test on; merge the "
                    "class with another or leave the row out"
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

    def _fingerprint(self, reader: Reader) -> str:
        """Hash what the models follow from: rows in any order, columns, options, versions."""
        whole = {
            "format": FORMAT,
            "version": resources.own_version(),
            "columns": asdict(reader.columns),
            "sizes": reader.sizes,
            "options": self.spec.identity(),
            "rows": [self._n_fed, sum(self._ledger.counts().values()), self._sum, self._xor],
            "labels": sorted(text_of(value) for value in reader.codes),
        }
        text = json.dumps(whole, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
