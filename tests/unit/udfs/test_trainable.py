"""A part of a network and a head, trained: values, gradients, what stays, what is random."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from vista_sql.udfs.network import keras_reader
from vista_sql.udfs.network.engines.tensorflow import augmenting
from vista_sql.udfs.network.engines.tensorflow.process import load, on_thread
from vista_sql.udfs.network.engines.tensorflow.trainable import Batch, Head, Trainable
from vista_sql.udfs.tuning.heads import arrays_of, empty_head, head_of

from vista_sql.train.chunks import ColumnMoments
from vista_sql.train.metrics import probabilities
from vista_sql.train.trainers import logistic

ROWS = 12


@pytest.fixture(scope="module")
def graph():
    keras_reader.keras()
    return on_thread(lambda: keras_reader.read(toys.network("residual")))


def opened(graph, start, layer, unfrozen, pool="max2x2"):
    preprocessing = toys.cnn("residual").preprocessing
    return on_thread(Trainable, graph, preprocessing, start, layer, pool, unfrozen, "/CPU:0")


def head(n_features, columns=3, n_structured=2, seed=0):
    random = np.random.default_rng(seed)
    shapes = (n_features, columns), (n_structured, columns), (columns,)
    return Head(*(random.normal(0, 0.3, shape).astype(np.float32) for shape in shapes), 2.0)


def batch(values, columns=3, seed=1):
    random = np.random.default_rng(seed)
    n = len(values)
    code = random.integers(0, max(columns, 2), n)
    structured = random.normal(size=(n, 2)).astype(np.float32)
    return Batch(values, structured, code, random.uniform(0.5, 2, n).astype(np.float32))


def begin(trainable, at, rate=0.1, inner=0.05, augment=(), seed=3):
    on_thread(trainable.begin, at, rate, inner, augment, seed)


@pytest.mark.parametrize(
    ("start", "layer", "pool"),
    [("block", "block2", "gem"), ("block", "mean", "max2x2"), ("", "block", "avg2x2")],
)
def test_features_are_those_of_inference(graph, start, layer, pool):
    network, pixels = toys.lowered("residual"), toys.pixels(ROWS)
    first = start or graph.input
    trainable = opened(graph, first, layer, {"c_conv"}, pool)
    given = pixels.reshape(ROWS, -1).astype(np.float32)
    if start:
        (given,) = network.features([start], "none", pixels)
    (wanted,) = network.features([layer], pool, pixels)
    found = on_thread(trainable.features, given)
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_step_goes_down_the_gradient_and_leaves_the_rest_to_the_bit(graph):
    (maps,) = toys.lowered("residual").features(["block"], "none", toys.pixels(ROWS))
    trainable = opened(graph, "block", "mean", {"c_conv", "c_bn"})
    assert [one.path for one in trainable.variables] == [
        "c_conv/kernel", "c_conv/bias", "c_bn/gamma", "c_bn/beta",
    ]  # fmt: skip
    layers = {step.origin.layer for step in graph.steps.values() if step.origin is not None}
    everything = {one.path: one for layer in layers for one in getattr(layer, "weights", ())}
    before = {path: one.numpy().copy() for path, one in everything.items()}
    rows, rate = batch(maps), 1e-2
    begin(trainable, replace(head(24), scale=100.0), rate=0.0, inner=rate)

    def loss():
        margins = on_thread(trainable.margins, rows.values, rows.structured).astype(np.float64)
        chances = probabilities(margins)[np.arange(ROWS), rows.code]
        return -(rows.weight * np.log(chances)).sum() / rows.weight.sum()

    least = loss()
    assert on_thread(trainable.step, rows) == pytest.approx(least, rel=1e-5)
    after = loss()
    moved = [new - old for new, old in zip(trainable.weights, trainable.original, strict=False)]
    squares = sum(float(np.square(one).sum()) for one in moved)
    # the first order: a step of length r·|gradient| lowers the loss by r·|gradient|²
    assert squares < rate**2
    assert least - after == pytest.approx(squares / rate, rel=0.05)
    tuned = {one.path for one in trainable.variables}
    for path, values in before.items():
        same = np.array_equal(everything[path].numpy(), values)
        assert same == (path not in tuned), path
    on_thread(trainable.leave)
    assert all(np.array_equal(everything[path].numpy(), values) for path, values in before.items())


def test_a_step_leads_no_further_down_than_to_zero(graph):
    (maps,) = toys.lowered("residual").features(["block"], "none", toys.pixels(ROWS))
    trainable = opened(graph, "block", "mean", {"c_conv", "c_bn"})

    def moved(rate):
        begin(trainable, head(24), inner=rate)
        loss = on_thread(trainable.step, batch(maps))
        pairs = zip(trainable.weights, trainable.original, strict=False)
        return loss, sum(float(np.square(new - old).sum()) for new, old in pairs)

    loss, squares = moved(1e-4)
    gradient = squares / 1e-8  # its length, squared
    assert 0.1 * loss < 0.1 * gradient  # a rate of 0.1 is too large
    for rate in (0.1, 10.0):  # whatever it is
        assert moved(rate)[1] == pytest.approx((0.1 * loss) ** 2 / gradient, rel=0.02)
    on_thread(trainable.leave)


@pytest.mark.parametrize("columns", [1, 3])
def test_training_is_the_same_every_time_and_learns(graph, columns):
    (maps,) = toys.lowered("residual").features(["block"], "none", toys.pixels(ROWS))
    trainable, rows, at = (
        opened(graph, "block", "mean", {"c_conv"}),
        batch(maps, columns),
        head(24, columns),
    )

    def trained():
        begin(trainable, at)
        losses = [on_thread(trainable.step, rows) for _ in range(15)]
        return losses, trainable.weights

    (losses, weights), (again, weights_again) = trained(), trained()
    assert losses == again
    assert all(map(np.array_equal, weights, weights_again))
    assert losses[-1] < 0.8 * losses[0]
    on_thread(trainable.leave)


def augmented(pixels, kinds, seed=(1, 2), order="rgb"):
    tf, _ = load()
    call = lambda: augmenting.augmented(tf.constant(pixels), kinds, order, tf.constant(seed))  # noqa: E731
    return on_thread(call).numpy()


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.sampled_from(["flip", "crop", "brightness", "saturation"])),
    st.integers(0, 1000),
    st.sampled_from(["rgb", "bgr"]),
)
def test_augmented_images_keep_their_range_and_their_neighbours_apart(kinds, seed, order):
    pixels = toys.pixels(4, seed).astype(np.float32)
    found = augmented(pixels, sorted(kinds), (seed, 1), order)
    assert found.shape == pixels.shape
    assert 0 <= found.min() <= found.max() <= 255 + 1e-3
    others = pixels.copy()
    others[1:] = 0
    assert np.array_equal(augmented(others, sorted(kinds), (seed, 1), order)[0], found[0])
    assert np.array_equal(augmented(pixels, sorted(kinds), (seed, 1), order), found)


def test_each_augmentation_does_what_it_says():
    pixels = toys.pixels(64).astype(np.float32)
    flipped = augmented(pixels, ["flip"])
    mirrored = [np.allclose(a, b[:, ::-1], atol=1e-3) for a, b in zip(flipped, pixels, strict=True)]
    same = [np.allclose(a, b, atol=1e-3) for a, b in zip(flipped, pixels, strict=True)]
    assert 10 < sum(mirrored) < 54
    assert [not one for one in mirrored] == same
    gray = np.full((64, 8, 8, 3), 100, np.float32)
    shifts = augmented(gray, ["brightness"]) - 100
    assert np.allclose(shifts, shifts[:, :1, :1, :1], atol=1e-3)  # one number an image
    assert -32.01 < shifts.min() < -20 < 20 < shifts.max() < 32.01
    assert np.allclose(augmented(gray, ["saturation"]), gray, atol=1e-2)  # gray has none
    red = np.zeros((64, 2, 2, 3), np.float32)
    red[..., 0], red[..., 1:] = 200, 100
    found = augmented(red, ["saturation"])
    assert np.allclose(found[..., 0], 200, atol=1e-2)  # the value stays
    assert found[..., 1].min() < 70 < 130 < found[..., 1].max()
    blue = augmented(red[..., ::-1].copy(), ["saturation"], order="bgr")
    assert np.allclose(blue[..., ::-1], found, atol=1e-2)
    corners = np.zeros((64, 16, 16, 3), np.float32)
    corners[:, 0, 0] = 255
    assert (augmented(corners, ["crop"])[:, 0, 0, 0] < 254).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 3, 5]), st.integers(0, 3), st.floats(0.01, 100))
def test_the_head_scores_as_the_regression_and_gives_it_back(seed, classes, n, scale):
    random = np.random.default_rng(seed)
    columns = 1 if classes == 2 else classes
    arrays = {
        "coef": random.normal(0, 1, (columns, n + 6)),
        "intercept": random.normal(0, 1, columns),
    }
    mean = random.normal(0, 50, n)
    moments = ColumnMoments(mean, random.uniform(0.1, 9, n))
    x = np.concatenate([mean + random.normal(0, 3, (9, n)), random.normal(0, 1, (9, 6))], axis=1)
    at = head_of(arrays, moments, scale)
    structured = moments.apply(x[:, :n])
    margins = x[:, n:] / scale @ at.layer + structured @ at.structured + at.intercept
    wanted = logistic.TRAINER.margins(arrays, x)
    size = np.abs(x) @ np.abs(arrays["coef"]).T + 1
    assert (np.abs(margins - wanted) <= 1e-5 * size).all()
    back = arrays_of(at, moments)
    for name, values in arrays.items():
        assert np.allclose(back[name], values, rtol=1e-5, atol=1e-4 * (1 + np.abs(mean).sum()))


def test_a_head_that_knows_nothing_gives_the_classes_frequencies():
    moments = ColumnMoments(np.zeros(2), np.ones(2))
    for counts in ([30.0, 10.0], [30.0, 10.0, 60.0]):
        at = empty_head(4, moments, np.array(counts), 1.0)
        chances = probabilities(at.intercept[None].astype(np.float64))[0]
        assert chances == pytest.approx(np.array(counts) / sum(counts), abs=1e-6)
