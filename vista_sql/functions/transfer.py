"""TRANSFER: the features of images, as a table beside the structured columns."""

from __future__ import annotations

from vista_sql.sql.calls import Argument, TableFunction

ARGUMENTS = (
    Argument("cnn", "a roster name, or the path of a .keras file", required=True),
    Argument("layers", "layer names, or negative integers counted from the top (-1 = last)"),
    Argument(
        "images",
        "the image relation: the key, and a column of BLOBs or paths",
        "images",
        kind="relation",
    ),
    Argument("image", "the image column; found if absent"),
    Argument("structured", "the structured relation to join on the key", kind="relation"),
    Argument("key", "the join key: a name, or ['structured_name', 'image_name']", "id"),
    Argument("join_type", "'inner' or 'left'", "inner"),
    Argument("pool", "for feature maps: max2x2, avg2x2, gap, gmp, gem or none", "max2x2"),
    Argument("format", "'wide': a column per layer; 'long': layer, features", "wide"),
    Argument("prefix", "put before every column that TRANSFER adds", ""),
    Argument("weights", "'imagenet', 'bundled', 'random' or a file"),
    Argument("dtype", "the arithmetic: 'float32' or 'bfloat16'", "float32"),
    Argument("on_error", "an unreadable image: 'null', 'skip' or 'raise'", "null"),
    Argument("store", "the feature store: true, false or a folder"),
    Argument("plan", "a hint: the plan to use"),
    Argument("placement", "a hint: inference 'before' or 'after' the join"),
    Argument("batch_rows", "a hint: most images in one micro-batch"),
    Argument("threads", "a hint: threads of inference and decoding"),
    Argument("memory_limit", "a hint: most memory to use, like '4GB'"),
    Argument("device", "'auto', 'cpu' or 'gpu'"),
    Argument("seed", "seed of weights => 'random'"),
)  # fmt: skip

FUNCTION = TableFunction(
    "transfer", ARGUMENTS, None, "the features of images, beside structured columns"
)
