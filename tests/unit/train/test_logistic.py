import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vista_sql.errors import PlanError
from vista_sql.train import FeatureSet, Options, Task, load, moments
from vista_sql.train.arrays import rows_of

STRUCTURED = FeatureSet("structured", None, True, ())
LAYER = FeatureSet("layer", "layer", False, (0,))
NOTHING = np.zeros((0, 0))


def fit(x, y, tasks, as_layer=False, **options):
    empty = np.zeros((len(y), 0))
    rows = rows_of(empty, [x], y) if as_layer else rows_of(x, [], y)
    kinds = {"n_classes": len(np.unique(y)), "max_iterations": 2000, "tolerance": 1e-7}
    return load("logistic").fit(rows, tasks, Options(**kinds | options))


def standardized(fitted, x):
    """Weights and intercepts for StandardScaler's output."""
    coef = fitted.arrays["coef"]
    return coef * x.std(axis=0), fitted.arrays["intercept"] + coef @ x.mean(axis=0)


def objective(z, y, coef, intercept, reg, l1_ratio, weights=None):
    margins = z @ coef.T + intercept
    if margins.shape[1] == 1:
        margins = np.concatenate([np.zeros_like(margins), margins], axis=1)
    losses = logsumexp(margins, axis=1) - margins[np.arange(len(y)), y]
    norm = l1_ratio * np.abs(coef).sum() + (1 - l1_ratio) / 2 * (coef**2).sum()
    return np.average(losses, weights=weights) + reg * norm


def reference(z, y, reg, l1_ratio, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(
            l1_ratio=l1_ratio,
            C=1 / (reg * len(y)),
            solver="saga",
            tol=1e-8,
            max_iter=20_000,
            **arguments,
        ).fit(z, y)


@pytest.mark.parametrize("as_layer", [False, True], ids=["structured", "layer"])
@pytest.mark.parametrize(("reg", "l1_ratio"), [(0.01, 0.5), (0.03, 1.0), (0.1, 0.0)])
def test_binary_equals_scikit_learn(reg, l1_ratio, as_layer):
    x, y = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32).astype(np.float64)
    z = StandardScaler().fit_transform(x)
    task = Task(LAYER if as_layer else STRUCTURED, reg, l1_ratio)
    (ours,) = fit(x, y, [task], as_layer)
    theirs = reference(z, y, reg, l1_ratio)
    coef, intercept = standardized(ours, x)
    np.testing.assert_allclose(coef, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(intercept, theirs.intercept_, atol=1e-3)
    best = objective(z, y, theirs.coef_, theirs.intercept_, reg, l1_ratio)
    assert objective(z, y, coef, intercept, reg, l1_ratio) == pytest.approx(best, abs=1e-5)
    assert ours.objective == pytest.approx(best, abs=1e-5)
    assert ours.converged
    disagree = (z @ coef[0] + intercept > 0) != (theirs.predict(z) == 1)
    assert disagree.sum() == 0


SMALL_MULTI = [(load_wine, 0.01, 0.5), (load_wine, 0.02, 1.0), (load_digits, 0.1, 0.0)]
LARGE_MULTI = [(load_digits, 0.01, 0.5), (load_digits, 0.01, 1.0)]


@pytest.mark.parametrize(
    ("source", "reg", "l1_ratio"),
    [*SMALL_MULTI, *(pytest.param(*case, marks=pytest.mark.full) for case in LARGE_MULTI)],
)
def test_multinomial_equals_scikit_learn(source, reg, l1_ratio):
    x, y = source(return_X_y=True)
    z = StandardScaler().fit_transform(x)
    (ours,) = fit(x, y, [Task(STRUCTURED, reg, l1_ratio)])
    theirs = reference(z, y, reg, l1_ratio)
    coef, intercept = standardized(ours, x)
    best = objective(z, y, theirs.coef_, theirs.intercept_, reg, l1_ratio)
    assert objective(z, y, coef, intercept, reg, l1_ratio) == pytest.approx(best, abs=1e-5)
    assert (np.argmax(z @ coef.T + intercept, axis=1) == theirs.predict(z)).mean() > 0.999


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_multinomial_optimum_satisfies_the_optimality_conditions(l1_ratio):
    x, y = load_digits(return_X_y=True)
    z = StandardScaler().fit_transform(x)
    reg = 0.01
    (ours,) = fit(x, y, [Task(STRUCTURED, reg, l1_ratio)])
    coef, intercept = standardized(ours, x)
    margins = z @ coef.T + intercept
    chances = np.exp(margins - logsumexp(margins, axis=1, keepdims=True))
    residual = (chances - np.eye(10)[y]) / len(y)
    gradient = residual.T @ z + reg * (1 - l1_ratio) * coef
    active = coef != 0
    slack = np.where(active, np.abs(gradient + reg * l1_ratio * np.sign(coef)),
                     np.maximum(np.abs(gradient) - reg * l1_ratio, 0.0))  # fmt: skip
    assert slack.max() < 2e-5
    assert np.abs(residual.sum(axis=0)).max() < 2e-5


def test_class_weights_equal_scikit_learn():
    x, y = load_breast_cancer(return_X_y=True)
    keep = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:40]])
    x, y = x[keep], y[keep]
    z = StandardScaler().fit_transform(x)
    (ours,) = fit(x, y, [Task(STRUCTURED, 0.01, 0.5)], balanced=True)
    theirs = reference(z, y, 0.01, 0.5, class_weight="balanced")
    coef, intercept = standardized(ours, x)
    np.testing.assert_allclose(coef, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(intercept, theirs.intercept_, atol=1e-3)


def test_without_standardization_the_penalty_is_on_raw_weights():
    x, y = load_wine(return_X_y=True)
    x, y = x[:, :6], (y == 1).astype(int)
    (ours,) = fit(x, y, [Task(STRUCTURED, 0.05, 0.0)], standardize=False)
    theirs = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-9, max_iter=50_000).fit(x, y)
    np.testing.assert_allclose(ours.arrays["coef"], theirs.coef_, atol=1e-3)


