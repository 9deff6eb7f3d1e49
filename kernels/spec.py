"""What compiling a Triton kernel needs to know: function, types of its arguments, constants, warps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from realnet_edge.errors import ConfigError

POINTER = "pointer"
INTEGER = "integer"
FLOAT = "float"
# Bits of the scalars that an entry may take: those that every launcher can pass.
SCALAR_BITS = {"i32": 32, "i64": 64, "fp32": 32}
_POINTER_TYPE = re.compile(r"\*(fp64|fp32|fp16|bf16|[iu](8|16|32|64)|i1)")

# A type as Triton spells it, or the types of a tuple's elements.
ArgumentType = str | tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a compiled entry; a tuple argument becomes one for each element."""

    name: str
    type: str

    @property
    def kind(self) -> str:
        """POINTER, INTEGER or FLOAT."""
        if self.type.startswith("*"):
            return POINTER
        return FLOAT if self.type == "fp32" else INTEGER

    @property
    def bits(self) -> int:
        return SCALAR_BITS.get(self.type, 64)


@dataclass(frozen=True)
class KernelSpec:
    """A Triton kernel with everything settled that compiling it needs.

    Args:
        name: of the entry and of its files; a C identifier that stays the same over versions.
        function: where the kernel is, "package.module:function". A name, not the function itself, so
            that the catalogue can be read without Triton.
        arguments: types of the arguments given at run time, in the order of the kernel's signature.
        constants: values of its `tl.constexpr` arguments.
        aligned: arguments of which it is known that every pointer or integer in them is a multiple of
            16. True of whole tensors from any allocator; it lets loads be wide.
        num_warps: warps of a block, a power of two.
        num_stages: depth of software pipelines.
        fp_fusion: whether a product and a sum may become one instruction. On, for a driver that compiles
            the PTX itself does so in any case.

    Raises:
        ConfigError: a name, type or number that cannot be compiled.
    """

    name: str
    function: str
    arguments: Mapping[str, ArgumentType]
    constants: Mapping[str, Any] = field(default_factory=dict)
    aligned: Sequence[str] = ()
    num_warps: int = 4
    num_stages: int = 3
    fp_fusion: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise ConfigError(f"{self.name!r} is no name for a kernel: letters, digits and _ are valid.")
        if not re.fullmatch(r"[\w.]+:\w+", self.function):
            raise ConfigError(f"{self.name}: {self.function!r} is not of the form 'package.module:function'.")
        for parameter in self.parameters:
            if parameter.type not in SCALAR_BITS and not _POINTER_TYPE.fullmatch(parameter.type):
                raise ConfigError(
                    f"{self.name}: argument {parameter.name} has type {parameter.type!r}. Valid are "
                    f"{', '.join(SCALAR_BITS)} and pointers such as *fp16."
                )
        if unknown := set(self.aligned) - set(self.arguments):
            raise ConfigError(f"{self.name}: aligned names no argument: {sorted(unknown)}.")
        if self.num_warps not in (1, 2, 4, 8, 16, 32):
            raise ConfigError(f"{self.name}: {self.num_warps} warps; valid are powers of two up to 32.")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the compiled entry takes, in order."""
        listed: list[Parameter] = []
        for name, kind in self.arguments.items():
            if isinstance(kind, str):
                listed.append(Parameter(name, kind))
            else:
                listed += [Parameter(f"{name}[{i}]", element) for i, element in enumerate(kind)]
        return tuple(listed)

    def to_dict(self) -> dict[str, Any]:
        """As JSON carries it to the compiling process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> KernelSpec:
        """The specification that `to_dict` gave; JSON's lists become tuples again."""
        return cls(**{key: _tuples(value) for key, value in document.items()})


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
