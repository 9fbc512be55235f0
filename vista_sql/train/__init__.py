"""Training on a stream: what goes in, what comes out, and the trainers, one file each.

`train/trainers/<name>.py` holds `TRAINER = Trainer(...)`. A trainer never sees a
table: it is given a `Store` of rows that can be read again in one fixed order, and the models to
fit to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from vista_sql import catalog

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vista_sql.train.training_rows import Rows, Store

    Array: TypeAlias = npt.NDArray[Any]
    Floats: TypeAlias = npt.NDArray[np.float64]

PACKAGE = "vista_sql.train.trainers"


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The columns of one model: the structured ones or not, and some layers."""

    name: str  # 'structured', 'structured+<layer>', '<layer>', 'all', 'tree'
    layer: str | None  # the layer that gives the set its name, if it is one
    structured: bool
    layers: tuple[int, ...]  # indexes of layer columns, ascending
    trainer: str = "logistic"

    @property
    def part(self) -> str:
        """The set's name within a model's: `avg_pool` in `healthy/avg_pool@3`."""
        return self.layer or self.name


@dataclass(frozen=True, slots=True)
class Task:
    """One model to fit: a feature set, a penalty, and the fold that is left out of its rows."""

    features: FeatureSet
    reg: float = 0.0
    l1_ratio: float = 0.0
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What is common to the models of one training."""

    n_classes: int
    balanced: bool = False
    standardize: bool = True
    max_iterations: int = 100
    tolerance: float = 1e-6
    folds: int = 0
    seed: int = 0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model: its arrays (raw units, float64) and how the fitting went.

    A logistic model's arrays are `coef` (classes, features) and `intercept` (classes,), one row
    where there are two classes; features are the structured columns, then the layers in order.
    """

    task: Task
    arrays: Mapping[str, Array] = field(repr=False)
    iterations: int | None
    converged: bool
    objective: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Trainer:
    """A kind of model.

    `fit(store, tasks, options)` returns a Fit per task, in order. `score(store, fits)` yields the
    store's chunks, each with every model's margins. `margins(arrays, x)` scores
    x (rows, features) float64 in raw units and returns (rows, 1) log-odds of the larger class for
    two classes, else (rows, classes) values whose softmax are the probabilities.
    """

    name: str
    fit: Callable[[Store, Sequence[Task], Options], list[Fit]]
    score: Callable[[Store, Sequence[Fit]], Iterator[tuple[Rows, list[Array]]]]
    margins: Callable[[Mapping[str, Array], Floats], Floats]
    meaning: str


def names() -> tuple[str, ...]:
    """Return the names of the trainers, sorted."""
    return catalog.names(PACKAGE)


def load(name: str) -> Trainer:
    """Return the trainer called `name`."""
    return catalog.load(PACKAGE, name, "TRAINER", Trainer)
