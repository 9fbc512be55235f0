"""The feature store inside the kernels: bases, kept maps, any mixture of what is there."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pyarrow as pa
import pytest
import toys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from vista_sql.udfs.passes import sharing, store_view

from vista_sql import catalog, store
from vista_sql.errors import SettingError, StoreError
from vista_sql.kernels import PACKAGE, InferSpec

N = 12
LAYERS = ("first_relu", "block", "block2", "mean", "top")
IMAGES = [cv2.imencode(".png", toys.pixels(1, i)[0])[1].tobytes() for i in range(N)]


def call(runtime, kernel, spec, images=IMAGES):
    file = kernel.split("_")[1]
    found = {one.name: one for one in catalog.load(PACKAGE, file, "KERNELS", tuple)}[kernel]
    n = len(images)
    keys = pa.array([f"k{i}" for i in range(n)])
    images = pa.array(images, pa.binary())
    return found.function(runtime, pa.array([spec.to_text()] * n, pa.string()), images, keys)


def order(tmp_path, *layers, **options):
    return InferSpec(
        "residual", layers, store=str(tmp_path / "store"), store_required=True, run="r", **options
    )


@cache
def shared_runtime():
    return toys.runtime()


def forgetful():
    """A runtime that remembers nothing but its networks."""
    runtime = shared_runtime()
    runtime.sharing = sharing.Sharing()
    runtime._outcomes.clear()
    runtime.forget("r")
    return runtime


def infer(spec, images=IMAGES):
    """Run in a runtime that remembers nothing; return the result and what was counted."""
    runtime = forgetful()
    found = call(runtime, "vista_infer_8", spec, images)
    return found, runtime.counters("r")


def expected(spec, images=IMAGES):
    return infer(replace(spec, store="", base=None, materialize=()), images)[0]


def test_what_a_cpu_stored_is_not_given_for_a_gpus(tmp_path):
    """No GPU is a wrong answer's reason here, or the error that it is without a store."""
    spec = order(tmp_path, "top", device="cpu")
    infer(spec)
    for other in (replace(spec, device="gpu"), replace(spec, device="gpu", store="")):
        with pytest.raises(SettingError, match="device 'gpu' was asked for, but TensorFlow sees"):
            infer(other)
    assert infer(replace(spec, device="gpu"), [None])[0].to_pylist() == [
        infer(spec, [None])[0][0].as_py()
    ]


def test_a_higher_layer_starts_from_the_stored_base(tmp_path):
    spec = order(tmp_path, "block2", "top", base="block")
    infer(order(tmp_path, "first_relu", materialize=("block",)))
    found, counters = infer(spec)
    assert found.equals(expected(spec))
    assert (counters.decoded, counters.images_resumed, counters.images_inferred) == (0, N, N)
    again, counters = infer(spec)
    assert again.equals(found)
    assert (counters.images_inferred, counters.images_from_store) == (0, N)


def test_what_the_base_does_not_determine_starts_from_the_image(tmp_path):
    infer(order(tmp_path, "top", materialize=("block",)))
    spec = order(tmp_path, "first_relu", "block2", base="block")
    found, counters = infer(spec)
    assert found.equals(expected(spec))
    assert (counters.decoded, counters.images_resumed) == (N, 0)


def test_the_base_itself_is_only_pooled(tmp_path):
    infer(order(tmp_path, "top", materialize=("block",)))
    spec = order(tmp_path, "block", "mean", base="block", pool="gap")
    found, counters = infer(spec)
    assert found.equals(expected(spec))
    assert (counters.decoded, counters.images_resumed) == (0, N)


def test_images_with_and_without_a_base_stand_side_by_side(tmp_path):
    infer(order(tmp_path, "mean", materialize=("block",)), IMAGES[::3])
    spec = order(tmp_path, "top", base="block", batch_rows=3)
    found, counters = infer(spec)
    assert found.equals(expected(spec))
    assert (counters.decoded, counters.images_resumed, counters.images_inferred) == (8, 4, N)


def test_a_base_that_goes_away_is_started_from_the_image(tmp_path, monkeypatch):
    infer(order(tmp_path, "first_relu", materialize=("block",)))
    maps = store_view.StoreView.maps
    monkeypatch.setattr(
        store_view.StoreView,
        "maps",
        lambda *a: [m if i % 2 else None for i, m in enumerate(maps(*a))],
    )
    spec = order(tmp_path, "top", base="block")
    found, counters = infer(spec)
    assert found.equals(expected(spec))
    assert (counters.decoded, counters.images_resumed, counters.images_inferred) == (6, 6, N)


def test_an_unknown_base_is_passed_over(tmp_path):
    spec = order(tmp_path, "top", base="none such")
    assert infer(spec)[0].equals(expected(spec))


