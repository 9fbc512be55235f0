"""What plans cost: seconds by rates and shapes, what the store spares, what a join multiplies."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from workloads import work

from vista_sql.machine.calibration import DEFAULTS, Rates, network_key
from vista_sql.planning import cost, plans
from vista_sql.planning.workload import Facts, StoredShare
from vista_sql.roster import load
from vista_sql.store import OFF, Choice

STORE = Choice("/store")

PAPERS_CLUSTER = replace(
    DEFAULTS,
    flops_per_second=5.6e11,
    decode_bytes_per_second=4e8,
    store_read_bytes_per_second=5.3e7,
)
"""What the Vista paper's Figure 16 comes down to for ResNet50 on Foods, eight nodes together.

Five layers took 5.6 min without and 6.05 min with conv4_6 materialized; the last layer alone, with
hardly anything to load or compute, 1.0 min. So 20,129 images × 7.7 GFLOP were computed in 4.6 min,
and their maps of 802,816 bytes each loaded in 5.05 min at most.
"""


def price(workload, kind="fused", placement="after", batch_rows=32, rates=DEFAULTS):
    return cost.price(workload, plans.load(kind).stages(workload), placement, batch_rows, rates)


def facts(n=1000, **given):
    return Facts(rows=n, images=n, distinct_images=n, image_bytes=5e4, image_rows=n, **given)


def test_a_pass_computes_all_layers_for_the_price_of_the_highest():
    both, top = work(facts=facts()), work(layers=("avg_pool",), facts=facts())
    assert price(both).parts["infer"] == price(top).parts["infer"]
    assert price(both, "lazy").parts["infer"] > 1.5 * price(both).parts["infer"]
    assert price(both, "lazy").parts["decode"] == 2 * price(both).parts["decode"]


def test_calls_after_a_join_meet_an_image_again_and_again():
    shared = Facts(rows=2048, images=2048, distinct_images=32, image_bytes=5e4, image_rows=32)
    there = work(structured=True, facts=shared)
    calls = {
        key: price(there, *key, batch_rows=64).parts["calls"]
        for key in (("fused", "after"), ("distinct", "after"), ("fused", "before"))
    }
    # 32 calls of 64 rows, which show 32 (1 - (31/32)⁶⁴) = 27.8 images each, 100 KB a row
    fixed, told_apart = 32 * DEFAULTS.kernel_call_seconds, 2048 * 5e4 / 2e9
    each = 32 * 27.8 * DEFAULTS.kernel_image_seconds
    assert calls["fused", "after"] == pytest.approx(fixed + each + told_apart, rel=0.01)
    once = (32 + 32) * DEFAULTS.kernel_image_seconds
    assert calls["distinct", "after"] == pytest.approx(fixed + once + told_apart)
    assert calls["fused", "before"] < 0.05 * calls["fused", "after"]


def test_raw_maps_cost_their_way():
    there = work(facts=facts())
    assert price(there, "staged").parts["maps"] > 0
    assert "maps" not in price(there).parts
    assert price(there).seconds < price(there, "eager").seconds


def test_layers_and_images_are_counted_as_the_kernels_count_them():
    there = work(facts=facts(10))
    assert (price(there).images_inferred, price(there).layer_evaluations) == (10, 20)
    assert (price(there, "lazy").images_inferred, price(there, "lazy").layer_evaluations) == (
        20,
        20,
    )
    staged = price(there, "staged")
    assert (staged.images_inferred, staged.layer_evaluations) == (10, 20)


def test_what_is_stored_is_loaded():
    names = frozenset(tap.layer.name for tap in work().used_taps)
    half = (StoredShare(names, frozenset(), 0.5), StoredShare(frozenset(), frozenset(), 0.5))
    cold = price(work(facts=facts(), store=STORE))
    warm = price(work(facts=facts(stored=half), store=STORE))
    assert warm.images_inferred == cold.images_inferred / 2
    assert warm.parts["infer"] == pytest.approx(cold.parts["infer"] / 2, rel=0.01)
    none = price(work(facts=facts(stored=(StoredShare(names, frozenset(), 1.0),)), store=STORE))
    assert none.images_inferred == 0
    assert none.seconds < cold.seconds / 20


def test_without_a_store_what_it_holds_is_not_counted_on():
    names = frozenset(tap.layer.name for tap in work().used_taps)
    assert (
        price(work(facts=facts(stored=(StoredShare(names, frozenset(), 1.0),)))).images_inferred
        == 1000
    )


@pytest.mark.parametrize(
    ("cnn", "layer", "pays"),
    [("resnet50", "conv4_6", False), ("vgg16", "fc6", True), ("vgg16", "fc7", True),
     ("alexnet", "fc7", True)],
)  # fmt: skip
def test_loading_pays_where_the_paper_found_that_it_does(cnn, layer, pays):
    """ResNet50's conv4_6 was dearer to load than to compute; fully connected layers are not."""
    there = work(cnn, (layer,), facts=replace(facts(), image_bytes=1.4e4))
    base = there.cnn.layer(layer)
    gain = cost.loading_gain_seconds(there, there.cnn, base, PAPERS_CLUSTER)
    assert (gain > 0) is pays


