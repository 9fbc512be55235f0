"""Rows with the layers of several networks → scores of each layer: one VISTA_RANK_SOURCES."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import ModelError
from vista_sql.fed_runs import DATA
from vista_sql.machine import resources
from vista_sql.ranking.agreement import regret
from vista_sql.ranking.features import Columns, Features
from vista_sql.ranking.scores.h_score import h_score
from vista_sql.ranking.scores.knn import knn_accuracy
from vista_sql.ranking.scores.leep import leep
from vista_sql.ranking.scores.logme import logme
from vista_sql.ranking.scores.nce import nce
from vista_sql.ranking.sources import Sources
from vista_sql.ranking.spec import SOURCES, Network, RankSpec
from vista_sql.train import STRUCTURED, cautions
from vista_sql.train.columns import choose, is_layer, is_structured, resolve
from vista_sql.train.rows import RowReader, columns_of, text_of
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training import TrainingRun
from vista_sql.train.training_rows import IN_MEMORY_SHARE, TrainingRows

SCORES = ("knn_accuracy", "h_score", "logme", "leep", "nce", "p2l")

BLOCKS_SHARE = 0.125  # blocks of rows are there in several copies, in float64
NAME = "VISTA_RANK_SOURCES"


class _Part:
    """The rows of one relation: kept as they come, and trained on where that is asked for."""

    def __init__(self, spec: TrainSpec, memory_bytes: int, *, trained: bool) -> None:
        self.spec, self.memory_bytes = spec, memory_bytes
        self.training: TrainingRun | None = None
        if trained:
            self.memory_bytes //= 2
            self.training = TrainingRun(replace(spec, memory_bytes=self.memory_bytes))
        self.reader: RowReader | None = None
        self.rows: TrainingRows | None = None
        self.n_fed = 0
        self._lock = threading.Lock()

    def feed(self, rows: pa.Array | pa.ChunkedArray) -> int:
        batch = columns_of(rows)
        with self._lock:
            if self.reader is None:
                self.reader = self._reader({name: c.type for name, c in batch.items()})
            reader = self.reader
        read = reader.read(batch)
        with self._lock:
            first = self.n_fed
            self.n_fed += len(rows)
            if read is not None:
                if self.rows is None:
                    self.rows = TrainingRows(reader.layout)
                self.rows.append(read[0].take(slice(None)))
                if self.rows.memory_bytes > self.memory_bytes * IN_MEMORY_SHARE:
                    self.rows.spool()
        if self.training is not None:
            self.training.feed(rows)
        return first

    def _reader(self, types: Mapping[str, pa.DataType]) -> RowReader:
        """Return a reader of layers and columns of numbers; other columns have no score."""
        named = [name for name, kind in types.items() if not is_layer(kind)]  # by the user
        resolve(self.spec.label, named, "label", "the data to rank by")
        out = {name.lower() for name in (*self.spec.exclude, *self.spec.split_by, self.spec.label)}
        out -= {name.lower() for name in types if is_layer(types[name])}  # classifiers are read
        keys = [self.spec.key] if self.spec.key else [*self.spec.default_keys]
        key = next((name for name in keys if name.lower() in map(str.lower, types)), "")
        features = tuple(
            name
            for name, kind in types.items()
            if (is_layer(kind) or is_structured(kind)) and name.lower() not in {*out, key.lower()}
        )
        chosen = choose(types, replace(self.spec, features=features, categorical=None))
        return RowReader(chosen, self.spec.seed, fills=self.spec.missing == "mean")

    def trained(self) -> list[dict[str, Any]]:
        """Train, where that is asked for, and return a row per model, as VISTA_TRAIN does."""
        return [] if self.training is None else [*map(dict, self.training.finish(self.n_fed))]

    def spool(self) -> None:
        with self._lock:
            if self.rows is not None and not self.rows.sealed:
                self.rows.spool()
        if self.training is not None:
            self.training.spool()

    def close(self) -> None:
        if self.rows is not None:
            self.rows.close()
        if self.training is not None:
            self.training.close()


class _Ready(Struct):
    """A part's rows in order, ready to be scored."""

    rows: TrainingRows
    reader: RowReader
    n_classes: int
    memory_bytes: int

    def features(self, column: str) -> Features:
        """Return the features of a layer's column."""
        place = self.reader.columns.layers.index(column)
        return Features(self.rows, place, self.n_classes, int(self.memory_bytes * BLOCKS_SHARE))

    @property
    def structured(self) -> float | None:
        """k-NN accuracy of the structured columns alone; None: there are none."""
        if not self.reader.columns.structured:
            return None
        columns = Columns(self.rows, self.n_classes, int(self.memory_bytes * BLOCKS_SHARE))
        return knn_accuracy(columns)


