"""VISTA_FINETUNE: the upper layers of a network tuned with the regression on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from vista_sql import models
from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.functions import _own_transfer, _provenance, transfer, vista_train
from vista_sql.functions._fed import streamed
from vista_sql.functions._own_transfer import Source
from vista_sql.models import Model
from vista_sql.planning import workload
from vista_sql.planning.memory import trainer_bytes
from vista_sql.roster import DESCRIPTOR, Cnn, kind_of_file
from vista_sql.settings import shown
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import BIGINT, LayerNames, Names, Number, Numbers, Text, wrong
from vista_sql.train import unfreezing
from vista_sql.train.tuning import AUGMENTATIONS, FinetuneSpec, Run
from vista_sql.train.unfreezing import IMAGE, Unfrozen

INSTALL = (
    "VISTA_FINETUNE needs TensorFlow, which is not installed: pip install 'vista-sql[cpu]', or "
    "'vista-sql[gpu]' for an NVIDIA GPU"
)


class LayerSets(Struct, frozen=True):
    """A layer, a list of layers, or a list of lists, read as a tuple of str or of tuples of str."""

    words: str = "a layer, a list of layers, or a list of lists of layers"

    def read(self, name: str, value: object) -> tuple[str | tuple[str, ...], ...]:
        """Return what each run unfreezes: a layer and all above it, or exactly some layers."""
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and value:
            if all(isinstance(one, str) for one in value):
                return tuple(value)
            if all(isinstance(one, list | tuple) and one for one in value):
                sets = tuple(tuple(one) for one in value)
                if all(isinstance(layer, str) for one in sets for layer in one):
                    return sets
        raise wrong(name, self.words, value)


class Resets(LayerSets, frozen=True):
    """As LayerSets, or true: all that is unfrozen, read as (True,); false is ()."""

    words: str = "true, a layer, a list of layers, or a list of lists of layers"

    def read(self, name: str, value: object) -> tuple[Any, ...]:
        """Return what each run resets."""
        if isinstance(value, bool):
            return (True,) if value else ()
        return LayerSets.read(self, name, value)


class Seeds(Struct, frozen=True):
    """One whole number or a list of them, read as a tuple of int."""

    words: str = "a whole number or a list of them"

    def read(self, name: str, value: object) -> tuple[int, ...]:
        """Return the numbers in their order."""
        seeds = value if isinstance(value, list | tuple) else [value]
        for seed in seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed not in BIGINT:
                raise wrong(name, self.words, value)
        if not seeds or len(set(seeds)) < len(seeds):
            raise ArgumentError(f"{name} must be different numbers, not {shown(value)}")
        return tuple(seeds)


OF_TRANSFER = tuple(
    replace(transfer.FUNCTION.argument(name), default=None, required=False)
    for name in (
        *("images", "structured", "key", "cnn", "image", "pool", "weights", "resize", "fit"),
        *("engine", "device", "store", "threads"),
    )
)
OF_TRAINING = tuple(
    replace(argument, default=None)
    for argument in vista_train.OPTIONS
    if argument.name
    in (
        *("exclude", "missing", "categorical", "reg", "l1_ratio", "class_weight", "max_iterations"),
        *("test_fraction", "split_by"),
    )
)
"""How the regression is trained, where none is given."""

ARGUMENTS = (
    Argument("model", "the name under which network and model are kept", Text(), required=True),
    Argument("from_model", "a kept regression on one layer, to begin from", Text()),
    *OF_TRANSFER[:3],
    Argument("label", "the column to learn, where there is no from_model", Text()),
    Argument("layer", "the layer that the head reads, where there is no from_model", LayerNames()),
    Argument(
        "unfreeze",
        "'x': x and all up to the head; ['x', 'y']: a run each; [['x', 'y']]: exactly those",
        LayerSets(),
        required=True,
    ),
    Argument("learning_rate", "of the head; a list: a run each", Numbers(Number(0)), 0.1),
    Argument("inner_learning_rate", "of the layers; a list: a run each", Numbers(Number(0)), 0.01),
    Argument("epochs", "most passes over the training rows", Number(1, whole=True), 20),
    Argument("batch_size", "rows in a step", Number(1, whole=True), 32),
    Argument("augment", "images changed at random: " + ", ".join(AUGMENTATIONS), Names()),
    Argument(
        "reset",
        "layers that begin with random weights, as unfreeze names them; true: all of these",
        Resets(),
    ),
    Argument("seed", "of the order of rows, and of what is drawn; a list: a run each", Seeds(), 0),
    *OF_TRANSFER[3:],
    *OF_TRAINING,
    vista_train.FUNCTION.argument("memory_limit"),
)


class Head(Struct, frozen=True):
    """What the head reads, and where it begins."""

    own: Call  # the TRANSFER that makes its features
    layer: str  # the network's own name
    column: str  # of its features
    model: Model | None = None
    train: Any = None  # a TrainSpec, where there is no model


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that streams maps of the frozen part, tunes, and shows a row per epoch."""
    if not planner.can_run("tensorflow"):
        raise call.error("", INSTALL)
    if not models.is_name(call.get("model")):
        raise call.error(
            "model",
            f"model => {call.get('model')!r}: a model's name is {models.NAME_WORDS}; its versions "
            "are named by vista_sql",
        )
    head = _of_model(call, planner) if call.get("from_model") else _of_call(call, planner)
    cnn = workload.load_cnn(head.own)
    _check_network(call, cnn, head)
    runs = _runs(call, cnn, head.layer)
    augment = _augmentations(call, cnn, runs)
    height = {IMAGE: -1, **cnn.positions}
    starts = sorted({run.start for run in runs}, key=height.__getitem__)
    prefix = f"{planner.fresh_name('maps')}_"
    spec = FinetuneSpec(
        model=call.get("model"),
        home=planner.home,
        infer=planner.reading(head.own).spec.to_text(),
        layer=head.layer,
        column=head.column,
        maps={start: prefix + start for start in starts},
        reason=f"{prefix}error",
        runs=runs,
        from_model="" if head.model is None else head.model.reference,
        train={} if head.train is None else to_builtins(head.train),
        epochs=call.get("epochs"),
        batch_size=call.get("batch_size"),
        augment=augment,
        memory_bytes=_memory_bytes(call, planner),
        run=planner.new_run(),
    )
    values = {**head.own.values, "layers": starts, "pool": "none", "prefix": prefix}
    if IMAGE in starts:
        values["store"] = False  # which keeps what networks compute
    maps = replace(head.own, values=values)
    relation = planner.feeding(call).transferred(maps, call.function, features=True)
    return streamed("finetune", spec.to_text(), relation, planner)


