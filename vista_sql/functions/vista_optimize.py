"""VISTA_OPTIMIZE(cnn, n_rows, …): how the Vista paper's optimizer apportions a cluster."""

from __future__ import annotations

from vista_sql.errors import UnknownNameError
from vista_sql.functions import transfer
from vista_sql.planning import paper
from vista_sql.planning.paper import Apportioned, Cluster
from vista_sql.planning.workload import layer_names, load_cnn
from vista_sql.roster import Cnn, Layer
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import ByteSize, Number
from vista_sql.sql.quoting import values_table
from vista_sql.units import format_bytes

COUNT = Number(1, whole=True)

COLUMNS = {"variable": "VARCHAR", "value": "VARCHAR", "unit": "VARCHAR", "why": "VARCHAR"}

Row = tuple[str, int | str, str, str]


def expand(call: Call, planner: Planner) -> str:
    """Return a row for each variable of the paper's optimizer, and for each table."""
    cnn = load_cnn(call)
    cluster = Cluster(*map(call.get, ("memory", "cores", "nodes", "gpu_memory")))
    apportioned = paper.apportion(
        cluster,
        cnn,
        _layers(call, cnn),
        call.get("n_rows"),
        call.get("structured_columns"),
        call.get("image_bytes"),
    )
    rows = [*_decisions(apportioned), *_tables(apportioned)]
    return values_table(COLUMNS, [(name, str(value), *rest) for name, value, *rest in rows])


def _decisions(apportioned: Apportioned) -> list[Row]:
    tables, cluster, constants = apportioned.tables, apportioned.cluster, apportioned.constants
    usable = min(cluster.cores, constants.most_cores) - 1
    capped = f"the most that fit, of {usable}: one core stays to the system"
    if cluster.cores > constants.most_cores:
        capped += f", and more than {constants.most_cores} bring little"
    if cluster.gpu_memory_bytes is not None:
        capped += f"; a replica each in {format_bytes(cluster.gpu_memory_bytes)} of GPU memory"
    share = tables.single_bytes / apportioned.partitions
    model = apportioned.cpu * constants.model_bytes
    buffers = apportioned.user_bytes > model or not model
    all_storage = apportioned.storage_bytes * cluster.nodes
    fits = apportioned.persistence == "deserialized"
    small = apportioned.join == "broadcast"
    return [
        ("cpu", apportioned.cpu, "cores", capped),
        (
            "np",
            apportioned.partitions,
            "partitions",
            f"a multiple of {apportioned.cpu} cores x {cluster.nodes} nodes; {format_bytes(share)} "
            f"of s_single in each, at most {format_bytes(constants.partition_bytes)}",
        ),
        (
            "join",
            apportioned.join,
            "",
            f"T_str is {'below' if small else 'not below'} "
            f"{format_bytes(constants.broadcast_bytes)}",
        ),
        (
            "pers",
            apportioned.persistence,
            "",
            f"s_double {'fits' if fits else 'does not fit'} in the {format_bytes(all_storage)} of "
            "storage of all nodes",
        ),
        (
            "mem_storage",
            apportioned.storage_bytes,
            "bytes",
            f"of a node: its {format_bytes(cluster.memory_bytes)} less mem_dl, mem_user, "
            f"{format_bytes(constants.core_bytes)} for queries and "
            f"{format_bytes(constants.os_reserve_bytes)} for the system",
        ),
        (
            "mem_user",
            apportioned.user_bytes,
            "bytes",
            "of a node: the CNN as sent, and each core's partition as objects"
            if buffers
            else f"of a node: a downstream model of {format_bytes(constants.model_bytes)} per core",
        ),
        (
            "mem_dl",
            apportioned.dl_bytes,
            "bytes",
            f"of a node: a replica of {format_bytes(apportioned.footprint.replica_bytes)} per core "
            f"({apportioned.footprint.source})",
        ),
        ("s_single", tables.single_bytes, "bytes", "the largest table"),
        (
            "s_double",
            tables.double_bytes,
            "bytes",
            "the largest two neighbouring layers: what Staged keeps"
            if len(tables.layers) > 1
            else "the only layer",
        ),
    ]


def _tables(apportioned: Apportioned) -> list[Row]:
    tables = apportioned.tables
    return [
        ("T_str", tables.structured_bytes, "bytes", "the structured table"),
        ("T_img", tables.images_bytes, "bytes", "the images as they are read, joined"),
        ("T_decoded", tables.decoded_bytes, "bytes", "the images as the network's input, joined"),
        *(
            (f"T_{name}", size, "bytes", "the layer's maps before pooling, joined")
            for name, size in tables.layers.items()
        ),
    ]


def _layers(call: Call, cnn: Cnn) -> dict[str, Layer]:
    """Return the layers of a call, from the bottom, by the names that the call gives them."""
    layers: dict[str, Layer] = {}
    for name in layer_names(call, cnn):
        try:
            layer = cnn.layer(name)
        except UnknownNameError as error:
            raise error.at(call.place("layers")) from None
        if layer in layers.values():
            raise call.error("layers", f"layer {name!r} is asked for twice")
        layers[name] = layer
    return dict(sorted(layers.items(), key=lambda entry: cnn.layers.index(entry[1])))


FUNCTION = TableFunction(
    "vista_optimize",
    (
        *map(transfer.FUNCTION.argument, ("cnn", "layers")),
        Argument("n_rows", "rows of images and structured table joined", COUNT, required=True),
        Argument(
            "structured_columns",
            "numbers in a structured row, with the label",
            Number(0, whole=True),
            0,
        ),
        Argument("image_bytes", "mean size of an image as stored", ByteSize(), paper.IMAGE_BYTES),
        Argument("memory", "of a node; the paper's", ByteSize(), "32GB"),
        Argument("cores", "of a node; the paper's", COUNT, 8),
        Argument("nodes", "of the cluster; the paper's", COUNT, 8),
        Argument("gpu_memory", "of a node; default: inference on the CPU", ByteSize()),
    ),
    expand,
    "how the Vista paper's optimizer apportions a cluster",
)
