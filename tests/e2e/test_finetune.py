"""VISTA_FINETUNE through a session: a regression, epochs, the network and the model it keeps."""

# ruff: noqa: E501 - a wrong call is a line

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from inferences import Count
from sklearn.datasets import load_digits
from vista_sql.udfs.tuning import runs as tuning_runs

import vista_sql
from vista_sql import models, weights
from vista_sql.errors import ArgumentError, ModelError, UnknownNameError

OWN = "images => 'images', structured => 'facts'"
ANEW = "unfreeze => 'conv3', reset => 'conv3'"  # so that every epoch is better than the last
N = 200


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    import cv2
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("digits")
    x, y = load_digits(return_X_y=True)
    chosen = np.flatnonzero(y >= 5)[:N]
    images = [
        cv2.imencode(".png", cv2.resize((x[i].reshape(8, 8) * 15.9).astype(np.uint8), (28, 28)))[1]
        for i in chosen
    ]
    blobs = [image.tobytes() for image in images]
    blobs[7] = b"no image"
    with vista_sql.connect(folder / "digits.duckdb") as session:
        facts = pa.table({"id": chosen, "ink": x[chosen].sum(axis=1) + 1900, "y": y[chosen]})
        shots = pa.table({"id": chosen, "image": blobs})
        session.con.register("a", facts)
        session.con.register("b", shots)
        session.con.execute("CREATE TABLE facts AS FROM a; CREATE TABLE images AS FROM b")
        session.query(
            f"SELECT * FROM VISTA_TRAIN(model => 'd', label => 'y', cnn => 'lenet5', {OWN}, "
            "layers => ['conv2', 'fc6'], max_iterations => 2, seed => 3)"
        ).fetchall()
        yield session


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def home(db):
    (path,) = db.con.execute("SELECT path FROM duckdb_databases() WHERE NOT internal").fetchone()
    return f"{path}.vista"


def finetune(db, more, model="tuned", start="from_model => 'd/fc6'"):
    call = f"VISTA_FINETUNE(model => '{model}', {start}, {OWN}, {more})"
    return rows(db, f"SELECT * FROM {call}")


@pytest.fixture(scope="module")
def tuned(db):
    return finetune(db, "unfreeze => ['conv3', 'fc6'], epochs => 3")


def of(found, **wanted):
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def test_a_row_per_epoch_and_one_before_and_after(tuned):
    for number, unfrozen in ((1, ["c5_map", "fc6"]), (2, ["fc6"])):
        own = of(tuned, run=number)
        assert [row["kind"] for row in own] == ["before", *["epoch"] * 4, "after"]
        assert [row["epoch"] for row in own][:-1] == [0, 0, 1, 2, 3]
        assert all(row["unfrozen"] == unfrozen for row in own)
    kept = of(tuned, is_kept=True)
    assert [row["kind"] for row in kept] == ["epoch", "after"]
    assert {row["model"] for row in kept} == {"tuned/fc6@1"}
    epochs = of(tuned, kind="epoch")
    assert kept[0]["loss"] == min(row["loss"] for row in epochs) < epochs[0]["loss"]
    assert epochs[4]["loss"] == pytest.approx(epochs[0]["loss"], rel=1e-5)


def test_before_are_the_figures_of_the_regression(db, tuned):
    (regression,) = (m for m in models.entries(home(db)) if m.reference == "d/fc6@1")
    for row in of(tuned, kind="before"):
        assert row["n"] == regression.row["n_test"]
        assert row["loss"] == pytest.approx(regression.row["log_loss"], abs=1e-5)
        for name in ("f1_score", "accuracy", "roc_auc", "lift"):
            assert row[name] == pytest.approx(regression.row[name], abs=1e-5), name


