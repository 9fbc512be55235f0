"""What every trainer promises, found by file name."""

import numpy as np
import pytest

from vista_sql import train
from vista_sql.train import FeatureSet, Options, Task
from vista_sql.train.arrays import rows_of

SETS = {
    "tree": [FeatureSet("tree", None, True, ())],
    "logistic": [
        FeatureSet("structured", None, True, ()),
        FeatureSet("structured+a", "a", True, (0,)),
        FeatureSet("a", "a", False, (0,)),
        FeatureSet("all", None, True, (0, 1)),
    ],
}
SETS |= {name: SETS["logistic"] for name in train.names() if name not in SETS}


def rows(classes, n=900):
    rng = np.random.default_rng(0)
    code = rng.integers(0, classes, n)
    center = rng.standard_normal((classes, 4))
    s = (center[code] + rng.standard_normal((n, 4))) * [1, 10, 1e-3, 1] + [0, 0, 0, 2000]
    layers = [rng.standard_normal((n, 5)) + code[:, None] / 2, rng.random((n, 3))]
    return s, layers, code


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", train.names())
class TestTrainer:
    def test_it_is_found_and_says_what_it_is(self, name, classes):
        trainer = train.load(name)
        assert trainer.name == name
        assert trainer.meaning

    def test_fits_come_in_the_order_of_tasks(self, name, classes):
        store = rows_of(*rows(classes))
        tasks = [Task(one, 0.01, 0.5, fold) for one in SETS[name] for fold in (1, None, 0)]
        fits = train.load(name).fit(store, tasks, Options(classes, folds=2))
        assert [fit.task for fit in fits] == tasks
        for fit in fits:
            assert fit.converged
            assert fit.objective < np.log(classes)
            assert all(np.isfinite(values).all() for values in fit.arrays.values())

    def test_margins_of_raw_rows_are_those_of_the_store(self, name, classes):
        """A kept model scores what it was trained on as it did then."""
        s, layers, code = rows(classes)
        store = rows_of(s, layers, code)
        trainer = train.load(name)
        fits = trainer.fit(store, [Task(one, 0.01) for one in SETS[name]], Options(classes))
        columns = 1 if classes == 2 else classes
        for chunk, margins in trainer.score(store, fits):
            raw = chunk.structured * store.moments.scale + store.moments.mean
            for fit, found in zip(fits, margins, strict=True):
                one = fit.task.features
                parts = [raw] * one.structured + [chunk.layers[i] for i in one.layers]
                own = trainer.margins(fit.arrays, np.concatenate(parts, axis=1).astype(float))
                assert found.shape == own.shape == (len(chunk), columns)
                if name == "tree":  # a row may stand on a threshold to the last bit
                    assert (np.abs(own - found).max(axis=1) < 1e-9).mean() > 0.99
                else:
                    np.testing.assert_allclose(found, own, atol=1e-6)

    def test_rows_may_come_in_any_order_and_from_disk(self, name, classes):
        s, layers, code = rows(classes)
        order = np.random.default_rng(1).permutation(len(code))
        trainer, tasks = train.load(name), [Task(one, 0.01, 0.5) for one in SETS[name]]
        one = trainer.fit(rows_of(s, layers, code), tasks, Options(classes))
        other_store = rows_of(s, layers, code, order=order, cuts=[1, 500], spool=True)
        other = trainer.fit(other_store, tasks, Options(classes))
        for a, b in zip(one, other, strict=True):
            for key in a.arrays:
                np.testing.assert_array_equal(a.arrays[key], b.arrays[key])
        other_store.close()

    def test_balanced_classes_count_alike(self, name, classes):
        s, layers, code = rows(classes)
        keep = np.concatenate([np.flatnonzero(code > 0), np.flatnonzero(code == 0)[:15]])
        s, layers, code = s[keep], [x[keep] for x in layers], code[keep]
        trainer, store = train.load(name), rows_of(s, layers, code)

        def taken_for_0(balanced):
            options = Options(classes, balanced=balanced)
            fits = trainer.fit(store, [Task(SETS[name][0], 0.01)], options)
            taken = 0
            for _, (margins,) in trainer.score(store, fits):
                zero = margins[:, 0] <= 0 if classes == 2 else margins.argmax(axis=1) == 0
                taken += int(zero.sum())
            return taken

        assert taken_for_0(True) > taken_for_0(False)
