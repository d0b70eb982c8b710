"""Locks that the operating system frees when the process that holds them dies, however it dies.

A lock that is a row in a database, or a file that exists, outlives a killed process and blocks the next one.
These locks are held on an open file, so a kill, a crash or a power cut frees them.
"""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ws_pipeline.storage.file_errors import telling_file_errors

_POLL_SECONDS = 0.2


@contextmanager
def hold_lock(path: Path, *, holder: str, on_wait: Callable[[str], None]) -> Iterator[bool]:
    """Hold a lock while the block runs; wait for it first.

    The block is told whether the holder before it died without giving the lock back.

    Parameters
    ----------
    path
        File of the lock, on a local disk; missing parent folders are made.  The file stays when the lock is
        released.  It is not reentrant: a second lock of the same path waits for the first, also in one
        process.
    holder
        What others that wait for this lock are told about its holder.
    on_wait
        Called with what the present holder said about itself: once when the lock is not free, and again
        whenever another holder gets it first.

    Raises
    ------
    FileAccessError
        The file cannot be written.
    """
    with telling_file_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock, holder_file = FileLock(path), path.with_name(f"{path.name}.holder")
    told = None
    while not _acquire(lock):
        found = _read_holder(holder_file)
        if found != told:
            on_wait(found)
            told = found
        time.sleep(_POLL_SECONDS)
    try:
        with telling_file_errors(holder_file, "write"):
            died = holder_file.exists()
            holder_file.write_text(holder, encoding="utf-8")
        yield died
    finally:
        with suppress(OSError):  # then the next holder takes this one for killed, which does no harm
            holder_file.unlink(missing_ok=True)
        lock.release()


def machine_locks() -> Path:
    """Folder of the locks that one person's processes on this machine share."""
    return Path(tempfile.gettempdir()) / f"ws_pipeline-{_user()}"


def _user() -> str:
    """Name of the user; a container may run as a number without a name."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return str(os.getuid())


def _acquire(lock: FileLock) -> bool:
    """Take the lock if it is free."""
    with telling_file_errors(lock.lock_file, "write"):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
    return True


def _read_holder(holder_file: Path) -> str:
    """Read what the holder wrote about itself; None while it is just coming or leaving."""
    try:
        return holder_file.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
