"""Errors of the operating system, told with the file, what was expected there, and what to do.

Everything that reads or writes a file does it within :func:`telling_file_errors`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ws_pipeline.errors import FileAccessError, MissingFileError, WsPipelineError

Doing = Literal["read", "write", "list"]

_PAST = {"read": "read", "write": "written", "list": "listed"}
_FULL = "No space left on the disk; free some, or choose another path"
_BY_NUMBER: dict[int | None, str] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "the file system is read-only; choose another path",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
    errno.EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
}
_OF_THE_SYSTEM = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


@contextmanager
def telling_file_errors(path: Any, doing: Doing) -> Iterator[None]:
    """Turn an OSError of the block into an error of this project, with its ``errno`` and it as the cause.

    Parameters
    ----------
    path
        The file or folder that the block works on.
    doing
        "read" or "write" a file, or "list" a folder.

    Raises
    ------
    MissingFileError
        There is no such file; also a FileNotFoundError.
    FileAccessError
        Any other OSError: no permission, a folder in place of a file, a full disk, ...
    """
    try:
        yield
    except WsPipelineError:
        raise
    except OSError as problem:
        kind = MissingFileError if isinstance(problem, FileNotFoundError) else FileAccessError
        ours = kind(f"{path}: {_explain(problem, str(path), doing)}")
        ours.errno = problem.errno
        raise ours from problem


def is_of_the_system(problem: OSError) -> bool:
    """Whether an OSError is about the file as a whole; pyarrow raises others for what is in it."""
    return isinstance(problem, _OF_THE_SYSTEM) or problem.errno is not None


def _explain(problem: OSError, path: str, doing: Doing) -> str:
    """Explain an OSError and say what to do."""
    blocking = _file_among_parents(path)
    expected = "folder" if doing == "list" else "file"
    if blocking is not None:
        return f"'{blocking}' is a file, expected a folder; move the file away, or choose another path"
    if isinstance(problem, FileNotFoundError) and doing != "write":
        return f"there is no such {expected}; check the path, or write it first"
    if isinstance(problem, IsADirectoryError):
        return "this is a folder, expected a file; give the path of a file, or move the folder away"
    if isinstance(problem, NotADirectoryError):
        return "this is a file, expected a folder; give the path of a folder, or move the file away"
    if isinstance(problem, PermissionError):
        user = f" as user {os.getuid()}" if hasattr(os, "getuid") else ""
        return f"no permission to {doing} it{user}; change the permissions, or choose another path"
    return _BY_NUMBER.get(problem.errno, f"the {expected} could not be {_PAST[doing]} ({problem})")


def _file_among_parents(path: str) -> Path | None:
    """A file that stands where the path needs a folder; None for URLs, and where there is none."""
    if "://" in path:
        return None
    try:
        return next((parent for parent in Path(path).parents if parent.is_file()), None)
    except OSError:
        return None
