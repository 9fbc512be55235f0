"""What goes wrong around the real shell: every fault ends in a sentence, and the next thing works.

Nothing here needs TensorFlow: what takes long is reading large images for 'hog'.
"""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import shells as of_shells

from vista_sql.hosts.shell.server import CALL, FRAME, HELLO, MAGIC
from vista_sql.machine.resources import own_version

QUICK = "SELECT count(hog) AS n FROM TRANSFER(cnn => 'hog', images => '(SELECT 1 AS id, image FROM one)');"
SLOW = (
    "SELECT count(hog) AS n FROM TRANSFER(cnn => 'hog', images => "
    "'(SELECT i AS id, image || encode(i::VARCHAR) AS image FROM one, range(2000) AS r(i))');"
)
"""One chunk of 2,000 distinct images, some 30 ms each: far longer than any limit below."""


@pytest.fixture(scope="module")
def shell():
    """A worker of this file's own: its tests end it."""
    with of_shells.shells() as made:
        flat = np.full((1000, 1500, 3), 200, np.uint8)
        (made.folder / "one.png").write_bytes(cv2.imencode(".png", flat)[1].tobytes())
        yield made


@pytest.fixture(scope="module")
def one(shell):
    """The statement that makes the table of one large image."""
    return f"CREATE TABLE one AS SELECT content AS image FROM read_blob('{shell.folder}/one.png');"


def socket_of(shell):
    (found,) = (shell.folder / "vista_sql").glob("*.sock")
    return found


def connected(shell):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(socket_of(shell)))
    return client


def worker_of(shell):
    """Return the process id of the worker."""
    with connected(shell) as client:
        return struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()


