"""The feature store by itself: bytes in, the same bytes out, whatever else happens to the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import stores
from msgspec import to_builtins
from msgspec.structs import replace
from stores import LENET, SPACE, entries, key, read, space

from vista_sql import roster, store
from vista_sql.errors import StoreError
from vista_sql.store import Store, _files, _rows

HERE = str(Path(stores.__file__).parent)


def framed(resize, fit):
    """Return LeNet-5 as a statement asks for it."""
    return replace(LENET, preprocessing=LENET.preprocessing.asked(resize, fit))


def coverage(kept, space, digests):
    """Return how many of the images are there."""
    with kept.reading() as reading:
        return 0 if reading is None else sum(reading.has(space, digest) for digest in digests)


@pytest.fixture
def kept(tmp_path):
    return Store(str(tmp_path / "store"))


def test_what_is_kept_is_found_again(kept):
    assert kept.keep(entries(range(20))) > 20 * 3000
    for i in range(20):
        assert read(kept, i) == i.to_bytes(4) * 750
    assert read(kept, 20) is None
    assert coverage(kept, SPACE, [key(i) for i in range(10, 30)]) == 10


def test_nothing_is_made_for_reading(tmp_path):
    kept = Store(str(tmp_path / "none"))
    assert coverage(kept, SPACE, [key(1)]) == 0
    assert kept.held() == []
    assert kept.clear() == 0
    kept.touch([SPACE])
    with kept.reading() as reading:
        assert reading is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "other",
    [
        space(pool="gap", layer="conv3"),
        space(layer="conv3"),
        space(weights="random:1"),
        space(dtype="bfloat16"),
        store.space(LENET, "random:0", "f6", device="gpu"),
        store.space(framed("bilinear", None), "random:0", "f6", device="cpu"),
        store.space(framed(None, "crop"), "random:0", "f6", device="cpu"),
        store.space(roster.load("alexnet"), "random:0", "fc6", device="cpu"),
    ],
)
def test_spaces_do_not_meet(kept, other):
    kept.keep(entries([1]))
    assert read(kept, 1, other) is None


def test_networks_that_compute_alike_share_a_space_under_the_first_ones_names(kept):
    alike = {"computation": "1234", "weights": "random:1"}
    first, second = space("f6", **alike), space("c5", **alike)
    assert (first, first.key, hash(first)) == (second, second.key, hash(second))
    assert first not in (space("f6", weights="random:1"), space("f6", computation="5678"))
    kept.keep(entries([1], first))
    kept.keep(entries([2], second))
    (held,) = kept.held()
    assert (held.space.layer, held.images) == ("f6", 2)
    assert read(kept, 1, second)


def test_what_an_earlier_version_kept_is_the_first_to_go(tmp_path):
    kept = Store(str(tmp_path), limit_bytes=800_000)
    kept.keep(entries(range(60), SPACE, 8000))
    with kept._files.transaction(write=True) as opened:
        text = json.loads(bytes(opened.txn.get(SPACE.key, db=opened.spaces))[8:])
        del text["space"]["computation"]
        opened.txn.put(SPACE.key, json.dumps(text).encode(), db=opened.spaces)
    other = space("conv3")
    kept.keep(entries(range(20), other, 8000))
    assert [held.space.layer for held in kept.held()] == ["conv3"]
    kept.keep(entries(range(20, 60), other, 8000))
    assert coverage(kept, other, [key(i) for i in range(60)]) == 60
    assert coverage(kept, SPACE, [key(i) for i in range(60)]) == 0


def test_vectors_are_the_same_whatever_the_pooling():
    assert space("f6", "gap") == space("f6", "none")
    assert space("conv3", "gap") != space("conv3", "none")


def test_a_held_space_tells_its_images_and_bytes(kept):
    kept.keep(entries(range(5)) + entries(range(3), space("conv3"), 40))
    kept.keep(entries(range(3, 8)))  # two are there already
    conv, f6 = kept.held()
    assert (conv.space.layer, conv.images, conv.bytes) == ("conv3", 3, 3 * (24 + 16 + 40))
    assert (f6.space, f6.images, f6.bytes) == (SPACE, 8, 8 * (24 + 16 + 3000))


def test_a_damaged_entry_is_absent_and_written_again(kept):
    kept.keep(entries(range(3), size=30_000))
    kept._files._close()
    data = Path(kept.folder, "features", "data.mdb")
    raw = bytearray(data.read_bytes())
    at = raw.index((1).to_bytes(4) * 100)
    raw[at + 200] ^= 1
    data.write_bytes(raw)
    assert [read(kept, i) is None for i in range(3)] == [False, True, False]
    kept.keep(entries(range(3), size=30_000))
    assert read(kept, 1) == (1).to_bytes(4) * 7500
    (held,) = kept.held()
    assert held.images == 3


def flipped(data, pattern, places):
    """Flip one bit after another from where a pattern stands; yield with each damage done.

    None of those that are LMDB's own, which it follows without looking.
    """
    whole = data.read_bytes()
    start = whole.index(pattern)
    for place in places:
        raw = bytearray(whole)
        raw[start + place // 8] ^= 1 << place % 8
        data.write_bytes(raw)
        yield
    data.write_bytes(whole)


def test_a_flipped_bit_anywhere_in_a_row_costs_no_more_than_the_row(tmp_path):
    kept = Store(str(tmp_path / "store"), 1 << 20)
    other = space(layer="conv3")
    kept.keep(entries(range(2)))
    kept.keep(entries(range(2), other, 40))
    data = Path(kept.folder, "features", "data.mdb")
    want = {(SPACE, i): i.to_bytes(4) * 750 for i in range(2)}
    want |= {(other, i): i.to_bytes(4) * 10 for i in range(2)}
    with kept._files.transaction(write=False) as transaction:
        written = {of: bytes(transaction.txn.get(of.key, db=transaction.spaces)) for of, _ in want}
    kept._files._close()
    small = other.key + key(0)
    tables = [(of.key + row, range(0, 8 * (8 + len(row)), 5)) for of, row in written.items()]
    tables += [(small, range(0, 8 * (len(small) + 16 + 40), 5))]
    tables += [((1).to_bytes(4) * 20, range(0, 80 * 8, 11))]
    for pattern, places in tables:
        for _ in flipped(data, pattern, places):
            for (of, i), value in want.items():
                assert read(kept, i, of) in (value, None)
            assert len(kept.held()) <= 2
            kept.touch([SPACE, other])
            kept._files._close()
    row = written[other]
    for pattern, places in [(other.key + row, (1, 70, 200, 8 * len(row))), (row, (1,))]:
        for _ in flipped(data, pattern, places):
            kept.keep(entries(range(3)))
            kept.keep(entries(range(3), other, 40))
            assert sorted(row.images for row in kept.held()) == [3, 3]
            kept.keep(entries(range(10, 500)))  # more than fits
            assert read(kept, 0, other) in (want[other, 0], None)
            assert kept.clear("lenet5") > 0
            kept._files._close()
    assert kept.clear() >= 0
    assert not data.exists()


def test_rows_of_earlier_versions_are_read(kept):
    kept.keep(entries(range(3)))
    with kept._files.transaction(write=True) as transaction:
        rows = _rows.SpaceRows(transaction)
        ((at, row),) = rows.rows()
        plain = json.dumps(to_builtins(row)).encode()
        transaction.txn.put(at, plain, db=transaction.spaces)
    (held,) = kept.held()
    assert (held.images, held.space) == (3, SPACE)


def garbage(data):
    data.write_bytes(os.urandom(100_000))


def shortened(data):
    os.truncate(data, data.stat().st_size // 2)


def pages(data):
    raw = bytearray(data.read_bytes())
    raw[8192:] = os.urandom(len(raw) - 8192)
    data.write_bytes(raw)


def empty(data):
    data.write_bytes(b"")


@pytest.mark.parametrize("damage", [garbage, shortened, pages])
def test_a_damaged_file_is_moved_aside_once(kept, damage, caplog):
    kept.keep(entries(range(50)))
    kept._files._close()
    damage(Path(kept.folder, "features", "data.mdb"))
    with pytest.raises(StoreError, match=r"was damaged .* and begins anew"):
        read(kept, 1)
    assert "begins anew" in caplog.text
    assert Path(kept.folder, "damaged", "data.mdb").exists()
    assert read(kept, 1) is None
    kept.keep(entries(range(50)))
    assert read(kept, 1)


def test_an_empty_file_is_a_new_store(kept):
    kept.keep(entries([1]))
    kept._files._close()
    empty(Path(kept.folder, "features", "data.mdb"))
    assert read(kept, 1) is None
    kept.keep(entries([1]))
    assert read(kept, 1)


def test_a_folder_removed_under_an_open_store_begins_anew(kept):
    kept.keep(entries([1]))
    subprocess.run(["rm", "-rf", kept.folder], check=True)
    assert read(kept, 1) is None
    kept.keep(entries([1]))
    assert read(kept, 1)


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be used.*store => false"):
        Store(str(tmp_path / "file" / "store")).keep(entries([1]))


def test_the_limit_holds_and_the_space_used_last_stays(tmp_path, monkeypatch):
    kept = Store(str(tmp_path), limit_bytes=1_000_000)
    old, new = space(weights="random:1"), space(weights="random:2")
    kept.keep(entries(range(60), old, 8000))
    later = time.time() + 2 * store.TOUCH_SECONDS
    monkeypatch.setattr(store.time, "time", lambda: later)
    for start in range(0, 200, 10):
        kept.keep(entries(range(start, start + 10), new, 8000))
    (held,) = kept.held()
    assert held.space == new
    assert 50 < held.images <= 122  # of two pages each
    assert held.images == coverage(kept, new, [key(i) for i in range(200)])
    assert kept.size_bytes() < 1_500_000
    before = coverage(kept, new, [key(i) for i in range(200)])
    assert kept.keep(entries([999], new, 2_000_000)) == 0  # larger than the limit
    assert coverage(kept, new, [key(i) for i in range(200)]) == before


def test_spaces_used_together_give_up_the_same_images(tmp_path):
    kept = Store(str(tmp_path), limit_bytes=1_000_000)
    layers = [space("f6"), space("conv3")]
    for start in range(0, 100, 10):
        kept.keep([one for of in layers for one in entries(range(start, start + 10), of, 8000)])
    first, second = kept.held()
    assert 40 < first.images < 100
    both = [i for i in range(100) if read(kept, i, layers[0]) and read(kept, i, layers[1])]
    assert abs(len(both) - first.images) <= 1 >= abs(len(both) - second.images)


def test_a_space_in_use_is_noted(tmp_path, monkeypatch):
    kept = Store(str(tmp_path))
    kept.keep(entries([1]))
    before = kept.held()[0].used
    kept.touch([SPACE])
    assert kept.held()[0].used == before  # within the hour
    later = time.time() + 2 * store.TOUCH_SECONDS
    monkeypatch.setattr(store.time, "time", lambda: later)
    kept.touch([SPACE])
    assert kept.held()[0].used == later


def test_a_loop_over_more_than_fits_finds_what_fits(tmp_path):
    kept = Store(str(tmp_path), limit_bytes=1_000_000)
    hits = 0
    for _ in range(3):
        for start in range(0, 200, 10):
            hits += coverage(kept, SPACE, [key(i) for i in range(start, start + 10)])
            kept.keep(entries(range(start, start + 10), SPACE, 8000))
    assert hits > 60  # of 400 that were seen before; the oldest first would find none


def test_large_values_in_the_gaps_of_small_ones_do_not_grow_the_file(tmp_path):
    kept = Store(str(tmp_path), limit_bytes=2_000_000)
    for start in range(0, 800, 40):
        kept.keep(entries(range(start, start + 40), SPACE, 6000))
    large = space("conv3")
    for start in range(0, 40, 4):
        kept.keep(entries(range(start, start + 4), large, 150_000))
    assert kept.size_bytes() < 1.5 * 2_000_000 + _files.GROWTH_BYTES
    kept._files.compact()
    assert kept.size_bytes() < 2_200_000


def test_clearing_gives_the_disk_its_space_back(kept):
    other = store.space(roster.load("alexnet"), "random:0", "fc6", device="cpu")
    kept.keep(entries(range(100), SPACE, 8000) + entries(range(50), other, 8000))
    before = kept.size_bytes()
    assert kept.clear("LeNet5") == 100
    assert [held.space.cnn for held in kept.held()] == ["alexnet"]
    assert kept.size_bytes() < 0.6 * before
    assert read(kept, 3, other)
    assert kept.clear() == 50
    assert kept.held() == []
    assert kept.size_bytes() == 0
    kept.keep(entries([1]))
    assert read(kept, 1)


def test_many_threads_share_one_store(kept):
    start = threading.Barrier(8)

    def work(n):
        start.wait()
        for i in range(n, 40):
            kept.keep(entries([i]))
            assert read(kept, i) == i.to_bytes(4) * 750
        return coverage(kept, SPACE, [key(i) for i in range(40)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert kept.held()[0].images == 40


WORK = """
import sys
sys.path.insert(0, {tests!r})
from stores import Store, entries, read
kept = Store({folder!r}, {limit})
seen = 0
for i in range({start}, {start} + 200):
    kept.keep(entries([i % 230], size=4000))
    found = read(kept, i % 230)
    assert found in (None, (i % 230).to_bytes(4) * 1000)
    seen += found is not None
