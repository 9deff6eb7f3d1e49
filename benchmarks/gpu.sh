#!/usr/bin/env bash
# Everything that is measured on a machine with an NVIDIA GPU, correctness first:
#
#     benchmarks/gpu.sh [--dry-run] [--workspace DIR --category NAME]
#
# Without a category of yours it trains one on solar cells (MINUTES of training, 10 unless set). Rows go to
# benchmarks/results/. A part that fails does not end the run; the last lines say which did. --dry-run prints
# the commands, and needs no GPU.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

dry_run=
workspace=gpu/workspace
category=elpv-mono
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=1 ;;
    --workspace) workspace=${2:?--workspace needs a folder} && shift ;;
    --category) category=${2:?--category needs a name} && shift ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done

environment=.venv-gpu
bin=$environment/bin
failed=()

# part NAME COMMAND...: runs a command and remembers its failure.
part() {
    local name=$1
    shift
    printf '\n== %s\n   %s\n' "$name" "$*"
    [ -n "$dry_run" ] && return 0
    "$@" || failed+=("$name (exit status $?)")
}

# available BACKEND: whether this machine has it, and if not, what it lacks.
available() {
    [ -n "$dry_run" ] && return 0
    "$bin/python" -c 'import sys
from realnet_edge.runtime.backends import detect_backend
info = detect_backend(sys.argv[1])
sys.exit(None if info.available else f"{info.name} is left out: {info.missing}. {info.hint}")' "$1"
}

# The plain onnxruntime has no providers for GPUs, and the other one cannot lie beside it. TensorRT of the
# system, as JetPack brings it, is not seen from a virtual environment.
install() {
    make VENV=$environment venv || return
    local version
    version=$("$bin/python" -c 'from importlib.metadata import version; print(version("onnxruntime"))' 2>/dev/null)
    if [ -n "$version" ]; then
        "$bin/uv" pip uninstall --quiet --python "$bin/python" onnxruntime || return
        "$bin/uv" pip install --quiet --python "$bin/python" "onnxruntime-gpu[cuda,cudnn]==$version" || return
    fi
    local system
    system=$(python3 -c 'import pathlib, tensorrt; print(pathlib.Path(tensorrt.__file__).parents[1])' 2>/dev/null)
    if [ -n "$system" ]; then
        echo "$system" >"$("$bin/python" -c 'import site; print(site.getsitepackages()[0])')/zz_tensorrt.pth"
    fi
}

device=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
[ -f /etc/nv_tegra_release ] && device=$(tr -d '\0' </proc/device-tree/model)
if [ -z "$device" ] && [ -z "$dry_run" ]; then
    echo "This machine has no NVIDIA GPU: nothing to measure. --dry-run shows what would be done." >&2
    exit 2
fi
name=$(tr -cs '[:alnum:]\n' '-' <<<"${device:-device}" | tr '[:upper:]' '[:lower:]')
edge=("$bin/realnet-edge")
place=(--workspace "$workspace" --category "$category")

part "environment" install
part "machine" "${edge[@]}" env --workspace "$workspace"
part "correctness: kernels, CUDA, TensorRT" "$bin/python" -m pytest -q -m gpu
if [ ! -f "$workspace/$category/checkpoint/checkpoint.json" ]; then
    part "solar cells" "${edge[@]}" data elpv gpu/data
    part "training" "${edge[@]}" train --data gpu/data "${place[@]}" --preset edge --flip --minutes "${MINUTES:-10}"
fi

# Prepared here and built from that, as for a Jetson; `floor.py` counts in what was prepared.
for precision in fp32 fp16 int8; do
    part "prepare tensorrt $precision" "${edge[@]}" build "${place[@]}" --precision "$precision" \
        --backend tensorrt --prepare --batch 1:1:8
    if available tensorrt; then
        part "build tensorrt $precision" "${edge[@]}" build --workspace "$workspace" \
            --on-target "$workspace/$category/prepared/tensorrt-$precision"
    fi
    for backend in onnxruntime-tensorrt onnxruntime-cuda; do
        [ "$backend $precision" = "onnxruntime-cuda int8" ] && continue
        if available "$backend"; then
            part "build $backend $precision" "${edge[@]}" build "${place[@]}" --precision "$precision" \
                --backend "$backend" --max-batch 8
        fi
    done
done
part "accuracy, drift, engine alone and end to end" "${edge[@]}" bench "${place[@]}" --batch 1 --batch 8 \
    --csv "benchmarks/results/gpu-$name.csv"
part "floors" "$bin/python" benchmarks/floor.py "${place[@]}"
part "the network in PyTorch" "$bin/python" benchmarks/network.py --size default edge --batch 1 8 --compile
for dtype in float32 float16; do
    part "fused ops, $dtype" "$bin/python" benchmarks/kernels.py --batch 1 8 --dtype "$dtype" --compile
    part "fused ops, $dtype, channels last" "$bin/python" benchmarks/kernels.py --batch 1 8 --dtype "$dtype" \
        --channels-last
done

[ -n "$dry_run" ] && exit 0
if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFailed:\n'
    printf '  %s\n' "${failed[@]}"
    exit 1
fi
printf '\nAll parts ran. Rows are in benchmarks/results/.\n'
