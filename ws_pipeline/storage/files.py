"""Files that are whole or not there: atomic writing, the same on disk and on object stores.

A Parquet file may also be a folder of Parquet files, as Spark and other engines write a table.

Local files are written to a temporary name beside the target, synced, and renamed over it.  On
other file systems (any fsspec URL) the bytes go to a local temporary file first and are then put
in one request, which object stores make visible only when it is complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from upath import UPath

from ws_pipeline.errors import FileAccessError, FileFormatError
from ws_pipeline.storage.file_errors import is_of_the_system, telling_file_errors

if TYPE_CHECKING:
    import pyarrow as pa

_HEADER_KEY = "ws_pipeline"
_FORMAT_KEY, _VERSION_KEY = "format", "format_version"
_ZIP = b"PK"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
_TABLE_LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
_MAY_BE_FOLDER = (IsADirectoryError, FileNotFoundError, PermissionError)
_THREADS_FROM = 2**20  # bytes of a Parquet file
_MAX_HEADER_BYTES = 100 * 2**20  # the limit of safetensors itself

#: A folder that Spark has within its output until all of it is there.
UNFINISHED = "_temporary"

T = TypeVar("T")
PathLike = str | os.PathLike[str] | UPath


@contextlib.contextmanager
def atomic_write(target: PathLike) -> Iterator[BinaryIO]:
    """Open ``target`` for writing bytes; it appears, complete, only if the block succeeds.

    Missing parent folders are made.  When the block raises, an older file at ``target`` stays as
    it was and no temporary file is left behind.

    Raises
    ------
    FileAccessError
        The file cannot be written, because of a full disk for instance; the message says what to do.
    """
    path = UPath(target)
    if is_local(path):
        with telling_file_errors(target, "write"), _write_beside(Path(path.path)) as stream:
            yield stream
        return
    with telling_file_errors(target, "write"), tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "content"
        with local.open("wb") as stream:
            yield stream
        path.parent.mkdir(parents=True, exist_ok=True)
        path.fs.put_file(str(local), path.path)


@contextlib.contextmanager
def _write_beside(target: Path) -> Iterator[BinaryIO]:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def partial_files(folder: Path) -> list[Path]:
    """Files in a folder and below it that are being written, or that killed writers have left."""
    return [path for path in folder.rglob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can sync a folder."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_local(path: UPath) -> bool:
    """Whether a path is on a disk of this machine, not behind a URL."""
    return path.protocol in {"", "file", "local"}


def read_parquet(path: PathLike, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file, or a folder of them as one table.

    Parameters
    ----------
    path
        Local path or any fsspec URL.  Of a folder, all files are read in the order of their names, but those
        whose names begin with a dot or an underscore.
    columns
        Names of the columns to read.  Default: all.

    Raises
    ------
    MissingFileError
        There is no such file; also a FileNotFoundError.
    FileAccessError
        The file cannot be read.
    FileFormatError
        The file is truncated or is not Parquet; or the files of a folder do not make one table.
    """
    return one_table(path, _each_file(path, lambda stream: _read_table(stream, columns)))


def _read_table(stream: BinaryIO, columns: list[str] | None) -> pa.Table:
    """Read a file, a large one with several threads.

    A process that ends right after pyarrow read with several threads is aborted now and then, with all its
    work done; what is read last are small tables, which need none.
    """
    import pyarrow.parquet as pq

    n_bytes = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return pq.read_table(stream, columns=columns, use_threads=n_bytes >= _THREADS_FROM)


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file that is read when asked, and only the columns that are asked for."""

    path: PathLike

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        import pyarrow.parquet as pq

        files = _each_file(self.path, pq.read_metadata)
        filled = {path: file for path, file in files.items() if file.num_rows} or files
        empty = {path: file.schema.to_arrow_schema().empty_table() for path, file in filled.items()}
        return one_table(self.path, empty).schema

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        import pyarrow.parquet as pq

        return sum(_each_file(self.path, lambda stream: pq.read_metadata(stream).num_rows).values())

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Read all columns, or the named ones; see :func:`read_parquet`."""
        return read_parquet(self.path, columns)


def parts_of(folder: PathLike) -> list[UPath]:
    """Files of a table that was written as a folder, sorted by name.

    Raises
    ------
    FileFormatError
        There is no file, the folder is still being written to, or it is no plain folder of Parquet files.
    """
    with telling_file_errors(folder, "list"):
        names = [path.name for path in UPath(folder).iterdir()]
        parts = visible_paths(UPath(folder))
        within = [path.name for path in parts if path.is_dir()]
    problem = _why_no_parts(names, within, n_parts=len(parts))
    if problem is not None:
        message = f"{folder}: a folder {problem}"
        raise FileFormatError(message)
    return parts