print(seen)
"""


def process(folder, start, limit=0):
    code = WORK.format(tests=HERE, folder=folder, start=start, limit=limit)
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)


@pytest.mark.parametrize("limit", [0, 300_000])
def test_processes_share_one_store(kept, limit):
    running = [process(kept.folder, start, limit) for start in (0, 30, 60)]
    seen = [int(one.communicate(timeout=60)[0]) for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    if not limit:
        assert seen == [200] * 3
        assert kept.held()[0].images == 230
    assert sum(held.images for held in kept.held()) == coverage(
        kept, SPACE, [key(i) for i in range(230)]
    )


def test_a_killed_writer_loses_nothing_that_it_was_told_is_kept(kept, tmp_path):
    code = f"""
    import sys, os, signal
    sys.path.insert(0, {HERE!r})
    from stores import Store, entries, read
    kept = Store({kept.folder!r})
    for i in range(25):
        kept.keep(entries([i]))
    with kept._files.transaction(write=True) as transaction:
        transaction.txn.put(b"half", b"written" * 10000, db=transaction.entries)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    assert done.returncode == -9
    assert coverage(kept, SPACE, [key(i) for i in range(30)]) == 25
    kept.keep(entries(range(30)))
    assert coverage(kept, SPACE, [key(i) for i in range(30)]) == 30


