"""GPU generations that kernels are compiled for, and the PTX versions each can take."""

from __future__ import annotations

from dataclasses import dataclass

from realnet_edge.errors import ConfigError

# First CUDA release whose driver loads a PTX version. CUDA 12.6 brought none of its own and loads 8.5.
CUDA_OF_PTX = {
    63: "10.0",
    64: "10.1",
    65: "10.2",
    **{70 + minor: f"11.{minor}" for minor in range(9)},
    **{80 + minor: f"12.{minor}" for minor in range(6)},
    86: "12.7",
    87: "12.8",
    88: "12.9",
    **{90 + minor: f"13.{minor}" for minor in range(5)},
}


@dataclass(frozen=True)
class Target:
    """One GPU generation.

    Args:
        sm: compute capability without its dot, 87 for 8.7.
        boards: some that have it, for people.
        minimum_ptx: lowest PTX version that the compiler takes for it, 85 for 8.5.
        default_ptx: the version that is written unless another is asked for. It is the lowest one
            that both the target and the oldest supported driver (CUDA 12.6) know: newer drivers
            load it as well.
    """

    sm: int
    boards: str
    minimum_ptx: int
    default_ptx: int

    @property
    def name(self) -> str:
        return f"sm_{self.sm}"


# Minima are the PTX ISA's, as NVIDIA's assembler enforces them. The exception is 9.0: Triton compiles for
# the accelerated sm_90a, which needs PTX 8.0 where plain sm_90 needs 7.8.
TARGETS = (
    Target(75, "T4, GeForce RTX 20, Quadro RTX", 63, 85),
    Target(80, "A100, A30", 70, 85),
    Target(86, "A10, A40, RTX A2000 to A6000, GeForce RTX 30", 71, 85),
    Target(87, "Jetson Orin", 74, 85),
    Target(89, "L4, L40, RTX Ada, GeForce RTX 40", 78, 85),
    Target(90, "H100, H200, GH200", 80, 85),
    Target(110, "Jetson Thor", 90, 90),
    Target(120, "RTX PRO Blackwell, GeForce RTX 50", 87, 87),
)


def find_target(sm: int) -> Target:
    """The target of a compute capability, 87 for 8.7.

    Raises:
        ConfigError: there is none.
    """
    for target in TARGETS:
        if target.sm == sm:
            return target
    valid = "; ".join(f"{target.sm} ({target.boards})" for target in TARGETS)
    raise ConfigError(
        f"kernels are not compiled for SM {sm}. Valid are: {valid}. "
        "The number is the GPU's compute capability without its dot, which nvidia-smi "
        "--query-gpu=compute_cap shows."
    )


def choose_ptx_version(target: Target, version: int | None = None) -> int:
    """The PTX version to write for a target: `version`, or the target's own if that is None.

    Raises:
        ConfigError: there is no such version, or the target needs a newer one.
    """
    if version is None:
        return target.default_ptx
    if version not in CUDA_OF_PTX:
        valid = ", ".join(map(str, CUDA_OF_PTX))
        raise ConfigError(f"there is no PTX version {version} here. Valid are: {valid} (85 stands for 8.5).")
    if version < target.minimum_ptx:
        raise ConfigError(
            f"PTX {dotted(version)} is too old for {target.name} ({target.boards}), which needs at least "
            f"{target.minimum_ptx} (CUDA {CUDA_OF_PTX[target.minimum_ptx]}). Leave --ptx-version out to get "
            f"{target.default_ptx}."
        )
    return version


def dotted(ptx_version: int) -> str:
    """A PTX version as PTX itself spells it: 85 gives "8.5"."""
    return f"{ptx_version // 10}.{ptx_version % 10}"
