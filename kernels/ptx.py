"""What Triton's PTX needs before others can launch it: a stable name, plain parameters, a plain target."""

from __future__ import annotations

import re
from collections.abc import Sequence

from realnet_edge.errors import KernelError
from realnet_edge.kernels.spec import POINTER, Parameter

# Triton appends one pointer to global and one to profiling scratch memory to every entry.
HIDDEN_PARAMETERS = 2

_ENTRY = re.compile(r"\.visible\s+\.entry\s+(?P<name>[\w$]+)\s*\((?P<parameters>[^)]*)\)")
_PARAMETER = re.compile(r"\.param\s+\.[usbf](?P<bits>\d+)(?P<pointer>\s+\.ptr)?.*?\s(?P<name>[\w$]+)$")


def entry_parameters(ptx: str) -> list[tuple[str, int, bool]]:
    """Name, bits and whether it is a pointer, of every parameter of the only entry in a PTX text.

    Raises:
        KernelError: there is not exactly one entry, or a parameter of unknown form.
    """
    found = []
    for text in filter(None, (part.strip() for part in _find_entry(ptx)["parameters"].split(","))):
        match = _PARAMETER.fullmatch(text)
        if match is None:
            raise KernelError(f"the PTX has a parameter of unknown form: {text!r}.")
        found.append((match["name"], int(match["bits"]), match["pointer"] is not None))
    return found


def finish_ptx(ptx: str, name: str, declared: Sequence[Parameter]) -> str:
    """Make Triton's PTX launchable by TensorRT or a launcher of our own.

    The two hidden trailing pointers are taken out of the entry's parameters, the entry is called `name`,
    and `.target sm_120a` becomes `sm_120`: code for an accelerated target runs on that one GPU alone, code
    for the plain one on later ones, too. The assembler refuses code that does need the accelerated target.

    Args:
        ptx: Triton's text, with one entry.
        name: a C identifier.
        declared: the parameters that the entry must have in the end, in order.

    Raises:
        KernelError: the hidden parameters are used, or the others are not those declared.
    """
    entry = _find_entry(ptx)
    parameters = entry_parameters(ptx)
    kept, hidden = parameters[:-HIDDEN_PARAMETERS], parameters[-HIDDEN_PARAMETERS:]
    wanted = [(parameter.bits, parameter.kind == POINTER) for parameter in declared]
    if [(bits, pointer) for _, bits, pointer in kept] != wanted or not all(p[2] for p in hidden):
        raise KernelError(
            f"{name}: the compiled entry takes {len(kept)} parameters and {len(hidden)} hidden ones: "
            f"{parameters}; declared are {len(declared)}: {[(p.name, p.type) for p in declared]}."
        )
    body = ptx[entry.end() :]
    if used := [hidden_name for hidden_name, _, _ in hidden if re.search(rf"{hidden_name}\b", body)]:
        raise KernelError(
            f"{name}: the code uses the hidden scratch pointers {used}, which no launcher here fills. "
            "Write the kernel so that it needs no scratch memory."
        )
    lines = [line.strip() for line in entry["parameters"].split(",")][: len(kept)]
    head = f".visible .entry {name}(\n\t" + ",\n\t".join(lines) + "\n)"
    text = _without_comments(ptx[: entry.start()] + head + body)
    text = re.sub(rf"\b{re.escape(entry['name'])}_param_(\d+)\b", rf"{name}_param_\1", text)
    return re.sub(r"(\.target\s+sm_\d+)[af]", r"\1", text)


def _find_entry(ptx: str) -> re.Match[str]:
    entries = list(_ENTRY.finditer(ptx))
    if len(entries) != 1:
        raise KernelError(f"the PTX has {len(entries)} entries; one kernel has one.")
    return entries[0]


def _without_comments(ptx: str) -> str:
    """The text without comment lines, in which the entry still has the name it had."""
    lines = [re.sub(r"\s*//.*$", "", line) for line in ptx.splitlines()]
    return "\n".join(line for line in lines if line.strip()) + "\n"
