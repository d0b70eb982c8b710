"""Files that are whole or not there, on disk and in an object store."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, save
from upath import UPath

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.files import (
    FileFormat,
    ParquetSource,
    atomic_write,
    read_parquet,
    read_stamped,
    read_tensors_format,
    stamp,
    write_parquet,
)

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", None]})
FORMAT = FileFormat("ws_pipeline/Test", 3)
TENSORS = {"w": np.arange(6.0).reshape(2, 3), "b": np.array([1], dtype=np.int8)}


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """An empty folder on disk, and one in an object store."""
    if request.param == "local":
        return UPath(tmp_path)
    place = UPath(f"memory://test_files/{tmp_path.name}")
    if place.exists():
        place.rmdir(recursive=True)
    return place


def names(place):
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def write(path, content):
    with atomic_write(path) as stream:
        stream.write(content)


def write_half(path):
    with atomic_write(path) as stream:
        stream.write(b"half")
        stream.flush()
        message = "stopped in the middle"
        raise RuntimeError(message)


def write_tensors(path, file_format=FORMAT, **header):
    pathlib.Path(path).write_bytes(save(TENSORS, metadata=stamp(file_format, header)))


# Atomic writing


def test_what_was_written_is_there(folder):
    write(folder / "file", b"content")
    assert (folder / "file").read_bytes() == b"content"


def test_nothing_but_the_file_is_left(folder):
    write(folder / "file", b"content")
    assert names(folder) == ["file"]


def test_missing_folders_are_made(folder):
    write(folder / "new" / "er" / "file", b"content")
    assert (folder / "new" / "er" / "file").read_bytes() == b"content"


def test_an_older_file_is_replaced(folder):
    write(folder / "file", b"a longer old content")
    write(folder / "file", b"new")
    assert (folder / "file").read_bytes() == b"new"


def test_an_older_file_stays_when_the_block_raises(folder):
    write(folder / "file", b"old")
    with pytest.raises(RuntimeError, match="stopped in the middle"):
        write_half(folder / "file")
    assert (folder / "file").read_bytes() == b"old"


def test_no_file_appears_when_the_block_raises(folder):
    write(folder / "other", b"")
    with pytest.raises(RuntimeError, match="stopped in the middle"):
        write_half(folder / "file")
    assert names(folder) == ["other"]


def test_the_file_is_not_there_before_the_block_ends(folder):
    write(folder / "file", b"old")
    with atomic_write(folder / "file") as stream:
        stream.write(b"new")
        stream.flush()
        assert (folder / "file").read_bytes() == b"old"


def test_the_bytes_are_synced_before_the_rename(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, pathlib.Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("sync"), fsync(descriptor)))
    monkeypatch.setattr(pathlib.Path, "replace", lambda *paths: (events.append("rename"), replace(*paths)))
    write(tmp_path / "file", b"content")
    assert events[:2] == ["sync", "rename"]


@pytest.mark.parametrize("form", [str, pathlib.Path, UPath, lambda path: f"file://{path}"])
def test_a_local_path_may_be_given_in_any_form(form, tmp_path):
    write(form(tmp_path / "file"), b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


# Parquet


def test_a_table_comes_back(folder):
    write_parquet(TABLE, folder / "t.parquet")
    assert read_parquet(folder / "t.parquet").equals(TABLE)


def test_only_the_named_columns_are_read(folder):
    write_parquet(TABLE, folder / "t.parquet")
    assert read_parquet(folder / "t.parquet", ["b"]).column_names == ["b"]


def test_the_same_table_gives_the_same_bytes(folder):
    write_parquet(TABLE, folder / "first")
    write_parquet(pa.table(TABLE.to_pydict()), folder / "second")
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()


def test_a_source_knows_its_schema_and_reads_its_columns(folder):
    write_parquet(TABLE, folder / "t.parquet")
    source = ParquetSource(folder / "t.parquet")
    assert source.schema == TABLE.schema
    assert source.read().equals(TABLE)
    assert source.read(["a"]).column_names == ["a"]


@pytest.mark.parametrize(
    "read", [read_parquet, lambda path: ParquetSource(path).schema], ids=["table", "schema"]
)
@pytest.mark.parametrize("length", [0, 3, 8, 100, -1])
def test_a_truncated_table_is_refused_with_its_path(read, length, folder):
    path = folder / "t.parquet"
    write_parquet(TABLE, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FileFormatError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: not a complete Parquet file (")


@pytest.mark.parametrize("content", [b"a,b\n1,2\n" * 20, b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_not_parquet_is_refused_with_its_path(content, folder):
    path = folder / "t.parquet"
    write(path, content)
    with pytest.raises(FileFormatError) as caught:
        read_parquet(path)
    assert str(caught.value).startswith(f"{path}: not a complete Parquet file (")


def test_a_damaged_page_is_refused(tmp_path):
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[8:60] = b"\xff" * 52
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"t.parquet: not a complete Parquet file"):
        read_parquet(tmp_path / "t.parquet")


def test_a_missing_table_is_not_found(folder):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_parquet(folder / "absent")


# Stamped safetensors files


def read(path, file_format=FORMAT):
    return read_stamped(path, load, file_format=file_format)


def test_header_and_tensors_come_back(tmp_path):
    write_tensors(tmp_path / "file", words=["ü", '"'], number=1.5, nested={"a": None})
    header, tensors = read(tmp_path / "file")
    assert header == {"words": ["ü", '"'], "number": 1.5, "nested": {"a": None}}
    assert {name: array.tolist() for name, array in tensors.items()} == {
        name: array.tolist() for name, array in TENSORS.items()
    }


def test_the_order_of_the_header_does_not_reach_the_bytes():
    assert stamp(FORMAT, {"a": 1, "b": 2}) == stamp(FORMAT, {"b": 2, "a": 1})


def test_a_file_of_another_format_is_refused_with_both_names(tmp_path):
    write_tensors(tmp_path / "file")
    with pytest.raises(FileFormatError) as caught:
        read(tmp_path / "file", FileFormat("ws_pipeline/Wanted", 3))
    assert (
        str(caught.value)
        == f"{tmp_path / 'file'}: expected a ws_pipeline/Wanted file, got ws_pipeline/Test's"
    )


def test_a_file_of_another_version_is_refused_with_both_versions(tmp_path):
    write_tensors(tmp_path / "file")
    with pytest.raises(FileFormatError) as caught:
        read(tmp_path / "file", FileFormat("ws_pipeline/Test", 4))
    assert str(caught.value).startswith(
        f"{tmp_path / 'file'}: format version 3, this release reads version 4 of ws_pipeline/Test;"
    )


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"\xff" * 64, b"plain text, but longer than eight bytes"]
)
def test_a_file_that_is_not_safetensors_is_refused_with_its_path(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read(tmp_path / "file")
    assert str(caught.value).startswith(f"{tmp_path / 'file'}: not a complete safetensors file (")


def test_the_format_of_a_file_is_told_without_reading_it(tmp_path):
    write_tensors(tmp_path / "file")
    assert read_tensors_format(tmp_path / "file") == "ws_pipeline/Test"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        b"\xff" * 64,
        b"plain text, but longer than eight bytes",
        save(TENSORS),
        b"\x02" + bytes(7) + b"[]",
    ],
)
def test_a_foreign_file_has_no_format(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    assert read_tensors_format(tmp_path / "file") is None


# Folders of Parquet files


def write_folder(folder, **parts):
    """A table as Spark writes it: a folder with its files, a checksum of each, and a mark of success."""
    for name, table in parts.items():
        write_parquet(table, folder / f"{name}.snappy.parquet")
        write(folder / f".{name}.snappy.parquet.crc", b"checksum")
    write(folder / "_SUCCESS", b"")
    return folder


PARTS = {"part-00001": TABLE.slice(2), "part-00000": TABLE.slice(0, 2)}


def test_a_folder_of_parquet_files_is_one_table(folder):
    path = write_folder(folder / "t.parquet", **PARTS)
    source = ParquetSource(path)
    assert read_parquet(path).equals(TABLE)
    assert source.read(["a"]).to_pydict() == {"a": [1, 2, 3]}
    assert (source.schema, source.n_rows) == (TABLE.schema, 3)


def test_the_number_of_rows_of_a_file_is_told(folder):
    write_parquet(TABLE, folder / "t.parquet")
    assert ParquetSource(folder / "t.parquet").n_rows == 3


def test_a_file_of_a_folder_may_have_columns_without_a_type(folder):
    untyped = pa.table({"b": pa.nulls(1), "a": [4]})
    path = write_folder(folder / "t.parquet", **PARTS, **{"part-00002": untyped})
    assert read_parquet(path).to_pydict() == {"a": [1, 2, 3, 4], "b": ["x", "y", None, None]}
    assert ParquetSource(path).schema == TABLE.schema


def folder_refusal(path, error=FileFormatError):
    with pytest.raises(error) as refused:
        read_parquet(path)
    with pytest.raises(error, match=r"t\.parquet"):
        _ = ParquetSource(path).schema
    return str(refused.value)


def test_an_empty_folder_is_refused(tmp_path):
    write_folder(tmp_path / "t.parquet")
    assert folder_refusal(tmp_path / "t.parquet") == (
        f"{tmp_path / 't.parquet'}: a folder without any file of data; write the table again, or remove the "
        "folder"
    )


def test_a_folder_that_is_still_written_to_is_refused(folder):
    path = write_folder(folder / "t.parquet", **PARTS)
    write(path / "_temporary" / "0" / "part-00002", b"half")
    assert folder_refusal(path) == (
        f"{path}: a folder that is not complete, it has '_temporary'; wait for its writer, or write it again"
    )


def test_a_partitioned_folder_is_refused(folder):
    path = folder / "t.parquet"
    write_parquet(TABLE, path / "split=train" / "part-00000.parquet")
    assert folder_refusal(path) == (
        f"{path}: a folder with further folders such as 'split=train', expected files of data; "
        "write the table without partitioning it by columns"
    )


@pytest.mark.parametrize(("log", "kind"), [("_delta_log", "Delta"), (".hoodie", "Hudi")])
def test_a_table_whose_log_says_which_files_count_is_refused(log, kind, folder):
    path = write_folder(folder / "t.parquet", **PARTS)
    write(path / log / "0.json", b"{}")
    assert f"{path}: a folder with a {kind} table, whose log says which files count; write" in folder_refusal(
        path
    )


def test_files_of_a_folder_with_other_columns_are_refused_with_their_names(folder):
    path = write_folder(folder / "t.parquet", **PARTS, other=pa.table({"a": [1]}))
    assert folder_refusal(path) == (
        f"{path}: its files have different columns: other.snappy.parquet has ['a'], "
        "part-00000.snappy.parquet has ['a', 'b']; write them with the same"
    )


def test_files_of_a_folder_with_other_types_are_refused(folder):
    path = write_folder(folder / "t.parquet", **PARTS, more=pa.table({"a": ["1"], "b": ["x"]}))
    assert f"{path}: the columns of its files have different types (" in folder_refusal(path)
    assert "Field a has incompatible types: string vs int64" in folder_refusal(path)


def test_a_file_without_rows_in_a_folder_may_have_any_types(folder):
    untyped = pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.float32())})
    path = write_folder(folder / "t.parquet", aaa=untyped, **PARTS)
    expected = read_parquet(write_folder(folder / "u.parquet", **PARTS))
    assert read_parquet(path).equals(expected)
    assert ParquetSource(path).schema == expected.schema
    assert ParquetSource(path).n_rows == expected.num_rows


def test_a_damaged_file_of_a_folder_is_named(folder):
    path = write_folder(folder / "t.parquet", **PARTS)
    write(path / "part-00001.snappy.parquet", b"half")
    assert folder_refusal(path).startswith(
        f"{path / 'part-00001.snappy.parquet'}: not a complete Parquet file ("
    )
