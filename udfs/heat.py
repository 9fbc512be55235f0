"""vista_heat: what each place of an image adds to a model's score; vista_heat_picture: shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel
from vista_sql.machine import resources

from .images.paths import Unreadable
from .network.networks import Network
from .passes.arrow import Column, one_array, spec_of, to_numpy
from .passes.inputs import read_inputs
from .passes.runtime import Runtime

if TYPE_CHECKING:  # maps, models and their arrays are imported by the first call
    from .heatmaps.linear import LinearModel
    from .heatmaps.seen import Seen

HEATMAP = pa.list_(pa.list_(pa.float32()))
ARROW_TYPE = pa.struct(
    [
        ("class", pa.string()),
        ("score", pa.float64()),
        ("from_image", pa.float64()),
        ("from_columns", pa.float64()),
        ("heatmap", HEATMAP),
        ("error", pa.string()),
    ]
)
SQL_TYPE = (
    'STRUCT("class" VARCHAR, score DOUBLE, from_image DOUBLE, from_columns DOUBLE, '
    'heatmap FLOAT[][], "error" VARCHAR)'
)


class Order(Struct, frozen=True):
    """What VISTA_HEATMAP asks for."""

    home: str
    model: str  # an exact reference, of a linear model of one layer
    method: Literal["cam", "occlusion"]
    name: str | None  # of the class; None: each row's likeliest
    patch: int  # side, in pixels of the network's input
    stride: int
    opacity: float
    memory_bytes: int  # for computing patches; 0: a share of the machine's

    @staticmethod
    @lru_cache(maxsize=64)
    def from_text(text: str) -> Order:
        """Return the order that `vista_sql.functions.vista_heatmap` wrote."""
        said = json.loads(text)
        return Order(name=said.pop("class"), **said)


def heat(
    runtime: Runtime, order: Column, spec: Column, image: Column, key: Column, columns: Column
) -> pa.Array:
    """Explain the scores of a batch of rows.

    Args:
        runtime: shared by the process's kernels.
        order: an Order as text; the same in all rows.
        spec: an InferSpec as text, of the model's layer; the same in all rows.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.
        columns: a STRUCT of the structured columns that the model needs; NULL: it needs none.

    Returns:
        STRUCT, row i for row i: `class` (NULL of a number), `score` and its parts `from_image` and
        `from_columns`, `heatmap` in rows of the map or of patches, from the top left, and `error`,
        why there is none; then all else is NULL.

    Raises:
        ModelError: the model was trained on other columns; or, by 'cam', its layer has no places.
    """
    asked = spec_of(spec)
    if asked is None:
        return pa.array([], ARROW_TYPE)
    from .heatmaps import by_cam, by_occlusion
    from .heatmaps.linear import linear_model

    wanted = Order.from_text(order[0].as_py())
    model = linear_model(wanted.home, wanted.model)
    network = runtime.network(asked)
    if not isinstance(network, Network):
        raise ModelError(f"cnn {asked.cnn!r} is no network: it has no places to explain scores by")
    images, keys, structured = one_array(image), one_array(key), _structured(columns)
    batch_rows = asked.batch_rows or network.batch_rows
    found = []
    for start in range(0, len(images), batch_rows):  # maps of so many are in memory
        rows = slice(start, start + batch_rows)
        inputs = read_inputs(runtime, asked, images[rows], keys[rows])
        if wanted.method == "cam":
            seen: Seen = by_cam.see(inputs, network)
        else:
            memory = wanted.memory_bytes or resources.machine().memory_bytes // 4
            seen = by_occlusion.see(inputs, network, wanted.patch, wanted.stride, memory)
        part = {name: values[rows] for name, values in structured.items()}
        found.append(_explained(seen, model, part, wanted.name))
    return pa.chunked_array(found, ARROW_TYPE).combine_chunks()


def _structured(columns: Column) -> dict[str, pa.Array]:
    """Return the structured columns by name; there are none in a column of NULLs."""
    from vista_sql.train.rows import columns_of

    return {} if pa.types.is_null(columns.type) else columns_of(columns)


def _explained(
    seen: Seen, model: LinearModel, structured: Mapping[str, pa.Array], name: str | None
) -> pa.StructArray:
    """Return what a batch of rows has to show."""
    errors = seen.errors.to_pylist()
    n, present = len(errors), seen.present
    if seen.features is None:
        return _struct(np.zeros(n, bool), {}, [None] * n, errors)
    rows = np.flatnonzero(present)
    scored = model.explain(
        seen.features[rows], {k: v.take(pa.array(rows)) for k, v in structured.items()}, name
    )
    for row, reason in zip(rows.tolist(), scored.reasons, strict=True):
        errors[row] = reason
    usable = np.array([reason is None for reason in scored.reasons], bool)
    wanted = dict(zip(rows[usable].tolist(), scored.weights[usable], strict=True))
    maps: list[np.ndarray | None] = [None] * n
    for row, map_ in seen.heatmaps(wanted):
        maps[row] = map_
    shown = np.zeros(n, bool)
    shown[rows[usable]] = True
    numbers = {
        "score": scored.score, "from_image": scored.from_image, "from_columns": scored.from_columns
    }  # fmt: skip
    spread = {}
    for column, values in numbers.items():
        spread[column] = np.zeros(n)
        spread[column][rows] = values
    classes = dict(zip(rows.tolist(), scored.classes, strict=True))
    return _struct(shown, spread, maps, errors, classes)


def _struct(
    shown: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    maps: Sequence[np.ndarray | None],
    errors: Sequence[str | None],
    classes: Mapping[int, str | None] = MappingProxyType({}),
) -> pa.StructArray:
    """Return the kernel's column; where `shown` is False there is nothing but the error."""
    n = len(shown)
    columns = [
        pa.array([classes.get(row) if shown[row] else None for row in range(n)], pa.string()),
        *(
            pa.array(numbers[name], mask=~shown) if name in numbers else pa.nulls(n, pa.float64())
            for name in ("score", "from_image", "from_columns")
        ),
        pa.array([None if map_ is None else list(map_) for map_ in maps], HEATMAP),
        pa.array(errors, pa.string()),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(ARROW_TYPE))