def test_epoch_0_has_the_regressions_scores(db, monkeypatch):
    seen = {}
    scored = tuning_runs.Runs._scored

    def watched(self, trainable, examples):
        for batch in examples.batches(64, None):
            margins = self._on(lambda b=batch: trainable.margins(b.layers[0], b.structured))
            seen.update(zip(batch.hash.tolist(), margins.tolist(), strict=True))
        return scored(self, trainable, examples)

    monkeypatch.setattr(tuning_runs.Runs, "_scored", watched)
    zero = "unfreeze => 'conv2', epochs => 1, learning_rate => 0, inner_learning_rate => 0"
    found = finetune(db, zero, model="zero")
    assert {row["epoch"] for row in of(found, is_kept=True)} == {0}
    assert "no epoch was better" in of(found, kind="after")[0]["warning"]
    predicted = (
        f"SELECT probabilities FROM VISTA_PREDICT(model => 'd/fc6', {OWN}) WHERE error IS NULL"
    )
    wanted = np.array([[p for _, p in row["probabilities"]] for row in rows(db, predicted)])
    margins = np.exp(np.array(list(seen.values())))
    chances = margins / margins.sum(axis=1, keepdims=True)
    distance = np.abs(chances[:, None] - wanted[None]).max(axis=2).min(axis=1)
    assert len(chances) > 50
    assert distance.max() <= 1e-5


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_the_network_is_a_cnn_of_its_own(db, tuned, engine):
    def features(cnn, layer):
        own = f"cnn => '{cnn}', layers => ['{layer}'], engine => '{engine}'"
        call = f"TRANSFER({own}, images => 'images')"
        found = rows(db, f"SELECT {layer} FROM {call} WHERE error IS NULL ORDER BY id")
        return np.array([row[layer] for row in found], np.float32)

    assert np.array_equal(features("model:tuned", "pool2"), features("lenet5", "pool2"))
    before, after = features("lenet5", "fc6"), features("model:tuned@1", "fc6")
    assert before.shape == after.shape
    assert np.abs(before - after).max() > 1e-3


def test_frozen_weights_are_the_same_to_the_bit(db, tuned):
    def arrays(name, choice=None):
        cnn = weights.facts(name)
        return weights.load_arrays(cnn, weights.resolve(cnn, choice))

    before, after = arrays("lenet5"), arrays(str(models.network_of(home(db), "tuned")))
    assert before.keys() == after.keys()
    changed = {path for path, values in before.items() if not np.array_equal(values, after[path])}
    assert changed == {"c5_map/kernel", "c5_map/bias", "f6/kernel", "f6/bias"}


def test_the_model_predicts_with_its_network_and_its_columns(db, tuned):
    after = of(tuned, kind="after", is_kept=True)[0]
    (figures,) = rows(db, "SELECT * FROM VISTA_EVALUATE(model => 'tuned')")
    assert figures["f1_score"] == after["f1_score"]
    (whole,) = rows(db, f"SELECT * FROM VISTA_EVALUATE(model => 'tuned', {OWN})")
    assert (whole["n"], whole["n_skipped"]) == (N - 1, 1)
    assert whole["accuracy"] > 0.9
    (kept,) = (row for row in rows(db, "FROM VISTA_MODELS()") if row["name"] == "tuned")
    assert (kept["cnn"], kept["cnn_layer"], kept["layer"]) == ("model:tuned@1", "f6", "fc6")
    predicted = f"SELECT * FROM VISTA_PREDICT(model => 'tuned', {OWN}) ORDER BY id"
    assert sum(row["predicted_label"] == row["y"] for row in rows(db, predicted)) > 0.9 * N
    (best,) = rows(
        db,
        "SELECT feature_set, layer FROM VISTA_COMPARE(cnn => 'model:tuned', layers => ['fc6'], "
        f"label => 'y', {OWN}, max_iterations => 20) WHERE is_best",
    )
    assert best["layer"] == "fc6"
    layers = rows(db, "FROM VISTA_LAYERS('model:tuned')")
    assert [row["alias"] for row in layers] == [
        row["alias"] for row in rows(db, "FROM VISTA_LAYERS('lenet5')")
    ]


def test_versions_of_one_tuned_network_are_compared(db, tuned):
    finetune(db, "unfreeze => 'fc6', epochs => 1", "twice")
    finetune(db, "unfreeze => 'fc6', epochs => 1, seed => 5", "twice")
    found = rows(
        db,
        "SELECT layer FROM VISTA_COMPARE(cnn => ['model:twice@1', 'model:twice@2'], "
        f"layers => ['twice@1.fc6', 'twice@2.fc6'], label => 'y', {OWN}, max_iterations => 3) "
        "WHERE layer IS NOT NULL ORDER BY layer",
    )
    assert [row["layer"] for row in found] == ["twice@1.fc6", "twice@2.fc6"]


