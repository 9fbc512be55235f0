"""Which models are fitted, and by which trainer."""

import pytest

from vista_sql import train
from vista_sql.errors import ModelError, UnknownNameError
from vista_sql.train import FeatureSet
from vista_sql.train.columns import Columns
from vista_sql.train.contenders import Contender, contenders
from vista_sql.train.spec import TrainSpec


def shown(structured=("a", "b"), layers=("low", "high"), **arguments):
    columns = Columns("y", "BOOLEAN", "id", (), structured, layers)
    models = contenders(columns, TrainSpec("m", "y", **arguments))
    return [(model.features.name, model.trainer.name, model.features.blocks) for model in models]


BY_LAYER = [("structured+low", "logistic", (0, 1)), ("structured+high", "logistic", (0, 2))]
ALONE = ("structured", "logistic", (0,))
TREE = ("tree", "tree", (0,))


@pytest.mark.parametrize(
    ("arguments", "models"),
    [
        ({}, [ALONE, *BY_LAYER]),
        ({"baselines": ()}, BY_LAYER),
        ({"baselines": ("tree",)}, [TREE, *BY_LAYER]),
        ({"baselines": ("tree", "structured")}, [ALONE, TREE, *BY_LAYER]),
        ({"by_layer": False}, [ALONE, ("all", "logistic", (0, 1, 2))]),
        ({"layers": ()}, [ALONE]),
        ({"structured": ()}, [("low", "logistic", (1,)), ("high", "logistic", (2,))]),
        (
            {"hog": "high", "baselines": ("hog",)},
            [("structured+hog", "logistic", (0, 2)), BY_LAYER[0]],
        ),
        (
            {"hog": "high", "baselines": ("hog",), "structured": ()},
            [("hog", "logistic", (2,)), ("low", "logistic", (1,))],
        ),
    ],
)
def test_models_come_with_their_trainers_baselines_first(arguments, models):
    assert shown(**arguments) == models


@pytest.mark.parametrize("baseline", ["structured", "tree"])
def test_a_baseline_on_structured_columns_needs_some(baseline):
    with pytest.raises(ModelError, match=f"baseline '{baseline}' needs structured columns"):
        shown(structured=(), baselines=(baseline,))


def test_a_baseline_of_a_trainer_that_is_gone_is_told():
    with pytest.raises(UnknownNameError, match="'trees'; did you mean 'tree'"):
        shown(baselines=("trees",))


def test_layers_are_not_given_to_a_trainer_that_does_not_read_them():
    layer = FeatureSet("low", "low", False, (0,))
    with pytest.raises(ModelError, match="'tree' reads structured columns only"):
        Contender(layer, train.load("tree"))
