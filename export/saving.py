"""Writing a rewritten graph: in one file as long as a protobuf message holds it."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

# A protobuf message ends at 2 GiB; the graph itself needs some of it.
SINGLE_FILE_LIMIT = 2_000_000_000


def save_graph(model: ir.Model, path: Path) -> None:
    """Write a graph that was read from another file.

    Args:
        model: the graph, whose weights may lie beside the file that it came from.
        path: ONNX file to write; weights of more than `SINGLE_FILE_LIMIT` go into `<name>.data` beside it.
    """
    held = [value.const_value for value in model.graph.initializers.values()]
    size = sum(tensor.nbytes for tensor in held if tensor is not None)
    if size > SINGLE_FILE_LIMIT:
        ir.save(model, path, external_data=f"{path.name}.data")
        return
    for value in model.graph.initializers.values():
        # Those that were not rewritten would be looked for beside the new file.
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = ir.tensor(value.const_value.numpy().copy(), name=value.name)
    ir.save(model, path)
