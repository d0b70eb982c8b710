"""What is in the folders of a pipeline, on disk and in an object store."""

import os

import pytest
from upath import UPath

from ws_pipeline.defs.spec.data_folder import visible_files
from ws_pipeline.errors import FileAccessError


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """An empty folder on disk, and one in an object store."""
    return UPath(tmp_path) if request.param == "local" else UPath(f"memory://test_folders/{tmp_path.name}")


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_files_and_folders_are_listed_without_hidden_ones(folder):
    for name in (
        "a.parquet",
        ".b.parquet.tmp",
        "c.parquet/part-0.parquet",
        "c.parquet/_SUCCESS",
        "notes.txt",
    ):
        write(folder / name)
    assert set(visible_files(folder)) == {"a.parquet", "c.parquet", "notes.txt"}


def test_a_folder_of_one_file_is_listed(folder):
    write(folder / "a.parquet")
    assert set(visible_files(folder)) == {"a.parquet"}


def test_a_folder_that_is_still_written_to_is_left_out(folder):
    write(folder / "a.parquet" / "part-0.parquet")
    write(folder / "a.parquet" / "_temporary" / "0" / "part-1.parquet")
    assert visible_files(folder) == {}


def test_a_folder_that_is_not_there_has_no_files(folder):
    assert visible_files(folder / "absent") == {}


def test_a_file_in_place_of_a_folder_is_refused(folder):
    write(folder / "examples")
    with pytest.raises(FileAccessError) as refused:
        visible_files(folder / "examples")
    assert str(refused.value) == (
        f"{folder / 'examples'}: this is a file, expected a folder; give the path of a folder, or move the "
        "file away"
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root may list everything")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0)
    with pytest.raises(
        FileAccessError, match=f"^{tmp_path}: no permission to list it as user {os.getuid()}; "
    ):
        visible_files(UPath(tmp_path))
    tmp_path.chmod(0o700)
