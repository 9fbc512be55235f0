"""What VISTA_RANK_SOURCES asks for, as JSON text: how it reaches the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, to_builtins

from vista_sql.fed_runs import order_of
from vista_sql.train.spec import TrainSpec

SOURCES = "sources"
"""The relation of what is known of the data that networks were trained on."""


class Network(Struct, frozen=True):
    """A network whose layers are ranked."""

    cnn: str
    weights: str
    relation: str  # that brings its layers
    layers: tuple[tuple[str, str], ...]  # (layer, column), bottom to top
    classifier: str | None = None  # the column of what its own last layer says


class RankSpec(Struct, frozen=True):
    """One ranking: the arguments of the call, and what the planner adds."""

    networks: tuple[Network, ...]
    training: TrainSpec  # its label and key are the ranking's, too
    trained: bool = False
    run: str = ""

    def to_text(self) -> str:
        """Return the spec as JSON with sorted keys."""
        return order_of("rank", to_builtins(self))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> RankSpec:
        """Return the spec from the fields of its JSON object.

        >>> network = Network("lenet5", "bundled", "a", (("fc6", "fc6"),))
        >>> spec = RankSpec((network,), TrainSpec("m", "y"))
        >>> RankSpec.from_fields(to_builtins(spec)) == spec
        True
        """
        networks = [
            Network(**{**network, "layers": tuple((layer, c) for layer, c in network["layers"])})
            for network in fields["networks"]
        ]
        training = TrainSpec.from_fields(fields["training"])
        return cls(tuple(networks), training, fields["trained"], fields["run"])