def test_kept_maps_are_what_vista_maps_returns(tmp_path):
    infer(order(tmp_path, "top", materialize=("block", "first_relu")))
    spec = order(tmp_path, "first_relu", "block")
    runtime = forgetful()
    found = call(runtime, "vista_maps_2", spec)
    assert runtime.counters("r").images_inferred == 0
    assert found.equals(call(forgetful(), "vista_maps_2", replace(spec, store="")))
    assert infer(order(tmp_path, "block", pool="none"))[1].images_inferred == 0


def test_maps_are_kept_of_what_is_inferred_and_nothing_is_inferred_for_them_alone(tmp_path):
    infer(order(tmp_path, "top"), IMAGES[:6])
    _, counters = infer(order(tmp_path, "top", materialize=("block",)))
    assert counters.images_inferred == 6
    held = {one.space.layer: one.images for one in store.Store(str(tmp_path / "store")).held()}
    assert held == {"top": N, "block": 6}
    found = call(forgetful(), "vista_keep", order(tmp_path, materialize=("block",)))
    assert len({row["digest"] for row in found.to_pylist()}) == N
    held = {one.space.layer: one.images for one in store.Store(str(tmp_path / "store")).held()}
    assert held == {"top": N, "block": N}


def test_maps_with_zeros_are_packed_and_come_back_bit_for_bit(tmp_path):
    spec = order(tmp_path, "block2", "add2", pool="none")
    want, _ = infer(spec)
    found, counters = infer(spec)
    assert found.equals(want)
    assert counters.images_from_store == N
    relu, add = (
        next(one for one in store.Store(str(tmp_path / "store")).held() if one.space.layer == layer)
        for layer in spec.layers
    )
    assert relu.bytes < 0.8 * add.bytes  # of equal shapes; one has zeros


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_every_form_keeps_every_bit(zeros):
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, 500)).astype(np.float32)
    values[rng.random(values.shape) < zeros] = 0
    values[0, :4] = [np.nan, -0.0, np.inf, 1e-42]
    for row in values:
        packed = store.Packed(*store_view.packed(row, sparse=store_view.is_sparse(values)))
        assert store_view.unpacked(packed).tobytes() == row.tobytes()


def test_what_is_no_packed_value_is_absent():
    for form, size, payload in (
        (7, 4, b"abcd"),
        (0, 8, b"abcd"),
        (1, 400, b"abcd"),
        (0, 3, b"abc"),
    ):
        assert store_view.unpacked(store.Packed(form, size, memoryview(payload))) is None


def test_a_store_that_stops_working_half_way_does_not_stop_the_call(tmp_path, monkeypatch, caplog):
    def full(self, entries):
        raise StoreError("the disk is full")

    monkeypatch.setattr(store.Store, "keep", full)
    spec = replace(order(tmp_path, "top", batch_rows=4), store_required=False)
    assert infer(spec)[0].equals(expected(spec))
    assert caplog.text.count("the disk is full") == 1


STATES = st.lists(
    st.tuples(
        st.sets(st.sampled_from(LAYERS), min_size=1, max_size=3),
        st.sets(st.integers(0, N - 1), max_size=N),
        st.sampled_from([(), ("block",), ("first_relu", "block2")]),
    ),
    max_size=3,
)


def check(tmp_path, before, layers, base, pool, batch_rows):
    """Infer some layers of some images, then others of all, and compare."""
    store.Store(str(tmp_path / "store")).clear()
    for kept, images, materialize in before:
        spec = order(tmp_path, *sorted(kept, key=LAYERS.index), pool=pool, materialize=materialize)
        infer(spec, [IMAGES[i] for i in sorted(images)])
    spec = order(
        tmp_path, *sorted(layers, key=LAYERS.index), pool=pool, base=base, batch_rows=batch_rows
    )
    want = expected(spec)
    for _ in range(2):
        found, counters = infer(spec)
        assert found.equals(want)
    assert counters.images_from_store == N


CASES = given(
    before=STATES,
    layers=st.lists(st.sampled_from(LAYERS), min_size=1, max_size=4, unique=True),
    base=st.sampled_from([None, "first_relu", "block", "block2"]),
    pool=st.sampled_from(["max2x2", "gap", "none"]),
    batch_rows=st.sampled_from([None, 1, 3, 5]),
)
bounded = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@bounded
@CASES
def test_no_state_of_the_store_changes_a_bit(tmp_path, **case):
    check(tmp_path, **case)


@pytest.mark.full
@settings(bounded, max_examples=80)
@CASES
def test_no_state_of_the_store_changes_a_bit_at_length(tmp_path, **case):
    check(tmp_path, **case)
