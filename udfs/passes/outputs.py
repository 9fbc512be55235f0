"""What one call asks of a network: which layers, pooled how, from the image or a stored map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vista_sql.errors import PlanError

from ..network import hog
from ..network.engine import Output
from .inputs import Inputs


class Outputs:
    """The outputs of one call, by slot; and the raw maps that are kept in the store beside them."""

    def __init__(
        self, inputs: Inputs, by_slot: Sequence[Output], beside: Sequence[Output] = ()
    ) -> None:
        """Note what is asked for.

        Args:
            inputs: of the call.
            by_slot: what every image needs; an image that lacks one of them is inferred.
            beside: what is kept of an image that is inferred anyway.
        """
        self._inputs = inputs
        self.by_slot = tuple(by_slot)
        self._beside = [output for output in beside if output not in self.by_slot]
        heights = {layer.name: place for place, layer in enumerate(inputs.opened.cnn.layers)}
        self._heights = [heights.get(layer, -1) for layer, _ in self.by_slot]

    def height(self, slots: Iterable[int]) -> int:
        """Return how high in the network the highest of some outputs is."""
        return max(self._heights[slot] for slot in slots)

    def can_start_at_base(self, slots: Sequence[int]) -> bool:
        """Return whether outputs can be computed from the raw map of the order's base."""
        base = self._inputs.spec.base
        return base is not None and self.follow(base, [self.by_slot[slot][0] for slot in slots])

    def beside(self, start: str | None) -> list[Output]:
        """Return the raw maps to keep that a pass can compute which starts at a layer's map.

        Args:
            start: the layer; None: the image.
        """
        if start is None:
            return self._beside
        return [
            (layer, pool)
            for layer, pool in self._beside
            if layer != start and self.follow(start, [layer])
        ]

    def follow(self, start: str, layers: Sequence[str]) -> bool:
        """Return whether layers can be computed from a raw map of `start`."""
        network = self._inputs.network()
        if isinstance(network, hog.Hog):
            return False
        try:
            network.check_start(start, layers)
        except PlanError:
            return False
        return True
