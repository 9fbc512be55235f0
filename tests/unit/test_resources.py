"""What the machine is: processor, cores, installed packages; each read in one place."""

from __future__ import annotations

import os
import platform
import tomllib

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
