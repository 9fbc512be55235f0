"""Specs travel as text, and tell trainings apart."""

import json

import pytest
from msgspec.structs import fields, replace

from vista_sql.train.spec import TrainSpec

FULL = TrainSpec(
    "m", "y", "k", ("a",), ("b",), False, ("tree",), (0.1, 0.2), 1.0, "balanced", False, 3, 7, 1e-3,
    0.5, ("g",), 9, "home", 5, "run", {"transfers": []}, "hog", 2.5, "gate", "linear", "mean",
    "one_hot", ("k", "id"),
)  # fmt: skip


@pytest.mark.parametrize("spec", [TrainSpec("m", "y"), FULL])
def test_a_spec_is_read_as_it_was_written(spec):
    assert TrainSpec.from_fields(json.loads(spec.to_text())["train"]) == spec


def test_where_and_how_a_training_runs_is_not_what_it_is():
    plain = TrainSpec("m", "y")
    others = {"home", "memory_bytes", "run", "budget_seconds", "gate", "default_keys"}
    for field in fields(TrainSpec):
        other = replace(plain, **{field.name: getattr(FULL, field.name)})
        same = other.identity() == plain.identity()
        assert same == (
            field.name in others or getattr(other, field.name) == getattr(plain, field.name)
        )


def test_the_identity_is_what_fingerprints_of_kept_models_were_made_of():
    assert sorted(TrainSpec("m", "y").identity()) == [
        "baselines", "by_layer", "class_weight", "exclude", "features", "folds", "hog", "key",
        "l1_ratio", "label", "max_iterations", "model", "provenance", "reg", "seed", "split_by",
        "standardize", "test_fraction", "tolerance",
    ]  # fmt: skip
