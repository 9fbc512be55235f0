"""HOG: a descriptor that stands where a CNN can: one layer, computed, without network or weights.

Histograms of oriented gradients as scikit-image defines them (`skimage.feature.hog`): 9
orientations, cells of 8 × 8 pixels, blocks of 2 × 2 cells, L2-Hys, on the gray image of 64 × 64
pixels, values in [0, 1]: 7 · 7 blocks of 36 values, the 1,764 of the Vista paper's baseline, which
took them from one window of the image instead of the whole. The 64 × 64 are means of 4 × 4 pixels
of 256 × 256, to which the image is resized like any network's input, so that large images are not
merely sampled.
"""

from __future__ import annotations

from vista_sql.errors import WeightsError
from vista_sql.roster import Cnn, Layer, Network, Preprocessing

SIDE = 64  # pixels, after averaging
AVERAGED = 4  # pixels on a side become one
ORIENTATIONS, CELL, BLOCK = 9, 8, 2
BLOCKS = SIDE // CELL - BLOCK + 1  # on a side


def _build() -> Network:
    raise WeightsError("hog is computed: it has no network")


LAYER = Layer(
    name="hog",
    shape=(BLOCKS * BLOCKS * BLOCK * BLOCK * ORIENTATIONS,),
    flops=25 * SIDE * SIDE + (SIDE * AVERAGED) ** 2,  # counted in udfs/network/hog.py
    parameters=0,
)

CNN = Cnn(
    name="hog",
    title="HOG",
    paper="Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005",
    input_shape=(SIDE * AVERAGED, SIDE * AVERAGED, 1),
    parameters=0,
    aliases={},
    feature_layers=("hog",),
    counted_layers=("hog",),
    preprocessing=Preprocessing(
        order="gray",
        mean=(0.0,),
        scale=(1 / 255,),
        source="skimage.feature.hog of skimage.img_as_float",
    ),
    build=_build,
    default_weights="none",
    catalogue=(LAYER,),
)