def test_a_kept_model_scores_as_the_training_does():
    x, y = load_breast_cancer(return_X_y=True)
    rows, trainer = rows_of(x, [], y), load("logistic")
    (fitted,) = trainer.fit(rows, [Task(STRUCTURED, 0.01, 0.5)], Options(2))
    ((chunk, (margins,)),) = trainer.score(rows, [fitted])
    raw = chunk.structured * rows.moments.scale + rows.moments.mean
    np.testing.assert_allclose(margins, trainer.margins(fitted.arrays, raw), atol=1e-9)


def test_models_of_one_pass_equal_models_alone():
    x, y = load_breast_cancer(return_X_y=True)
    rows = rows_of(x[:, :5], [x[:, 5:15], x[:, 15:]], y)
    sets = [
        STRUCTURED,
        FeatureSet("structured+a", "a", True, (0,)),
        FeatureSet("structured+b", "b", True, (1,)),
        FeatureSet("all", None, True, (0, 1)),
        FeatureSet("b", "b", False, (1,)),
    ]
    options = Options(2, folds=3)
    tasks = [Task(s, reg, 0.5, f) for s in sets for reg in (0.1, 0.01) for f in (None, 0, 2)]
    trainer = load("logistic")
    together = trainer.fit(rows, tasks, options)
    for task, one in zip(tasks, together, strict=True):
        (alone,) = trainer.fit(rows, [task], options)
        assert one.task == task
        assert one.objective == pytest.approx(alone.objective, rel=1e-5)
        assert one.arrays["coef"].shape == alone.arrays["coef"].shape


def test_a_fold_model_is_the_model_of_the_other_rows():
    from vista_sql.train.hashing import fold_of

    x, y = load_breast_cancer(return_X_y=True)
    rows = rows_of(x, [], y)
    (chunk,) = rows.chunks()
    fold = fold_of(chunk.unit, 4)
    raw = chunk.structured * rows.moments.scale + rows.moments.mean
    (left_out,) = load("logistic").fit(rows, [Task(STRUCTURED, 0.01, 0.5, 1)], Options(2, folds=4))
    (others,) = fit(raw[fold != 1], chunk.code[fold != 1], [Task(STRUCTURED, 0.01, 0.5)])
    assert left_out.objective == pytest.approx(others.objective, abs=1e-5)
    np.testing.assert_allclose(
        standardized(left_out, raw)[0], standardized(others, raw)[0], atol=2e-3
    )


