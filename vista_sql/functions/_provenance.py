"""Where the features of a relation come from: what its TRANSFERs compute, for a model's record."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from msgspec import to_builtins

from vista_sql import weights
from vista_sql.errors import EngineWarning, ModelError, WeightsError
from vista_sql.kernels import Engine
from vista_sql.machine.resources import package_version
from vista_sql.models import Model
from vista_sql.planning import workload
from vista_sql.planning.onnx_files import PIXELS
from vista_sql.planning.workload import Relation, Tap, Workload
from vista_sql.roster import DESCRIPTOR, Cnn, kind_of_file
from vista_sql.sql import parse
from vista_sql.sql.calls import Call, Planner
from vista_sql.train.spec import KEY

PACKAGES = ("vista-sql", "duckdb", "keras", "tensorflow-cpu", "tensorflow", "openvino")
"""Packages whose versions belong to a model's record, where they are installed."""

REMEMBERED = (
    *("cnn", "pool", "weights", "dtype", "engine", "resize", "fit", "region", "prefix", "seed"),
    *PIXELS,
)
"""Arguments of TRANSFER that say what its features are: a model's own stay as they are."""

COLUMNS = ("key", "image")
"""Arguments of TRANSFER that name columns of its relations."""

DEFAULTS = (*COLUMNS, "boxes")
"""Arguments of TRANSFER that a model remembers, and a call may give anew."""

FILES = ("cnn", "weights")
"""Those that may be the path of a file."""


def record(calls: Sequence[Call], planner: Planner) -> dict[str, Any]:
    """Return the provenance of features, from the TRANSFERs that make them.

    Call it after they are planned, which finds what is wrong with them.

    Returns:
        `transfers`: for each wide TRANSFER its `arguments` with defaults filled in and
        paths made absolute, `columns` (column → the network's own layer name), `preprocessing` and
        `weights_sha256` (None where the file is not here yet: vista_begin adds it). `versions` of
        packages, if there is a TRANSFER.
    """
    transfers = [
        transfer for call in calls for transfer in _transfers(call, planner) if transfer["columns"]
    ]
    if not transfers:
        return {}
    # as the registry will hand it back: tuples are lists
    return dict(json.loads(json.dumps({"transfers": transfers, "versions": _versions()})))


def transfer_calls(text: str, planner: Planner) -> list[Call]:
    """Return the TRANSFERs that stand in a relation's text, with all values known."""
    if not parse.mentions(text):
        return []
    cleaned = parse.clean_relation(text, planner.dialect)
    if not cleaned.startswith("("):
        return []
    found = [part.call for part in parse.parse(cleaned[1:-1], planner.dialect)[0].calls]
    return [planner.resolved(call) for call in found if call.function == "transfer"]


def keys_of(calls: Sequence[Call]) -> tuple[str, ...]:
    """Return the default keys of rows, the likelier first: that of their only TRANSFER, 'id'."""
    own = [call.get("key")[0] for call in calls] if len(calls) == 1 else []
    return tuple(dict.fromkeys((*own, KEY)))


def _transfers(call: Call, planner: Planner) -> list[dict[str, Any]]:
    """Return a record for each CNN whose layers a call computes."""
    cnn = workload.load_cnn(call)
    seed = planner.setting("seed", call).value
    structured = None if call.get("structured") is None else Relation("structured")
    bound = workload.bind(
        call, cnn, Relation("images"), structured, seed=seed, device="auto"
    )  # only the layers are read of it: the relations are the statement's
    owners: dict[str, tuple[Cnn, list[Tap]]] = {}
    for tap in bound.taps:
        owner = tap.cnn or bound.cnn
        owners.setdefault(owner.name, (owner, []))[1].append(tap)
    structured_key, image_key = call.get("key")
    same = structured_key == image_key
    read = {
        "key": image_key if same else [structured_key, image_key],
        "image": call.get("image"),
        "boxes": call.get("boxes") or "",
    }
    return [
        _transfer(bound, owner, taps, seed, _engine(call, owner, planner) | read)
        for owner, taps in owners.values()
    ]


def _engine(call: Call, cnn: Cnn, planner: Planner) -> dict[str, Any]:
    """Return who runs a CNN, as an argument; HOG needs nobody."""
    return {} if cnn.name == DESCRIPTOR else {"engine": planner.engine(call)}


def _transfer(
    bound: Workload, cnn: Cnn, taps: Sequence[Tap], seed: int, read: dict[str, Any]
) -> dict[str, Any]:
    chosen = bound.weights_of(cnn) or cnn.default_weights
    is_file = chosen.lower() not in (*cnn.weights, "random", "imagenet", "none")
    arguments: dict[str, Any] = {
        "cnn": _absolute(cnn.name) if kind_of_file(cnn.name) else cnn.name,
        "weights": _absolute(chosen) if is_file else chosen.lower(),
        "pool": bound.pool,
        "region": bound.region or "",
        "dtype": bound.dtype,
        "prefix": bound.prefix,
        **read,
    }
    if chosen.lower() == "random":
        arguments["seed"] = seed
    preprocessing = bound.preprocessing_of(cnn)
    if kind_of_file(cnn.name) == "onnx":  # which may move away from what says so beside it
        said = preprocessing.mean, preprocessing.scale, preprocessing.order
        arguments |= dict(zip(PIXELS, said, strict=True))
    wide = bound.format == "wide"
    return {
        "arguments": arguments,
        "columns": {tap.column: tap.layer.name for tap in taps} if wide else {},
        "preprocessing": {k: v for k, v in to_builtins(preprocessing).items() if k != "source"},
        "weights_sha256": _identity(cnn, chosen, seed),
    }


