"""What the kernels do with columns of images: NULLs, repetitions, errors, threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pyarrow as pa
import pytest
import toys
from vista_sql.udfs.network import networks
from vista_sql.udfs.passes import sharing

from vista_sql import catalog
from vista_sql.errors import HostError, UnreadableImageError
from vista_sql.kernels import PACKAGE, InferSpec

SPEC = InferSpec("residual", ("block", "top"), run="r")


def png(seed):
    return cv2.imencode(".png", toys.pixels(1, seed)[0])[1].tobytes()


def kernel(name):
    found = catalog.load(PACKAGE, name.split("_")[1], "KERNELS", tuple)
    return {one.name: one for one in found}[name].function


def call(runtime, name, spec, images, keys=None):
    n = len(images)
    images = images if isinstance(images, pa.Array | pa.ChunkedArray) else pa.array(images)
    keys = pa.array([f"k{i}" for i in range(n)] if keys is None else keys, pa.string())
    return kernel(name)(runtime, pa.array([spec.to_text()] * n, pa.string()), images, keys)


def infer(runtime, images, spec=SPEC, keys=None):
    return call(runtime, "vista_infer_2", spec, images, keys)


def test_row_i_is_of_row_i():
    runtime = toys.runtime()
    images = [png(i) for i in range(70)]
    found = infer(runtime, images)
    network = toys.lowered("residual")
    pixels = np.concatenate([toys.pixels(1, i) for i in range(70)])
    for slot, values in enumerate(network.features(SPEC.layers, SPEC.pool, pixels)):
        own = np.stack(found.field(slot).to_numpy(zero_copy_only=False))
        assert np.array_equal(own, values)
    assert found.field("error").null_count == 70


def test_null_images_are_no_errors_and_slots_beyond_the_layers_are_null():
    runtime = toys.runtime()
    found = call(runtime, "vista_infer_4", SPEC, [None, png(1), None])
    assert found.type.field("l4").type == pa.large_list(pa.float32())
    assert [x is None for x in found.field("l1").to_pylist()] == [True, False, True]
    assert found.field("l3").null_count == found.field("l4").null_count == 3
    assert found.field("error").null_count == 3
    nothing = infer(runtime, pa.array([None, None], pa.binary()))
    assert nothing.field("l1").null_count == nothing.field("error").null_count == 2
    assert len(infer(runtime, pa.array([], pa.binary()))) == 0


KINDS = [pa.binary(), pa.large_binary(), pa.binary_view()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_images_come_in_any_of_arrows_types_and_chunks(kind):
    runtime = toys.runtime()
    rows = [png(1), None, png(2), png(1)]
    expected = infer(runtime, rows)
    chunks = pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)])
    assert infer(runtime, chunks).equals(expected)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_paths_are_relative_to_the_specs_folder(kind, tmp_path):
    (tmp_path / "a b#1.png").write_bytes(png(1))
    runtime = toys.runtime()
    whole = str(tmp_path / "a b#1.png")
    paths = pa.array(["a b#1.png", whole, f"file://{whole}", None], kind)
    spec = InferSpec("residual", ("top",), folder=str(tmp_path))
    found = call(runtime, "vista_infer_1", spec, paths).field("l1").to_pylist()
    expected = call(runtime, "vista_infer_1", spec, [png(1)]).field("l1").to_pylist()
    assert found == [*expected * 3, None]


def test_what_cannot_be_read_says_why_and_leaves_its_neighbours_alone(tmp_path):
    (tmp_path / "ok.png").write_bytes(png(1))
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    paths = ["ok.png", "text.jpg", "folder.png", "none.png", "ok.png", "nosuch://x/y.png", "a\0b"]
    spec = InferSpec("residual", ("top",), folder=str(tmp_path), run="r")
    runtime = toys.runtime()
    found = call(runtime, "vista_infer_1", spec, paths)
    errors = found.field("error").to_pylist()
    assert errors[0] is errors[4] is None
    assert errors[1] == "not an image (13 bytes)"
    assert errors[2] == "cannot open folder.png: it is a folder"
    assert errors[3] == "cannot open none.png: no such file"
    assert "nosuch" in errors[5]
    assert "cannot open a\\x00b" in errors[6]
    assert not any("\n" in error for error in errors if error)
    alone = call(runtime, "vista_infer_1", spec, ["ok.png"]).field("l1")[0].as_py()
    assert found.field("l1").to_pylist() == [alone, None, None, None, alone, None, None]
    assert call(runtime, "vista_error", spec, paths).to_pylist() == errors


def test_errors_are_counted_and_told_with_their_keys():
    runtime = toys.runtime()
    infer(runtime, [png(1), b"x", b"", b"x", None], keys=["a", "b", None, "d", "e"])
    reason = "not an image (1 bytes)"
    expected = {("b", reason), ("d", reason), ("", "not an image (0 bytes)")}
    counters = runtime.counters("r")
    assert set(counters.reasons) == expected
    assert (counters.rows, counters.images, counters.errors) == (5, 4, 3)
    assert counters.images_inferred == 1


def test_on_error_raise_names_the_rows_key():
    spec = InferSpec("residual", ("top",), on_error="raise")
    for name in ("vista_infer_1", "vista_error", "vista_maps_1"):
        with pytest.raises(UnreadableImageError, match="image of key 'k1' cannot be read: not an"):
            call(toys.runtime(), name, spec, [png(1), b"x"])


def test_each_distinct_image_is_inferred_once():
    runtime = toys.runtime()
    distinct = [png(i) for i in range(40)]
    rows = [distinct[i] for i in np.random.default_rng(0).integers(0, 40, 500)] + distinct
    found = infer(runtime, rows)
    counters = runtime.counters("r")
    assert counters.images_inferred == 40
    assert counters.layer_evaluations == 80
    assert counters.rows == 540
    assert found.field("l2").slice(500).equals(infer(runtime, distinct).field("l2"))
    assert runtime.counters("r").images_inferred == 40  # the second call was given them


@pytest.mark.parametrize("recent_bytes", [0, 48 << 20])
def test_a_stream_sorted_by_image_infers_each_once_in_any_thread(recent_bytes, monkeypatch):
    monkeypatch.setattr(sharing, "RECENT_BYTES", recent_bytes)
    runtime = toys.runtime()
    runtime.sharing = sharing.Sharing(recent_bytes)
    distinct = [png(i) for i in range(60)]
    rows = [image for image in distinct for _ in range(7)]
    cuts = [rows[i : i + 25] for i in range(0, len(rows), 25)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda cut: infer(runtime, cut), cuts))
    assert runtime.counters("r").images_inferred == 60
    whole = infer(toys.runtime(), rows)
    for slot in (0, 1):
        assert (
            pa.chunked_array([part.field(slot) for part in parts])
            .combine_chunks()
            .equals(whole.field(slot))
        )


def test_two_calls_at_once_share_what_they_both_want():
    runtime = toys.runtime()
    images = [png(i) for i in range(50)]
    start = threading.Barrier(2)

    def one(rows):
        start.wait()
        return infer(runtime, rows)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, [images, images[::-1]])
    assert runtime.counters("r").images_inferred == 50
    backwards = pa.array(range(49, -1, -1))
    assert first.field("l1").equals(second.field("l1").take(backwards))


def test_a_network_is_loaded_once_for_all_threads():
    loads = []

    def opened(spec):
        found = toys.open_toy(spec)
        load = lambda: loads.append(1) or found.load()  # noqa: E731
        return networks.OpenCnn(found.cnn, found.identity, load)

    runtime = _runtime(opened)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: infer(runtime, [png(i)]), range(8)))
    assert len(loads) == 1


def _runtime(opened):
    from vista_sql.udfs.passes.runtime import Runtime

    return Runtime(open_cnn=opened)


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 16, 5000])
def test_batch_rows_change_nothing(batch_rows):
    images = [png(i) for i in range(9)]
    spec = InferSpec("residual", ("block", "top"), batch_rows=batch_rows)
    assert infer(toys.runtime(), images, spec).equals(infer(toys.runtime(), images))


def test_maps_resume_and_pool_keep_nulls_and_refuse_other_maps():
    runtime = toys.runtime()
    maps = call(runtime, "vista_maps_1", InferSpec("residual", ("block",)), [png(1), None])
    step = InferSpec("residual", ("top",), start="block")
    specs = pa.array([step.to_text()] * 2)
    found = kernel("vista_resume_1")(runtime, specs, maps.field("l1"))
    assert [x is None for x in found.field("l1").to_pylist()] == [False, True]
    pool = pa.array([InferSpec("residual", ("block",)).to_text()] * 2)
    found = kernel("vista_pool")(runtime, pool, maps.field("l1"))
    assert [x is None for x in found.to_pylist()] == [False, True]
    with pytest.raises(HostError, match=r"a map of layer 'block' has \d+ bytes, but a BLOB of 3"):
        kernel("vista_pool")(runtime, pool.slice(1), pa.array([b"abc"]))
    assert kernel("vista_pool")(runtime, pool, pa.nulls(2, pa.binary())).null_count == 2
    assert len(kernel("vista_resume_1")(runtime, pool.slice(2), pa.array([], pa.binary()))) == 0


def test_one_call_has_one_spec():
    specs = pa.array([SPEC.to_text(), InferSpec("mobile", ("top",)).to_text()])
    with pytest.raises(HostError, match="2 specs"):
        kernel("vista_infer_2")(toys.runtime(), specs, pa.array([b"", b""]), pa.array(["", ""]))