def test_constant_columns_get_no_weight():
    x, y = load_breast_cancer(return_X_y=True)
    x = np.concatenate([np.full((len(y), 1), 7.7), x[:, :4], np.zeros((len(y), 1))], axis=1)
    for as_layer in (False, True):
        task = Task(LAYER if as_layer else STRUCTURED, 0.001, 0.5)
        (ours,) = fit(x, y, [task], as_layer)
        coef = ours.arrays["coef"][0]
        assert coef[0] == coef[5] == 0.0
        assert np.abs(coef[1:5]).max() > 0


def test_columns_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(3)
    base = rng.standard_normal((500, 2))
    y = (base[:, 0] + 0.3 * rng.standard_normal(500) > 0).astype(int)
    (near,) = fit(base, y, [Task(STRUCTURED, 0.01, 0.5)])
    (far,) = fit(base + 1e9, y, [Task(STRUCTURED, 0.01, 0.5)])  # like seconds since 1970
    np.testing.assert_allclose(far.arrays["coef"], near.arrays["coef"], rtol=1e-4)


def test_iterations_are_bounded_and_convergence_is_told():
    x, y = load_breast_cancer(return_X_y=True)
    (early,) = fit(x, y, [Task(STRUCTURED, 0.001, 0.5)], max_iterations=3)
    (late,) = fit(x, y, [Task(STRUCTURED, 0.001, 0.5)])
    assert (early.iterations, early.converged) == (3, False)
    assert late.converged
    assert late.objective < early.objective


def test_a_strong_l1_penalty_leaves_the_intercept():
    x, y = load_breast_cancer(return_X_y=True)
    (ours,) = fit(x, y, [Task(STRUCTURED, 10.0, 1.0)])
    assert not ours.arrays["coef"].any()
    assert ours.arrays["intercept"][0] == pytest.approx(np.log(y.mean() / (1 - y.mean())), abs=1e-4)
    assert ours.iterations == 0


def test_optimizer_state_beyond_memory_is_refused():
    x, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(PlanError, match="pool the features, or raise memory_limit"):
        fit(x, y, [Task(STRUCTURED)], memory_bytes=1000)


@pytest.mark.parametrize(
    ("n_classes", "folds", "balanced"), [(2, 0, False), (2, 2, True), (3, 0, True), (4, 0, False)]
)
def test_the_first_point_takes_no_pass_and_models_are_the_same(
    n_classes, folds, balanced, monkeypatch
):
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(400) % n_classes)
    layer = rng.standard_normal((400, 7)) + y[:, None] * [1, 0, 0, 5, 0, 0, -1]
    both = FeatureSet("both", "layer", True, (0,))
    tasks = [
        Task(features, 0.01, 0.5, fold)
        for features in (both, LAYER)
        for fold in (None, *range(folds))
    ]
    rows = rows_of(1e3 + rng.standard_normal((400, 2)), [layer], y)
    options = Options(n_classes, folds=folds, balanced=balanced, max_iterations=5, tolerance=1e-12)
    passes, fits = [], []
    total = type(rows).total
    monkeypatch.setattr(
        type(rows), "total", lambda self, summing: passes.append(summing) or total(self, summing)
    )
    for few in (moments.FEW_SUMS, 0):
        monkeypatch.setattr(moments, "FEW_SUMS", few)
        passes.append("fit")
        fits.append(load("logistic").fit(rows, tasks, options))
    again = passes.index("fit", 1)
    assert again == len(passes) - again - 1
    for one, other in zip(*fits, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-12)
        for name, values in one.arrays.items():  # the sums are added in another order
            np.testing.assert_allclose(values, other.arrays[name], rtol=1e-9, atol=1e-12)
