"""What a manifest tells of the machine that built an engine. Needs no torch."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from realnet_edge import __version__
from realnet_edge.installed import installed_versions
from realnet_edge.runtime.backends import detect_backend
from realnet_edge.runtime.machine import describe_machine


def builder_facts(backend: str, packages: Sequence[str]) -> dict[str, Any]:
    """Versions, devices and processor of this machine.

    Args:
        backend: whose version and devices count.
        packages: names of further distributions that took part; those not installed are left out.
    """
    machine = describe_machine()
    info = detect_backend(backend)
    versions = installed_versions(packages)
    return {
        "versions": {"realnet-edge": __version__, backend: info.version or "unknown", **versions},
        "device": ", ".join(info.devices),
        "cpu": machine.cpu,
        "cpu_features": list(machine.cpu_features),
        "cores": machine.cores,
        "system": machine.system,
        "python": platform.python_version(),
    }
