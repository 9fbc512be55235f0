"""VISTA_TRAIN: one model per feature set, all fed by one stream of rows."""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql import models, train
from vista_sql.errors import ArgumentError, QueryError, UnknownNameError
from vista_sql.functions import _own_transfer, _provenance
from vista_sql.functions._fed import streamed
from vista_sql.functions._own_transfer import Source
from vista_sql.planning.memory import trainer_bytes
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import (
    Flag,
    KeyNames,
    Names,
    Number,
    Numbers,
    OneOf,
    RelationText,
    SettingValue,
    Text,
)
from vista_sql.train.spec import TrainSpec

SHARE = Number(0, 1)

SHARED = ("key", "seed", "memory_limit")
"""Arguments that mean something to TRANSFER too, and are given beside `data` all the same."""

OPTIONS = (
    Argument(
        "key",
        "the column that identifies a row, no feature (its TRANSFER's, or 'id')",
        KeyNames(),
    ),
    Argument("features", "the feature columns, in place of all that can be", Names()),
    Argument("exclude", "columns that are no features", Names()),
    Argument("by_layer", "a model per layer; false: one of all feature columns", Flag(), True),
    Argument(
        "baselines", "models beside the layers': 'structured', 'hog', or trainers ('tree')", Names()
    ),
    Argument(
        "trainer",
        "of layers and structured columns; 'linear': a number",
        OneOf(train.names()),
        train.DEFAULT_TRAINER,
    ),
    Argument(
        "missing",
        "rows where a number is NULL: 'skip' them, or 'mean' and a column that says so",
        OneOf(("skip", "mean")),
        "skip",
    ),
    Argument(
        "categorical",
        "text columns are features: 'one_hot', a column for each of their values",
        OneOf(("one_hot",)),
    ),
    Argument("reg", "strength of the penalty", Numbers(Number(0)), 0.01),
    Argument("l1_ratio", "share of the L1 norm in the penalty", SHARE, 0.5),
    Argument(
        "select_fraction",
        "also a model of this share of all layers' features, the most relevant (Head2Toe)",
        Numbers(Number(1e-6, 1)),
    ),
    Argument("class_weight", "classes count alike, and not by their rows", OneOf(("balanced",))),
    Argument("standardize", "columns to mean 0, deviation 1 over training rows", Flag(), True),
    Argument(
        "folds",
        "cross-validation over so many folds, in place of a test side",
        Number(0, 100, whole=True),
    ),
    Argument("max_iterations", "most iterations of the optimizer", Number(1, whole=True), 1000),
    Argument("tolerance", "largest pseudo-gradient entry of a converged model", SHARE, 1e-5),
    Argument("test_fraction", "share of rows, by hash, that test and do not train", SHARE, 0.2),
    Argument("split_by", "columns: rows with equal values fall on one side", Names()),
    Argument("seed", "of the split, and of weights => 'random'", Number(whole=True), 0),
    Argument("memory_limit", "most memory that is planned with", SettingValue("memory_limit")),
)
"""How to train: what VISTA_COMPARE takes too."""


