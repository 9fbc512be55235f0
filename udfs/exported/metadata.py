"""What an exported model's file says of itself: texts by name, JSON where one is not enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vista_sql.machine.resources import own_version
from vista_sql.models import Model

from .backbone import Backbone
from .columns import null_text


def metadata(model: Model, backbone: Backbone | None) -> dict[str, str]:
    """Return a file's metadata.

    Args:
        model: the model.
        backbone: of its layers; None: it uses none, and nothing of a network is said.
    """
    said: dict[str, Any] = {
        "vista_sql": own_version(),
        "model": model.reference,
        "feature_set": model.row["feature_set"],
        "trainer": model.trainer,
        "label": model.label,
        "label_type": model.label_type,
        "classes": model.classes,
        "columns": [_column(model, name) for name in model.structured],
        "n_train": model.row["n_train"],
        "seed": model.document["options"]["seed"],
        "created": model.document["created"],
    }
    if backbone is not None:
        said |= _of_network(backbone)
    return {name: _text(value) for name, value in said.items()}


def _of_network(backbone: Backbone) -> dict[str, Any]:
    record, arguments = backbone.record, backbone.record["arguments"]
    height, width, channels = backbone.cnn.input_shape
    order = "gray" if channels == 1 else "rgb"
    return {
        "cnn": Path(arguments["cnn"]).name,  # of a user's file: where it lay, is nobody's business
        "layers": [output.layer for output in backbone.outputs],
        "pool": arguments["pool"],
        "weights": Path(arguments["weights"]).name,
        "weights_sha256": record.get("weights_sha256") or "",
        "dtype": arguments["dtype"],
        "engine": arguments.get("engine", ""),
        "pixels": {"height": height, "width": width, "channels": channels, "order": order},
        "preprocessing": record["preprocessing"],
    }


def _column(model: Model, name: str) -> dict[str, Any]:
    """Return what a column's input takes; `missing` is what stands for NaN, if anything."""
    if name in model.levels:
        levels = model.levels[name]
        return {"name": name, "kind": "text", "levels": levels, "null": null_text(levels)}
    fill = None if model.fill is None else model.fill[model.numbers.index(name)]
    return {"name": name, "kind": "number", "missing": fill}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
