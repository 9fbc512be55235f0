"""Flipped bits in a feature store: a statement has its right features, or says that it cannot."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import foods
import numpy as np
import pytest
from stores import Store, entries, read, space
from vista_sql.udfs.passes.sharing import Sharing

from vista_sql.errors import StoreError
from vista_sql.hosts.duckdb.process import process

QUERY = (
    "SELECT id, hog, error FROM TRANSFER(cnn => 'hog', images => 'images', store => 'store') "
    "ORDER BY ALL"
)
DATA = Path("store/features/data.mdb")
COUNTED = "SELECT images_from_store, images_inferred FROM VISTA_RUNS() LIMIT 1"


@pytest.fixture
def db(fresh_db, tmp_path, monkeypatch):
    """A session in a folder of its own, whose runtime has its own latest results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process().runtime, "sharing", Sharing())
    return fresh_db


def read_again(db):
    """Return the rows with nothing remembered: they come from the store."""
    process().runtime.sharing = Sharing()
    return db.query(QUERY).fetchall()


def tables(whole, rows):
    """Yield what each kind of row is, and the places in the data file where rows of it lie.

    A space's row is a checksum and JSON, its key beside it; an entry's value is a head of 16 bytes
    and what was computed, its key (space, digest) before it. LMDB's own bytes are left out.
    """
    start = whole.index(b'{"space"')
    _, length = json.JSONDecoder().raw_decode(whole[start:].decode("latin-1"))
    yield "a space's row", range(start - 16, start + length)
    for features in rows:
        found = whole.find(np.asarray(features, np.float32)[:40].tobytes())
        if found > 0:
            yield "an entry", range(found - 16, found + 4 * len(features))


def flips(whole, places, chance, n):
    """Yield with one bit of the file flipped, n times; afterwards it is whole again."""
    for _ in range(n):
        damaged = bytearray(whole)
        damaged[chance.choice(places)] ^= 1 << chance.randrange(8)
        written(damaged)
        yield
    written(whole)


def written(data):
    """Put a data file in the store's place, beside which no lock knows later transactions."""
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.with_name("lock.mdb").unlink(missing_ok=True)
    DATA.write_bytes(data)


def check(db, seed, n):
    want = db.query(QUERY).fetchall()
    kept = Store("store")
    kept._files._close()
    whole, chance, kinds = DATA.read_bytes(), random.Random(seed), Counter()
    (_, n_images) = db.query(COUNTED).fetchone()
    found = Counter()
    for kind, places in tables(whole, [hog for _, hog, _ in want if hog is not None]):
        kinds[kind] += 1
        for _ in flips(whole, places, chance, n if kind == "a space's row" else max(2, n // 8)):
            assert read_again(db) == want, kind
            n_stored, n_inferred = db.query(COUNTED).fetchone()
            assert n_stored + n_inferred == n_images
            found[kind, n_inferred] += 1
            db.query("SELECT * FROM VISTA_STORE('store')").fetchall()
            kept._files._close()
    assert found["an entry", 1] > 5, "most bits of an entry cost it, and it alone"
    assert set(found) <= {("a space's row", 0), ("an entry", 0), ("an entry", 1)}
    assert kinds["an entry"] > 3
    assert kinds["a space's row"] == 1
    assert kept.clear() >= 0
    assert not DATA.exists()


def test_any_row(db):
    check(db, 1, 24)
    assert foods.leftovers(db.con) == []


@pytest.mark.full
def test_many_bits_of_any_row(db):
    for seed in range(2, 6):
        check(db, seed, 120)


RIGHT, SAID, WRONG, FOREIGN, NOT_CLEARED = range(5)


def outcome(folder):
    """Return how the store reads in this process, a child's, and whether it clears."""
    code = RIGHT
    faulthandler.disable()
    try:
        kept = Store(folder)
        for of in (space(), space(layer="conv3")):
            for i in range(40):
                if read(kept, i, of) not in (None, i.to_bytes(4) * 500):
                    return WRONG
        kept.held()
        kept.keep(entries(range(40, 45), size=2000))
    except StoreError:
        code = SAID
    except BaseException:
        return FOREIGN
    try:
        kept.clear()
    except BaseException:
        return NOT_CLEARED
    return code


@pytest.mark.full
def test_any_bit_of_the_file(tmp_path, monkeypatch):
    """LMDB follows its own pages without looking: a process of its own reads each damaged file.

    What it follows may end that process. It never makes wrong features, and is no foreign error.
    """
    writer = os.fork()  # a process that had the store open has none after a fork
    if not writer:
        kept = Store(str(tmp_path / "store"), 1 << 22)
        kept.keep(entries(range(40), size=2000))
        kept.keep(entries(range(40), space(layer="conv3"), 2000))
        os._exit(0)
    assert os.waitpid(writer, 0)[1] == 0
    monkeypatch.chdir(tmp_path)
    whole, found = DATA.read_bytes(), Counter()
    structure = [*range(2 * 4096)] * 4  # the two roots, oftener than their size
    structure += [page * 4096 + at for page in range(2, len(whole) // 4096) for at in range(100)]
    places = [*range(len(whole)), *structure]
    for i, _ in enumerate(flips(whole, places, random.Random(7), 2000)):
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(outcome(str(tmp_path / "store")))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found[status if status >= 0 else signal.Signals(-status).name] += 1
        assert status not in (WRONG, FOREIGN, NOT_CLEARED), (i, status)
    print(dict(found))
    assert found[RIGHT] > 1000
    assert set(found) <= {RIGHT, SAID, "SIGSEGV", "SIGBUS", "SIGABRT"}, "a hang is none of these"
