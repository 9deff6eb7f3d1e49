"""Kernels on CPU tensors by Triton's interpreter, which has to be chosen before triton is imported.

`test_interpreter.py` one folder up runs this folder in a process of its own; in any other there is nothing
to collect here. By hand: `TRITON_INTERPRET=1 python -m pytest tests/kernels/interpreter`.
"""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]
