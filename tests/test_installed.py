from __future__ import annotations

import importlib.metadata

from realnet_edge.installed import ONNXRUNTIME, installed_version, installed_versions


def test_what_is_not_installed_has_no_version_and_is_left_out() -> None:
    numpy = importlib.metadata.version("numpy")
    assert installed_version("numpy") == numpy
    assert installed_version("no-such-package-at-all") is None
    assert installed_versions(["no-such-package-at-all", "numpy"]) == {"numpy": numpy}


def test_onnxruntime_is_found_by_whichever_name_it_was_installed() -> None:
    assert installed_versions(ONNXRUNTIME)
