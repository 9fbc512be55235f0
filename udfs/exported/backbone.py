"""A kept model → the network that its features were read off, with the very weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from vista_sql import weights
from vista_sql.errors import EngineWarning, ModelError
from vista_sql.kernels import ROI_POOLS, InferSpec
from vista_sql.models import Model
from vista_sql.roster import DESCRIPTOR, Cnn, Preprocessing, kind_of_file

from ..network.graph import Graph
from ..network.networks import open_cnn
from ..network.onnx_emitter import Output


class Backbone(Struct, frozen=True):
    """The network below a model, and how its features are read off it."""

    record: Mapping[str, Any]  # of the TRANSFER that made them
    cnn: Cnn
    graph: Graph
    preprocessing: Preprocessing  # with which the model was trained
    outputs: tuple[Output, ...]  # one per layer column, in the model's order


def backbone_of(model: Model) -> Backbone:
    """Return the network of a model's layers; weights are read.

    Raises:
        ModelError: it is not known, or no single network; or its weights are others now.
        WeightsError: there are none, or they are damaged.
    """
    record = _record(model)
    arguments = record["arguments"]
    chosen, seed = arguments.get("weights"), arguments.get("seed", 0)
    opened = open_cnn(InferSpec(arguments["cnn"], (), weights=chosen, seed=seed))
    was = record.get("weights_sha256")
    now = weights.resolve(opened.cnn, chosen, seed).identity
    if was not in (None, now):
        raise ModelError(
            f"model {model.reference!r} was trained with weights {was} of {arguments['cnn']!r}, "
            f"and {chosen!r} are {now} now: put those back, or train it again"
        )
    if arguments.get("dtype") == "bfloat16":
        warnings.warn(
            f"model {model.reference!r} was trained on bfloat16 features, and its file computes "
            "in float32: probabilities differ as far as bfloat16 rounds",
            EngineWarning,
            stacklevel=4,  # where the user calls Session.export_model
        )
    graph = (opened.load_data or opened.load)()
    pool, layers = arguments["pool"], record["columns"]
    outputs = tuple(Output(layers[column], pool, column) for column in model.layers)
    return Backbone(record, opened.cnn, graph, _preprocessing(record), outputs)


def _record(model: Model) -> Mapping[str, Any]:
    """Return the record of the TRANSFER that made all of a model's layers.

    Raises:
        ModelError: there is none, or it was not of a network.
    """
    record, what = model.transfer, f"model {model.reference!r}"
    transfers = model.document["provenance"].get("transfers", ())
    if record is None and any(set(model.layers) & set(one.get("columns", ())) for one in transfers):
        raise ModelError(
            f"{what} uses layers of several networks, and a file holds one: train it on layers of "
            "one network"
        )
    if record is None or "arguments" not in record:
        raise ModelError(
            f"{what} does not know how its features were made: train it on a TRANSFER, "
            "VISTA_TRAIN(cnn => …, images => …), and not on a table of features"
        )
    region = record["arguments"].get("region")
    if region in ROI_POOLS:
        raise ModelError(
            f"{what} reads boxes off a map of a whole image (region => {region!r}), and a file "
            "takes the pixels of one image: score with VISTA_PREDICT, or train with region => "
            "'crop'"
        )
    if record["arguments"]["cnn"] == DESCRIPTOR:
        raise ModelError(
            f"{what} uses {DESCRIPTOR!r}, which is no network and has no form in ONNX: export a "
            "model of a CNN's layer"
        )
    if kind_of_file(record["arguments"]["cnn"]) == "onnx":
        raise ModelError(
            f"{what} uses a network that is an .onnx file already, which is not written again: "
            "VISTA_MODEL_SQL scores its features"
        )
    return record


def _preprocessing(record: Mapping[str, Any]) -> Preprocessing:
    """Return what a record holds, in tuples, which JSON has not."""
    kept: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in record["preprocessing"].items()
    }
    return Preprocessing(**kept)
