"""No runtime reports to anybody that it was used."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from realnet_edge.runtime import detect
assert any(info.name == "openvino" and info.available for info in detect())
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
"""


def test_openvino_is_imported_with_its_telemetry_stub() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
