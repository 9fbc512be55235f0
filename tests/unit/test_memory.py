"""Bytes by part, shares of a limit, and what would fit."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from workloads import BIND_TIME, STATEMENTS, choose, work

from vista_sql import store
from vista_sql.errors import PlanError
from vista_sql.kernels import DECODING_BYTES
from vista_sql.machine.resources import Resources
from vista_sql.planning import memory
from vista_sql.planning.engines import EngineChoice
from vista_sql.planning.memory import MIB, Allowance, Breakdown
from vista_sql.planning.plans import fused
from vista_sql.planning.workload import Facts, Tap
from vista_sql.roster import Layer
from vista_sql.store import Choice

GIB = 2**30


def wide(cnn="resnet50", layers=("conv2_3", "conv3_4"), **given):
    """ResNet50's largest maps, unpooled: 4.8 MB an image."""
    found = work(cnn, layers)
    taps = tuple(Tap(t.column, t.layer, t.layer.size) for t in found.taps)
    return replace(found, pool="none", taps=taps, **given)


def parts(workload, rows=8, **given):
    return memory.breakdown(workload, fused.stages(workload), rows, rows, **given)


# ── bytes ───────────────────────────────────────────────────────────────────────────────────────


def test_the_total_is_what_is_held_at_once():
    held = Breakdown(runtime=1, weights=2, decode=30, features=40, engine=5, beside=6)
    assert held.total == 1 + 2 + 30 + 40 + 5 + 6


def test_two_transfers_of_a_process_share_its_runtime():
    both = parts(work()) + parts(wide())
    assert both.runtime == memory.RUNTIMES["tensorflow"].runtime_bytes
    assert both.weights == 2 * parts(work()).weights
    assert both.features == parts(work()).features + parts(wide()).features


def test_a_store_holds_the_pages_of_one_commit():
    kept = Choice("/store", 1 << 40)
    row = memory.feature_bytes(wide())
    assert parts(wide(), 2).store == 0
    assert parts(wide(store=kept), 2).store == 2 * row
    assert parts(wide(store=kept), 64).store == store.MAX_COMMIT_BYTES
    both = parts(wide(store=kept), 64) + parts(wide(store=kept), 64)
    assert both.store == store.MAX_COMMIT_BYTES  # commits come in turn


def test_what_fills_up_a_batch_takes_memory_too():
    lenet = work("lenet5", ["f6"])
    row_bytes = 1.5 * memory.activation_bytes(lenet.cnn, (lenet.cnn.layer("f6"),))
    assert [parts(lenet, rows).activations / row_bytes for rows in (2, 9, 17)] == [16, 16, 32]
    found = [parts(work(), rows).activations for rows in (2, 9)]
    assert found[1] == 6 * found[0]  # twelve rows
    openvino = replace(lenet, engine=EngineChoice("openvino", ""))
    assert 1.5 * parts(openvino, 9).activations == pytest.approx(
        1.2 * 9 * row_bytes, rel=1e-3
    )  # none filled up
    halved = replace(openvino, dtype="bfloat16")
    assert 2 * parts(halved, 9).activations == pytest.approx(
        parts(openvino, 9).activations, rel=1e-3
    )


def test_activations_are_what_later_layers_still_read():
    shapes = {"low": ("", 6), "skip": ("low", 6), "deep": ("low", 4), "deeper": ("deep", 9)}
    layers = [Layer(name, (1, 1, n), 1, 0, (below,)) for name, (below, n) in shapes.items()]
    layers = [replace(one, flops=place) for place, one in enumerate(layers)]
    layers.append(Layer("joined", (1, 1, 15), 4, 0, ("skip", "deeper")))
    cnn = replace(work("lenet5", ["f6"]).cnn, catalogue=tuple(layers))
    alive = [6, 12, 16, 19, 30]  # `low` until `deep` has read it, `skip` until the end
    assert [cnn.values_at_once(flops) for flops in range(5)] == alive


def test_images_are_decoded_by_so_many_cores():
    def images(decoders, rows=64, largest=8 * MIB):
        facts = Facts(rows=rows, images=rows, decoding_bytes=largest)
        return memory.decoding_bytes(wide(facts=facts, decoders=decoders))

    assert images(2) == 2 * 8 * MIB + memory.UNSEEN_BYTES
    assert images(2, rows=3) == 3 * 8 * MIB
    assert images(None) == images(64) == DECODING_BYTES
    assert images(2, largest=300 * MIB) == 300 * MIB


