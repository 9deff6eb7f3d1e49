"""Reading files of a folder that nobody vouches for: plain files only, no links, no more than expected."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from realnet_edge.errors import BundleError

_BLOCK = 1 << 20


class NotPlainError(OSError):
    """A link, a folder, a pipe, a socket or a device, where a file was expected."""


@contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """A file opened for reading, itself and nothing that a link leads to.

    Raises:
        NotPlainError: something else than a plain file.
        OSError: it is not there, or cannot be read.
    """
    try:
        # Without O_NONBLOCK a named pipe would hang here until somebody writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # What the system answers of a link, and of a socket.
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlainError(f"{path} is no plain file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainError(f"{path} is no plain file")
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def read_plain(path: Path, most: int) -> bytes:
    """The content of a plain file.

    Raises:
        BundleError: more than `most` bytes.
        OSError: see `open_plain`.
    """
    with open_plain(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise BundleError(
            f"{path}: larger than {most} bytes, which none of ours is: it was not read. Copy the bundle "
            "again, or build it again."
        )
    return content


def sha256_plain(path: Path, copy: BinaryIO | None = None) -> str:
    """Hexadecimal SHA-256 of a plain file, which is written to `copy` on the way.

    Raises:
        OSError: see `open_plain`; or the copy cannot be written.
    """
    digest = hashlib.sha256()
    with open_plain(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            if copy is not None:
                copy.write(block)
    return digest.hexdigest()