def test_a_regression_of_folds_is_tuned_with_a_warning(db):
    db.query(
        f"SELECT * FROM VISTA_TRAIN(model => 'f', label => 'y', cnn => 'lenet5', {OWN}, "
        "layers => ['fc6'], max_iterations => 5, folds => 3)"
    ).fetchall()
    found = finetune(db, "unfreeze => 'fc6', epochs => 1", "folded", "from_model => 'f/fc6'")
    (after,) = of(found, kind="after")
    assert after["f1_score"] is None
    assert "trained with folds, which leaves none aside; train it with" in after["warning"]


def test_explain_names_layers_and_no_generated_columns(db):
    call = f"VISTA_FINETUNE(model => 'e', from_model => 'd/fc6', {OWN}, unfreeze => 'conv3')"
    facts = rows(db, f"SELECT * FROM VISTA_EXPLAIN($$SELECT * FROM {call}$$)")
    (asked,) = of(facts, item="layers asked")
    assert asked["detail"] == "s4"


def test_a_tuned_model_is_tuned_further(db, tuned):
    found = finetune(db, "unfreeze => 'fc6', epochs => 1", "further", "from_model => 'tuned'")
    after, before = of(tuned, kind="after", is_kept=True)[0], found[0]
    assert before["loss"] == pytest.approx(after["loss"], abs=1e-5)
    assert before["lift"] == pytest.approx(after["lift"], abs=1e-5)


def test_each_image_is_inferred_once_whatever_runs_and_epochs(db):
    db.run = db.query
    count = Count(db)
    more = "unfreeze => [['conv2'], ['fc6']], seed => [1, 2], epochs => 2"
    count(f"SELECT run FROM VISTA_FINETUNE(model => 'c', from_model => 'd/fc6', {OWN}, {more})")
    assert count.images_inferred == N - 1  # and one that cannot be read


def test_the_frozen_part_is_shared_with_the_network_it_came_from(db, tuned, tmp_path):
    db.run = db.query
    count, own = Count(db), f"images => 'images', store => '{tmp_path / 'store'}'"
    count(f"SELECT id, pool2 FROM TRANSFER(cnn => 'lenet5', layers => ['pool2'], {own})")
    assert count.images_inferred == N - 1
    count(f"SELECT id, pool2 FROM TRANSFER(cnn => 'model:tuned', layers => ['pool2'], {own})")
    assert (count.images_inferred, count.images_from_store) == (0, N - 1)


def test_the_regression_is_trained_first_from_a_label_and_a_layer(db):
    start = "label => 'y', layer => -1, cnn => 'lenet5'"
    found = finetune(db, "unfreeze => 'fc6', epochs => 2, seed => 3", "whole", start)
    trained = rows(
        db,
        f"SELECT * FROM VISTA_TRAIN(model => 'alone', label => 'y', cnn => 'lenet5', {OWN}, "
        "layers => -1, seed => 3)",
    )
    regression = of(trained, layer="fc6")[0]
    for name in ("f1_score", "roc_auc", "lift"):
        assert found[0][name] == pytest.approx(regression[name], abs=1e-5)
    assert found[0]["n"] == regression["n_test"]


def test_images_are_changed_at_random_where_all_is_tuned(db):
    more = "unfreeze => 'conv1', epochs => 1, augment => ['brightness', 'crop'], seed => [5, 6]"
    found = finetune(db, more, "augmented")
    losses = [row["loss"] for row in of(found, epoch=0, kind="epoch")]
    assert losses[0] == losses[1]  # nothing has happened yet
    after = [row["training_loss"] for row in of(found, epoch=1, kind="epoch")]
    plain = finetune(db, "unfreeze => 'conv1', epochs => 1, seed => 5", "plain")
    after += [row["training_loss"] for row in of(plain, epoch=1, kind="epoch")]
    assert len(set(after)) == 3


def test_reset_layers_begin_at_random(db):
    more = "unfreeze => 'conv1', reset => 'conv3', epochs => 2, seed => 1"
    found = finetune(db, more, "reset")
    first, *_, last = of(found, kind="epoch")
    assert first["loss"] == pytest.approx(np.log(5), abs=0.1)
    assert last["loss"] < first["loss"] - 0.05


