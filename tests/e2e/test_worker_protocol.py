"""What anybody may write into the worker's socket: it answers the next good client all the same."""

# ruff: noqa: E501 - a document or a statement is a line

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest

from vista_sql.hosts.shell import columns
from vista_sql.hosts.shell.server import CALL, ERROR, FRAME, HELLO, MAGIC, PROTOCOL, STOP, WELL
from vista_sql.machine.resources import own_version

MOST_GROWN_BYTES = 200 << 20  # of the worker's memory, over everything that it is sent


class Worker:
    """A worker of one test's own, and what may be said to it."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "s.sock"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vista_sql", "worker", "--socket", str(self.path)],
            stderr=self._log,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        until = time.monotonic() + 60
        while not self.path.exists():
            assert time.monotonic() < until, self.log
            time.sleep(0.02)

    @property
    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def status(self, name):
        """Return a number of /proc/<pid>/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", text)[1])

    def client(self, seconds=20):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(seconds)
        until = time.monotonic() + seconds
        while True:
            try:
                client.connect(str(self.path))
            except OSError as error:
                waits = isinstance(error, BlockingIOError | ConnectionRefusedError)
                if not waits or time.monotonic() > until or self.process.poll() is not None:
                    client.close()
                    raise
                time.sleep(0.01)  # so many knock at once, or it does not listen yet
            else:
                return client

    def answers(self):
        """Check that a good client is answered, within seconds."""
        with self.client() as client:
            client.sendall(GREETING)
            assert reply(client) == (WELL, b"", b"")
            client.sendall(CALLS["vista_plan"])
            kind, text, body = reply(client)
            assert (kind, text) == (WELL, b"")
            assert b"vista_plan('answered'" in body, "what it asks the shell first"

    def close(self):
        self.process.kill()
        self.process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def worker():
    with tempfile.TemporaryDirectory(prefix="vista", dir="/tmp") as folder:
        made = Worker(Path(folder))
        try:
            yield made
        finally:
            made.close()


def exactly(client, n_bytes):
    data = b""
    while len(data) < n_bytes:
        got = client.recv(n_bytes - len(data))
        if not got:
            raise EOFError
        data += got
    return data


def reply(client):
    """Return what a worker answered: kind, text, body."""
    magic, kind, n_text, n_body = FRAME.unpack(exactly(client, FRAME.size))
    assert magic == MAGIC
    return kind, exactly(client, n_text), exactly(client, n_body)


def frame(kind, document, body=b""):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return FRAME.pack(MAGIC, kind, len(text), len(body)) + text + body


def call(function, *given, rows=1, **other):
    """Return the frame of a call; `given` are (type as the extension says it, Arrow column)."""
    body = b"".join(
        bytes(part) for _, column in given for part in columns.write(column, column.type)
    )
    document = {
        "call": function, "rows": rows, "types": [kind for kind, _ in given], "folder": "/",
        "environment": {},
    }  # fmt: skip
    return frame(CALL, {**document, **other}, body)


def texts(*values):
    return [17], pa.array(values, pa.large_string())


def struct(**fields):
    names = [part for name in fields for part in (name, [17])]
    made = {name: pa.array([value], pa.large_string()) for name, value in fields.items()}
    return [25, *names], pa.StructArray.from_arrays([*made.values()], [*made])