def test_an_image_starts_from_a_stored_base_where_that_is_cheaper():
    cnn = load("resnet50")
    base = cnn.layer("conv4_6")
    stored = (StoredShare(frozenset(), frozenset({base.name}), 1.0),)
    there = work(layers=("avg_pool",), facts=facts(stored=stored), store=STORE)
    assert [layer.name for layer in cost.bases(there)] == [base.name]
    stages = tuple(replace(stage, base=base) for stage in plans.load("fused").stages(there))
    quick = replace(DEFAULTS, store_read_bytes_per_second=5e9)
    slow = replace(DEFAULTS, store_read_bytes_per_second=1e6)
    for rates, cheaper in ((quick, True), (slow, False)):
        resumed = cost.price(there, stages, "after", 32, rates).seconds
        assert (resumed < price(there, rates=rates).seconds) is cheaper


def test_measured_layers_take_what_was_measured_and_others_lie_between():
    cnn = load("resnet50")
    key = network_key("resnet50", "float32", "auto", "tensorflow")
    low, high = cnn.layer("conv4_6"), cnn.layer("conv5_3")
    rates = replace(
        DEFAULTS, networks={key: {low.name: (low.flops, 0.010), high.name: (high.flops, 0.014)}}
    )
    assert rates.infer_seconds(key, low) == 0.010
    assert 0.010 < rates.infer_seconds(key, cnn.layer("conv5_1")) < 0.014
    assert 0 < rates.infer_seconds(key, cnn.layer("conv3_1")) < 0.010
    assert rates.infer_seconds(key, cnn.layer("avg_pool")) >= 0.014
    assert rates.infer_seconds("another", low) == low.flops / DEFAULTS.flops_per_second


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 10**6), distinct=st.integers(1, 10**6), image_rows=st.integers(1, 10**6),
    kind=st.sampled_from([name for name in plans.names() if name != "vista"]),
    placement=st.sampled_from(["after", "before"]), batch_rows=st.integers(2, 256),
    faster=st.floats(1, 100), store=st.booleans(),
)  # fmt: skip
def test_prices_are_sane(rows, distinct, image_rows, kind, placement, batch_rows, faster, store):
    known = Facts(rows, rows, min(rows, distinct), image_bytes=1e5, image_rows=image_rows)
    there = work(facts=known, store=STORE if store else OFF)
    stages = plans.load(kind).stages(there)
    found = cost.price(there, stages, placement, batch_rows, DEFAULTS)
    assert found.seconds == pytest.approx(sum(found.parts.values()))
    assert all(part >= 0 for part in found.parts.values())
    assert found.layer_evaluations >= found.images_inferred > 0
    quicker = Rates(**{
        name: getattr(DEFAULTS, name) * faster
        for name in DEFAULTS.__slots__
        if name.endswith("_per_second")
    })  # fmt: skip
    assert cost.price(there, stages, placement, batch_rows, quicker).seconds <= found.seconds