def test_the_best_epoch_is_kept_when_it_is_interrupted(db, monkeypatch):
    passed, steps = tuning_runs.Runs._pass, []

    def interrupted(self, *arguments):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return passed(self, *arguments)

    monkeypatch.setattr(tuning_runs.Runs, "_pass", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune(db, f"{ANEW}, epochs => 9", "broken_off")
    kept = models.find(home(db), "broken_off")
    assert kept.row["iterations"] == 2
    call = "TRANSFER(cnn => 'model:broken_off', layers => ['fc6'], images => 'images')"
    assert rows(db, f"SELECT count(fc6) AS n FROM {call}") == [{"n": N - 1}]
    monkeypatch.undo()
    assert finetune(db, "unfreeze => 'fc6', epochs => 1", "broken_off")  # the session lives


def test_a_better_epoch_takes_the_place_of_the_one_kept_before(db, monkeypatch):
    monkeypatch.setattr("vista_sql.udfs.tuning.keeping.EVERY_SECONDS", 0.0)
    finetune(db, f"{ANEW}, epochs => 3", "placed")
    assert models.versions(home(db), "placed") == [1]
    assert models.find(home(db), "placed").row["iterations"] == 3


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ("from_model => 'd/fc6', unfreeze => 'logits'", ArgumentError, "is not below 'f6', which the head reads"),
        ("from_model => 'd/fc6', unfreeze => 'conv9'", UnknownNameError, "layer 'conv9'"),
        ("from_model => 'd/fc7', unfreeze => 'fc6'", UnknownNameError, "d/fc6@1"),
        ("from_model => 'd/structured', unfreeze => 'fc6'", ArgumentError, "reads no layer: .*'d/conv2'"),
        ("from_model => 'd/fc6', label => 'y', unfreeze => 'fc6'", ArgumentError, "leave it out"),
        ("from_model => 'd/fc6', unfreeze => 'fc6', cnn => 'resnet18'", ArgumentError, "was trained with cnn => 'lenet5'"),
        ("from_model => 'd/fc6'", ArgumentError, "VISTA_FINETUNE needs unfreeze"),
        ("from_model => 'd/fc6', unfreeze => ['fc6', ['conv3']]", ArgumentError, "unfreeze must be a layer"),
        ("from_model => 'd/fc6', unfreeze => 'conv3', augment => 'flip'", ArgumentError, "begins at the maps of 's4': unfreeze from 'c1' on"),
        ("from_model => 'd/fc6', unfreeze => 'conv1', augment => 'saturation'", ArgumentError, "takes gray images"),
        ("from_model => 'd/fc6', unfreeze => 'conv1', augment => 'flipp'", UnknownNameError, "did you mean 'flip'"),
        ("from_model => 'd/fc6', unfreeze => 'fc6', reset => 'conv3'", ArgumentError, "'c5_map' would have random weights"),
        ("from_model => 'd/fc6', unfreeze => 'fc6', seed => [1, 1]", ArgumentError, "seed must be different numbers"),
        ("from_model => 'd/fc6', unfreeze => 'fc6', epochs => 0", ArgumentError, "epochs must be a whole number of at least 1"),
        ("label => 'y', unfreeze => 'fc6', cnn => 'lenet5'", ArgumentError, "needs layer => … beside label, cnn, images"),
        ("label => 'y', layer => ['conv3', 'fc6'], unfreeze => 'fc6', cnn => 'lenet5'", ArgumentError, "layer must be one layer, not 2"),
        ("label => 'y', layer => 'hog', unfreeze => 'fc6', cnn => 'hog'", ArgumentError, "no weights to tune"),
        ("label => 'nope', layer => 'fc6', unfreeze => 'fc6', cnn => 'lenet5'", UnknownNameError, "label column 'nope'"),
        ("label => 'image_less', layer => 'fc6', unfreeze => 'fc6', cnn => 'model:d'", ArgumentError, "model 'd' has no network of its own"),
        ("label => 'y', layer => 'fc6', unfreeze => 'fc6', cnn => 'model:e'", UnknownNameError, "unknown model 'e'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_tuned(db, arguments, error, said):
    with pytest.raises(error, match=said):
        rows(db, f"SELECT * FROM VISTA_FINETUNE(model => 'wrong', {OWN}, {arguments})")
    assert not models.versions(home(db), "wrong")


def test_models_that_cannot_be_tuned_are_refused(db):
    for model, part, more, said in (
        ("trees", "tree", "baselines => ['tree']", "of trainer 'tree'"),
        ("both", "all", "by_layer => false", "reads 2 layers"),
        ("rough", "fc6", "dtype => 'bfloat16'", "trained in bfloat16"),
    ):
        layers = "['conv2', 'fc6']" if model == "both" else "['fc6']"
        rows(
            db,
            f"SELECT * FROM VISTA_TRAIN(model => '{model}', label => 'y', cnn => 'lenet5', {OWN}, "
            f"layers => {layers}, max_iterations => 5, {more})",
        )
        with pytest.raises(ArgumentError, match=said):
            finetune(db, "unfreeze => 'fc6'", "wrong", f"from_model => '{model}/{part}'")


def test_rows_of_a_class_that_the_regression_does_not_know_are_an_error(db):
    facts = "(SELECT * REPLACE (if(id % 50 = 5, 11, y) AS y) FROM facts)"
    call = (
        "VISTA_FINETUNE(model => 'wrong', from_model => 'd/fc6', images => 'images', "
        f"structured => '{facts}', unfreeze => 'fc6')"
    )
    with pytest.raises(ModelError, match="class '11' of label 'y' is none that 'd/fc6@1'"):
        rows(db, f"SELECT * FROM {call}")
    call = call.replace(facts, "(SELECT id, y FROM facts)")
    with pytest.raises(ModelError, match="trained with column 'ink', which the rows do not have"):
        rows(db, f"SELECT * FROM {call}")


@pytest.mark.parametrize(
    ("start", "structured", "said"),
    [
        ("from_model => 'd/fc6'", "(SELECT * FROM facts LIMIT 1)", "only one row to tune on"),
        (
            "label => 'y', layer => 'fc6', cnn => 'lenet5', split_by => ['half'], test_fraction => 0.5, seed => 1",
            "(SELECT *, id % 2 AS half FROM facts)",
            "only one value of half to tune on",
        ),
    ],
)
def test_one_row_cannot_train_and_stop_the_run(db, start, structured, said):
    call = (
        f"VISTA_FINETUNE(model => 'wrong', {start}, images => 'images', "
        f"structured => '{structured}', unfreeze => 'fc6')"
    )
    with pytest.raises(ModelError, match=said):
        rows(db, f"SELECT * FROM {call}")


def test_a_model_upon_a_tuned_network_moves_with_the_database(db, tuned, tmp_path):
    training = f"label => 'y', cnn => 'model:tuned', layers => ['fc6'], {OWN}"
    rows(db, f"SELECT * FROM VISTA_TRAIN(model => 'upon', {training})")
    predicted = f"SELECT id, probability FROM VISTA_PREDICT(model => 'upon', {OWN}) ORDER BY id"
    cnn = "SELECT cnn FROM VISTA_MODELS() WHERE model = 'upon/fc6@1'"
    expected, was = rows(db, predicted), rows(db, cnn)
    kept = Path(home(db))
    db.con.execute("CHECKPOINT")
    shutil.copy(kept.with_suffix(""), tmp_path / "digits.duckdb")
    shutil.copytree(kept, tmp_path / kept.name)
    away = kept.rename(kept.with_name("away"))
    try:
        with vista_sql.connect(tmp_path / "digits.duckdb") as moved:
            assert rows(moved, predicted) == expected
            assert rows(moved, cnn) == was == [{"cnn": "model:tuned@1"}]
    finally:
        away.rename(kept)


def test_a_network_that_is_gone_is_said_to_be(db, tuned):
    file = Path(home(db), "models", "tuned", "1", "tuned.keras")
    away = file.rename(file.with_name("away"))
    try:
        with pytest.raises(ArgumentError, match="network of model 'tuned@1' is gone"):
            rows(db, "SELECT * FROM VISTA_LAYERS('model:tuned@1')")
    finally:
        away.rename(file)