def test_more_rows_hold_more_until_there_are_no_more():
    peaks = [parts(wide(), rows).total for rows in (2, 8, 32)]
    assert peaks == sorted(set(peaks))
    few = wide(facts=Facts(rows=8, images=8, distinct_images=8, image_rows=8))
    assert parts(few, 32) == parts(few, 8)


def test_only_a_table_in_a_file_holds_whole_vectors():
    by_sink = {s: parts(wide(), 4, sink=s).total for s in ("rows", "parquet", "table")}
    vectors = 2048 * memory.feature_bytes(wide())
    assert max(by_sink.values()) < vectors / 4
    assert parts(wide(), 4, sink="file table").total > vectors


def test_a_table_holds_a_part_of_its_last_row_group():
    def engine(rows):
        return parts(wide(facts=Facts(rows=rows)), 2, sink="table").engine

    row = memory.feature_bytes(wide())
    assert engine(2000) - engine(1000) == pytest.approx(1000 * row / 16, abs=2)
    assert engine(memory.MOST_GROUP_ROWS) == engine(10 * memory.MOST_GROUP_ROWS)
    assert engine(None) < engine(1000), "DuckDB's own limit holds where nothing is known"


def test_wide_rows_come_few_at_a_time():
    assert memory.row_group_rows(memory.feature_bytes(wide())) == 3
    assert memory.row_group_rows(8) == memory.MOST_GROUP_ROWS
    assert Allowance(row_bytes=memory.feature_bytes(wide())).reader_rows == 13
    assert Allowance(row_bytes=1 << 40).reader_rows == 1
    assert Allowance().reader_rows == memory.READER_ROWS


def test_arrays_are_counted_whole_and_lists_are_not():
    assert memory.array_bytes(wide()) == 0
    assert memory.array_bytes(work()) == 2048 * 4 * (4096 + 2048)


# ── shares ──────────────────────────────────────────────────────────────────────────────────────


def test_duckdb_gets_what_is_left():
    held = parts(work())
    allowed = memory.allowance([held], held.total + 100 * MIB, 8, 0)
    assert (allowed.engine_bytes, allowed.kept_bytes) == (held.engine + 100 * MIB, 100 * MIB)


def test_transfers_that_fit_only_one_by_one_are_refused():
    held = parts(work())
    with pytest.raises(PlanError, match=r"the 2 TRANSFERs .* \(\d+ bytes\) more than the limit"):
        memory.allowance([held, held], held.total + MIB, 8, 0)


def test_a_training_and_what_feeds_it_share_the_limit():
    whole = 8 * GIB
    trainer = memory.TRAINER_HOLDS * memory.trainer_bytes(whole)
    assert memory.beside_training(whole) + trainer == whole


@pytest.mark.parametrize("capabilities", [STATEMENTS, BIND_TIME])
@pytest.mark.parametrize("sink", ["rows", "table", "file table", "parquet"])
def test_what_is_refused_fits_with_the_limit_that_is_named(capabilities, sink):
    able = replace(capabilities, sink=sink)
    tight = Resources(2, 900 * MIB, "memory_limit", share=0.5)
    with pytest.raises(PlanError, match="raise memory_limit to") as refused:
        choose(wide(), tight, able)
    named = int(str(refused.value).split("raise memory_limit to ")[1].split(" MiB")[0])
    choose(wide(), replace(tight, memory_bytes=named * MIB // 2), able)


def test_the_smallest_change_is_named():
    def change(workload, sink, limit):
        able = replace(STATEMENTS, sink=sink)
        with pytest.raises(PlanError) as refused:
            choose(workload, Resources(2, limit, "memory_limit"), able)
        return str(refused.value).rpartition(", or ")[2]

    rows = parts(wide(), 2).total
    assert change(wide(), "file table", 2 * GIB).startswith("write the rows with COPY")
    assert change(wide(), "table", rows + 50 * MIB).startswith("read the rows in batches")
    light = wide("mobilenetv2", ("Conv1_relu", "block_1_expand_relu"))
    tight = parts(light, 1).total - 8 * MIB
    assert change(light, "rows", tight) == "leave out block_1_expand_relu"
    one = replace(light, taps=light.taps[1:])
    tight = parts(one, 1).total - MIB
    assert change(one, "rows", tight) == "pool => 'max2x2'"
    nothing = change(work(), "rows", 100 * MIB)
    assert "raise memory_limit to" in nothing, "nothing else would fit"
