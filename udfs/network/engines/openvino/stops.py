"""Where models of a network begin and end, for a layer's bits to depend on the layer alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vista_sql import roster
from vista_sql.roster import kind_of_file

from ...engine import Part

if TYPE_CHECKING:
    from vista_sql.roster import Cnn

    from ...graph import Graph


TAPPED = "gap"
"""How a stop is pooled that nobody asks for, so that it is one: to the fewest values."""


def stops(cnn: Cnn, graph: Graph) -> list[str]:
    """Return the feature layers and joints that all ways to the top pass, bottom to top."""
    return [cut for cut in graph.cuts if cut in cnn.stops]


def stops_of_file(cnn: Cnn, graph: Graph) -> list[str]:
    """Return the layers of an `.onnx` file that a model has outputs at in any case, bottom to top.

    They are offered by default; or all ways to the top pass them, several operations read them, and
    their maps are small.
    """
    ends = {layer.name for layer in roster.block_ends(cnn)}
    chosen = ends.intersection(graph.cuts).union(cnn.feature_layers)
    return [layer.name for layer in cnn.layers if layer.name in chosen and layer.can_pool]


def parts(cnn: Cnn, graph: Graph, layer: str) -> list[Part]:
    """Return the models that compute a layer: with all stops below it, or from the last of them."""
    is_file = kind_of_file(cnn.name) == "onnx"
    every = stops_of_file(cnn, graph) if is_file else stops(cnn, graph)
    if layer in every:
        return [Part(None, tuple(every[: every.index(layer) + 1]))]
    if is_file:  # always from the image
        return [Part(None, (layer,))]
    home = next((stop for stop in reversed(every) if graph.reachable(stop, layer)), None)
    if home is None:
        return [Part(None, (layer,))]
    return [Part(None, tuple(every[: every.index(home) + 1])), Part(home, (layer,))]
