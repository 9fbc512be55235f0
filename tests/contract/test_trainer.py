"""What every trainer promises, found by file name."""

import json

import duckdb
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

import vista_sql
from vista_sql import train
from vista_sql.errors import ModelError
from vista_sql.train import FeatureSet, Options, Task
from vista_sql.train.arrays import rows_of

HERE = [name for name in train.names() if not train.load(name).host]
"""The others are tested on their hosts."""

STRUCTURED = FeatureSet("structured", None, True, ())
WITH_LAYERS = [
    FeatureSet("structured+a", "a", True, (0,)),
    FeatureSet("a", "a", False, (0,)),
    FeatureSet("all", None, True, (0, 1)),
]


def feature_sets(trainer):
    return [STRUCTURED, *WITH_LAYERS] if trainer.reads_layers else [STRUCTURED]


def data(classes, n=900):
    rng = np.random.default_rng(0)
    code = rng.integers(0, classes, n)
    center = rng.standard_normal((classes, 4))
    s = (center[code] + rng.standard_normal((n, 4))) * [1, 10, 1e-3, 1] + [0, 0, 0, 2000]
    layers = [rng.standard_normal((n, 5)) + code[:, None] / 2, rng.random((n, 3))]
    return s, layers, code


def options(trainer, classes, **others):
    if trainer.learns == "numbers":
        others["label_values"] = tuple(map(float, range(classes)))
    return Options(classes, **others)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", HERE)
class TestTrainer:
    def test_it_is_found_and_says_what_it_is(self, name, classes):
        trainer = train.load(name)
        assert trainer.name == name
        assert trainer.meaning

    def test_fits_come_in_the_order_of_tasks(self, name, classes):
        trainer, rows = train.load(name), rows_of(*data(classes))
        tasks = [
            Task(features, 0.01, 0.5, fold)
            for features in feature_sets(trainer)
            for fold in (1, None, 0)
        ]
        fits = trainer.fit(rows, tasks, options(trainer, classes, folds=2))
        assert [fit.task for fit in fits] == tasks
        for fit in fits:
            assert fit.converged
            assert fit.objective < (np.log(classes) if trainer.learns == "classes" else 0.5)
            assert all(np.isfinite(values).all() for values in fit.arrays.values())

    def test_margins_of_raw_rows_are_those_of_the_training(self, name, classes):
        """A kept model scores what it was trained on as it did then."""
        trainer, rows = train.load(name), rows_of(*data(classes))
        tasks = [Task(features, 0.01) for features in feature_sets(trainer)]
        fits = trainer.fit(rows, tasks, options(trainer, classes))
        columns = 1 if classes == 2 or trainer.learns == "numbers" else classes
        for chunk, of_fits in trainer.score(rows, fits):
            raw = (chunk.structured * rows.moments.scale + rows.moments.mean, *chunk.layers)
            for fit, margins in zip(fits, of_fits, strict=True):
                x = np.concatenate([raw[block] for block in fit.task.features.blocks], axis=1)
                again = trainer.margins(fit.arrays, x.astype(float))
                assert margins.shape == again.shape == (len(chunk), columns)
                alike = np.isclose(margins, again, rtol=0, atol=1e-6).all(axis=1)
                assert alike.mean() > 0.99  # a row may stand on a tree's threshold to the last bit

    def test_rows_may_come_in_any_order_and_from_disk(self, name, classes):
        s, layers, code = data(classes)
        order = np.random.default_rng(1).permutation(len(code))
        trainer = train.load(name)
        tasks = [Task(features, 0.01, 0.5) for features in feature_sets(trainer)]
        plain = trainer.fit(rows_of(s, layers, code), tasks, options(trainer, classes))
        spooled_rows = rows_of(s, layers, code, order=order, cuts=[1, 500], spool=True)
        spooled = trainer.fit(spooled_rows, tasks, options(trainer, classes))
        for one, other in zip(plain, spooled, strict=True):
            for key in one.arrays:
                np.testing.assert_array_equal(one.arrays[key], other.arrays[key])
        spooled_rows.close()

    def test_balanced_classes_count_alike(self, name, classes):
        if train.load(name).learns == "numbers":
            return  # VISTA_TRAIN refuses class_weight there
        s, layers, code = data(classes)
        keep = np.concatenate([np.flatnonzero(code > 0), np.flatnonzero(code == 0)[:15]])
        s, layers, code = s[keep], [x[keep] for x in layers], code[keep]
        trainer, rows = train.load(name), rows_of(s, layers, code)

        def taken_for_0(balanced):
            fits = trainer.fit(
                rows, [Task(STRUCTURED, 0.01)], options(trainer, classes, balanced=balanced)
            )
            taken = 0
            for _, (margins,) in trainer.score(rows, fits):
                zero = margins[:, 0] <= 0 if classes == 2 else margins.argmax(axis=1) == 0
                taken += int(zero.sum())
            return taken

        assert taken_for_0(True) > taken_for_0(False)