def picture(
    runtime: Runtime, order: Column, spec: Column, image: Column, key: Column, heatmap: Column
) -> pa.Array:
    """Draw heat maps over their images.

    Args:
        runtime: shared by the process's kernels.
        order: an Order as text; the same in all rows.
        spec: an InferSpec as text; the same in all rows.
        image: as in `heat`.
        key: as in `heat`.
        heatmap: FLOAT[][], as `heat` returned them; NULL: no picture.

    Returns:
        PNG files, row i for row i; NULL where there is no map.
    """
    asked = spec_of(spec)
    if asked is None:
        return pa.array([], pa.large_binary())
    from .heatmaps import overlay

    wanted = Order.from_text(order[0].as_py())
    maps = one_array(heatmap)
    there = to_numpy(maps.is_valid())
    images = pc.if_else(pa.array(there), one_array(image), None)
    inputs = read_inputs(runtime, asked, images, key)
    lies = overlay.Lies(inputs.opened.cnn, wanted.method, wanted.patch, wanted.stride)
    found: list[bytes | None] = [None] * len(maps)
    for number in range(len(inputs.images)):
        runtime.raise_if_cancelled()
        try:
            data = inputs.images.read(number)
        except Unreadable:
            continue  # it has gone since its map was made
        for row in inputs.images.rows(number):
            values = np.array(maps[int(row)].as_py(), np.float32)
            found[row] = overlay.png(data, values, lies, wanted.opacity)
    return pa.array(found, pa.large_binary())


KERNELS = (
    Kernel("vista_heat", None, SQL_TYPE, heat),
    Kernel("vista_heat_picture", None, "BLOB", picture),
)
