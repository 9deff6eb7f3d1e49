"""Errors that a user can act on.

Every message names the bad value, says what is valid and what to do. The command line prints the
message alone and exits with `exit_code`; `--debug` adds the traceback.
"""

from __future__ import annotations


class RealnetEdgeError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class DataError(RealnetEdgeError):
    """Images, masks or a data folder that cannot be used."""


class ConfigError(RealnetEdgeError):
    """A setting outside what is valid, or settings that contradict each other."""

    exit_code = 2


class UnavailableError(ConfigError):
    """Something that another process holds, or that is not there yet: it may be had at the next try."""

    exit_code = 1


class CheckpointError(RealnetEdgeError):
    """A checkpoint that is missing, damaged or of another structure."""


class BundleError(RealnetEdgeError):
    """An engine bundle that is missing, damaged or of an unknown schema."""


class ExportError(RealnetEdgeError):
    """An export that failed or that does not compute what the model computes."""


class BackendError(RealnetEdgeError):
    """A runtime that is missing, refuses a precision, or failed to execute."""


class KernelError(RealnetEdgeError):
    """A kernel that could not be compiled, or compiled files that are missing or damaged."""


class DependencyError(RealnetEdgeError):
    """An optional package that is not installed; the message gives the command that adds it."""


class GateError(RealnetEdgeError):
    """A drift budget or another gate was not met: the work is done, the result is not good enough."""

    exit_code = 3
