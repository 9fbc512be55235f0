"""What VISTA_FINETUNE asks for, as JSON text: how it reaches the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec import Struct, field, to_builtins

from vista_sql.fed_runs import order_of

Augmentation = Literal["flip", "crop", "brightness", "saturation"]
"""A change that is made at random to the images that are trained on."""

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

VALIDATION_SHARE = 0.1
"""Of the training rows: they stop a run early, and choose its best epoch."""

PATIENCE = 4
"""Epochs without a lower validation loss, after which a run ends."""


class Run(Struct, frozen=True):
    """One fine-tuning: what changes, how fast, and in which order rows come."""

    unfrozen: tuple[str, ...]  # layers, the network's own names, bottom to top
    start: str  # the layer from whose map on that is computed; "" is the image
    learning_rate: float  # the head's
    inner_learning_rate: float  # the layers'
    seed: int
    reset: tuple[str, ...] = ()  # of `unfrozen`, those that begin with random weights
    aliases: Mapping[str, str] = field(default_factory=dict)  # own name → the paper's

    def shown(self, layers: tuple[str, ...]) -> list[str]:
        """Return layers as users call them."""
        return [self.aliases.get(layer, layer) for layer in layers]


class FinetuneSpec(Struct, frozen=True):
    """All of a call's runs, over one stream of rows."""

    model: str  # the name under which network and model are kept
    home: str  # the folder of the registry
    infer: str  # an InferSpec as text: the network, and who runs what stays frozen
    layer: str  # that the head reads, the network's own name
    column: str  # of its features, in the model
    maps: Mapping[str, str]  # start → the column of its maps
    reason: str  # the column that says why there are none
    runs: tuple[Run, ...]
    from_model: str = ""  # an exact reference; "": `train` says what is trained first
    train: Mapping[str, Any] = field(default_factory=dict)  # the fields of a TrainSpec
    epochs: int = 20
    batch_size: int = 32
    augment: tuple[Augmentation, ...] = ()
    memory_bytes: int = 0  # 0: a quarter of the machine's
    run: str = ""  # of the statement

    def to_text(self) -> str:
        """Return the spec as JSON with sorted keys."""
        return order_of("finetune", to_builtins(self))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> FinetuneSpec:
        """Return the spec from the fields of its JSON object.

        >>> import json
        >>> run = Run(("f6",), "c5", 0.1, 0.01, 7)
        >>> spec = FinetuneSpec("m", "h", "{}", "f6", "fc6", {"c5": "x"}, "e", (run,))
        >>> FinetuneSpec.from_fields(json.loads(spec.to_text())["finetune"]) == spec
        True
        """
        lists = ("unfrozen", "reset")
        runs = (
            Run(**{**run, **{name: tuple(run[name]) for name in lists}}) for run in fields["runs"]
        )
        return cls(**{**fields, "runs": tuple(runs), "augment": tuple(fields["augment"])})

    def identity(self) -> dict[str, Any]:
        """Return the fields that decide what comes of the same rows."""
        others = ("home", "memory_bytes", "run", "maps", "reason", "model", "train")
        return {name: value for name, value in to_builtins(self).items() if name not in others}
