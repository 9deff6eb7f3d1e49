"""A systemd unit for a line: what is started, what happens when it ends, and all that it may not do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# What a line may do with the rest of the system, as systemd.exec(5) calls it. Left out on purpose:
# MemoryDenyWriteExecute, as runtimes compile their kernels into memory, and ProcSubset, as they count cores.
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=invisible
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0027"""

_DEVICES = {
    "none": """\
PrivateDevices=yes
ProtectClock=yes""",
    "video": """\
DevicePolicy=closed
DeviceAllow=char-video4linux rw
SupplementaryGroups=video
ProtectClock=yes""",
    # ProtectClock would close all devices but those that are named.
    "all": """\
# GPUs and other cameras have devices of many names: which of them it may use is left to its user's rights.
SupplementaryGroups=video""",
}
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")


@dataclass(frozen=True)
class UnitFile:
    """A unit's facts.

    Attributes:
        name: of the line, for files and folders of its own.
        words: the command and its arguments.
        user: as whom it runs.
        folder: where it runs: relative names mean there what they mean here.
        writable: folders that it writes to; all others are read-only to it.
        private_tmp: whether nothing that it needs lies in /tmp or /var/tmp.
        secrets: name -> file that only root needs to be able to read; given to the service as credentials.
        variables: names that the environment file has to define.
        devices: "none", "video" or "all".
        low_port: serves at a port below 1024.
        watchdog_s: seconds without a sign of life after which it is ended and started anew.
    """

    name: str
    words: Sequence[str]
    user: str
    folder: Path
    writable: Sequence[Path]
    private_tmp: bool
    secrets: dict[str, Path]
    variables: Sequence[str]
    devices: str
    low_port: bool
    watchdog_s: int

    @property
    def environment_file(self) -> str:
        """Where secrets of the environment lie."""
        return f"/etc/realnet-edge/{self.name}.env"

    def __str__(self) -> str:
        parts = [self._unit(), self._service(), "[Install]\nWantedBy=multi-user.target"]
        return "\n\n".join(parts) + "\n"

    def _unit(self) -> str:
        return f"""\
[Unit]
Description=realnet-edge: {_escaped(self.name)}
Wants=network-online.target
After=network-online.target
# It is started again for ever.
StartLimitIntervalSec=0"""

    def _service(self) -> str:
        # An engine may take minutes the first time, while its kernels are compiled.
        lines = f"""\
[Service]
Type=notify
NotifyAccess=main
ExecStart={" ".join(quoted(word) for word in self.words)}
WorkingDirectory={_escaped(str(self.folder))}
User={self.user}
Environment=PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 XDG_CACHE_HOME=%C/realnet-edge
CacheDirectory=realnet-edge
TimeoutStartSec=15min
TimeoutStopSec=30
# Ended by SIGABRT when it hangs: every thread's place is in the journal then.
WatchdogSec={self.watchdog_s}
Restart=always
RestartSec=2
# Options that cannot be met do not heal by trying again.
RestartPreventExitStatus=2""".splitlines()
        return "\n".join([*lines, *self._secrets(), "", _HARDENING, *self._rights()])

    def _secrets(self) -> list[str]:
        needs = f"must define {', '.join(self.variables)}" if self.variables else "need not be there"
        lines = [
            f"# Secrets, REALNET_EDGE_... among them, for root's eyes: lines of NAME=VALUE; {needs}.",
            f"EnvironmentFile={'' if self.variables else '-'}{_escaped(self.environment_file)}",
        ]
        return lines + [f"LoadCredential={name}:{_escaped(str(file))}" for name, file in self.secrets.items()]

    def _rights(self) -> list[str]:
        capability = "CAP_NET_BIND_SERVICE" if self.low_port else ""
        lines = [f"CapabilityBoundingSet={capability}", f"AmbientCapabilities={capability}"]
        lines += [f"PrivateTmp={'yes' if self.private_tmp else 'no'}"]
        lines += [f"ReadWritePaths={quoted(str(folder))}" for folder in self.writable]
        return [*lines, *_DEVICES[self.devices].splitlines()]


class Credential(str):
    """A word of a command that names a credential's file, whose folder systemd alone knows."""

    __slots__ = ()

    def __new__(cls, name: str) -> Credential:
        """`name` is that of the credential."""
        return super().__new__(cls, f"${{CREDENTIALS_DIRECTORY}}/{name}")


def quoted(word: str) -> str:
    """One word of a command line of systemd, in which nothing is replaced but in a `Credential`."""
    if isinstance(word, Credential) or _PLAIN.fullmatch(word):
        return word
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    # Left alone, ${NAME} would be a secret in the list of processes: the program fills it in itself.
    return f'"{_escaped(text).replace("$", "$$")}"'


def _escaped(text: str) -> str:
    """Text in which systemd sees no specifier."""
    return text.replace("%", "%%")
