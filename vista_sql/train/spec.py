"""What VISTA_TRAIN and VISTA_EVALUATE ask for, as JSON text: how it reaches the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field, to_builtins

from vista_sql.fed_runs import order_of

KEY = "id"
"""The default key, as in TRANSFER."""


class TrainSpec(Struct, frozen=True):
    """One training: the arguments of the call, and what the planner adds."""

    model: str
    label: str
    key: str | None = None  # None: the first of `default_keys` that there is, if any
    features: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    by_layer: bool = True
    baselines: tuple[str, ...] | None = None  # None: 'structured', if there are such columns
    reg: tuple[float, ...] = (0.01,)  # the paper's lambda
    l1_ratio: float = 0.5  # the paper's alpha
    class_weight: str | None = None
    standardize: bool = True
    folds: int = 0
    max_iterations: int = 1000  # few rows of thousands of alike columns take 100 to 500
    tolerance: float = 1e-5  # the objective is then within 1e-6 of the least, relative
    test_fraction: float = 0.2
    split_by: tuple[str, ...] = ()
    seed: int = 0
    home: str = ""  # the folder of the registry; "": nothing is kept
    memory_bytes: int = 0  # 0: a quarter of the machine's
    run: str = ""  # of the statement that this training ends with
    provenance: dict[str, Any] = field(default_factory=dict)
    hog: str | None = None  # the column of baseline 'hog'
    budget_seconds: float = 0.0  # VISTA_COMPARE's; 0: all rows
    gate: str = ""  # under which kernels ask whether further images are wanted
    trainer: str = "logistic"
    missing: str = "skip"  # or 'mean'
    categorical: str | None = None  # or 'one_hot'
    select_fraction: tuple[float, ...] = ()  # of all layers' features; a model each
    default_keys: tuple[str, ...] = (KEY,)  # which of them is the key, the fingerprint has

    def to_text(self) -> str:
        """Return the spec as JSON with sorted keys."""
        return order_of("train", to_builtins(self))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> TrainSpec:
        """Return the spec from the fields of its JSON object.

        >>> spec = TrainSpec("m", "y", reg=(0.1, 0.01))
        >>> TrainSpec.from_fields(to_builtins(spec)) == spec
        True
        """
        lists = {name: tuple(v) for name, v in fields.items() if isinstance(v, list)}
        return cls(**{**fields, **lists})

    def identity(self) -> dict[str, Any]:
        """Return the fields that decide what models come of the same rows."""
        others = ("home", "memory_bytes", "run", "budget_seconds", "gate", "default_keys")
        later = {
            "trainer": "logistic",
            "missing": "skip",
            "categorical": None,
            "select_fraction": (),
        }  # at its default it is no part: fingerprints stay
        return {
            name: value
            for name, value in to_builtins(self).items()
            if name not in others and not (name in later and value == later[name])
        }


class EvaluateSpec(Struct, frozen=True):
    """Metrics of a kept model over labelled rows."""

    model: str  # an exact reference, with version
    home: str
    run: str = ""

    def to_text(self) -> str:
        """Return the spec as JSON with sorted keys."""
        return order_of("evaluate", to_builtins(self))