class RankRun:
    """One ranking: takes rows from several threads, and scores when all are there."""

    gate, closed = "", False  # it reads all rows

    def __init__(self, spec: RankSpec) -> None:
        self.spec = spec
        self._memory_bytes = spec.training.memory_bytes or resources.machine().memory_bytes // 4
        names = dict.fromkeys(network.relation for network in spec.networks)
        share = self._memory_bytes // len(names)
        self._parts = {name: _Part(spec.training, share, trained=spec.trained) for name in names}
        self._sources = Sources()

    def feed(self, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Take a batch of rows, each a struct, and return the number of the first.

        Raises:
            ModelError: columns or values that nothing can be told of.
        """
        if relation == SOURCES:
            return self._sources.feed(columns_of(rows))
        return self._parts[relation].feed(rows)

    def spool(self) -> None:
        """Move rows out of memory."""
        for part in self._parts.values():
            part.spool()

    def close(self) -> None:
        """Free memory and disk."""
        for part in self._parts.values():
            part.close()

    def finish(self, fed: int | None) -> Sequence[Mapping[str, object]]:
        """Score all layers, and return a row per layer, best first.

        Args:
            fed: how many rows were fed, as the engine counts.

        Raises:
            ModelError: rows went missing, or nothing can be told of them.
        """
        came = sum(part.n_fed for part in self._parts.values())
        if (fed or 0) != came + self._sources.n_fed:
            raise ModelError(f"{fed} rows were sent to {NAME}, and not all came: run it again")
        if came == 0:
            raise ModelError(f"the data of {NAME} has no rows")
        ready = {name: self._ready(part) for name, part in self._parts.items()}
        rows: list[dict[str, Any]] = []
        self._sources.check([(network.cnn, network.weights) for network in self.spec.networks])
        for network in self.spec.networks:
            rows += self._scored(network, ready[network.relation])
        self._sources.score(rows)
        for place, network in enumerate(self.spec.networks):
            rows_of_network = [row for row in rows if row["place"] == place]
            self._warn(network, rows_of_network)
        self._compare(rows, ready)
        if self.spec.trained:
            _add_regret(rows)
        for row in rows:
            row["warning"] = "; ".join(row["warnings"]) or None
        return sorted(rows, key=_order)

    def _ready(self, part: _Part) -> _Ready:
        reader, rows = part.reader, part.rows
        if reader is None:
            raise ModelError(f"a TRANSFER of {NAME} has no rows")
        if rows is None:
            raise ModelError(cautions.all_skipped(part.spec, reader, part.n_fed, NAME))
        values = sorted(reader.codes)
        if len(values) == 1:
            raise ModelError(
                f"label {reader.columns.label!r} has one class, {text_of(values[0])!r}, in all "
                f"{rows.n_rows} rows that can be used: there is nothing to tell apart"
            )
        codes = np.empty(len(values), np.int64)
        codes[[reader.codes[value] for value in values]] = np.arange(len(values))
        rows.seal(codes)
        return _Ready(rows, reader, len(values), part.memory_bytes)

    def _scored(self, network: Network, ready: _Ready) -> list[dict[str, Any]]:
        """Return a row per layer, with the scores of features and of the network's classifier."""
        began = time.perf_counter()
        of_network: dict[str, float | None] = {"leep": None, "nce": None}
        if network.classifier is not None:
            said = ready.features(network.classifier)
            if _are_probabilities(said):
                of_network = {"leep": leep(said), "nce": nce(said)}
        shared = (time.perf_counter() - began) / max(1, len(network.layers))
        rows = []
        for layer, column in network.layers:
            began, features = time.perf_counter(), ready.features(column)
            row: dict[str, Any] = {
                "cnn": network.cnn, "weights": network.weights, "layer": layer, **of_network,
                "knn_accuracy": knn_accuracy(features), "h_score": None, "logme": None, "p2l": None,
                "n": features.n, "f1_score": None, "regret": None, "warnings": [],
                "place": self.spec.networks.index(network), "column": column,
                "relation": network.relation, "mean": None,
            }  # fmt: skip
            if features.gram_bytes <= ready.memory_bytes:
                row |= {"h_score": h_score(features), "logme": logme(features)}
            else:
                row["warnings"].append(
                    f"h_score and logme need {features.gram_bytes / 2**20:.0f} MiB and may use "
                    f"{ready.memory_bytes / 2**20:.0f}: pool the layer or raise memory_limit"
                )
            if self._sources.n_fed:
                row["mean"] = features.mean
            row["seconds"] = time.perf_counter() - began + shared
            rows.append(row)
        return rows

    def _warn(self, network: Network, rows: Iterable[dict[str, Any]]) -> None:
        """Say which rows were skipped, and where the mean of a source fits no layer."""
        part = self._parts[network.relation]
        said: list[str] = []
        if part.reader is not None:
            of_label = [
                (n, skip) for skip, n in part.reader.skipped.items() if skip.part == "label"
            ]
            said += [f"in {n} of {part.n_fed} rows {skip}: skipped" for n, skip in of_label if n]
            said += cautions.lost(part.reader, part.n_fed)
        for row in rows:
            row["warnings"] += said

    def _compare(self, rows: list[dict[str, Any]], ready: Mapping[str, _Ready]) -> None:
        """Add what training said, and say where every source is worse than the columns alone."""
        if not self.spec.trained:
            alone = next(iter(ready.values())).structured
            found = [row["knn_accuracy"] for row in rows if row["knn_accuracy"] is not None]
            _say_negative(rows, "knn_accuracy", alone, max(found, default=None))
            return
        alone = None
        for name, part in self._parts.items():
            trained = part.trained()
            of_columns = [r["f1_score"] for r in trained if r["feature_set"] == STRUCTURED]
            alone = max((f1 for f1 in of_columns if f1 is not None), default=alone)
            for row in rows:
                models = [r for r in trained if r["layer"] == row["column"]]
                tested = [r for r in models if r["f1_score"] is not None]
                if row["relation"] == name and models:
                    best = max(tested, key=lambda r: r["f1_score"], default=models[0])
                    row["f1_score"] = best["f1_score"]
                    if best["warning"]:
                        row["warnings"].append(best["warning"])
        found = [row["f1_score"] for row in rows if row["f1_score"] is not None]
        _say_negative(rows, "f1_score", alone, max(found, default=None))


def _say_negative(
    rows: Iterable[dict[str, Any]], score: str, alone: float | None, best: float | None
) -> None:
    """Warn of negative transfer: the best of all rows is worse than the structured columns."""
    if alone is None or best is None or best >= alone:
        return
    for row in rows:
        row["warnings"].append(
            f"negative transfer: the structured columns alone have {score} {alone:.3f}, and the "
            f"best source {best:.3f}: none of these networks helps"
        )


def _are_probabilities(said: Features) -> bool:
    """Return whether what a network's last layer says of rows is a distribution each."""
    return all(
        bool((theta >= -1e-6).all() and (np.abs(theta.sum(axis=1) - 1) < 1e-3).all())
        for theta, _ in said.chunks()
    )


def _add_regret(rows: Sequence[dict[str, Any]]) -> None:
    """Add to every row what following each score would have cost in f1_score."""
    trained = [row for row in rows if row["f1_score"] is not None]
    if not trained:
        return
    results = [row["f1_score"] for row in trained]
    found = [(name, regret([row[name] for row in trained], results)) for name in SCORES]
    known = [(name, lost) for name, lost in found if lost is not None]
    for row in rows:
        row["regret"] = known


def _order(row: Mapping[str, Any]) -> tuple[float, float]:
    """Return a key that is smallest for the best row; of equal ones the first stays first."""
    lowest = float("-inf")
    knn, h = row["knn_accuracy"], row["h_score"]
    return (-(lowest if knn is None else knn), -(lowest if h is None else h))
