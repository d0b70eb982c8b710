"""Measure the free memory, and refuse requests that need more.

The limits are read from the operating system, never guessed: the memory that the machine has free, the
control groups that containers and batch systems set, and the limit of the process (``ulimit -v``).  Where
none of them can be read (Windows), nothing is refused.  The limits decide only whether something is refused,
never how it is computed: the same votes give the same bytes on every machine that has room for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ws_pipeline.errors import TooLargeError

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Room(NamedTuple):
    """Bytes that this process may still take, and the limit that leaves no more."""

    n_bytes: int
    limit: str


def available_memory() -> Room | None:
    """The tightest of the limits that can be read, None where none can be."""
    rooms = [*_machine_room(), *_process_room(), *_cgroup_rooms()]
    return min(rooms, default=None)


def require_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Refuse what needs more than the available memory, before it is allocated.

    Parameters
    ----------
    n_bytes
        Peak of what will be allocated on top of what is held now.
    what
        What needs it, with its sizes; opens the error message.
    remedy
        What to do about it; ends the error message.

    Raises
    ------
    TooLargeError
        Names the bytes that are needed, the bytes that are available, and the limit.
    """
    room = available_memory()
    if room is not None and n_bytes > room.n_bytes:
        message = (
            f"{what} needs {as_bytes(n_bytes)} of memory, and {as_bytes(room.n_bytes)} are available "
            f"({room.limit}); {remedy}"
        )
        raise TooLargeError(message)


def as_bytes(n_bytes: int) -> str:
    """A number of bytes as people write it: 1.5 GB is 1.5 * 10^9 bytes."""
    size, unit = float(max(n_bytes, 0)), 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} bytes"


def _machine_room() -> list[Room]:
    """Free memory of the machine; where only the whole can be read, the whole."""
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return _physical_memory()
    return [Room(kilobytes * 1024, "free memory of this machine")]


def _physical_memory() -> list[Room]:
    import os

    try:
        n_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return []
    return [Room(n_bytes, "memory of this machine")]


def _process_room() -> list[Room]:
    """Bytes by which the address space of this process may still grow (``ulimit -v``)."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = int((_PROC / "self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):
        return []
    if limit == resource.RLIM_INFINITY:
        return []
    return [Room(limit - pages * resource.getpagesize(), "limit of this process, ulimit -v")]


def _cgroup_rooms() -> list[Room]:
    """Bytes that the control groups of this process leave, versions 2 and 1."""
    try:
        memberships = [line.split(":", 2) for line in (_PROC / "self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    rooms = []
    for _, controllers, path in memberships:
        if not controllers:
            root, files = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = _CGROUPS / "memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = root / path.strip("/")
        # a container may show its own group as the root
        for folder in [group, *group.parents] if group.is_relative_to(root) else [root]:
            if folder.is_relative_to(root):
                rooms += _room_of_group(folder, *files)
    return rooms


def _room_of_group(folder: Path, limit: str, usage: str, reclaimable: str) -> list[Room]:
    """Limit of a group minus its usage; cached files are given back when memory is wanted."""
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or "max": no limit
        return []
    return [
        Room(most - used + int(stat.get(reclaimable, 0)), f"limit of the control group, {folder / limit}")
    ]
