"""Method 'cam': one pass of the network, which gives the map below the features beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.train.chunks import Floats

from ..network.engine import Output
from ..network.networks import Network
from ..passes.flow import infer
from ..passes.inputs import Inputs
from ..passes.outputs import Outputs
from .below import Below, below
from .cam import cam


class SeenMaps(Struct, frozen=True):
    """A batch whose maps are there: `Seen`."""

    features: np.ndarray | None
    present: np.ndarray
    errors: pa.Array
    maps: np.ndarray | None  # (rows, values) float32
    below: Below

    def heatmaps(self, weights: Mapping[int, Floats]) -> Iterator[tuple[int, np.ndarray]]:
        """See `Seen`."""
        for row, weight in weights.items():
            assert self.maps is not None  # noqa: S101 - a row that is present has one
            assert self.features is not None  # noqa: S101
            map_ = self.maps[row].reshape(self.below.shape).astype(np.float64)
            features = self.features[row].astype(np.float64)
            yield row, cam(map_, features, weight, self.below.pool).astype(np.float32)


def see(inputs: Inputs, network: Network) -> SeenMaps:
    """Infer a batch of images.

    Args:
        inputs: whose spec names one layer.
        network: the spec's.

    Raises:
        ModelError: the layer's features are no pooling of a map.
        UnreadableImageError: an image cannot be read and the spec asks to fail then.
    """
    spec = inputs.spec
    (layer,) = spec.layers
    map_ = below(network.graph, layer, spec.pool)
    wanted: list[Output] = list(dict.fromkeys([(layer, spec.pool), (map_.layer, "none")]))
    asked = replace(inputs, spec=replace(spec, layers=tuple(name for name, _ in wanted)))
    scope = ("heat", spec.to_text())
    inferred = infer(asked, Outputs(asked, wanted), None, scope)
    features, maps = inferred.matrices[0], inferred.matrices[-1]
    return SeenMaps(features, inferred.present, inferred.errors, maps, map_)