def _identity(cnn: Cnn, chosen: str, seed: int) -> str | None:
    """Return what tells weights apart, None where they would have to be downloaded first."""
    name = chosen.lower()
    if name in cnn.weights and name not in weights.available(cnn):
        return None
    try:
        return weights.resolve(cnn, chosen, seed).identity
    except WeightsError:
        return None  # the inference itself will say so


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


@cache
def _versions() -> dict[str, str]:
    versions = ((package, package_version(package)) for package in PACKAGES)
    return {package: version for package, version in versions if version is not None}


def remembered(model: Model) -> dict[str, object]:
    """Return the arguments of the TRANSFER that made a model's layers; none where it has no record.

    Models that earlier versions kept remember fewer.
    """
    transfer = model.transfer or {}
    arguments = transfer.get("arguments")
    if not isinstance(arguments, dict):
        return {}
    framing = {k: v for k, v in _preprocessing(transfer).items() if k in ("resize", "fit")}
    said = {**framing, **arguments}
    known = {name: said.get(name) for name in (*REMEMBERED, *DEFAULTS)}
    if known["weights"] == known["cnn"]:
        del known["weights"]  # a file that holds a network has its own
    return {name: value for name, value in known.items() if value not in (None, "")}


def _preprocessing(transfer: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the images of a record became a network's input."""
    recorded = transfer.get("preprocessing")
    # earlier versions knew one fit, and did not write it
    return {"fit": "stretch", **recorded} if isinstance(recorded, dict) else {}


def runnable(model: Model, planner: Planner) -> dict[str, object]:
    """Return the arguments that a model remembers, less an engine that is not installed here.

    `check` then says what that means.
    """
    kept = remembered(model)
    for engine in get_args(Engine):
        if kept.get("engine") == engine and not planner.can_run(engine):
            del kept["engine"]
    return kept


def check(model: Model, calls: Sequence[Call], planner: Planner) -> None:
    """Raise an error where the rows' TRANSFERs make the model's columns in another way.

    Args:
        model: the kept model.
        calls: the TRANSFERs.
        planner: the session.

    Raises:
        ModelError: says which of cnn, layer, pool, weights, dtype … differ.

    Of float32 features another engine's will do, with a warning.
    """
    trained_on = model.transfer
    if trained_on is None:
        return
    old = _facts(trained_on, model)
    for transfer in record(calls, planner).get("transfers", ()):
        if not set(model.layers) & set(transfer.get("columns", ())):
            continue
        new = _facts(transfer, model)
        differing = [
            f"{name} is {new.get(name)!r}, was {old.get(name)!r}"
            for name in sorted(old)
            if None not in (old[name], new.get(name)) and old[name] != new[name]
        ]
        if differing:
            raise ModelError(
                f"model {model.reference!r} was trained on other features than the data's: "
                + "; ".join(differing)
            )
        _check_engine(model, trained_on["arguments"], transfer["arguments"])


def _check_engine(model: Model, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Warn of float32 features of another engine, which differ in their last bits.

    Raises:
        ModelError: they are in bfloat16, where they differ by more.
    """
    engine = was.get("engine")
    if engine is None or now.get("engine") in (None, engine):
        return
    message = (
        f"model {model.reference!r} was trained on {was.get('dtype')} features of engine "
        f"{engine!r}, and the data's are of {now['engine']!r}"
    )
    if was.get("dtype") == "bfloat16":
        raise ModelError(f"{message}, which rounds bfloat16 differently: take engine => {engine!r}")
    message += ": they differ by up to 1e-5 of a layer's largest value"
    warnings.warn(message, EngineWarning, stacklevel=2)


def _facts(transfer: dict[str, object], model: Model) -> dict[str, object]:
    arguments, columns = transfer.get("arguments"), transfer.get("columns")
    apart = ("arguments", "columns", "preprocessing")
    facts = {k: v for k, v in transfer.items() if k not in apart} | _preprocessing(transfer)
    if isinstance(arguments, dict):
        names = ["pool", "dtype"]
        if arguments.get("cnn") != arguments.get("weights"):
            names.append("cnn")  # else it is a file, which may have moved
        facts |= {n: arguments[n] for n in names if arguments.get(n) is not None}
        if arguments.get("region") is not None:
            facts["region"] = arguments["region"] or "none"
    if isinstance(columns, dict):
        facts |= {f"layer of {name}": columns[name] for name in model.layers if name in columns}
    return facts
