"""A listing says of every file what changes when the file does, and the same as the file says alone."""

import shutil

import fsspec
import pytest
import upath.registry
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath
from upath.implementations.memory import MemoryPath

from ws_pipeline.storage.file_stamps import BEING_WRITTEN, stamp_of, stamps_in


class CachingFileSystem(MemoryFileSystem):
    """A file system that repeats its first listing, as object stores do, and counts the questions."""

    protocol = "cachedlist"
    store = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    listings = {}  # noqa: RUF012
    etags = False
    lists_times = True
    asked = 0

    def invalidate_cache(self, path=None):
        self.listings.pop(self._strip_protocol(path), None)

    def ls(self, path, detail=True, **kwargs):
        type(self).asked += 1
        path = self._strip_protocol(path)
        if path not in self.listings:
            entries = super().ls(path, detail=True, **kwargs)
            self.listings[path] = [self._with_etag(self._listed(entry)) for entry in entries]
        return self.listings[path] if detail else [entry["name"] for entry in self.listings[path]]

    def info(self, path, **kwargs):
        type(self).asked += 1
        return self._with_etag(super().info(path, **kwargs))

    def _listed(self, entry):
        return entry if self.lists_times else {**entry, "created": "2026-11-25"}

    def _with_etag(self, entry):
        if self.etags and entry["type"] == "file":
            return {**entry, "ETag": f'"{hash(self.cat_file(entry["name"]))}"', "created": None}
        return entry


fsspec.register_implementation("cachedlist", CachingFileSystem, clobber=True)
upath.registry.register_implementation("cachedlist", MemoryPath, clobber=True)


@pytest.fixture(params=["local", "memory", "cachedlist", "cachedlist with ETag"])
def folder(request, tmp_path):
    if request.param == "local":
        yield UPath(tmp_path / "here")
        return
    protocol, _, etags = request.param.partition(" ")
    base = UPath(f"{protocol}://here")
    empty(base.fs)
    CachingFileSystem.etags = bool(etags)
    CachingFileSystem.listings.clear()
    yield base
    empty(base.fs)


def empty(fs):
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def write(path, content=b"1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_folder_that_is_not_there_has_no_stamps(folder):
    assert stamps_in(folder, suffix=".parquet") == {}


def test_a_file_has_the_same_stamp_in_a_listing_and_alone(folder):
    for name in ("a.parquet", "b.parquet", "note.txt"):
        write(folder / name)
    stamps = stamps_in(folder, suffix=".parquet")
    assert sorted(stamps) == ["a.parquet", "b.parquet", "note.txt"]
    assert {name: stamp_of(folder / name) for name in stamps} == stamps


def test_another_file_changes_its_stamp_alone(folder):
    write(folder / "a.parquet")
    write(folder / "b.parquet")
    before = stamps_in(folder, suffix=".parquet")
    write(folder / "a.parquet", b"2")
    after = stamps_in(folder, suffix=".parquet")
    assert before["a.parquet"] != after["a.parquet"] == stamp_of(folder / "a.parquet")
    assert before["b.parquet"] == after["b.parquet"]


def test_a_new_file_is_seen_at_the_next_look(folder):
    write(folder / "a.parquet")
    assert list(stamps_in(folder, suffix=".parquet")) == ["a.parquet"]
    write(folder / "b.parquet")
    assert sorted(stamps_in(folder, suffix=".parquet")) == ["a.parquet", "b.parquet"]


def test_a_file_that_is_missing_is_an_error_when_it_is_asked_for(folder):
    write(folder / "a.parquet")
    with pytest.raises(FileNotFoundError):
        stamp_of(folder / "b.parquet")


def test_a_folder_that_is_read_as_a_file_changes_with_the_files_in_it(folder):
    write(folder / "a.parquet" / "part-0.parquet")
    write(folder / "a.parquet" / "year=1" / "part-1.parquet")
    seen = [stamps_in(folder, suffix=".parquet")["a.parquet"]]
    for name, content in (
        ("part-0.parquet", b"2"),
        ("year=1/part-1.parquet", b"2"),
        ("part-2.parquet", b"1"),
    ):
        write(folder / "a.parquet" / name, content)
        seen.append(stamps_in(folder, suffix=".parquet")["a.parquet"])
        assert seen[-1] == stamp_of(folder / "a.parquet")
    assert len(set(seen)) == 4


def test_what_a_writer_leaves_beside_its_files_changes_nothing(folder):
    write(folder / "a.parquet" / "part-0.parquet")
    before = stamps_in(folder, suffix=".parquet")
    write(folder / "a.parquet" / "_SUCCESS")
    write(folder / "a.parquet" / ".part-0.parquet.crc")
    assert stamps_in(folder, suffix=".parquet") == before


def test_a_folder_that_spark_has_not_finished_is_marked(folder):
    write(folder / "a.parquet" / "part-0.parquet")
    write(folder / "a.parquet" / "_temporary" / "0" / "part-1.parquet")
    assert stamps_in(folder, suffix=".parquet") == {"a.parquet": BEING_WRITTEN}


def test_a_file_in_place_of_the_folder_is_no_folder(folder):
    write(folder / "a.parquet")
    with pytest.raises(NotADirectoryError):
        stamps_in(folder / "a.parquet", suffix=".parquet")


def test_other_folders_are_not_looked_into(folder):
    write(folder / "archive" / "a.parquet")
    assert stamps_in(folder, suffix=".parquet") == {"archive": ""}


def test_a_folder_is_asked_for_once_whatever_is_in_it():
    folder = UPath("cachedlist://many")
    for number in range(100):
        write(folder / f"{number}.parquet")
    before = CachingFileSystem.asked
    assert len(stamps_in(folder, suffix=".parquet")) == 100
    assert CachingFileSystem.asked - before == 2  # a listing, and one file whether it says the same


def test_a_listing_that_says_less_than_a_file_alone_is_not_believed(monkeypatch):
    monkeypatch.setattr(CachingFileSystem, "lists_times", False)
    folder = UPath("cachedlist://days")
    for name in ("a.parquet", "b.parquet"):
        write(folder / name)
    before = stamps_in(folder, suffix=".parquet")
    write(folder / "b.parquet", b"2")
    after = stamps_in(folder, suffix=".parquet")
    assert before["a.parquet"] == after["a.parquet"] == stamp_of(folder / "a.parquet")
    assert before["b.parquet"] != after["b.parquet"] == stamp_of(folder / "b.parquet")


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_another(tmp_path):
    file, other = tmp_path / "a.parquet", tmp_path / "other"
    file.write_text("1")
    shutil.copy2(file, other)
    before = stamp_of(UPath(file))
    other.replace(file)
    assert stamp_of(UPath(file)) != before


def test_a_link_to_nothing_is_no_file(tmp_path):
    (tmp_path / "a.parquet").symlink_to(tmp_path / "nowhere")
    assert stamps_in(UPath(tmp_path), suffix=".parquet") == {}
