"""TRANSFER: the features of images, as a table beside the structured columns."""

from __future__ import annotations

from typing import get_args

from vista_sql.kernels import POOLS, TOKEN_POOLS, Dtype, Fit, Region, Resize
from vista_sql.planning.workload import Format, JoinType, OnError
from vista_sql.roster import ORDERS
from vista_sql.sql.calls import Argument, TableFunction
from vista_sql.sql.kinds import (
    KeyNames,
    LayerNames,
    OneOf,
    PerChannel,
    RelationText,
    SettingValue,
    StoreChoice,
    Text,
)

ARGUMENTS = (
    Argument(
        "cnn",
        "a roster name, the path of a .keras or .onnx file, or 'model:NAME': one that was tuned",
        Text("a name"),
        required=True,
    ),
    Argument("layers", "-1 is the topmost; default: the roster's choice", LayerNames()),
    Argument(
        "images",
        "the key and a column of BLOBs or paths; or a folder or glob, 'photos/', 'photos/*.jpg'",
        RelationText(),
        "images",
    ),
    Argument(
        "image", "the image column; found if absent", Text("a column's name", may_be_empty=False)
    ),
    Argument("structured", "a relation, or a CSV file, to join on the key", RelationText()),
    Argument("key", "the join key; with a folder as images, 'file'", KeyNames(), "id"),
    Argument("join_type", "how images are joined", OneOf(get_args(JoinType)), "inner"),
    Argument(
        "pool",
        "what a feature map is reduced to; 'cls', 'mean', 'grid': tokens",
        OneOf((*POOLS, *TOKEN_POOLS)),
        "max2x2",
    ),
    Argument(
        "format",
        "'wide': a column per layer; 'long': layer, features",
        OneOf(get_args(Format)),
        "wide",
    ),
    Argument("prefix", "put before every column that TRANSFER adds", Text(), ""),
    Argument("weights", "'imagenet', 'bundled', 'random' or a file", Text()),
    Argument("dtype", "the arithmetic", OneOf(get_args(Dtype)), "float32"),
    Argument(
        "on_error",
        "an unreadable image: features NULL, no row, or an error",
        OneOf(get_args(OnError)),
        "null",
    ),
    Argument("store", "the feature store", StoreChoice()),
    Argument("plan", "a hint: the plan to use", SettingValue("plan")),
    Argument("placement", "a hint: inference before or after the join", SettingValue("placement")),
    Argument("batch_rows", "a hint: most images in one micro-batch", SettingValue("batch_rows")),
    Argument("threads", "a hint: threads of inference and decoding", SettingValue("threads")),
    Argument("memory_limit", "a hint: most memory to use", SettingValue("memory_limit")),
    Argument("device", "where inference runs", SettingValue("device")),
    Argument("engine", "who runs the network", SettingValue("engine")),
    Argument(
        "resize",
        "how an image is made smaller or larger; default: as the weights want it",
        OneOf(get_args(Resize)),
    ),
    Argument(
        "fit",
        "how it comes to another aspect; default: as the weights want it",
        OneOf(get_args(Fit)),
    ),
    Argument(
        "boxes",
        "a relation of the image key, x, y, width, height, in pixels: rows are boxes, not images",
        RelationText(),
    ),
    Argument(
        "region",
        "how boxes become features: 'crop', the default, each as an image; 'roi_pool' and "
        "'roi_align' from a map of the whole image",
        OneOf(get_args(Region)),
    ),
    Argument("seed", "seed of weights => 'random'", SettingValue("seed")),
    Argument(
        "mean",
        "of an .onnx file: its input is (pixels - mean) × scale, of pixels from 0 to 255",
        PerChannel(),
    ),
    Argument("scale", "of an .onnx file, as mean", PerChannel(may_be_zero=False)),
    Argument("channels", "of an .onnx file: their order", OneOf(ORDERS)),
    Argument("join", "a hint for Spark: 'broadcast' or 'shuffle'", SettingValue("join")),
    Argument("pers", "a hint for Spark: how rows are kept", SettingValue("pers")),
    Argument("np", "a hint for Spark: partitions", SettingValue("np")),
    Argument("cpu", "a hint for Spark: tasks at once in an executor", SettingValue("cpu")),
    Argument(
        "base",
        "on Spark: a table of VISTA_MATERIALIZE, from whose raw maps images start",
        RelationText(),
    ),
)

FUNCTION = TableFunction(
    "transfer", ARGUMENTS, None, "the features of images, beside structured columns"
)
