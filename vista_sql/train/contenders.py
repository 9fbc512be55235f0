"""The data's columns and a TrainSpec → the models to fit: feature sets, each with its trainer."""

from __future__ import annotations

from msgspec import Struct

from vista_sql import train
from vista_sql.errors import ModelError
from vista_sql.train import HOG, SELECTED, STRUCTURED, FeatureSet, Trainer
from vista_sql.train.columns import Columns
from vista_sql.train.spec import TrainSpec


class Contender(Struct, frozen=True):
    """A feature set and the trainer that fits it: a row of VISTA_TRAIN's, or one per `reg`."""

    features: FeatureSet
    trainer: Trainer

    def __post_init__(self) -> None:
        if self.features.layers and not self.trainer.reads_layers:
            raise ModelError(
                f"trainer {self.trainer.name!r} reads structured columns only, and feature set "
                f"{self.features.name!r} has layers: exclude => […] leaves them out"
            )


def contenders(columns: Columns, spec: TrainSpec) -> list[Contender]:
    """Return the models that a training asks for, baselines first.

    >>> columns = Columns("y", "BOOLEAN", "id", (), ("price", "size"), ("fc6", "fc7"))
    >>> def shown(**arguments):
    ...     asked = contenders(columns, TrainSpec("m", "y", **arguments))
    ...     return [(model.features.name, model.trainer.name) for model in asked]
    >>> shown()
    [('structured', 'logistic'), ('structured+fc6', 'logistic'), ('structured+fc7', 'logistic')]
    >>> shown(baselines=("tree",), by_layer=False)
    [('tree', 'tree'), ('all', 'logistic')]
    >>> shown(baselines=(), by_layer=False, select_fraction=(0.1,))
    [('all', 'logistic'), ('structured+selected', 'logistic')]

    Raises:
        ModelError: a baseline needs structured columns, or a selection layers, and there are none.
    """
    structured = bool(columns.structured)
    layers = {i: name for i, name in enumerate(columns.layers) if name != spec.hog}
    baselines = spec.baselines
    if baselines is None:
        baselines = (STRUCTURED,) if structured and layers else ()
    on_structured = [baseline for baseline in baselines if baseline != HOG]
    if on_structured and not structured:
        raise ModelError(
            f"baseline {on_structured[0]!r} needs structured columns, and the data has none: "
            "baselines => [] leaves it out"
        )
    default = train.load(spec.trainer)
    models = []
    if STRUCTURED in baselines or not layers:
        models.append(Contender(FeatureSet(STRUCTURED, None, True, ()), default))
    if spec.hog is not None:
        name = "structured+hog" if structured else "hog"
        hog = FeatureSet(name, spec.hog, structured, (columns.layers.index(spec.hog),))
        models.append(Contender(hog, default))
    for baseline in on_structured:
        if baseline != STRUCTURED:
            features = FeatureSet(baseline, None, True, ())
            other = train.load(baseline)
            if other.learns != default.learns:
                raise ModelError(
                    f"baseline {baseline!r} learns {other.learns} and trainer {default.name!r} "
                    f"{default.learns}: leave the baseline out"
                )
            models.append(Contender(features, other))
    if layers and spec.by_layer:
        for i, layer in layers.items():
            name = f"structured+{layer}" if structured else layer
            models.append(Contender(FeatureSet(name, layer, structured, (i,)), default))
    elif layers:
        models.append(Contender(FeatureSet("all", None, structured, tuple(layers)), default))
    if spec.select_fraction and not layers:
        raise ModelError(
            "select_fraction => … selects features of layers, and the data has none: a layer is a "
            "column of FLOAT arrays, as TRANSFER returns them"
        )
    for fraction in spec.select_fraction:
        name = f"structured+{SELECTED}" if structured else SELECTED
        features = FeatureSet(name, None, structured, tuple(layers), fraction)
        models.append(Contender(features, default))
    return models
