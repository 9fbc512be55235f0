"""VISTA_TRAIN: one model per feature set, all fed by one stream of rows."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from vista_sql import models
from vista_sql.errors import QueryError, UnknownNameError
from vista_sql.functions import _provenance
from vista_sql.functions._training import data_of, flag, number, numbers, streamed, text, texts
from vista_sql.planning import workload
from vista_sql.planning.memory import trainer_bytes
from vista_sql.sql import edit
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.train.spec import BASELINES, TrainSpec

ARGUMENTS = (
    Argument("model", "the name under which the models are kept", required=True),
    Argument("label", "the column to learn", required=True),
    Argument("data", "the rows: a table's name or a query", required=True, kind="relation"),
    Argument("key", "the column that identifies a row, no feature ('id' where there is one)"),
    Argument("features", "the feature columns, in place of all that can be"),
    Argument("exclude", "columns that are no features"),
    Argument("by_layer", "a model per layer; false: one of all feature columns", default=True),
    Argument("baselines", "models beside the layers': 'structured', 'hog', 'tree'"),
    Argument("reg", "strength of the penalty, a number or a list", default=0.01),
    Argument("l1_ratio", "share of the L1 norm in the penalty", default=0.5),
    Argument("class_weight", "'balanced': classes count alike"),
    Argument("standardize", "columns to mean 0, deviation 1 over training rows", default=True),
    Argument("folds", "cross-validation over so many folds, in place of a test side"),
    Argument("max_iterations", "most iterations of the optimizer", default=100),
    Argument("tolerance", "largest pseudo-gradient entry of a converged model", default=1e-6),
    Argument("test_fraction", "share of rows, by hash, that test and do not train", default=0.2),
    Argument("split_by", "columns: rows with equal values fall on one side"),
    Argument("seed", "of the split", default=0),
    Argument("memory_limit", "bytes that the planner may plan with"),
)


def spec_of(call: Call, planner: Planner) -> TrainSpec:
    """Return the order of a call.

    Raises:
        ArgumentError: an argument has a value that it cannot have.
        UnknownNameError: a baseline that does not exist.
    """
    name = text(call, "model") or ""
    if not models.is_name(name):
        raise call.error(
            "model",
            f"model => {name!r}: a model's name is letters, digits, '_', '-', '.' and spaces; its "
            "layers and versions are named by vista_sql",
        )
    baselines = texts(call, "baselines")
    for baseline in baselines or ():
        if baseline not in BASELINES:
            raise UnknownNameError("baseline", baseline, BASELINES, call.places.get("baselines"))
    class_weight = text(call, "class_weight")
    if class_weight not in (None, "balanced"):
        raise call.error("class_weight", f"class_weight => takes 'balanced', not {class_weight!r}")
    folds = int(number(call, "folds", 2, 100, whole=True)) if call.get("folds") else 0
    if folds and call.values.get("test_fraction") is not None:
        raise call.error("folds", "folds and test_fraction exclude each other: each fold tests")
    test_fraction = number(call, "test_fraction", 0, 1)
    if test_fraction == 1:
        raise call.error("test_fraction", "test_fraction => 1 leaves no rows to train on")
    tolerance = number(call, "tolerance", 0, 1)
    limit = planner.setting("memory_limit", call).value
    return TrainSpec(
        model=name,
        label=text(call, "label") or "",
        key=text(call, "key"),
        features=texts(call, "features"),
        exclude=texts(call, "exclude") or (),
        by_layer=flag(call, "by_layer"),
        baselines=None if baselines is None else tuple(dict.fromkeys(baselines)),
        reg=numbers(call, "reg", 0, inf),
        l1_ratio=number(call, "l1_ratio", 0, 1),
        class_weight=class_weight,
        standardize=flag(call, "standardize"),
        folds=folds,
        max_iterations=int(number(call, "max_iterations", 1, inf, whole=True)),
        tolerance=tolerance,
        test_fraction=test_fraction,
        split_by=texts(call, "split_by") or (),
        seed=int(number(call, "seed", -(2**63), 2**63, whole=True)),
        home=planner.home,
        memory_bytes=trainer_bytes(limit) if isinstance(limit, int) else 0,  # at the run
        run=planner.new_run(),
        provenance=_provenance.record(text(call, "data") or "", planner),
    )


def with_hog(call: Call) -> tuple[Call, str | None]:
    """Return the call with HOG beside the layers of its TRANSFER, if it asks for that baseline.

    Returns:
        The call, and the column of HOG.

    Raises:
        ArgumentError: its data has no TRANSFER whose images could be read in the same stream.
    """
    if "hog" not in (texts(call, "baselines") or ()):
        return call, None
    try:
        data, column = edit.with_layer(text(call, "data") or "", "hog", _layer_names)
    except QueryError as error:
        raise call.error(
            "baselines",
            "baseline 'hog' reads the images of a TRANSFER in the text of data, in the same "
            f"stream, and {error.message}: write data => '(SELECT * FROM TRANSFER(…))', or leave "
            "'hog' out",
        ) from None
    return replace(call, values={**call.values, "data": data}), column


def _layer_names(call: Call) -> list[str]:
    cnn = workload.load_cnn(call)
    asked = call.get("layers")
    if asked is None:
        return list(cnn.feature_layers)
    asked = [asked] if isinstance(asked, int) else asked
    return [cnn.counted_layers[index] for index in asked]


def expand(call: Call, planner: Planner) -> str:
    """Return the one statement that trains."""
    call, hog = with_hog(call)
    with planner.training(call):
        data = data_of(call, planner)
    spec = replace(spec_of(call, planner), hog=hog)
    hidden = "confidence" if spec.folds else "f1_score_std, confidence"
    columns = f"* EXCLUDE ({hidden})"
    return streamed(spec.to_text(), data, planner, columns)


FUNCTION = TableFunction(
    name="vista_train",
    arguments=ARGUMENTS,
    expand=expand,
    meaning="train one model per feature set on one stream of rows, keep them, compare them",
)
