"""Where Linux is not, what is read from it alone has its way out; played in a process without."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import run_python

from vista_sql import doctor
from vista_sql.cli import app
from vista_sql.machine import resources
from vista_sql.machine.resources import Processor

WITHOUT_LINUX = """
import builtins, io, os, socket, sys, types

MODULES = ("fcntl", "grp", "pwd", "resource", "termios")  # that Windows has not
NAMES = ("AF_UNIX", "fork", "geteuid", "getuid", "sched_getaffinity", "setsid", "sysconf", "uname")
importing, opening = builtins.__import__, io.open


class Less(types.ModuleType):
    def __init__(self, module):
        super().__init__(module.__name__)
        self.__wrapped__ = module

    def __getattr__(self, name):
        if name in NAMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self.__wrapped__, name)


less = {"os": Less(os), "socket": Less(socket)}


def is_ours(scope):  # other people's modules ask what the system is, and it is Linux
    return str((scope or {}).get("__name__")).startswith("vista_sql")


def without(name, scope=None, *rest, **more):
    if is_ours(scope):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in less:
            return less[name]
    return importing(name, scope, *rest, **more)


def outside(file, *rest, **more):
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == "pathlib":
        frame = frame.f_back
    if str(file).startswith(("/proc", "/sys")) and is_ours(frame.f_globals):
        raise FileNotFoundError(2, "No such file or directory", str(file))
    return opening(file, *rest, **more)


builtins.__import__, builtins.open, io.open = without, outside, outside
process = types.SimpleNamespace(memory_info=lambda: types.SimpleNamespace(peak_wset=12345))
sys.modules["psutil"] = types.SimpleNamespace(
    virtual_memory=lambda: types.SimpleNamespace(total=6 << 30), Process=lambda: process
)
os.chdir(os.path.dirname(__file__))
"""

ALL_OF_IT = """
import vista_sql
from vista_sql import datasets, hosts, store
from vista_sql.machine import resources

datasets.digits("demo")
seen = "SELECT id, digit, ink_mass, fc6 FROM TRANSFER(cnn => 'lenet5', images => 'digit_images', "
seen += "structured => 'FROM digits LIMIT 150', store => 'kept')"
with vista_sql.connect("demo/demo.duckdb") as db:
    training = f"VISTA_TRAIN(model => 'digits', label => 'digit', data => $${seen}$$)"
    print([row[0] for row in db.query(f"SELECT feature_set FROM {training}").fetchall()])
    print("machine's memory" in str(db.explain(seen)))
kept = store.Store(os.path.abspath("kept"), None)
print([(row.space.layer, row.images) for row in kept.held()], kept.size_bytes() > 0)
kept.clear()
print(kept.held())
print([kind.name for kind in hosts.kinds() if kind.name != "dbt"])
print(resources.machine().memory_bytes == (6 << 30) - resources.RESERVE_BYTES)
print(resources.peak_bytes())
"""


def test_all_of_it_works_without_linux(tmp_path):
    """`shell` is no host then; memory is what psutil says."""
    assert run_python(tmp_path / "without_linux.py", WITHOUT_LINUX + ALL_OF_IT) == [
        "['structured', 'structured+fc6']",
        "True",
        "[('f6', 150)] True",
        "[]",
        "['connection', 'query', 'spark']",
        "True",
        "12345",
    ]


def test_a_macs_processor_is_named(monkeypatch):
    commands = []

    def said(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "Apple M2\n")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", said)
    assert resources.processor(Path("/absent")) == Processor("Apple M2", "")
    assert commands == [["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]]


def test_a_mac_that_does_not_say_has_no_processor(monkeypatch):
    def refused(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", refused)
    assert resources.processor(Path("/absent")) is None


@pytest.mark.parametrize(("system", "unit_bytes"), [("linux", 1024), ("darwin", 1)])
def test_the_peak_without_proc_is_in_bytes(system, unit_bytes, monkeypatch):
    import resource

    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(sys, "platform", system)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes
    assert before <= resources.peak_bytes() <= 2 * before


@pytest.mark.parametrize(
    "command", [("shell",), ("extension", "build"), ("worker",), ("worker", "--log")]
)
def test_the_shell_says_where_it_runs(command, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    done = CliRunner().invoke(app, command, prog_name="vista")
    assert done.exit_code == 1
    assert done.stderr == (
        "vista: the duckdb shell's extension and its worker run on Linux only, and this is Darwin: "
        "use `vista query`, or Python\n"
    )


def test_doctor_says_what_is_not_here(monkeypatch):
    monkeypatch.setattr(doctor, "_tensorflow", lambda: (None, []))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    findings = {finding.name: finding for finding in doctor.examine()}
    assert findings["system"].state == "note"
    assert findings["system"].value == "Darwin arm64; tests run on Linux x86_64 only"
    assert "run on Linux only" in findings["duckdb shell"].value