def wait_until(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def busy_seconds(pid):
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Terminal:
    """A shell at a terminal."""

    def __init__(self, shell, *arguments):
        command, environment = shell.command(*arguments), shell.environment | {"TERM": "dumb"}
        with warnings.catch_warnings():  # from Python 3.12 on: other threads do not follow
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, environment)
        self.shown = ""

    def send(self, text):
        self.shown = ""
        os.write(self.fd, text.encode())

    def expect(self, pattern, seconds=60):
        until = time.monotonic() + seconds
        while not re.search(pattern, self.shown):
            assert time.monotonic() < until, f"no {pattern!r} in {seconds} s: {self.shown[-2000:]}"
            readable, _, _ = select.select([self.fd], [], [], 0.05)
            if readable:
                with suppress(OSError):
                    self.shown += os.read(self.fd, 65536).decode(errors="replace")
                    self.shown = re.sub(r"\x1b\[[0-9;]*m", "", self.shown)

    def close(self):
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@contextmanager
def running(shell, sql):
    """Run statements in a shell while the caller does something to it."""
    process = subprocess.Popen(
        [*shell.command("-json"), "-c", sql],
        env=shell.environment,
        cwd=shell.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def busy(shell):
    """Wait until the worker has begun to read images."""
    pid = worker_of(shell)
    begun = busy_seconds(pid)
    wait_until(lambda: busy_seconds(pid) > begun + 0.3, 60, "a busy worker")
    return pid


def test_a_killed_worker_is_said_and_the_next_statement_works(shell, one):
    shell.rows(one + QUICK)
    process = subprocess.Popen(
        shell.command("-json"),
        env=shell.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.write(f"{one}\n{SLOW}\n{QUICK}\n")
    process.stdin.close()
    process.stdin = None
    os.kill(busy(shell), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert "vista: the worker ended in the middle of this statement" in err
    assert list(of_shells.documents(out)) == [{"n": 1}]


def test_ctrl_c_ends_the_statement_and_only_it(shell, one):
    shell.rows(one + QUICK)
    terminal = Terminal(shell)
    try:
        terminal.expect("D ")
        terminal.send(f"{one}\n")
        terminal.expect("D ")
        with running(shell, one + SLOW.replace("2000", "40")) as other:
            terminal.send(f"{SLOW}\n")
            pid = busy(shell)
            began = time.monotonic()
            terminal.send("\x03")
            terminal.expect(r"\^C.*D $", 10)
            seconds = time.monotonic() - began
            out, err = other.communicate(timeout=120)
        assert seconds < 2  # 0.1 where nothing else runs; the chunk would take a minute
        assert (list(of_shells.documents(out)), err) == ([{"n": 40}], "")
        terminal.send(f"{QUICK}\n")
        terminal.expect("│ +1 │")
        at_rest = busy_seconds(pid)
        time.sleep(1)
        assert busy_seconds(pid) < at_rest + 0.5, "the worker goes on with what nobody waits for"
        assert worker_of(shell) == pid
    finally:
        terminal.close()


def test_a_worker_notices_that_its_shell_was_killed(shell, one):
    shell.rows(one + QUICK)
    with running(shell, one + SLOW) as process:
        pid = busy(shell)
        process.kill()
    at_rest(pid)
    assert shell.rows(one + QUICK) == [{"n": 1}]


FIT = (
    "CREATE TABLE x AS SELECT i AS id, i // 120 AS y, [sin(i / (j + 1)) FOR j IN range(40)]::FLOAT[] AS f "
    "FROM range(60000) AS r(i);"
    "SELECT count(*) AS n FROM VISTA_TRAIN(model => 'm', label => 'y', data => 'x', reg => 0, "
    "tolerance => 0, max_iterations => 1000000);"
)
"""500 classes, which 40 smooth columns hardly tell apart: minutes."""


def test_ctrl_c_ends_the_fitting_of_a_model(shell, one):
    shell.rows(one + QUICK)
    pid = worker_of(shell)
    with running(shell, FIT) as process:
        began = busy_seconds(pid)
        wait_until(lambda: busy_seconds(pid) > began + 3, 100, "a busy worker")
        process.send_signal(signal.SIGINT)
        process.wait(10)
    at_rest(pid)
    assert shell.rows("SELECT count(*) AS n FROM VISTA_MODELS();") == [{"n": 0}]


def at_rest(pid):
    """Wait until a process does nothing."""

    def rests():
        before = busy_seconds(pid)
        time.sleep(0.5)
        return busy_seconds(pid) < before + 0.2

    wait_until(rests, 20, "a worker at rest")


def test_two_shells_start_one_worker_and_are_not_mixed(shell, tmp_path):
    shell.vista("worker", "--stop")
    found = {}

    def ask(name):
        folder = tmp_path / name
        folder.mkdir()
        shade = 40 * int(name)
        cv2.imwrite(str(folder / "own.png"), np.full((99, 99, 3), shade, np.uint8))
        (folder / "own.png").write_bytes((folder / "own.png").read_bytes())
        found[name] = shell.rows(
            "SELECT count(*) AS n, count(error) AS bad FROM TRANSFER(cnn => 'hog', images => "
            f"'(SELECT i AS id, ''own.png'' AS image FROM range({name}00) AS r(i))');"
            f"SELECT n_rows FROM (SELECT rows AS n_rows FROM VISTA_RUNS());SELECT vista_home() AS home",
            cwd=folder,
        )

    threads = [threading.Thread(target=ask, args=(str(n),)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: rows[:2] for name, rows in found.items()} == {
        str(n): [{"n": 100 * n, "bad": 0}, {"n_rows": 100 * n}] for n in (1, 2, 3)
    }
    assert len({rows[2]["home"] for rows in found.values()}) == 3
    assert shell.log.count("listening") <= 1


def test_garbage_does_not_harm_the_worker(shell, one):
    shell.rows(one + QUICK)
    pid = worker_of(shell)
    hello = json.dumps(
        {"protocol": 1, "package": own_version(), "session": "x", "database": ""}
    ).encode()
    call = json.dumps(
        {"call": "vista_error", "rows": 3, "types": [[17]], "folder": "/", "environment": {}}
    ).encode()
    greeting = FRAME.pack(MAGIC, HELLO, len(hello), 0) + hello
    for sent in (
        os.urandom(4096),
        FRAME.pack(MAGIC, HELLO, 5, 0) + b"{nojs",
        FRAME.pack(MAGIC, HELLO, 2**63, 2**63),
        FRAME.pack(MAGIC, CALL, 2, 0) + b"{}",
        FRAME.pack(MAGIC, HELLO, 100, 0) + b"half of",
        greeting + os.urandom(100),
        greeting + FRAME.pack(MAGIC, CALL, len(call), 2**62) + call,
        greeting + FRAME.pack(MAGIC, CALL, len(call), 40) + call + os.urandom(40),
        greeting + FRAME.pack(MAGIC, CALL, len(call), 0) + call,
        greeting + FRAME.pack(MAGIC, CALL, 4, 0) + b"[[]]",
    ):
        with connected(shell) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while client.recv(65536):
                    pass
    assert shell.rows(one + QUICK) == [{"n": 1}]
    assert worker_of(shell) == pid


def test_another_version_is_told_what_to_do(shell, one):
    shell.rows(one + QUICK)
    hello = json.dumps({"protocol": 1, "package": "0.0.1", "session": "x", "database": ""}).encode()
    with connected(shell) as client:
        client.sendall(FRAME.pack(MAGIC, HELLO, len(hello), 0) + hello)
        said = client.recv(65536)[FRAME.size :].decode()
    assert "extension is of vista_sql 0.0.1" in said
    assert "`vista worker --stop`" in said


def refused(shell, folder, sql="SELECT vista_home()"):
    done = subprocess.run(
        [*shell.command(), "-c", sql],
        env=shell.environment | {"XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stderr


def test_a_folder_that_others_can_enter_is_refused(shell, tmp_path):
    (tmp_path / "vista_sql").mkdir(mode=0o755)
    assert "must be a folder of yours that nobody else can enter (mode 700" in refused(
        shell, tmp_path
    )
    (tmp_path / "vista_sql").chmod(0o700)
    (tmp_path / "vista_sql").rename(tmp_path / "elsewhere")
    (tmp_path / "vista_sql").symlink_to(tmp_path / "elsewhere")
    assert "must be a folder of yours" in refused(shell, tmp_path)
    assert not list((tmp_path / "elsewhere").iterdir())


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@needs_root
def test_a_folder_of_another_user_is_refused(shell, tmp_path):
    (tmp_path / "vista_sql").mkdir(mode=0o700)
    os.chown(tmp_path / "vista_sql", 65534, 65534)
    assert "must be a folder of yours" in refused(shell, tmp_path)


@needs_root
def test_a_second_user_cannot_connect(shell, one):
    shell.rows(one + QUICK)
    path = str(socket_of(shell))
    assert as_another_user(lambda: said_at(path)) == "PermissionError"
    opened = [(place, place.stat().st_mode) for place in (shell.folder, socket_of(shell).parent)]
    try:  # even if the folder were open: the worker looks who it is
        for place, _ in opened:
            place.chmod(0o755)
        socket_of(shell).chmod(0o777)
        assert as_another_user(lambda: said_at(path)) == "b''"
    finally:
        for place, mode in opened:
            place.chmod(mode)


def said_at(path):
    """Return what a socket says unasked: nothing, before it hangs up."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        return repr(client.recv(1))


def as_another_user(action):
    """Return what a function returns, or the name of its error, in a process of user nobody."""
    reads, writes = os.pipe()

    def become():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            said = action()
        except OSError as error:
            said = type(error).__name__
        os.write(writes, said.encode())
        os._exit(0)

    subprocess.run(["true"], preexec_fn=become, check=False)  # never gets as far as `true`
    os.close(writes)
    with os.fdopen(reads) as pipe:
        return pipe.read()


def test_a_worker_that_cannot_start_says_why(shell, tmp_path):
    said = shell.error("SELECT vista_worker('/no/such/python', 'a'); SELECT vista_home();")
    assert "the worker did not start: /no/such/python: No such file or directory" in said
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    said = shell.error(f"SELECT vista_worker('{bare}', 'b'); SELECT vista_home();")
    assert "the worker did not start" in said
    assert "No module named vista_sql" in said


NOISE = """
import os, stat, sys, threading, time

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())

def shout():
    while not stat.S_ISREG(os.fstat(2).st_mode):  # until it listens
        time.sleep(0.02)
    for _ in range(64):
        for stream in (sys.__stdout__, sys.__stderr__):
            stream.write("noise " * 2730 + "\\n")
            stream.flush()

if "worker" in sys.orig_argv:
    for _ in range(8):  # more than a pipe holds, before it listens
        sys.__stderr__.write("early " * 2730 + "\\n")
    os.register_at_fork(after_in_child=lambda: threading.Thread(target=shout, daemon=True).start())
"""


def test_noise_and_a_missing_tensorflow(shell, tmp_path):
    """2 MiB of noise on the worker's stdout and stderr are a log; the error says what to install."""
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    with of_shells.shells(PYTHONPATH=str(tmp_path), VISTA_SQL_ENGINE="tensorflow") as noisy:
        image = f"'(SELECT 1 AS id, content AS image FROM read_blob(''{shell.folder}/one.png''))'"
        for _ in range(3):
            (row,) = noisy.rows(
                f"SELECT count(hog) AS n FROM TRANSFER(cnn => 'hog', images => {image});"
            )
            assert row == {"n": 1}
        said = noisy.error(f"SELECT fc6 FROM TRANSFER(cnn => 'lenet5', images => {image});")
        assert "pip install 'vista-sql[cpu]'" in said
        wait_until(lambda: len(noisy.log) > 2**20, 20, "a log of 1 MiB")


def test_an_idle_worker_ends_and_the_next_statement_starts_another(shell, one):
    shell.vista("worker", "--stop")
    name = re.search(r"vista_worker\('[^']*', '([^']*)'\)", shell.init.read_text())[1]
    target = shell.folder / "vista_sql" / f"{name}.sock"
    shell.vista("worker", "--socket", target, "--detach", "--idle-seconds", "3")
    pid = worker_of(shell)
    terminal = Terminal(shell)
    try:
        terminal.expect("D ")
        terminal.send(f"{one}{QUICK}\n")
        terminal.expect("│ +1 │")
        wait_until(lambda: not is_alive(pid), 30, "an idle worker's end")
        terminal.send(f"{QUICK}\n")
        terminal.expect("│ +1 │")
        assert worker_of(shell) != pid
    finally:
        terminal.close()


@pytest.mark.full
def test_what_a_worker_has_no_memory_for_is_said(shell, one):
    shell.vista("worker", "--stop")
    name = re.search(r"vista_worker\('[^']*', '([^']*)'\)", shell.init.read_text())[1]
    target = shell.folder / "vista_sql" / f"{name}.sock"
    shell.vista("worker", "--socket", target, "--detach", "--memory-limit", "1000MB")
    pid = worker_of(shell)
    try:
        said = shell.error("SELECT vista_error('{}', repeat('x', 1000000000)::BLOB, '') AS e;")
        assert "the worker has no memory left" in said
        assert "VISTA_SQL_MEMORY_LIMIT" in said
        assert shell.rows(one + QUICK) == [{"n": 1}]
        assert worker_of(shell) == pid
    finally:
        shell.vista("worker", "--stop")