def spec_of(source: Source, planner: Planner) -> TrainSpec:
    """Return the arguments of a call, and what is known of its rows, as its kernels get them.

    Raises:
        ArgumentError: an argument has a value that it cannot have.
        UnknownNameError: a baseline that does not exist.
    """
    call, transfers = source.call, source.transfers(planner)
    name, key = call.get("model"), call.get("key")
    if not models.is_name(name):
        raise call.error(
            "model",
            f"model => {name!r}: a model's name is {models.NAME_WORDS}; its layers and versions "
            "are named by vista_sql",
        )
    baselines = call.get("baselines")
    for baseline in baselines or ():
        if baseline not in (known := train.baselines()):
            raise UnknownNameError("baseline", baseline, known, call.place("baselines"))
    folds = call.get("folds") or 0
    if folds == 1:
        raise call.error("folds", "folds => 1 leaves no rows to train on: give 2 folds or more")
    if folds and call.values.get("test_fraction") is not None:
        raise call.error(
            "folds", "folds and test_fraction cannot be given together: folds test every row"
        )
    if call.get("class_weight") and train.load(call.get("trainer")).learns == "numbers":
        raise call.error(
            "class_weight", f"trainer => {call.get('trainer')!r} learns a number: it has no classes"
        )
    host = train.load(call.get("trainer")).host
    if host and host != planner.dialect.name:
        raise call.error(
            "trainer",
            f"trainer => {call.get('trainer')!r} is {host.capitalize()}'s own and trains where "
            f"{host.capitalize()} keeps the rows: use vista_sql.{host}(session), or trainer => "
            f"{train.DEFAULT_TRAINER!r}, which has the same objective here",
        )
    if call.get("select_fraction") and not train.load(call.get("trainer")).ranks:
        raise call.error(
            "select_fraction",
            f"trainer => {call.get('trainer')!r} does not rank the features of layers: "
            f"select_fraction goes with {' or '.join(map(repr, train.ranking()))}",
        )
    test_fraction = call.get("test_fraction")
    if test_fraction == 1:
        raise call.error("test_fraction", "test_fraction => 1 leaves no rows to train on")
    if source.own is not None:
        key = None  # its TRANSFER's, as the default is
    elif key is not None and key[0] != key[1]:
        raise call.error(
            "key",
            f"key => {list(key)!r} names a column of each of two relations, but data is one "
            "relation",
        )
    limit = planner.setting("memory_limit", call).value
    return TrainSpec(
        model=name,
        label=call.get("label"),
        key=None if key is None else key[0],
        default_keys=_provenance.keys_of(transfers),
        features=call.get("features"),
        exclude=call.get("exclude") or (),
        by_layer=call.get("by_layer"),
        baselines=None if baselines is None else tuple(dict.fromkeys(baselines)),
        reg=call.get("reg"),
        l1_ratio=call.get("l1_ratio"),
        class_weight=call.get("class_weight"),
        standardize=call.get("standardize"),
        select_fraction=call.get("select_fraction") or (),
        folds=folds,
        max_iterations=call.get("max_iterations"),
        tolerance=call.get("tolerance"),
        test_fraction=test_fraction,
        split_by=call.get("split_by") or (),
        trainer=call.get("trainer"),
        missing=call.get("missing"),
        categorical=call.get("categorical"),
        seed=call.get("seed"),
        home=planner.home,
        memory_bytes=trainer_bytes(limit) if isinstance(limit, int) else 0,  # at the run
        run=planner.new_run(),
        provenance=_provenance.record(transfers, planner),
    )


def with_hog(source: Source, planner: Planner) -> tuple[Source, str | None]:
    """Return the rows with HOG beside the layers of their TRANSFER, if that baseline is asked for.

    Returns:
        The rows, and the column of HOG.

    Raises:
        ArgumentError: there is no TRANSFER whose images could be read in the same stream.
    """
    if "hog" not in (source.call.get("baselines") or ()):
        return source, None
    try:
        return source.with_layer("hog", planner)
    except (ArgumentError, UnknownNameError):
        raise
    except QueryError as error:
        raise source.call.error(
            "baselines",
            "baseline 'hog' reads the images of a TRANSFER in the text of data, in the same "
            f"stream, and {error.message}: write data => '(SELECT * FROM TRANSFER(…))', or leave "
            "'hog' out",
        ) from None


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that trains, a row per model."""
    source, hog = with_hog(_own_transfer.source_of(call, SHARED), planner)
    relation = source.relation(planner.feeding(call))
    spec = replace(spec_of(source, planner), hog=hog)
    hidden = "confidence" if spec.folds else "f1_score_std, confidence"
    columns = f"* EXCLUDE ({hidden})"
    return streamed("train", spec.to_text(), relation, planner, columns)


FUNCTION = TableFunction(
    name="vista_train",
    arguments=_own_transfer.beside(
        Argument("model", "the name under which the models are kept", Text(), required=True),
        Argument("label", "the column to learn", Text(), required=True),
        Argument("data", "the rows", RelationText()),
        *OPTIONS,
    ),
    expand=expand,
    meaning="train one model per feature set on one stream of rows, keep them, compare them",
)