def _memory_bytes(call: Call, planner: Planner) -> int:
    limit = planner.setting("memory_limit", call).value
    return trainer_bytes(limit) if isinstance(limit, int) else 0


def _of_model(call: Call, planner: Planner) -> Head:
    """Return the head that is a kept regression.

    Raises:
        UnknownNameError: there is no such model.
        ArgumentError: it is none that can be tuned, or what the call says is not as it was trained.
    """
    try:
        model = models.find(planner.home, call.get("from_model"))
    except UnknownNameError as error:
        raise error.at(call.place("from_model")) from None
    for name in ("label", "layer", *(argument.name for argument in OF_TRAINING)):
        if call.values.get(name) is not None:
            raise call.error(
                name,
                f"{name} is of the regression, which from_model => … brings: leave it out",
            )
    _check_model(call, model)
    if call.values.get("images") is None:
        raise call.error(
            "", "VISTA_FINETUNE needs images => …: a model remembers how they are read, not which"
        )
    own = _own_transfer.as_trained(model, _seedless(call), planner)
    _provenance.check(model, [own], planner)
    (column,) = model.layers
    return Head(own, (model.transfer or {})["columns"][column], column, model)


def _check_model(call: Call, model: Model) -> None:
    which = f"from_model => {call.get('from_model')!r} is {model.reference!r}"
    wanted = "a logistic regression on one layer that TRANSFER made can be tuned"
    if model.trainer != "logistic":
        raise call.error("from_model", f"{which}, of trainer {model.trainer!r}: {wanted}")
    if len(model.layers) != 1:
        others = [
            other["part"] for other in model.document["rows"] if len(other.get("layers", ())) == 1
        ]
        named = f": '{model.name}/{others[0]}'" if others else ""
        found = f"{len(model.layers)} layers" if model.layers else "no layer"
        raise call.error("from_model", f"{which}, which reads {found}: {wanted}{named}")
    if model.transfer is None:
        raise call.error(
            "from_model",
            f"{which}, which does not know how its features are made: {wanted}; train it with "
            "cnn => … and images => …",
        )
    if model.transfer["arguments"].get("dtype", "float32") != "float32":
        raise call.error(
            "from_model", f"{which}, trained in bfloat16: gradients are of float32, train it so"
        )


