"""A training from its rows to its models: the split, warnings, and what ends it."""

import numpy as np
import pyarrow as pa
import pytest

from vista_sql import models
from vista_sql.errors import ModelError
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training import TrainingRun


@pytest.fixture
def t(sql):
    sql.con.execute(
        """CREATE TABLE t AS SELECT i AS id, (i * 7919 % 100) / 100 AS a,
        [(i * 31 % 97) / 97, i]::FLOAT[2] AS v, if(i < 5, 'rare', if(i % 2, 'odd', 'even')) AS y
        FROM range(400) r(i)"""
    )
    return sql


@pytest.mark.parametrize("limit", [{}, {"memory_limit": "200kB"}], ids=["memory", "spooled"])
def test_a_class_of_five_is_tested_by_one(t, limit):
    for seed in range(5):
        found = t.train("t", model=f"m{seed}", seed=seed, max_iterations=3, **limit)
        assert found[0]["n_train"] + found[0]["n_test"] == 400
        recall = found[0]["recall"]
        assert recall is not None  # macro over three classes: all occur among the test rows
    folded = t.train("t", model="f", folds=5, max_iterations=3)
    assert {row["n_test"] for row in folded} == {400}


def test_images_on_both_sides_are_told(t):
    clean = t.train("t", model="a", max_iterations=50)
    assert [row["warning"] for row in clean if row["converged"]] in ([], [None], [None, None])
    data = "SELECT * REPLACE ([id // 2, 0]::FLOAT[2] AS v), id // 2 AS picture FROM t"
    shared = t.train(data, model="b", exclude=["picture"], max_iterations=500)
    (layer,) = (row for row in shared if row["layer"])
    table = t.rows(f"SELECT id, v FROM ({data}) ORDER BY id")
    assert "images (rows of equal layers) stand on both sides of the split" in layer["warning"]
    pairs, shown = layer["warning"].split(" images")[0], layer["warning"].split(", ")[1].split()[0]
    assert 30 < int(pairs) < 100  # of 200 pairs 2 · 0.2 · 0.8 = 64 are expected to be split
    assert int(shown) == int(pairs)  # a split pair has one row on the test side
    assert len(table) == 400
    structured = next(row for row in shared if row["layer"] is None)
    assert structured["warning"] is None
    together = t.train(data, model="c", split_by="picture", max_iterations=500)
    assert not any("images" in row["warning"] for row in together)
    assert {"no test row is of class 'rare'" in row["warning"] for row in together} == {True}
    folded = t.train(data, model="d", exclude=["picture"], folds=3, max_iterations=500)
    assert any("stand on several folds" in (row["warning"] or "") for row in folded)


def test_models_that_did_not_converge_are_told(t):
    rows = t.train("t", max_iterations=2)
    assert not rows[0]["converged"]
    assert rows[0]["warning"] == (
        "not converged after 2 iterations: raise max_iterations, reg or tolerance"
    )
    again = t.train("t", max_iterations=2)
    assert again == rows  # the kept version says it too


def batch(n, **columns):
    table = {"id": range(n), "a": [i % 7 / 7 for i in range(n)], "y": [i % 2 for i in range(n)]}
    return pa.table(table | columns).to_struct_array()


def test_rows_that_are_all_skipped_name_the_column_that_skips_most():
    run = TrainingRun(TrainSpec("m", "y"))
    run.feed(batch(4, **{"it's": pa.nulls(4, pa.float64()), "a": [None, 1.0, 2.0, 3.0]}))
    with pytest.raises(ModelError) as caught:
        run.finish(4)
    assert (
        'skipped all 4 rows: in 3 of them column "it\'s" is NULL, not finite or too large; '
        in str(caught.value)
    )
    assert "exclude => ['it''s'] leaves it out" in str(caught.value)


def test_labels_that_are_all_missing_cannot_be_excluded():
    run = TrainingRun(TrainSpec("m", "y"))
    run.feed(batch(3, y=pa.nulls(3, pa.int64())))
    with pytest.raises(ModelError, match=r"in 3 of them label 'y' is NULL$"):
        run.finish(3)


def test_no_rows_are_told():
    with pytest.raises(ModelError, match="has no rows"):
        TrainingRun(TrainSpec("m", "y")).finish(0)


def test_what_the_registry_keeps_is_plain_json(tmp_path):
    run = TrainingRun(TrainSpec("m", "y", home=str(tmp_path), baselines=("tree",)))
    run.feed(batch(200, gap=[None if i == 3 else 1.0 for i in range(200)]))
    (_, row) = run.finish(200)
    document = models.document(str(tmp_path), "m", 1)
    assert document["skipped"] == {"column 'gap' is NULL, not finite or too large": 1}
    assert [kept["trainer"] for kept in document["rows"]] == ["logistic", "tree"]
    assert row["model"] == "m/tree@1"
    run.close()
    run.close()


def test_folds_of_small_classes_stay_on_the_side_that_trains():
    run = TrainingRun(TrainSpec("m", "y", folds=3, max_iterations=3))
    run.feed(batch(30))
    (row,) = run.finish(30)
    assert (row["n_train"], row["n_test"]) == (30, 30)


def budgeted(clock, **spec):
    return TrainingRun(TrainSpec("m", "y", budget_seconds=1.0, **spec), clock)


def test_a_budget_that_loading_took_ends_with_the_first_rows_that_can_be_trained_on():
    times = iter([0.0, *[12.0] * 1000])  # the run begins; CNNs are loaded; the first rows come
    run = budgeted(lambda: next(times))
    run.feed(batch(3))
    assert not run.closed  # a class of one row cannot be tested
    run.feed(batch(40, id=range(100, 140)))
    assert run.closed
    run.feed(batch(9, id=range(200, 209)))
    (row,) = run.finish(52)
    assert row["n_train"] + row["n_test"] == 43
    assert "budget_seconds => 1 became 12.0: after 12.0 s" in row["warning"]


def test_a_budget_ends_the_last_training_but_not_its_first_passes():
    seconds = 0.0

    def clock():
        nonlocal seconds
        seconds += 2.0  # each look: also between passes
        return seconds

    run = budgeted(clock, tolerance=1e-300, reg=(0.0,), standardize=False)
    rng = np.random.default_rng(0)
    wide = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(60 * 50, np.float32)), 50)
    run.feed(batch(60, v=wide))
    rows = run.finish(60)
    cut = [row for row in rows if not row["converged"]]
    assert cut
    assert all(5 <= row["iterations"] <= 10 for row in cut)
    assert all("iterations: raise budget_seconds" in row["warning"] for row in cut)


def test_without_a_budget_nothing_ends_a_training():
    run = TrainingRun(TrainSpec("m", "y"))
    run.feed(batch(60))
    (row,) = run.finish(60)
    assert row["converged"]
    assert row["warning"] is None
