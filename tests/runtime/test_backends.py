from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.bundle import BACKENDS, Bundle
from realnet_edge.errors import BackendError
from realnet_edge.runtime import best_backend, check_precision, choose_bundle, detect, open_runner
from realnet_edge.runtime.backends import SUPPORTED, BackendInfo
from realnet_edge.runtime.gpu import cuda_devices
from realnet_edge.workspace import Workspace

Without = Callable[..., subprocess.CompletedProcess[str]]
Printed = Callable[[tuple[str, ...], str], str]
_IMPORTS = """from pathlib import Path
from realnet_edge.bundle import load_bundle
from realnet_edge.errors import BackendError
from realnet_edge.runtime import best_backend, choose_bundle, detect, open_runner
from realnet_edge.workspace import Workspace
"""


@pytest.fixture
def printed_without(without_packages: Without) -> Printed:
    """What a program prints in a Python that lacks packages."""
    return lambda names, program: without_packages(names, _IMPORTS + program).stdout


def test_what_is_installed_is_found_with_version_and_device() -> None:
    found = {info.name: info for info in detect()}

    assert list(found) == list(BACKENDS)
    for name in ("openvino", "onnxruntime"):
        assert found[name].available
        assert str(found[name].version)[0].isdigit()
        assert found[name].devices
        assert found[name].missing is None
    assert found["onnxruntime"].precisions == ("fp32", "int8")


def test_what_is_missing_comes_with_what_to_do() -> None:
    for info in detect():
        if not info.available:
            assert info.missing
            assert info.hint


def test_openvino_is_taken_before_onnxruntime_where_there_is_no_tensorrt_engine() -> None:
    assert [best_backend(precision) for precision in ("fp32", "fp16", "int8")] == ["openvino"] * 3


def test_without_openvino_the_next_best_is_taken_or_the_lack_is_said(printed_without: Printed) -> None:
    printed = printed_without(
        ("openvino", "tensorrt"),
        "print(best_backend('int8'))\ntry: best_backend('fp16')\nexcept BackendError as error: print(error)",
    )

    assert printed.splitlines()[0] == "onnxruntime"
    assert "no backend on this machine can do fp16" in printed
    assert "openvino is not installed (pip install 'realnet-edge[openvino]')" in printed


@pytest.mark.parametrize(
    ("backend", "command"),
    [("openvino", "pip install 'realnet-edge[openvino]'"), ("onnxruntime", "pip install onnxruntime")],
)
def test_a_bundle_whose_backend_is_missing_never_runs_on_another(
    toy_bundle: Callable[..., Bundle], tmp_path: Path, printed_without: Printed, backend: str, command: str
) -> None:
    toy_bundle(tmp_path / "b", backend)
    printed = printed_without(
        (backend,),
        f"try: open_runner(load_bundle(Path({str(tmp_path / 'b')!r})))\n"
        "except BackendError as error: print(error)",
    )

    assert f"{backend} cannot be used here: {backend} is not installed. What to do: {command}." in printed


def test_a_runner_says_itself_that_its_runtime_is_missing(
    toy_onnx: Callable[..., Path], printed_without: Printed
) -> None:
    path = str(toy_onnx(size=32))
    printed = printed_without(
        ("openvino",),
        "from realnet_edge.runtime import OpenVinoRunner\n"
        f"try: OpenVinoRunner(Path({path!r}), input_size=(32, 32)).__enter__()\n"
        "except BackendError as error: print(error)",
    )

    assert "openvino is not installed" in printed


def test_a_package_that_is_there_but_broken_is_not_called_absent(tmp_path: Path) -> None:
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "__init__.py").write_text("import tensorrt_libs_that_nobody_has\n")
    code = "from realnet_edge.runtime import detect; print(detect()[0].missing)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "tensorrt is broken (No module named 'tensorrt_libs_that_nobody_has')" in done.stdout


def test_neither_torch_nor_a_runtime_is_imported_with_the_package() -> None:
    heavy = ("torch", "timm", "torchvision", "onnx", "openvino", "onnxruntime", "tensorrt")
    code = f"import sys, realnet_edge.runtime\nprint([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_opening_a_bundle_imports_its_own_runtime_only(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    toy_bundle(tmp_path / "b", "onnxruntime")
    code = (
        "import sys; from pathlib import Path; from realnet_edge.bundle import load_bundle\n"
        "from realnet_edge.runtime import open_runner\n"
        f"with open_runner(load_bundle(Path({str(tmp_path / 'b')!r}))): pass\n"
        "print([name for name in ('torch', 'openvino', 'tensorrt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("backend", "precision", "says"),
    [
        ("onnxruntime", "fp16", r"it can do fp32, int8\. .*fp16 is done by .*openvino"),
        ("openvino", "int4", r"it can do fp32, fp16, int8\.$"),
        ("ncnn", "fp32", "use tensorrt, .*openvino, onnxruntime"),
    ],
)
def test_a_refused_precision_lists_the_possible_ones(backend: str, precision: str, says: str) -> None:
    with pytest.raises(BackendError, match=says):
        check_precision(backend, precision)


def test_a_refused_precision_names_the_backends_of_this_machine_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = {"openvino", "onnxruntime-cuda"}
    monkeypatch.setattr(
        "realnet_edge.runtime.backends.detect_backend",
        lambda name: BackendInfo(name, name in here, None, (), SUPPORTED[name]),
    )
    with pytest.raises(BackendError) as caught:
        check_precision("onnxruntime", "fp16")
    assert str(caught.value) == (
        "onnxruntime cannot do 'fp16': it can do fp32, int8. On this machine fp16 is done by "
        "onnxruntime-cuda, openvino. On others fp16 is done by tensorrt, onnxruntime-tensorrt, "
        "onnxruntime-tensorrt-rtx."
    )


def test_an_unknown_precision_has_no_best_backend() -> None:
    with pytest.raises(BackendError, match="use fp16, fp32, int8"):
        best_backend("int4")


def test_tensorrt_is_never_pretended(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    devices, no_device = cuda_devices()
    info = next(info for info in detect() if info.name == "tensorrt")
    bundle = toy_bundle(tmp_path / "b", "tensorrt")

    assert info.devices == devices
    assert bool(devices) == (no_device is None)
    assert info.available <= bool(devices)
    # Without a GPU there is no TensorRT to take; with one, this engine is another machine's.
    says = "built for another machine" if info.available else "tensorrt cannot be used here: "
    with pytest.raises(BackendError, match=says):
        open_runner(bundle).__enter__()


@pytest.mark.gpu
def test_a_gpu_answers_with_its_name() -> None:
    devices, missing = cuda_devices()

    assert missing is None
    assert all(devices)


def test_the_bundle_to_run_is_one_that_this_machine_can_run(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    place = Workspace(tmp_path)
    for backend, precision in (("tensorrt", "int8"), ("onnxruntime", "int8"), ("openvino", "fp32")):
        toy_bundle(place.category("toy").bundle(backend, precision), backend, precision)

    assert choose_bundle(place, "toy") == ("openvino", "fp32")
    assert choose_bundle(place, "toy", precision="int8") == ("onnxruntime", "int8")
    with pytest.raises(BackendError, match=r"no bundle that this machine can run.*tensorrt"):
        choose_bundle(place, "toy", "tensorrt")
