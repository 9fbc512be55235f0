"""Bytes by part, shares of a limit, what would fit, and where rows go."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from test_optimizer import BIND_TIME, STATEMENTS, hints, work

from vista_sql import store
from vista_sql.errors import PlanError
from vista_sql.hosts.duckdb.limit import Shares
from vista_sql.machine import resources
from vista_sql.machine.resources import Resources
from vista_sql.planning import memory, optimizer
from vista_sql.planning.memory import MIB, Allowance, Breakdown
from vista_sql.planning.plans import fused
from vista_sql.planning.workload import Facts, Tap
from vista_sql.result import Result
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
    held = Breakdown(runtime=1, weights=2, loading=100, decode=30, features=40, engine=5, beside=6)
    assert held.total == 1 + 2 + 100 + 5 + 6
    assert replace(held, features=400).total == 1 + 2 + 430 + 5 + 6


def test_two_transfers_of_a_process_share_its_runtime():
    both = parts(work()) + parts(wide())
    assert both.runtime == memory.RUNTIME_BYTES
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
        optimizer.choose(wide(), tight, able, hints())
    named = int(str(refused.value).split("raise memory_limit to ")[1].split(" MiB")[0])
    optimizer.choose(wide(), replace(tight, memory_bytes=named * MIB // 2), able, hints())


def test_the_smallest_change_is_named():
    def change(workload, sink, limit):
        able = replace(STATEMENTS, sink=sink)
        with pytest.raises(PlanError) as refused:
            optimizer.choose(workload, Resources(2, limit, "memory_limit"), able, hints())
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


# ── DuckDB's own limit ──────────────────────────────────────────────────────────────────────────


def limit_of(con):
    return con.execute("SELECT current_setting('memory_limit')").fetchone()[0]


@pytest.mark.parametrize("before", [None, "2GB", "777MiB", "1.9GiB"])
def test_the_users_limit_comes_back_after_each_of_many_statements(before):
    con = duckdb.connect()
    if before:
        con.execute(f"SET memory_limit = '{before}'")
    shown, shares = limit_of(con), Shares()
    for _ in range(3):
        with shares.held(con, "a", Allowance(300 * MIB)):
            assert limit_of(con) == "300.0 MiB"
        assert limit_of(con) == shown
    with pytest.raises(ZeroDivisionError), shares.held(con, "a", Allowance(300 * MIB)):
        raise ZeroDivisionError
    assert limit_of(con) == shown


def test_a_share_is_never_more_than_the_user_allowed():
    con, shares = duckdb.connect(), Shares()
    con.execute("SET memory_limit = '200MiB'")
    with shares.held(con, "a", Allowance(300 * MIB)):
        assert limit_of(con) == "200.0 MiB"
    assert limit_of(con) == "200.0 MiB"


def test_the_smallest_share_of_statements_at_once_holds():
    con, shares = duckdb.connect(), Shares()
    shown = limit_of(con)
    outer = shares.held(con, "a", Allowance(300 * MIB))
    inner = shares.held(con.cursor(), "a", Allowance(100 * MIB))
    with outer:
        with inner:
            assert limit_of(con) == "100.0 MiB"
        assert limit_of(con) == "300.0 MiB"
    assert limit_of(con) == shown


def test_what_ends_first_need_not_have_begun_last():
    con, shares = duckdb.connect(), Shares()
    shown, begun, end = limit_of(con), threading.Event(), threading.Event()

    def other():
        with con.cursor() as cursor, shares.held(cursor, "a", Allowance(100 * MIB)):
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=other)
    with shares.held(con, "a", Allowance(300 * MIB)):
        thread.start()
        begun.wait(30)
    assert limit_of(con) == "100.0 MiB"
    end.set()
    thread.join()
    assert limit_of(con) == shown


def test_a_limit_that_the_user_sets_meanwhile_stays():
    con, shares = duckdb.connect(), Shares()
    with shares.held(con, "a", Allowance(300 * MIB)):
        con.execute("SET memory_limit = '150MiB'")
    assert limit_of(con) == "150.0 MiB"


def test_tables_that_leave_no_room_are_told():
    con, shares = duckdb.connect(config={"temp_directory": ""}), Shares()
    con.execute("CREATE TABLE t AS SELECT random() AS x FROM range(4000000)")
    shown = limit_of(con)
    refused = pytest.raises(PlanError, match="raise memory_limit, or keep the tables")
    with refused, shares.held(con, "a", Allowance(8 * MIB)):
        pytest.fail("it ran")
    assert limit_of(con) == shown


def test_a_connection_that_is_closed_meanwhile_ends_quietly():
    con, shares = duckdb.connect(), Shares()
    with shares.held(con, "a", Allowance(300 * MIB)):
        con.close()


# ── rows that are kept ──────────────────────────────────────────────────────────────────────────


def test_rows_are_kept_up_to_what_is_left():
    def result(kept_bytes):
        batch = pa.record_batch({"x": pa.array(range(1000), pa.int64())})
        return Result({"x": "BIGINT"}, lambda _: iter([batch] * 4), kept_bytes=kept_bytes)

    assert len(result(4 * 8000)) == 4000
    with pytest.raises(PlanError, match=r"takes more than the .* read them in batches"):
        result(3 * 8000).arrow()
    assert sum(batch.num_rows for batch in result(8000)) == 4000, "streams hold nothing"


# ── limits of the machine ───────────────────────────────────────────────────────────────────────


def groups(tmp_path: Path, membership: str, **limits: str) -> list[int]:
    (tmp_path / "cgroup").write_text(membership)
    for path, text in limits.items():
        file = tmp_path / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return [n for _, n in resources.cgroup_limits(tmp_path / "cgroup", tmp_path)]


def test_limits_of_control_groups_of_both_versions(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    limits = {"a/b/memory.max": "max\n", "a/memory.max": "70\n"}
    two = groups(tmp_path / "2", "0::/a/b\n", **limits)
    none = str(2**63 - 4096)
    limits = {"memory/x/memory.limit_in_bytes": "50", "memory/memory.limit_in_bytes": none}
    one = groups(tmp_path / "1", "4:cpu,memory:/x\n2:cpu:/y\n", **limits)
    assert (two, one) == ([70], [50])


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    assert groups(tmp_path, "0::/\n", **{"memory.max": "80"}) == [80]


def test_where_there_are_no_groups_there_are_no_limits(tmp_path):
    assert resources.cgroup_limits(tmp_path / "none") == []
