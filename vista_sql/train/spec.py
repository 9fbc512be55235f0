"""What VISTA_TRAIN and VISTA_EVALUATE ask for: the order that travels to the kernels as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

BASELINES = ("structured", "hog", "tree")
"""What stands beside the layers; 'hog' reads images, the others do not."""


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """One training. `home` is the folder of the registry, "" where nothing is kept."""

    model: str
    label: str
    key: str | None = None  # None: 'id' where there is such a column
    features: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    by_layer: bool = True
    baselines: tuple[str, ...] | None = None  # None: 'structured' where it makes sense
    reg: tuple[float, ...] = (0.01,)  # the paper's lambda
    l1_ratio: float = 0.5  # the paper's alpha
    class_weight: str | None = None
    standardize: bool = True
    folds: int = 0
    max_iterations: int = 100
    tolerance: float = 1e-6
    test_fraction: float = 0.2
    split_by: tuple[str, ...] = ()
    seed: int = 0
    home: str = ""
    memory_bytes: int = 0  # 0: a quarter of the machine's
    run: str = ""  # the statement's: ends with it
    provenance: dict[str, Any] = field(default_factory=dict)
    hog: str | None = None  # the column of baseline 'hog'
    budget_seconds: float = 0.0  # VISTA_COMPARE's; 0: all rows
    gate: str = ""  # what kernels ask by whether images are still wanted

    def to_text(self) -> str:
        """Return the order as JSON with sorted keys."""
        return json.dumps({"train": asdict(self)}, sort_keys=True, separators=(",", ":"))

    def identity(self) -> dict[str, Any]:
        """Return what makes two trainings on the same data the same one."""
        left_out = ("home", "memory_bytes", "run", "budget_seconds", "gate")
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """Metrics of a kept model over labelled rows."""

    model: str  # an exact reference, with version
    home: str
    run: str = ""

    def to_text(self) -> str:
        """Return the order as JSON with sorted keys."""
        return json.dumps({"evaluate": asdict(self)}, sort_keys=True, separators=(",", ":"))


def from_text(text: str) -> TrainSpec | EvaluateSpec:
    """Return the order that `to_text` wrote."""
    order = json.loads(text)
    if "evaluate" in order:
        return EvaluateSpec(**order["evaluate"])
    given = order["train"]
    for name in ("features", "exclude", "baselines", "reg", "split_by"):
        if given[name] is not None:
            given[name] = tuple(given[name])
    return TrainSpec(**given)