def visible_paths(folder: UPath) -> list[UPath]:
    """Entries of a folder, sorted by name, without names that begin with a dot or an underscore."""
    paths = [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
    return sorted(paths, key=lambda path: path.name)


def _why_no_parts(names: Collection[str], within: list[str], n_parts: int) -> str | None:
    """Describe a folder whose files make no table."""
    if UNFINISHED in names:
        return f"that is not complete, it has '{UNFINISHED}'; wait for its writer, or write it again"
    for log, kind in _TABLE_LOGS.items():
        if log in names:
            return f"with a {kind} table, whose log says which files count; write it as plain Parquet"
    if within:
        return (
            f"with further folders such as '{within[0]}', expected files of data; write the table without "
            "partitioning it by columns"
        )
    return None if n_parts else "without any file of data; write the table again, or remove the folder"


def _each_file(path: PathLike, read: Callable[[BinaryIO], T]) -> dict[PathLike, T]:
    """Contents of a file, or of every file of a folder, by path."""
    try:
        return {path: _read_file(path, read)}
    except FileAccessError as problem:
        # object stores have no folders, so that only a list shows whether there are files below
        if not (isinstance(problem.__cause__, _MAY_BE_FOLDER) and UPath(path).is_dir()):
            raise
    return {part: _read_file(part, read) for part in parts_of(path)}


def _read_file(path: PathLike, read: Callable[[BinaryIO], T]) -> T:
    import pyarrow as pa

    with telling_file_errors(path, "read"):
        try:
            with UPath(path).open("rb") as stream:
                return read(stream)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as broken:
            if isinstance(broken, OSError) and is_of_the_system(broken):
                raise
            message = (
                f"{path}: not a complete Parquet file ({_first_line(broken)}); "
                "write the file again, to another name first and then rename it"
            )
            raise FileFormatError(message) from broken


def one_table(path: PathLike, tables: Mapping[PathLike, pa.Table]) -> pa.Table:
    """Stack the tables of a folder, whose columns have to be the same.

    Parameters
    ----------
    path
        The folder.
    tables
        Its files, at least one, to the tables that they hold.

    Raises
    ------
    FileFormatError
        The files have different columns, or types that are not alike.
    """
    import pyarrow as pa

    (first_path, first), *others = tables.items()
    if not others:
        return first
    for part, table in others:
        if set(table.column_names) != set(first.column_names):
            message = (
                f"{path}: its files have different columns: {UPath(first_path).name} has "
                f"{first.column_names}, {UPath(part).name} has {table.column_names}; write them with the same"
            )
            raise FileFormatError(message)
    # a part without rows may have any types, since no row told them
    filled = [table for table in tables.values() if table.num_rows] or list(tables.values())
    try:
        return pa.concat_tables(filled, promote_options="permissive")  # int32 beside int64, and the like
    except (pa.ArrowInvalid, pa.ArrowTypeError) as different:
        message = (
            f"{path}: the columns of its files have different types ({_first_line(different)}); write them "
            "with the same"
        )
        raise FileFormatError(message) from different


def write_parquet(table: pa.Table, path: PathLike) -> None:
    """Write ``table`` atomically; the same table gives the same bytes."""
    import pyarrow.parquet as pq

    with atomic_write(path) as stream:
        pq.write_table(table, stream, compression="zstd")


class FileFormat(NamedTuple):
    """Read the header of a safetensors file; another format name or version is refused."""

    name: str
    version: int


def stamp(file_format: FileFormat, header: Mapping[str, Any]) -> dict[str, str]:
    """Metadata for a safetensors file: its format and a header of JSON values.

    All of it is under one key: safetensors writes several keys in an order that changes from call to
    call, and the same content has to give the same bytes.
    """
    content = {_FORMAT_KEY: file_format.name, _VERSION_KEY: file_format.version, **header}
    return {_HEADER_KEY: json.dumps(content, ensure_ascii=False, sort_keys=True)}


def read_stamped(
    path: PathLike, load: Callable[[bytes], dict[str, T]], *, file_format: FileFormat
) -> tuple[dict[str, Any], dict[str, T]]:
    """Read a safetensors file that was written with :func:`stamp`.

    Parameters
    ----------
    path
        Local path or any fsspec URL.
    load
        ``safetensors.numpy.load`` or ``safetensors.torch.load``.
    file_format
        The format that the file has to state.

    Returns
    -------
    (dict, dict)
        The header and the tensors by name.

    Raises
    ------
    MissingFileError
        There is no such file; also a FileNotFoundError.
    FileAccessError
        The file cannot be read.
    FileFormatError
        The file is damaged, foreign, or of another format version.
    """
    from safetensors import SafetensorError

    with telling_file_errors(path, "read"):
        content = UPath(path).read_bytes()
    try:
        tensors = load(content)
    except SafetensorError as broken:
        message = f"{path}: not a complete safetensors file ({_first_line(broken)}); write it again"
        if content.startswith(_ZIP):  # what torch.save writes
            message = (
                f"{path}: a file of torch.save, expected a safetensors file; hand what torch.load reads from "
                "it to load_state_dict, then save again"
            )
        raise FileFormatError(message) from broken
    header = _safetensors_header(content)
    name, version = header.pop(_FORMAT_KEY, None), header.pop(_VERSION_KEY, None)
    if name != file_format.name:
        message = f"{path}: expected a {file_format.name} file, got {name or 'another program'}'s"
        raise FileFormatError(message)
    if version != file_format.version:
        message = (
            f"{path}: format version {version}, this release reads version {file_format.version} of "
            f"{file_format.name}; write it again with this release"
        )
        raise FileFormatError(message)
    return header, tensors


def read_tensors_format(path: PathLike) -> str | None:
    """Name of the format that a safetensors file states, None when it states none."""
    with telling_file_errors(path, "read"), UPath(path).open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        content = start + (stream.read(length) if length < _MAX_HEADER_BYTES else b"")
    try:
        name = _safetensors_header(content).get(_FORMAT_KEY)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        return None
    return str(name) if name is not None else None


def _safetensors_header(content: bytes) -> dict[str, Any]:
    """Our JSON header; safetensors keeps it in a JSON block after 8 bytes that give its length."""
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    try:
        header = json.loads(metadata.get(_HEADER_KEY, "{}"))
    except json.JSONDecodeError:
        return {}
    return header if isinstance(header, dict) else {}


def _first_line(error: Exception) -> Any:
    return (str(error).splitlines() or [type(error).__name__])[0]
