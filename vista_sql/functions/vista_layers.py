"""VISTA_LAYERS(cnn): every layer of a CNN, with what it costs."""

from __future__ import annotations

from vista_sql.functions import transfer
from vista_sql.kernels import Pool
from vista_sql.planning.workload import load_cnn, pooled_values
from vista_sql.sql.calls import Call, Planner, TableFunction
from vista_sql.sql.quoting import values_table

COLUMNS = {
    "layer": "VARCHAR",
    "alias": "VARCHAR",
    "index_from_top": "INTEGER",
    "is_feature_layer": "BOOLEAN",
    "shape": "INTEGER[]",
    "dims": "BIGINT",
    "pooled_dims": "BIGINT",
    "bytes_per_image": "BIGINT",
    "gflops_cumulative": "DOUBLE",
    "gflops_from_previous": "DOUBLE",
}

DEFAULT_POOL: Pool = "max2x2"


def expand(call: Call, planner: Planner) -> str:
    """Return a row for each layer, bottom to top; `alias` is the paper's name."""
    cnn = load_cnn(call)
    alias = {layer: name for name, layer in cnn.aliases.items()}
    counted = [cnn.canonical(name) for name in cnn.counted_layers]
    features = {cnn.canonical(name) for name in cnn.feature_layers}
    rows, previous = [], 0
    for layer in cnn.layers:
        index = counted.index(layer.name) - len(counted) if layer.name in counted else None
        rows.append(
            (
                layer.name,
                alias.get(layer.name),
                index,
                layer.name in features,
                list(layer.shape),
                layer.size,
                pooled_values(layer.shape, DEFAULT_POOL, layer.grid),
                4 * layer.size,
                layer.flops / 1e9,
                (layer.flops - previous) / 1e9,
            )
        )
        previous = layer.flops
    return values_table(COLUMNS, rows)


FUNCTION = TableFunction(
    "vista_layers",
    (transfer.FUNCTION.argument("cnn"),),
    expand,
    "the layers of a CNN: names, shapes, bytes, FLOPs",
)
