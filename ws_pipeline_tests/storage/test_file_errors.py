"""Errors of the operating system: which file, what was expected there, what to do."""

from __future__ import annotations

import errno
import os

import pyarrow as pa
import pytest
from safetensors.numpy import load

from ws_pipeline.errors import FileAccessError, MissingFileError
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import (
    FileFormat,
    atomic_write,
    read_parquet,
    read_stamped,
    read_tensors_format,
    write_parquet,
)

TABLE = pa.table({"a": [1]})
USER = os.getuid()


def refusal(work):
    with pytest.raises(FileAccessError) as refused:
        work()
    return str(refused.value)


def read_model(path):
    return read_stamped(path, load, file_format=FileFormat("ws_pipeline/Test", 1))


READERS = [read_parquet, read_model, read_tensors_format]


@pytest.mark.parametrize("read", READERS)
def test_a_missing_file_is_told(read, tmp_path):
    path = tmp_path / "absent"
    assert refusal(lambda: read(path)) == f"{path}: there is no such file; check the path, or write it first"
    with pytest.raises(FileNotFoundError):
        read(path)


@pytest.mark.parametrize("read", READERS[1:])
def test_a_folder_in_place_of_a_file_is_told(read, tmp_path):
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}: this is a folder, expected a file; give the path of a file, or move the folder away"
    )


@pytest.mark.parametrize("read", [*READERS, lambda path: write_parquet(TABLE, path)])
def test_a_file_in_place_of_a_folder_is_told(read, tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "more" / "t.parquet"
    assert refusal(lambda: read(path)) == (
        f"{path}: '{tmp_path / 'file'}' is a file, expected a folder; move the file away, or choose another "
        "path"
    )


def test_a_folder_that_a_file_cannot_replace_is_told(tmp_path):
    (tmp_path / "t.parquet" / "within").mkdir(parents=True)
    assert refusal(lambda: write_parquet(TABLE, tmp_path / "t.parquet")) == (
        f"{tmp_path / 't.parquet'}: this is a folder, expected a file; give the path of a file, or move the "
        "folder away"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def write_and_fail(path, number):
    with atomic_write(path) as stream:
        stream.write(b"half")
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on the disk; free some, or choose another path"),
        (errno.EDQUOT, "No space left on the disk; free some, or choose another path"),
        (errno.EROFS, "the file system is read-only; choose another path"),
        (errno.ENAMETOOLONG, "the name is too long for the file system; choose a shorter one"),
        (errno.EMFILE, "this process has too many files open; raise its limit (ulimit -n)"),
        (errno.EIO, "the file could not be written ([Errno 5] Input/output error)"),
        (
            errno.EACCES,
            f"no permission to write it as user {USER}; change the permissions, or choose another path",
        ),
    ],
)
def test_a_write_that_fails_is_told_and_the_older_file_stays(number, words, tmp_path):
    path = tmp_path / "t.parquet"
    write_parquet(TABLE, path)
    before = path.read_bytes()
    with pytest.raises(FileAccessError) as refused:
        write_and_fail(path, number)
    assert str(refused.value) == f"{path}: {words}"
    assert refused.value.errno == number
    assert isinstance(refused.value.__cause__, OSError)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read and write everything")
def test_a_file_without_permission_is_told(tmp_path):
    path = tmp_path / "t.parquet"
    write_parquet(TABLE, path)
    path.chmod(0)
    assert f"{path}: no permission to read it as user {os.getuid()}; change" in refusal(
        lambda: read_parquet(path)
    )


def fail_within():
    with telling_file_errors("x", "read"):
        message = "as it was"
        raise MissingFileError(message)


def test_our_own_errors_pass_through():
    with pytest.raises(MissingFileError) as refused:
        fail_within()
    assert (str(refused.value), refused.value.__cause__) == ("as it was", None)
