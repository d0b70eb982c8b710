"""A short text for every file of a folder that changes when the file does.

It is made of what a listing of the folder says (size and times, or the ETag), so that a folder costs a
question or two, however many files it has.  A folder that is read as one file, such as Spark writes, has
the text of all the files in it.
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

from ws_pipeline.storage.files import UNFINISHED

#: What file systems call the version of a file, and when it was written; the first that is there counts.
_VERSIONS = ("ETag", "etag", "e_tag", "generation", "md5Hash", "content_md5", "checksum", "sha")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "modify", "modificationTime")
_VERSION_KEYS = (*_VERSIONS, *_TIMES, "created")
BEING_WRITTEN = "being written"  # the stamp of a folder whose writer has not finished yet
_NOT_READ = (".", "_")  # how files and folders begin that are no part of a folder's data


def stamps_in(folder: UPath, *, suffix: str | tuple[str, ...]) -> dict[str, str]:
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
    return _remote_stamps(folder.fs, folder.path, suffix)


def stamp_of(path: UPath) -> str:
    """The stamp of one file or folder, as :func:`stamps_in` has it.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    if isinstance(path.fs, LocalFileSystem):
        return _local_stamp(path.path, Path(path.path).stat())
    return _stamp_alone(path.fs, path.path)


def _local_stamps(folder: str, suffix: str | tuple[str, ...] = "") -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return dict(_stamped(entries, suffix))
    except FileNotFoundError:
        return {}


def _stamped(entries: Iterable[os.DirEntry[str]], suffix: str | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        try:
            found = entry.stat()
        except FileNotFoundError:  # deleted since, or a link to nothing
            continue
        is_read = _is_read(entry.name, suffix, stat.S_ISDIR(found.st_mode))
        yield entry.name, _local_stamp(entry.path, found) if is_read else ""


def _local_stamp(path: str, found: os.stat_result) -> str:
    if stat.S_ISDIR(found.st_mode):
        inner = _local_stamps(path)
        if UNFINISHED in inner:
            return BEING_WRITTEN
        return _of_all({name: stamp for name, stamp in inner.items() if not name.startswith(_NOT_READ)})
    # not the inode, which two machines may number differently on a network drive
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"


def _remote_stamps(fs: Any, folder: str, suffix: str | tuple[str, ...]) -> dict[str, str]:
    fs.invalidate_cache(folder)  # else some file systems repeat their first answer for ever
    try:
        found = fs.ls(folder, detail=True)
    except FileNotFoundError:
        return {}
    if any(entry["type"] == "file" and _is_same(entry["name"], folder) for entry in found):
        raise NotADirectoryError(folder)
    entries = [entry for entry in found if not _is_same(entry["name"], folder)]
    files = [entry for entry in entries if entry["type"] != "directory"]
    read = [entry for entry in entries if _is_read(entry["name"], suffix, entry["type"] == "directory")]
    if files and _remote_stamp(fs, files[0]) != _stamp_alone(fs, files[0]["name"]):
        # a listing that says something else than a file alone is no help
        stamps = {entry["name"]: _stamp_alone(fs, entry["name"]) for entry in read}
    else:
        stamps = {entry["name"]: _remote_stamp(fs, entry) for entry in read}
    return {PurePosixPath(entry["name"]).name: stamps.get(entry["name"], "") for entry in entries}


def _stamp_alone(fs: Any, name: str) -> str:
    fs.invalidate_cache(name)
    return _remote_stamp(fs, fs.info(name))


def _remote_stamp(fs: Any, entry: Mapping[str, Any]) -> str:
    if entry["type"] == "directory":
        inner = dict(_inside(fs, entry["name"]))
        if any(name.parts[:1] == (UNFINISHED,) for name in inner):
            return BEING_WRITTEN
        return _of_all({str(name): stamp for name, stamp in inner.items() if _is_data(name)})
    version = _version(entry)
    return f"{entry['size']}-{version}" if version else str(fs.ukey(entry["name"]))


def _inside(fs: Any, folder: str) -> Iterator[tuple[PurePosixPath, str]]:
    """The files below a folder that is read as one, and their stamps."""
    fs.invalidate_cache(folder)
    for name, entry in fs.find(folder, detail=True).items():
        yield PurePosixPath(name).relative_to(PurePosixPath(folder)), _remote_stamp(fs, entry)


def _version(entry: Mapping[str, Any]) -> str | None:
    found = next((entry[key] for key in _VERSION_KEYS if entry.get(key) is not None), None)
    if isinstance(found, datetime):  # a listing may have seconds where a file alone has this
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return None if found is None else str(found)


def _of_all(stamps: Mapping[str, str]) -> str:
    text = "\n".join(f"{name} {stamp}" for name, stamp in sorted(stamps.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_read(name: str, suffix: str | tuple[str, ...], is_folder: bool) -> bool:
    return not is_folder or name.endswith(suffix)


def _is_data(inner: PurePosixPath) -> bool:
    """Whether a file below a folder that is read as one is part of its data."""
    return not any(part.startswith(_NOT_READ) for part in inner.parts)


def _is_same(name: str, folder: str) -> bool:
    """Whether an entry of a listing is the folder itself, as object stores have it."""
    return PurePosixPath(name) == PurePosixPath(folder)
