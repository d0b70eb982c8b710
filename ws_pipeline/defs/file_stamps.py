"""A short text for every file of a folder that changes when the file does.

It is made of what a listing of the folder says (size and times, or the ETag), so that a folder costs one
question, however many files it has.  A folder that is read as one file, such as Spark writes, has the text of
all the files in it.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from upath import UPath

#: What file systems call the version of a file, or when it was written; the first that is there counts.
_VERSION_KEYS = (
    *("ETag", "etag", "e_tag", "generation", "md5Hash", "content_md5", "checksum", "sha"),
    *(
        "LastModified",
        "last_modified",
        "mtime",
        "updated",
        "modified",
        "modify",
        "modificationTime",
        "created",
    ),
)
_NOT_READ = (".", "_")  # how files and folders begin that are no part of a folder's data


def stamps_in(folder: UPath, *, suffix: str) -> dict[str, str]:
    """Stamps of what is in a folder, by name; nothing if the folder is not there.

    Parameters
    ----------
    folder
        A local path or any fsspec URL.
    suffix
        How the names end of the folders in it that are read as files; those of others are not looked into.
    """
    if isinstance(folder.fs, LocalFileSystem):
        return _local_stamps(folder.path, suffix)
    folder.fs.invalidate_cache(folder.path)  # else some file systems repeat their first answer for ever
    try:
        entries = folder.fs.ls(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    named = {PurePosixPath(entry["name"]).name: entry for entry in entries if not _is_same(entry, folder)}
    return {
        name: _remote_stamp(folder.fs, entry) if _is_read(name, suffix, entry["type"] == "directory") else ""
        for name, entry in named.items()
    }


def stamp_of(path: UPath) -> str:
    """The stamp of one file or folder, as :func:`stamps_in` has it.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    if isinstance(path.fs, LocalFileSystem):
        return _local_stamp(path.path, Path(path.path).stat())
    path.fs.invalidate_cache(path.path)
    return _remote_stamp(path.fs, path.fs.info(path.path))


def _local_stamps(folder: str, suffix: str = "") -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return dict(_stamped(entries, suffix))
    except FileNotFoundError:
        return {}


def _stamped(entries: Iterable[os.DirEntry[str]], suffix: str) -> Iterator[tuple[str, str]]:
    for entry in entries:
        try:
            found = entry.stat()
        except FileNotFoundError:  # deleted since, or a link to nothing
            continue
        is_read = _is_read(entry.name, suffix, stat.S_ISDIR(found.st_mode))
        yield entry.name, _local_stamp(entry.path, found) if is_read else ""


def _local_stamp(path: str, found: os.stat_result) -> str:
    if stat.S_ISDIR(found.st_mode):
        inner = {name: stamp for name, stamp in _local_stamps(path).items() if not name.startswith(_NOT_READ)}
        return _of_all(inner)
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def _remote_stamp(fs: Any, entry: Mapping[str, Any]) -> str:
    if entry["type"] == "directory":
        fs.invalidate_cache(entry["name"])
        inside = fs.find(entry["name"], detail=True)
        return _of_all(
            {
                str(inner): _remote_stamp(fs, found)
                for name, found in inside.items()
                if not _is_left_out(inner := _below(name, entry["name"]))
            }
        )
    version = _version(entry) or _version(fs.info(entry["name"]))
    return f"{entry['size']}-{version}" if version else str(fs.ukey(entry["name"]))


def _version(entry: Mapping[str, Any]) -> str | None:
    found = next((entry[key] for key in _VERSION_KEYS if entry.get(key) is not None), None)
    if isinstance(found, datetime):  # a listing may have seconds where a file alone has this
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return None if found is None else str(found)


def _of_all(stamps: Mapping[str, str]) -> str:
    text = "\n".join(f"{name} {stamp}" for name, stamp in sorted(stamps.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_read(name: str, suffix: str, is_folder: bool) -> bool:
    return not is_folder or name.endswith(suffix)


def _below(name: str, folder: str) -> PurePosixPath:
    return PurePosixPath(name).relative_to(PurePosixPath(folder))


def _is_left_out(inner: PurePosixPath) -> bool:
    return any(part.startswith(_NOT_READ) for part in inner.parts)


def _is_same(entry: Mapping[str, Any], folder: UPath) -> bool:
    """Whether an entry of a listing is the folder itself, as object stores have it."""
    return PurePosixPath(entry["name"]) == PurePosixPath(folder.path)
