"""What the machine is: processor, cores, installed packages, limits of memory."""

from __future__ import annotations

import os
import platform
import tomllib
from pathlib import Path

import pytest
from source import ROOT

import vista_sql
from vista_sql.machine import calibration, resources
from vista_sql.machine.resources import Processor
from vista_sql.store import device_class

X86 = """\
processor\t: 0
model name\t: AMD EPYC 9B14
flags\t\t: fpu vme avx512f

processor\t: 1
model name\t: another
flags\t\t: none
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\nCPU part\t: 0xd40\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, Processor("AMD EPYC 9B14", "fpu vme avx512f")),
        (ARM, Processor("", "fp asimd bf16")),
        ("", Processor("", "")),
    ],
)
def test_the_first_processor_is_read(text, expected, tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert resources.processor(file) == expected


def test_a_system_that_lists_none_has_none(tmp_path):
    assert resources.processor(tmp_path / "absent") is None


@pytest.fixture
def on(monkeypatch):
    """Run as on another machine of two cores; what is kept per process is read again."""
    kept = (calibration.fingerprint, device_class, vista_sql.store._spaces._processor)

    def stand_in(processor):
        monkeypatch.setattr(resources, "processor", lambda: processor)
        monkeypatch.setattr(vista_sql.store._spaces, "processor", lambda: processor)
        for function in kept:
            function.cache_clear()

    monkeypatch.setattr(resources, "cores", lambda: 2)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "processor", lambda: "i386")
    yield stand_in
    for function in kept:
        function.cache_clear()


@pytest.mark.parametrize(
    ("processor", "fingerprint", "device"),
    [
        (Processor("AMD EPYC", "fpu avx2"), "d326426c4d22", "cpu AMD EPYC f93733f2"),
        (Processor("", "fp asimd"), "1c7441a9204f", "cpu x86_64 9830b2c3"),
        (None, "1c7441a9204f", "cpu i386"),
    ],
)
def test_what_was_stored_and_measured_is_found_again(on, processor, fingerprint, device):
    """By these texts: another reading of the processor would begin all anew."""
    on(processor)
    assert calibration.fingerprint() == fingerprint
    assert device_class("cpu") == device


def test_cores_are_those_of_this_process(monkeypatch):
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8})
        assert resources.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert resources.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert resources.cores() == 1


def test_versions_are_the_installations():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert vista_sql.__version__ == resources.own_version() == declared
    assert resources.package_version("vista-sql") == declared
    assert resources.package_version("no-such-package-of-ours") is None


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
