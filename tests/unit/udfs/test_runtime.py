"""What the kernels of a process share, and how one call sees it."""

from __future__ import annotations

import fake_networks
import pyarrow as pa
import pytest
import toys
from msgspec.structs import replace
from vista_sql.udfs.passes import runtime as runtimes
from vista_sql.udfs.passes.runtime import Runtime

from vista_sql import catalog
from vista_sql.kernels import PACKAGE, InferSpec

SPEC = InferSpec("lenet5", ("f6",), weights="random", run="r")


class Cancelled(BaseException):
    """What a host raises to end a call."""


def refuse():
    raise Cancelled


def kernels():
    return {
        kernel.name: kernel
        for name in catalog.names(PACKAGE)
        for kernel in catalog.load(PACKAGE, name, "KERNELS", tuple)
    }


def test_a_call_sees_the_same_runtime_with_a_check_of_its_own():
    runtime = Runtime()
    runtime.raise_if_cancelled()
    view = runtime.for_call(refuse)
    with pytest.raises(Cancelled):
        view.raise_if_cancelled()
    runtime.raise_if_cancelled()
    view.count("r", batches=2)
    assert runtime.counters("r").batches == 2
    assert view.threads.decoders() is runtime.threads.decoders()
    assert view.fed_runs is runtime.fed_runs
    runtime.close()


def test_a_network_is_loaded_once_for_each_scale_of_its_pixels():
    changes = {1: {}, 2: {"resize": "bicubic"}, 3: {"scale": (0.5,) * 3}}

    def opened(spec):
        found = toys.open_toy(spec)
        pixels = replace(found.cnn.preprocessing, **changes[spec.seed])
        return replace(found, cnn=replace(found.cnn, preprocessing=pixels))

    runtime = Runtime(open_cnn=opened)
    plain, resized, scaled = (
        runtime.network(InferSpec("residual", ("top",), seed=seed)) for seed in changes
    )
    assert plain is resized
    assert scaled is not plain
    runtime.close()


@pytest.mark.parametrize("name", ["vista_infer_1", "vista_maps_1", "vista_error"])
def test_a_cancelled_call_ends_before_it_reads_an_image(name):
    runtime = fake_networks.runtime()
    columns = pa.array([SPEC.to_text()]), pa.array([fake_networks.png(1)]), pa.array(["k"])
    with pytest.raises(Cancelled):
        kernels()[name].function(runtime.for_call(refuse), *columns)
    assert runtime.counters("r").decoded == 0
    assert kernels()[name].function(runtime, *columns).null_count < 2


def test_a_call_that_is_cancelled_while_it_infers_ends_before_the_next_batch():
    network = fake_networks.FakeNetwork()
    runtime = fake_networks.runtime(network)

    def check():
        if network.runs:
            raise Cancelled

    images = [fake_networks.png(seed) for seed in range(9)]
    columns = pa.array([SPEC.to_text()] * 9), pa.array(images), pa.array(["k"] * 9)
    with pytest.raises(Cancelled):
        kernels()["vista_infer_1"].function(runtime.for_call(check), *columns)
    assert len(network.runs) == 1


def test_kernels_say_what_a_host_must_know_to_cancel_them():
    long = [name for name, kernel in kernels().items() if kernel.is_long]
    assert long == [name for name in kernels() if name.startswith("vista_finish_")]
    assert [name for name, kernel in kernels().items() if kernel.undo] == ["vista_feed"]


def test_feeding_that_was_cancelled_drops_its_training():
    dropped, runtime = [], Runtime()
    runtime.fed_runs.drop = dropped.append
    undo = kernels()["vista_feed"].undo
    undo(runtime, pa.array(["run"] * 2), pa.array([{"x": 1}] * 2))
    undo(runtime, pa.array([], pa.string()), pa.array([], pa.struct([])))
    assert dropped == ["run"]


def test_parts_of_a_run_are_folded_into_it_and_forgotten_with_it():
    runtime = Runtime()
    runtime.count("run", batches=1)
    runtime.count("run/1", batches=2, infer_seconds=0.5)
    part = runtime.fold("run/1", "run")
    assert (part.batches, runtime.counters("run").batches) == (2, 3)
    assert runtime.fold("run", "run").batches == 3
    runtime.count("run/2", batches=1)
    runtime.count("running", batches=1)
    runtime.forget("run")
    assert set(runtime._counters) == {"running"}


def test_a_run_that_ends_leaves_no_training():
    ended, runtime = [], Runtime()
    runtime.fed_runs.end = ended.append
    runtime.count("run", batches=1)
    runtime.end("run")
    assert (ended, runtime._counters) == (["run"], {})


def test_outcomes_are_remembered_up_to_a_number(monkeypatch):
    monkeypatch.setattr(runtimes, "OUTCOMES", 2)
    runtime = Runtime()
    for identity, reason in (("a", None), ("b", "why"), ("c", None)):
        runtime.set_outcome(identity, reason)
    assert [runtime.outcome(one) for one in "abc"] == [(False, None), (True, "why"), (True, None)]


def test_a_store_is_opened_once_and_not_where_it_proved_unusable(tmp_path):
    runtime = Runtime()
    assert runtime.store(InferSpec("lenet5", ())) is None
    spec = InferSpec("lenet5", (), store=str(tmp_path))
    assert runtime.store(spec) is runtime.store(spec)
    runtime.unusable.add(str(tmp_path))
    assert runtime.store(spec) is None
    required = InferSpec("lenet5", (), store=str(tmp_path), store_required=True)
    assert runtime.store(required) is not None