SAID = {"protocol": PROTOCOL, "package": own_version(), "session": "fuzz", "database": ""}
GREETING = frame(HELLO, SAID)
LISTS = pa.array([["a", None], []], pa.large_list(pa.large_string()))
CALLS = {
    "vista_home": call("vista_home"),
    "vista_plan": call(
        "vista_plan",
        texts("transfer"),
        struct(cnn="hog", images="(SELECT 1 AS id, 'a.png' AS image)"),
        struct(vista_plan="lazy"),
    ),
    "answered": call(
        "vista_plan", texts("answered"), texts('["transfer", {"cnn": "hog"}, {}]'), texts("{}")
    ),
    "vista_kept": call(
        "vista_kept", texts("a", "b", "c"), texts('["z"]', "[]", "[]"), texts("[]", '["b"]', "[]"),
        rows=3,
    ),
    "vista_error": call(
        "vista_error", texts('{"cnn":"hog","layers":[]}'), ([18], pa.array([b"GIF"], pa.large_binary())),
        texts("key"),
    ),
    "lists": call("vista_kept", ([24, [17]], LISTS), texts("[]", "[]"), texts("[]", "[]"), rows=2),
    "numbers": call("vista_plan", ([5], pa.array([1])), ([11], pa.array([0.5])), texts("x")),
}  # fmt: skip
WORDS = (
    0, -1, 2**31, 2**63, 1e308, None, True, "", "é", "\0", "x" * 5000, [], {}, [[]], [None], "../../x",
    [[17]], [[24, [24, [17]]]], [[33, [17], -1]], [[33, 2**40, [17]]], [[23, 6, "a"]], [[26, [17], [17]]],
    [[25]], [[25, "a"]], [[19, 16, 99, 1]], [[19, 5, 4, 2]], [[99]], [17], 10**9, [["17"]], [[[17]]], "vista_infer_1",
)  # fmt: skip


def documents(sent):
    """Return a frame's document and body."""
    _, kind, n_text, _ = FRAME.unpack(sent[: FRAME.size])
    text = sent[FRAME.size : FRAME.size + n_text]
    return kind, json.loads(text), sent[FRAME.size + n_text :]


