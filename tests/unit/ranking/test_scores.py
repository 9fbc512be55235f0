"""Each score against its reference's formula, written down as it stands, on the same arrays."""

import numpy as np
import pytest
from scipy.stats import entropy, zscore
from sklearn.covariance import LedoitWolf
from sklearn.metrics import pairwise_distances

from vista_sql.ranking.features import Features
from vista_sql.ranking.scores.h_score import h_score
from vista_sql.ranking.scores.knn import knn_accuracy
from vista_sql.ranking.scores.leep import leep
from vista_sql.ranking.scores.logme import logme
from vista_sql.ranking.scores.nce import nce
from vista_sql.ranking.scores.p2l import divergence, p2l
from vista_sql.train.arrays import rows_of

SHAPES = [(300, 40), (60, 200), (80, 80)]  # rows, features
CLOSE = {"rel": 1e-6, "abs": 1e-6}  # the bound that is promised


def arrays(n, d, classes=4, seed=0):
    """Features as above a ReLU, that say something of the classes; some are always 0."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    means = rng.standard_normal((classes, d))
    x = np.maximum(means[y] + 2 * rng.standard_normal((n, d)) + 0.5, 0)
    x[:, d // 2 :: 17] *= float(d == 1)
    return x.astype(np.float32).astype(np.float64), y


def features_of(x, y, *, memory_bytes=1 << 28, spool=False):
    rows = rows_of(np.zeros((len(y), 0)), [x.astype(np.float32)], y, spool=spool)
    return Features(rows, 0, int(y.max()) + 1, memory_bytes)


def softmax_of(n, z, y, seed=0):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, z)) + 3 * (y[:, None] % z == np.arange(z))
    theta = np.exp(logits)
    return (theta / theta.sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


def reference_knn(x, y):  # parc: kNN(k=1, metric='cosine')
    distance = pairwise_distances(x, metric="cosine")
    np.fill_diagonal(distance, np.inf)
    return (y[distance.argmin(axis=1)] == y).mean()


def reference_h_score(x, y):  # TLlib: regularized_h_score
    f = x - x.mean(axis=0)
    shrunk = LedoitWolf(assume_centered=False).fit(f)
    g = np.zeros_like(f)
    for c in range(y.max() + 1):
        g[y == c] = f[y == c].mean(axis=0)
    cov_g = np.atleast_2d(np.cov(g, rowvar=False))
    inverse = np.linalg.pinv(shrunk.covariance_, rcond=1e-15)
    return np.trace(inverse @ ((1 - shrunk.shrinkage_) * cov_g))


def reference_logme(x, y):  # TLlib: log_maximum_evidence
    n, d = x.shape
    v, s, vh = np.linalg.svd(x.T @ x, full_matrices=True)
    found = []
    for c in range(y.max() + 1):
        t = (y == c).astype(float)
        alpha = beta = ratio = 1.0
        projected = vh @ (x.T @ t)
        for _ in range(11):
            gamma = (s / (s + ratio)).sum()
            m = v @ (projected * beta / (alpha + beta * s))
            alpha = gamma / (m @ m)
            residual = ((t - x @ m) ** 2).sum()
            beta = (n - gamma) / residual
            change = abs(alpha / beta - ratio) / ratio
            if change < 0.01:
                break
            ratio = alpha / beta
        evidence = (
            d / 2 * np.log(alpha) + n / 2 * np.log(beta) - np.log(alpha + beta * s).sum() / 2
            - beta / 2 * residual - alpha / 2 * (m @ m) - n / 2 * np.log(2 * np.pi)
        )  # fmt: skip
        found.append(evidence / n)
    return np.mean(found)


def reference_leep(theta, y):  # TLlib: log_expected_empirical_prediction
    joint = np.array([theta[y == c].sum(axis=0) for c in range(y.max() + 1)]) / len(y)
    given = joint / joint.sum(axis=0)
    return np.mean([np.log(given[c] @ t) for c, t in zip(y, theta, strict=True)])


def reference_nce(theta, y):  # TLlib: negative_conditional_entropy
    joint = np.zeros((y.max() + 1, theta.shape[1]))
    for z, c in zip(theta.argmax(axis=1), y, strict=True):
        joint[c, z] += 1 / len(y)
    p_z = joint.sum(axis=0)
    there = p_z > 0
    given = (joint[:, there] / p_z[there]).T + 1e-20
    return -((-given * np.log(given)).sum(axis=1) * p_z[there]).sum()


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize(
    ("score", "reference"),
    [(knn_accuracy, reference_knn), (h_score, reference_h_score), (logme, reference_logme)],
)
def test_scores_of_features_are_the_references(score, reference, n, d):
    x, y = arrays(n, d)
    assert score(features_of(x, y)) == pytest.approx(reference(x, y), **CLOSE)


def test_one_feature_has_a_covariance_too():
    x, y = arrays(500, 1)
    assert h_score(features_of(x, y)) == pytest.approx(reference_h_score(x, y), **CLOSE)


@pytest.mark.parametrize(("score", "reference"), [(leep, reference_leep), (nce, reference_nce)])
@pytest.mark.parametrize("sources", [2, 7, 300])
def test_scores_of_a_classifier_are_the_references(score, reference, sources):
    _, y = arrays(200, 3)
    theta = softmax_of(200, sources, y)
    assert score(features_of(theta, y)) == pytest.approx(reference(theta, y), **CLOSE)


@pytest.mark.parametrize("score", [knn_accuracy, h_score, logme])
@pytest.mark.parametrize(("n", "d"), [(1000, 24), (90, 200)])
def test_blocks_and_disk_change_nothing(score, n, d):
    x, y = arrays(n, d, seed=3)
    expected = score(features_of(x, y))
    assert score(features_of(x, y, memory_bytes=8 * d * 37)) == pytest.approx(expected, rel=1e-9)
    spooled = features_of(x, y, spool=True)
    assert score(spooled) == pytest.approx(expected, rel=1e-9)
    spooled.rows.close()


def test_p2l_is_the_references():
    rng = np.random.default_rng(5)
    target, sources = rng.random(50), rng.random((6, 50))
    sizes = [100, 1000, 50, 120_000, 7, 500]
    found = [divergence(source, target) for source in sources]
    assert found == pytest.approx([entropy(source, target) for source in sources], **CLOSE)
    expected = -1.5 * zscore(found) + 1.0 * zscore(np.log(sizes))
    assert p2l(found, sizes) == pytest.approx(expected.tolist(), **CLOSE)


def test_p2l_of_means_that_no_distribution_has():
    assert p2l([0.3], [100]) == [0.0]  # nothing to compare with
    dead = divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert 20 < dead < 100  # far, and finite
    negative = divergence(np.array([-1.0, 2.0]), np.array([1.0, 2.0]))
    assert negative == pytest.approx(entropy(np.exp([-1.0, 2.0]), np.exp([1.0, 2.0])), **CLOSE)


def test_features_that_say_nothing():
    y = np.arange(40) % 2
    zeros = features_of(np.zeros((40, 5)), y)
    assert h_score(zeros) == 0
    assert logme(zeros) is None
    assert knn_accuracy(features_of(np.ones((1, 3)), np.zeros(1, int))) is None


def test_features_that_fit_a_class_exactly_have_no_evidence():
    y = np.arange(60) % 2
    assert logme(features_of(np.eye(6)[np.arange(60) % 6], y)) is None


def test_better_features_score_higher():
    """Features that tell classes apart, against the same with classes at random."""
    x, y = arrays(400, 30)
    theta = softmax_of(400, 6, y)
    wrong = np.random.default_rng(1).permutation(y)
    for score in (knn_accuracy, h_score, logme):
        assert score(features_of(x, y)) > score(features_of(x, wrong))
    for score in (leep, nce):
        assert score(features_of(theta, y)) > score(features_of(theta, wrong))
