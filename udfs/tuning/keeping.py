"""A tuned network and its head → a version in the registry of models."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from vista_sql import models
from vista_sql.models import Model, ModelRow
from vista_sql.train.curves import FALSE_POSITIVE_RATES
from vista_sql.train.metrics import Metrics
from vista_sql.train.tuning import FinetuneSpec
from vista_sql.weights.checksums import read_digests

from .networks import OpenNetwork
from .rows import Split

EVERY_SECONDS = 5.0
"""A better epoch is kept at once where so long nothing was: what ends the process leaves it."""


class Kept(Struct, frozen=True):
    """A version that was kept."""

    reference: str
    version: int


class Keeper:
    """Keeps one version for a call: a better epoch stands in the place of the one before."""

    def __init__(
        self, spec: FinetuneSpec, network: OpenNetwork, model: Model, split: Split
    ) -> None:
        self._spec, self._network, self._model, self._split = spec, network, model, split
        self._began = self._last = time.monotonic()
        self._version: int | None = None

    def is_due(self) -> bool:
        """Return whether nothing was kept for so long that a better epoch is to be."""
        return time.monotonic() - self._last > EVERY_SECONDS

    def keep(
        self,
        arrays: Mapping[str, np.ndarray],
        metrics: Metrics,
        *,
        epoch: int,
        loss: float,
        lift: float | None,
        rows: Sequence[Mapping[str, object]],
    ) -> Kept:
        """Keep the network as it is now, and a head.

        Args:
            arrays: of the model, in the user's units.
            metrics: of the test rows.
            epoch: of its run.
            loss: of the validation rows.
            lift: of the test rows.
            rows: the result's so far.

        Raises:
            ModelError: the registry cannot be written.
        """
        name, home = self._spec.model, self._spec.home
        with tempfile.TemporaryDirectory(prefix="vista-") as folder:
            path = Path(folder, "network.keras")
            self._network.save(path)
            facts = self._facts(metrics, read_digests(path).sha256, epoch, loss, lift)
            facts["tuning"] = [dict(row) for row in rows]
            self._version = models.publish(
                home, name, facts, [arrays], network=path, replaced=self._version
            )
        self._last = time.monotonic()
        part = facts["rows"][0]["part"]
        return Kept(f"{name}/{part}@{self._version}", self._version)

    def _facts(
        self, metrics: Metrics, sha256: str, epoch: int, loss: float, lift: float | None
    ) -> dict[str, Any]:
        source = self._model.document
        seconds = time.monotonic() - self._began
        return {
            "created": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
            "fingerprint": None,
            "label": source["label"],
            "label_type": source["label_type"],
            "key": source["key"],
            "classes": source["classes"],
            "options": {**source["options"], "model": self._spec.model},
            "provenance": self._provenance(sha256, epoch),
            "run": self._spec.run,
            "n_rows": self._split.sides.n_rows,
            "skipped": {},
            "roc_at": FALSE_POSITIVE_RATES,
            "seconds": round(seconds, 3),
            "rows": [self._row(metrics, epoch, loss, lift, seconds)],
            "mistakes": [],
        }

    def _row(
        self, metrics: Metrics, epoch: int, loss: float, lift: float | None, seconds: float
    ) -> ModelRow:
        row: ModelRow = {
            **self._model.row,
            "n_train": self._split.sides.train.n_rows,
            "n_test": metrics.n_rows,
            "iterations": epoch,
            "objective": loss,
            "accuracy": metrics.accuracy,
            "precision": metrics.precision,
            "recall": metrics.recall,
            "f1_score": metrics.f1_score,
            "f1_score_std": None,
            "roc_auc": metrics.roc_auc,
            "log_loss": metrics.log_loss,
            "roc": metrics.roc,
            "confusion": metrics.confusion,
            "seconds": seconds,
            "lift": lift,
            "is_best": True,
            "warning": None,
        }
        return row

    def _provenance(self, sha256: str, epoch: int) -> dict[str, Any]:
        """Return where the model's features come from now: the network that is kept beside it."""
        source = copy.deepcopy(dict(self._model.document["provenance"]))
        transfer = self._model.transfer or {}
        arguments = {**transfer.get("arguments", {}), "cnn": models.OWN, "weights": models.OWN}
        was = {name: transfer.get("arguments", {}).get(name) for name in ("cnn", "weights")}
        arguments.pop("seed", None)
        source["transfers"] = [
            {
                **transfer,
                "arguments": arguments,
                "columns": {self._spec.column: self._spec.layer},
                "weights_sha256": sha256,
            }
        ]
        source["tuned"] = {
            "from_model": self._spec.from_model or None,
            **was,
            "weights_sha256": transfer.get("weights_sha256"),
            "epoch": epoch,
            **{k: v for k, v in self._spec.identity().items() if k in ("runs", "batch_size")},
            "augment": list(self._spec.augment),
        }
        return source