def hostile(chance):
    """Return what is sent on a connection, in parts, and whether its columns were changed."""
    good = chance.choice([*CALLS.values()])
    match chance.randrange(9):
        case 0:
            return [chance.randbytes(chance.choice((1, 23, 24, 100, 70_000)))], False
        case 1:
            return [GREETING, chance.randbytes(chance.choice((1, 24, 4096)))], False
        case 2:  # the end is missing
            whole = GREETING + good
            return [whole[: chance.randrange(len(whole))]], False
        case 3:  # a header that is not of what follows
            field, at = chance.choice((0, 1, 2, 2**20, 2**31, 2**40, 2**62, 2**63, 2**64 - 1)), 8
            at += chance.choice((0, 8))
            broken = good[:at] + field.to_bytes(8, "little") + good[at + 8 :]
            return chance.choice(([GREETING, broken], [broken], [frame(STOP + 7, {}), good])), True
        case 4:  # bits of the columns
            kind, document, body = documents(good)
            flipped = bytearray(body)
            for _ in range(chance.choice((1, 2, 8)) if body else 0):
                flipped[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            return [GREETING, frame(kind, document, bytes(flipped))], True
        case 5:  # another document
            kind, document, body = documents(chance.choice((good, good, GREETING)))
            name = chance.choice([*document, "more"])
            if chance.random() < 0.3:
                document.pop(name, None)
            else:
                document[name] = chance.choice(WORDS)
            changed = frame(kind, document, body)
            return [changed, good] if kind == HELLO else [GREETING, changed], True
        case 6:  # text that is no document
            text = chance.choice(
                (b"[" * 100_000, b"{", b"\xff\xfe", b"[[]]", b"NaN", b'{"a":' * 9999)
            )
            return chance.choice(([frame(HELLO, text)], [GREETING, frame(CALL, text)])), False
        case 7:  # bits of anything
            flipped = bytearray(GREETING + good)
            for _ in range(chance.choice((1, 3, 20))):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            if flipped[4:8] == STOP.to_bytes(4, "little"):
                flipped[4] ^= 1  # which would be the word that ends it
            return [bytes(flipped)], True
        case _:
            return [GREETING, *chance.choices([*CALLS.values()], k=chance.choice((1, 5)))], True


def converse(worker, parts, chance):
    """Send the parts, hang up in some way, and return the replies."""
    replies = []
    with worker.client() as client, contextlib.suppress(EOFError, ConnectionError):
        for part in parts:
            client.sendall(part)
        way = chance.randrange(3)
        if way == 0:
            return replies  # without a word
        client.shutdown(socket.SHUT_WR)
        while way == 1 or not replies:
            replies.append(reply(client))
    return replies


def check(worker, seed, n):
    worker.answers()
    before, chance, tracebacks = worker.status("VmRSS"), random.Random(seed), 0
    for i in range(n):
        parts, has_columns = hostile(chance)
        for kind, text, _ in converse(worker, parts, chance):
            said = text.decode()
            assert kind in (WELL, ERROR), parts
            assert (kind == ERROR) == bool(said)
            assert "Traceback" not in said
            tracebacks += "this is a fault of vista_sql" in said
            assert has_columns or "this is a fault of vista_sql" not in said, (parts, said)
        if i % 25 == 0:
            worker.answers()
    worker.answers()
    assert worker.process.poll() is None
    assert (worker.status("VmRSS") - before) * 1024 < MOST_GROWN_BYTES
    assert "in _converse" not in worker.log, "what nobody was told"
    assert worker.log.count("Traceback") >= tracebacks
    until = time.monotonic() + 20
    while worker.status("Threads") > 40:
        assert time.monotonic() < until, "threads of connections that have ended"
        time.sleep(0.1)


def test_a_worker_outlives_what_it_is_sent(worker):
    check(worker, 1, 400)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_worker_outlives_much_that_it_is_sent(worker, seed):
    check(worker, seed, 2000)


def test_what_is_announced_takes_no_memory_before_it_comes(worker):
    worker.answers()
    before = worker.status("VmData")
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            client = opened.enter_context(worker.client())
            client.sendall(GREETING)
            assert reply(client)[0] == WELL
            client.sendall(FRAME.pack(MAGIC, CALL, 0, 16 << 30) + b"x")
        worker.answers()
        assert worker.status("VmData") - before < 4 << 20, (
            "kB: 20 × 64 MiB and threads, not 320 GiB"
        )


def test_silent_and_slow_clients_keep_nobody_waiting(worker):
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(worker.client()) for _ in range(100)]
        slow = opened.enter_context(worker.client())
        slow.sendall(GREETING[:10])
        worker.answers()
        slow.sendall(GREETING[10:])
        assert reply(slow) == (WELL, b"", b"")
        for byte in CALLS["vista_home"]:
            slow.sendall(bytes([byte]))
        assert reply(slow)[0] == WELL
        assert len(silent) == 100


@pytest.mark.full  # 10 s, of waiting
def test_who_says_nothing_is_hung_up_on(worker):
    with worker.client(30) as silent, worker.client(30) as greeted:
        greeted.sendall(GREETING)
        assert reply(greeted) == (WELL, b"", b"")
        assert silent.recv(1) == b""
        greeted.sendall(CALLS["vista_home"])
        assert reply(greeted)[0] == WELL, "a shell may be silent between its calls"


def test_a_session_is_no_path(worker):
    kept = worker.folder / "kept"
    kept.mkdir()
    (worker.folder / "vista_sql_x").mkdir()
    with worker.client() as client, contextlib.suppress(EOFError):
        client.sendall(frame(HELLO, SAID | {"session": "x/../kept"}))
        reply(client)
    worker.answers()
    assert kept.exists()


@pytest.mark.full
def test_more_clients_than_it_can_have(worker):
    """Connections beyond its limit of open files wait, and others are served once some have gone."""
    pid = worker.process.pid
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=128:128"], check=True)
    with contextlib.ExitStack() as opened:
        for _ in range(180):
            with contextlib.suppress(BlockingIOError):
                opened.enter_context(worker.client(0.2))
        ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15]))
        time.sleep(2)
        spent = sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15])) - ticks
        assert spent < 100, "it spins"
    worker.answers()