def _of_call(call: Call, planner: Planner) -> Head:
    """Return the head that is trained first, from `label`, `layer` and TRANSFER's arguments.

    Raises:
        ArgumentError: one of them is missing or wrong.
    """
    for name in ("label", "layer", "cnn", "images"):
        if call.values.get(name) is None:
            raise call.error(
                "",
                f"VISTA_FINETUNE needs {name} => … beside {_others(name)}, or from_model => … and "
                "images => …",
            )
    layers: tuple[str | int, ...] = call.get("layer")
    if len(layers) != 1:
        raise call.error("layer", f"layer must be one layer, not {len(layers)}")
    seeds: tuple[int, ...] = call.get("seed")
    passed = _own_transfer.passed_on(_seedless(call))
    places = {**call.places, "layers": call.place("layer") or call.place()}
    placed = replace(call, places={k: v for k, v in places.items() if v is not None})
    named = {"layers": list(layers), "seed": seeds[0]}
    own = _own_transfer.transfer_call(placed, {**passed, **named})
    cnn = workload.load_cnn(own)
    (name,) = workload.layer_names(own, cnn)
    try:
        layer = cnn.canonical(name)
    except (UnknownNameError, ArgumentError) as error:
        raise error.at(call.place("layer")) from None
    options = {argument.name: call.values.get(argument.name) for argument in OF_TRAINING}
    options |= {"model": call.get("model"), "label": call.get("label"), "seed": seeds[0]}
    options["memory_limit"] = call.values.get("memory_limit")
    training = Call("vista_train", options, call.places)
    spec = vista_train.spec_of(Source(training, own), planner)
    return Head(own, layer, name, train=spec)


def _others(name: str) -> str:
    return ", ".join(other for other in ("label", "layer", "cnn", "images") if other != name)


def _seedless(call: Call) -> Call:
    """Return the call without its seeds, which are of the runs: weights have their own."""
    return replace(call, values={k: v for k, v in call.values.items() if k != "seed"})


def _check_network(call: Call, cnn: Cnn, head: Head) -> None:
    """Check that the network has weights that gradients can be of."""
    where = "from_model" if head.model is not None else "cnn"
    if cnn.name == DESCRIPTOR:
        raise call.error(where, f"{cnn.title} has no weights to tune: take the layer of a CNN")
    if kind_of_file(cnn.name) == "onnx":
        raise call.error(
            where, f"{cnn.name} cannot be tuned: TensorFlow tunes Keras networks, not .onnx files"
        )


def _runs(call: Call, cnn: Cnn, top: str) -> tuple[Run, ...]:
    """Return a run for each combination of what the lists say.

    Raises:
        ArgumentError, UnknownNameError: layers that are not there, or cannot be tuned.
    """
    sets = [_unfrozen(call, "unfreeze", cnn, one, top) for one in call.get("unfreeze")]
    resets: Sequence[Unfrozen | bool] = [False]
    if call.get("reset"):
        resets = [
            one is True or _unfrozen(call, "reset", cnn, one, top) for one in call.get("reset")
        ]
    names = {own: alias for alias, own in cnn.aliases.items()}
    rates, inner_rates = call.get("learning_rate"), call.get("inner_learning_rate")
    runs = []
    for unfrozen, reset, rate, inner_rate, seed in product(
        sets, resets, rates, inner_rates, call.get("seed")
    ):
        random = unfrozen.layers if reset is True else reset.layers if reset else ()
        frozen = [layer for layer in random if layer not in unfrozen.layers]
        if frozen:
            raise call.error(
                "reset",
                f"layer {frozen[0]!r} would have random weights that nothing changes: unfreeze it "
                "too, or reset fewer layers",
            )
        runs.append(
            Run(
                unfrozen.layers,
                unfrozen.start,
                rate,
                inner_rate,
                seed,
                random,
                {one: names[one] for one in unfrozen.layers if one in names},
            )
        )
    return tuple(runs)


def _unfrozen(
    call: Call, argument: str, cnn: Cnn, named: str | tuple[str, ...], top: str
) -> Unfrozen:
    try:
        if isinstance(named, str):
            return unfreezing.upward(cnn, named, top)
        return unfreezing.exactly(cnn, named, top)
    except (ArgumentError, UnknownNameError) as error:
        raise error.at(call.place(argument)) from None


def _augmentations(call: Call, cnn: Cnn, runs: Sequence[Run]) -> tuple[Any, ...]:
    """Return how images are changed at random, in the order in which that is done.

    Raises:
        ArgumentError: a run begins above the image, or the images are gray.
    """
    asked: tuple[str, ...] = tuple(name.lower() for name in call.get("augment") or ())
    for name in asked:
        if name not in AUGMENTATIONS:
            raise UnknownNameError("augment", name, AUGMENTATIONS, call.place("augment"))
    above = next((run for run in runs if run.start != IMAGE), None)
    if asked and above is not None:
        lowest = next(layer.name for layer in cnn.layers if layer.parameters)
        raise call.error(
            "augment",
            f"augment changes images, and the part that is tuned begins at the maps of "
            f"{above.start!r}: unfreeze from {lowest!r} on, or leave augment out",
        )
    if "saturation" in asked and cnn.input_shape[-1] == 1:
        raise call.error("augment", f"{cnn.title} takes gray images, which have no saturation")
    return tuple(name for name in AUGMENTATIONS if name in asked)


FUNCTION = TableFunction(
    name="vista_finetune",
    arguments=ARGUMENTS,
    expand=expand,
    meaning="tune a network's upper layers with the regression on them; a row per epoch",
)