@pytest.fixture(params=[2, 3], ids=["2 classes", "3 classes"])
def db(request, tmp_path):
    """A database with table t: id, four structured columns, a layer, and the label y."""
    s, layers, code = data(request.param)
    columns = {f"s{i}": s[:, i] for i in range(4)}
    layer = pa.FixedSizeListArray.from_arrays(pa.array(layers[0].ravel(), pa.float32()), 5)
    table = pa.table({"id": np.arange(len(code)), **columns, "a": layer, "y": code})
    with vista_sql.connect(str(tmp_path / "toy.duckdb")) as session:
        session.con.register("arrow_t", table)
        session.con.execute("CREATE TABLE t AS SELECT * FROM arrow_t")
        yield session


TRAIN = """SELECT * FROM VISTA_TRAIN(model => 'm', label => 'y', data => 't',
    baselines => ['{}'], folds => {}, trainer => {}, max_iterations => 20)"""


def trained_as(name):
    """Return the trainer of the layers: the trainer itself where it can be that."""
    return f"'{train.DEFAULT_TRAINER if train.load(name).is_baseline else name}'"


@pytest.mark.parametrize("name", HERE)
class TestInSql:
    """The file of a trainer is all that it takes."""

    def part(self, name):
        """Return the feature set that the trainer fits here, and what `baselines` names."""
        return name if train.load(name).is_baseline else train.STRUCTURED

    @pytest.mark.parametrize("folds", ["NULL", "3"])
    def test_it_is_trained_beside_the_layers_and_predicts(self, db, name, folds):
        part = self.part(name)
        trained = db.query(TRAIN.format(part, folds, trained_as(name))).arrow().to_pylist()
        assert [row["feature_set"] for row in trained] == [part, "structured+a"]
        row = trained[0]
        numbers = train.load(name).learns == "numbers"
        assert row["r2" if numbers else "f1_score"] > 0.2
        assert (row["f1_score"] is None) == numbers
        assert (row["r2"] is None) == (not numbers)
        assert row["dims"] == 4
        assert (row["reg"] is not None) == train.load(name).has_penalty
        scored = (
            f"SELECT avg((abs(predicted_label - y) < 0.8)::INT) AS share FROM {{}}('m/{part}', 't')"
        )
        (share,) = db.query(scored.format("VISTA_PREDICT")).arrow()["share"].to_pylist()
        assert share > 0.5

    def test_its_models_are_plain_sql_or_are_refused(self, db, name):
        part = self.part(name)
        db.query(TRAIN.format(part, "NULL", trained_as(name))).arrow()
        statement = f"SELECT * FROM VISTA_MODEL_SQL('m/{part}')"
        if train.load(name).as_sql is None:
            with pytest.raises(ModelError, match=f"trainer '{name}', which has no form in SQL"):
                db.query(statement).arrow()
            return
        (made,) = db.query(statement).arrow().to_pylist()
        shown = "probabilities" if train.load(name).learns == "classes" else "predicted_label"
        ours = db.query(f"SELECT id, {shown} AS shown FROM VISTA_PREDICT('m/{part}', 't')").arrow()
        stored = db.query("SELECT * FROM t").arrow()
        with duckdb.connect() as plain:
            plain.register("t", stored)
            plain.execute(made["sql"])
            call = f"{made['macro']}({', '.join(made['arguments'])})"
            theirs = dict(plain.execute(f"SELECT id, {call}.{shown} FROM t").fetchall())
        for row in ours.to_pylist():
            value = dict(row["shown"]) if shown == "probabilities" else row["shown"]
            assert theirs[row["id"]] == pytest.approx(value, abs=1e-6)

    def test_its_models_are_onnx_or_are_refused(self, db, name, tmp_path):
        part, file = self.part(name), tmp_path / "model.onnx"
        db.query(TRAIN.format(part, "NULL", trained_as(name))).arrow()
        if train.load(name).as_onnx is None:
            with pytest.raises(ModelError, match=f"trainer '{name}', which has no form in ONNX"):
                db.export_model(f"m/{part}", file)
            return
        said = db.export_model(f"m/{part}", file)
        rows = db.query(f"FROM VISTA_PREDICT('m/{part}', 't')").arrow().to_pydict()
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        found = session.run(None, {f"s{i}": np.array(rows[f"s{i}"]) for i in range(4)})
        if train.load(name).learns == "numbers":
            np.testing.assert_allclose(found[0], rows["predicted_label"], rtol=0, atol=1e-9)
            return
        classes = json.loads(said["classes"])
        chances = [[dict(row)[one] for one in classes] for row in rows["probabilities"]]
        np.testing.assert_allclose(found[2], chances, rtol=0, atol=1e-6)  # they are float32
