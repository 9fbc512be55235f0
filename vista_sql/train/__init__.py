"""Training on a stream: what goes in, what comes out, and the trainers, one file each.

`train/trainers/<name>.py` holds `TRAINER = Trainer(...)`, and that is all that a trainer is: no
other file names one, but for DEFAULT_TRAINER here. A trainer never sees a table: it is given
`Rows`, over which it can make passes, and the models to fit to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from vista_sql import catalog, models

if TYPE_CHECKING:
    from vista_sql.train.as_onnx import Nodes
    from vista_sql.train.chunks import Array, Chunk, Floats
    from vista_sql.train.passes import Rows

PACKAGE = "vista_sql.train.trainers"

DEFAULT_TRAINER = "logistic"
"""What fits the layers, and the feature sets of STRUCTURED and HOG, where no other is named."""

STRUCTURED, HOG = "structured", "hog"
"""Baselines that are feature sets: no layer; descriptors read off the images."""

SELECTED = models.SELECTED
"""The feature set of some features of all layers."""

Learns: TypeAlias = Literal["classes", "numbers"]

Arrays: TypeAlias = "Mapping[str, Array]"
"""What a fitted model consists of, by name: NumPy arrays that the registry keeps as they are."""


class FeatureSet(Struct, frozen=True):
    """The columns of one model: the structured ones or not, and some layers."""

    name: str  # 'structured', 'structured+<layer>', '<layer>', 'all', or a trainer's, as 'tree'
    layer: str | None  # the layer that gives the set its name, if it is one
    structured: bool
    layers: tuple[int, ...]  # indexes of layer columns, ascending
    fraction: float | None = None  # of the layers' features, the most relevant; None: all
    n_kept: int | None = None  # how many these are, once they are known

    @property
    def part(self) -> str:
        """The set's name within a model's: `avg_pool` in `healthy/avg_pool@3`."""
        if self.fraction is not None:
            return f"{SELECTED}_{self.fraction:g}"
        return self.layer or self.name

    @property
    def blocks(self) -> tuple[int, ...]:
        """Indexes into `Chunk.blocks`, ascending: 0 is the structured columns, i + 1 layer i.

        >>> FeatureSet("structured+fc6", "fc6", structured=True, layers=(1,)).blocks
        (0, 2)
        """
        layers = tuple(i + 1 for i in self.layers)
        return (0, *layers) if self.structured else layers


class Task(Struct, frozen=True):
    """One model to fit: a feature set, a penalty, and the fold that is left out of its rows."""

    features: FeatureSet
    reg: float = 0.0
    l1_ratio: float = 0.0
    fold: int | None = None
    ranks: bool = False  # it says which features matter, and is no model: see `Trainer.ranks`


def _never() -> bool:
    """Return that time is not up: there is no limit."""
    return False


class Options(Struct, frozen=True):
    """What is common to the models of one training."""

    n_classes: int  # values of the label, where numbers are learned
    balanced: bool = False
    standardize: bool = True
    max_iterations: int = 1000  # few rows of thousands of alike columns take 100 to 500
    tolerance: float = 1e-5  # the objective is then within 1e-6 of the least, relative
    folds: int = 0
    seed: int = 0
    memory_bytes: int = 1 << 30
    label_values: tuple[float, ...] = ()  # where numbers are learned: what a row's code stands for
    is_over: Callable[[], bool] = _never  # time is up: end with what there is, not converged

    @property
    def values(self) -> Floats:
        """The label's values by code (n_classes,) float64."""
        import numpy as np

        return np.array(self.label_values, np.float64)


class Fit(Struct, frozen=True):
    """A fitted model: its arrays (in the user's units, float64) and how the fitting went."""

    task: Task
    arrays: Arrays
    iterations: int | None
    converged: bool
    objective: float
    seconds: float


class Trainer(Struct, frozen=True):
    """A kind of model, `trainer => '<name>'`: four functions, and what may be done with it.

    `fit(rows, tasks, options)` returns a Fit per task, in order. Structured columns have features
    that were learned from all rows (means, levels); `rows.shift(task.fold).features(structured)`
    are those that a fold's own training rows say.

    `scoring(rows, fits)` returns what gives a list of margins, one per fit, for a chunk of `rows`;
    it can be pickled, as what a pass does travels to the rows.

    `margins(arrays, x)` scores x (rows, features), float64, in the user's units: the structured
    columns, then the layers in order. Margins are (rows, 1) log-odds of the larger class where
    there are two classes, else (rows, classes) values whose softmax are the probabilities;
    where numbers are learned, (rows, 1) the numbers.

    `as_sql(arrays, structured, layers)` returns a DuckDB expression, the list of the classes'
    probabilities, or the number. `structured` are SQL expressions of the structured columns,
    `layers` maps those of the layers to their lengths. Without it VISTA_MODEL_SQL refuses the
    trainer's models.

    `as_onnx(nodes, arrays, features)` writes `margins` as nodes of ONNX: `features` is the name of
    x, float64, and it returns the name of the margins, float64. Without it a model of the trainer
    cannot be exported.
    """

    name: str
    fit: Callable[[Rows, Sequence[Task], Options], list[Fit]]
    scoring: Callable[[Rows, Sequence[Fit]], Callable[[Chunk], list[Array]]]
    margins: Callable[[Arrays, Floats], Floats]
    meaning: str
    learns: Learns = "classes"
    host: str = ""  # the one host that has it, by its dialect; "": it is our own, and everywhere
    is_baseline: bool = False  # baselines => ['<name>'] fits it to the structured columns
    reads_layers: bool = True  # else it is fitted to structured columns only
    has_penalty: bool = False  # `reg` and `l1_ratio` apply: a model per value of `reg`
    ranks: bool = False  # it fits tasks that rank: their array `relevance` (features,) says so
    is_linear: bool = False  # margins are x · coefᵀ + intercept, arrays of these names
    as_sql: Callable[[Arrays, Sequence[str], Mapping[str, int]], str] | None = None
    as_onnx: Callable[[Nodes, Arrays, str], str] | None = None

    def score(self, rows: Rows, fits: Sequence[Fit]) -> Iterator[tuple[Chunk, list[Array]]]:
        """Yield all rows, chunk by chunk, with the margins (rows, columns) of every fit."""
        return rows.mapped(self.scoring(rows, fits))


def names() -> tuple[str, ...]:
    """Return the names of the trainers, sorted."""
    return catalog.names(PACKAGE)


def load(name: str) -> Trainer:
    """Return the trainer called `name`.

    Raises:
        UnknownNameError: there is no such file in `trainers`.
    """
    return catalog.load(PACKAGE, name, "TRAINER", Trainer)


def baselines() -> tuple[str, ...]:
    """Return the names that `baselines => […]` takes: two feature sets, then trainers."""
    return (STRUCTURED, HOG, *(name for name in names() if load(name).is_baseline))


def ranking() -> tuple[str, ...]:
    """Return the names of the trainers that rank features."""
    return tuple(name for name in names() if load(name).ranks)
