"""The limits of memory that hold for a process."""

from __future__ import annotations

from pathlib import Path

from vista_sql.machine import resources


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
