"""oneDNN's fused operations compute what TensorFlow's public ones do, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from vista_sql.udfs.network.engines.tensorflow import ops, process

RELATIVE = 1e-5  # float32, summed in another order


def run(call, *arrays):
    tf, _ = process.load()

    def within_the_thread():
        return tf.function(call, autograph=False)(*map(tf.constant, arrays)).numpy()

    return process.on_thread(within_the_thread)


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def near(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= RELATIVE * np.abs(expected).max()


def test_this_machine_has_onednn():
    assert process.on_thread(lambda: ops.has_onednn("float32")), (
        "the tests below compare an operation with itself"
    )


@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("padding", ["SAME", "VALID", (2, 1, 1, 0)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_a_fused_convolution_is_its_parts(strides, padding, added, activation):
    image, kernel, bias = numbers(2, 9, 9, 4), numbers(3, 3, 4, 8), numbers(8)
    how = ops.FusedConvolution(strides, (1, 1), padding)
    plain = run(lambda *x: ops.convolve(*x, how, None, "", False), image, kernel, bias)
    others = [numbers(*plain.shape)] if added else []

    def convolved(fused):
        def call(image, kernel, bias, other=None):
            return ops.convolve(image, kernel, bias, how, other, activation, fused)

        return run(call, image, kernel, bias, *others)

    near(convolved(True), convolved(False))


def test_a_fused_depthwise_convolution_is_its_parts():
    image, kernel, bias = numbers(2, 9, 9, 4), numbers(3, 3, 4, 1), numbers(4)
    how = ops.FusedConvolution((2, 2), (1, 1), "SAME", depthwise=True)
    found, expected = (
        run(
            lambda *x, fused=fused: ops.convolve(*x, how, None, "relu6", fused), image, kernel, bias
        )
        for fused in (True, False)
    )
    near(found, expected)


@pytest.mark.parametrize("n", [1, 7, 8, 9])
def test_a_fused_product_is_the_product(n):
    rows, matrix, bias = numbers(n, 50), numbers(50, 6), numbers(6)
    found = run(lambda *x: ops.multiply(*x, "relu", True, 8), rows, matrix, bias)
    near(found, np.maximum(rows @ matrix + bias, 0))


def test_activations_are_what_they_are_called():
    values = np.array([-1, 0, 3, 9], np.float32)
    for name, expected in (("", values), ("relu", [0, 0, 3, 9]), ("relu6", [0, 0, 3, 6])):
        assert run(lambda x, name=name: ops.activate(x, name), values).tolist() == list(expected)
