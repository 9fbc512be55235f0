"""What a host tells the planner of the engines that are here; none of them is imported."""

from __future__ import annotations

from functools import cache
from typing import get_args

from vista_sql import catalog, kernels, store
from vista_sql.kernels import Engine
from vista_sql.machine.resources import package_version, processor
from vista_sql.planning.engines import Engines

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Instructions that multiply in bfloat16, as Linux names them; the last is ARM's."""


@cache
def here() -> Engines:
    """Return who can run networks in this process."""
    installed = frozenset(name for name in get_args(Engine) if is_installed(name))
    found = processor()
    return Engines(
        installed,
        has_gpu="tensorflow" in installed and store.device_class("auto").startswith("gpu"),
        has_bfloat16=found is not None and not BFLOAT16.isdisjoint(found.instructions.split()),
    )


def is_installed(name: Engine) -> bool:
    """Return whether a distribution is installed that an engine can run by."""
    entry = catalog.module(kernels.PACKAGE, f"network.engines.{name}").ENGINE
    return any(package_version(package) is not None for package in entry.packages)
