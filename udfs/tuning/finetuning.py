"""One VISTA_FINETUNE: takes rows with the maps of frozen layers, tunes all runs, keeps the best."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from vista_sql import models
from vista_sql.errors import ModelError
from vista_sql.fed_runs import DATA
from vista_sql.kernels import InferSpec
from vista_sql.machine import resources
from vista_sql.models import Model
from vista_sql.train.columns import ERROR, Columns, choose
from vista_sql.train.ledger import Ledger
from vista_sql.train.rows import columns_of, matrix
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training import TrainingRun
from vista_sql.train.tuning import FinetuneSpec

from ..network.hog import Hog
from ..network.networks import IMAGE
from ..passes.runtime import Runtime
from .rows import FedRows
from .runs import Runs

REGRESSION = "regression"
"""What the regression is called that is trained first, in a registry of its own."""


class FinetuneRun:
    """A `FedRun`: rows are kept with their maps; what is above the maps runs when all are there."""

    gate = ""
    closed = False

    def __init__(self, runtime: Runtime, spec: FinetuneSpec) -> None:
        self._runtime, self.spec = runtime, spec
        self._infer = InferSpec.from_text(spec.infer)
        self._memory_bytes = spec.memory_bytes or resources.machine().memory_bytes // 4
        self._lock = threading.Lock()
        self._n_fed = 0
        self._rows: FedRows | None = None
        self._model: Model | None = None
        self._first: TrainingRun | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if spec.from_model:
            self._model = models.find(spec.home, spec.from_model)
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="vista-")
            fields = {**spec.train, "model": REGRESSION, "home": self._folder.name}
            self._first = TrainingRun(TrainSpec.from_fields(fields))

    def feed(self, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Take a batch of rows, each a struct, and return the number of the first.

        Raises:
            ModelError: columns that are no features, or values that nothing can be learned of.
            UnknownNameError: a column that the call names is not among the batch's.
        """
        del relation
        with self._lock:
            first = self._n_fed
            self._n_fed += len(rows)
        batch, maps = self._with_features(columns_of(rows))
        if self._first is not None:
            table = pa.StructArray.from_arrays(list(batch.values()), names=list(batch))
            self._first.feed(table)
        with self._lock:
            if self._rows is None:
                self._rows = self._begun({name: column.type for name, column in batch.items()})
        self._rows.feed(batch | maps)
        return first

    def _begun(self, types: Mapping[str, pa.DataType]) -> FedRows:
        """Return what takes the rows, as the regression takes them, or took them."""
        if self._model is None:
            spec = TrainSpec.from_fields(self.spec.train)
            columns = choose(types, spec)
        else:
            kept = self._model.document["options"]
            known = TrainSpec.__struct_fields__
            spec = TrainSpec.from_fields({k: v for k, v in kept.items() if k in known})
            columns = self._as_kept(self._model, types)
        ledger = Ledger(spec.folds, spec.test_fraction)
        return FedRows(
            columns,
            list(self.spec.maps.values()),
            ledger,
            seed=spec.seed,
            fills=spec.missing == "mean",
            memory_bytes=self._memory_bytes,
        )

    def _as_kept(self, model: Model, types: Mapping[str, pa.DataType]) -> Columns:
        """Return the columns that a kept regression was trained with.

        Raises:
            ModelError: the rows lack one.
        """
        by_lower = {name.lower(): name for name in types}

        def there(name: str) -> str:
            if name.lower() not in by_lower:
                raise ModelError(
                    f"model {model.reference!r} was trained with column {name!r}, which the rows "
                    f"do not have; their columns: {', '.join(list(types)[:40])}"
                )
            return by_lower[name.lower()]

        options, key = model.document["options"], model.document.get("key")
        return Columns(
            label=there(model.label),
            label_type=model.label_type,
            key=None if key is None else there(key),
            split_by=tuple(map(there, options["split_by"])),
            structured=tuple(map(there, model.structured)),
            layers=(self.spec.column,),
            texts=tuple(there(name) for name in model.levels),
        )

    def _with_features(
        self, batch: dict[str, pa.Array]
    ) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
        """Return the columns of the regression's rows, and those of the maps.

        The head's features are computed from the highest map: bit for bit what TRANSFER gives.
        """
        maps = {name: batch.pop(name) for name in self.spec.maps.values()}
        reason = batch.pop(self.spec.reason, None)
        if reason is not None and ERROR not in (name.lower() for name in batch):
            batch[ERROR] = reason
        start, column = list(self.spec.maps.items())[-1]
        values, usable, _ = matrix(column, maps[column], None)
        batch[self.spec.column] = self._features(start, values, usable)
        return batch, maps

    def _features(self, start: str, values: np.ndarray | None, usable: np.ndarray) -> pa.Array:
        network = self._runtime.network(self._infer)
        if isinstance(network, Hog):
            raise TypeError("HOG has no layers")
        output = (self.spec.layer, self._infer.pool)
        found: np.ndarray | None = None
        places = np.flatnonzero(usable)
        step = network.batch_rows
        for first in range(0, len(places), step):
            some = places[first : first + step]
            given = values[some]  # type: ignore[index]
            if start == IMAGE:
                given = given.astype(np.uint8).reshape(-1, *network.cnn.input_shape)
            with self._runtime.inference:
                (part,) = network.run(None if start == IMAGE else start, [output], given)
            if found is None:
                found = np.zeros((len(usable), part.shape[1]), np.float32)
            found[some] = part
        if found is None:
            return pa.nulls(len(usable), pa.list_(pa.float32()))
        lists = pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), found.shape[1])
        return lists if usable.all() else _without(lists, ~usable)

    def finish(self, fed: int | None) -> Sequence[Mapping[str, object]]:
        """Train the regression, if that is to be, then tune; return a row per epoch.

        Raises:
            ModelError: rows went missing, or nothing can be learned of them.
        """
        n_rows = fed or 0
        if n_rows != self._n_fed:
            raise ModelError(
                f"{n_rows} rows were sent to VISTA_FINETUNE and {self._n_fed} came: run it again"
            )
        if not n_rows or self._rows is None:
            raise ModelError("the data to tune on has no rows")
        if self._first is not None and self._folder is not None:
            self._first.finish(fed)
            self._model = models.find(self._folder.name, f"{REGRESSION}/{self.spec.column}")
        assert self._model is not None  # noqa: S101  (either of them was given)
        split = self._rows.end(self._model)
        runs = Runs(self._runtime, self._infer, self.spec, self._model, split)
        return runs.all()

    def spool(self) -> None:
        """Move the rows out of memory."""
        if self._rows is not None:
            self._rows.spool()
        if self._first is not None:
            self._first.spool()

    def close(self) -> None:
        """Free memory and disk; safe to call twice."""
        if self._rows is not None:
            self._rows.close()
        if self._first is not None:
            self._first.close()
        if self._folder is not None:
            self._folder.cleanup()


def _without(lists: pa.Array, missing: np.ndarray) -> pa.Array:
    """Return lists of one length, NULL where they are missing."""
    return pa.FixedSizeListArray.from_arrays(
        lists.values, lists.type.list_size, mask=pa.array(missing)
    )