def test_a_folder_with_two_names_is_opened_once(kept, tmp_path, monkeypatch):
    kept.keep(entries([1]))
    (tmp_path / "link").symlink_to(kept.folder)
    monkeypatch.chdir(Path(kept.folder).parent)
    for name in (str(tmp_path / "link"), Path(kept.folder).name, f"{kept.folder}/"):
        assert Store(name)._files is kept._files
        assert read(Store(name), 1)


def test_a_forked_process_has_none(kept):
    kept.keep(entries([1]))
    child = os.fork()
    if not child:
        found = coverage(kept, SPACE, [key(1)]) == 0 and kept.keep(entries([2])) == 0
        os._exit(0 if found else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert coverage(kept, SPACE, [key(1), key(2)]) == 1


def test_a_map_that_others_outgrew_is_made_again(kept, monkeypatch):
    monkeypatch.setattr(_files, "MAP_BYTES", 1 << 20)
    kept.keep(entries([0]))
    code = f"""
    import sys
    sys.path.insert(0, {HERE!r})
    from stores import Store, entries, read
    Store({kept.folder!r}).keep(entries(range(600), size=4000))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
    assert read(kept, 599) == (599).to_bytes(4) * 1000


def test_the_limit_is_a_share_of_the_disk_unless_it_is_given(kept, monkeypatch):
    assert 0 < kept.limit_bytes() <= store.DEFAULT_BYTES
    assert Store(kept.folder, 5).limit_bytes() == 5
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=4))
    assert kept.limit_bytes() == 2


@pytest.mark.parametrize(
    ("value", "folder", "required"),
    [(True, "default", False), (False, "", False), ("~/x", "~/x", True), ("rel", "rel", True)],
)
def test_what_the_setting_means(value, folder, required, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    known = {"default": f"{tmp_path}/vista_sql/store", "~/x": str(Path("~/x").expanduser())}
    known["rel"] = f"{tmp_path}/rel"
    assert store.chosen(value, 7) == store.Choice(
        known.get(folder, ""), 7 if folder else 0, required
    )
