"""What memory there is, read from files of the operating system, and the refusal of what needs more."""

from __future__ import annotations

import resource

import pytest

from ws_pipeline import memory
from ws_pipeline.errors import LabelMatrixError, TooLargeError
from ws_pipeline.memory import Room, as_bytes, available_memory, require_memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """An operating system with 8 GB free and no other limit; returns a function that writes its files."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:    8000000 kB\n")
    return write


@pytest.mark.usefixtures("system")
def test_the_free_memory_of_the_machine():
    assert available_memory() == Room(8_000_000 * 1024, "free memory of this machine")


def test_the_limit_of_the_process(system, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10**9, 10**9))
    system("proc/self/statm", "1000 900 1 1 0 1 0\n")
    left = 10**9 - 1000 * resource.getpagesize()
    assert available_memory() == Room(left, "limit of this process, ulimit -v")


def test_the_limit_of_a_group_above_the_own_one(system, tmp_path):
    system("proc/self/cgroup", "0::/jobs/7\n")
    system("cgroup/jobs/7/memory.max", "max\n")
    system("cgroup/jobs/7/memory.current", "1\n")
    system("cgroup/jobs/7/memory.stat", "anon 1\n")
    system("cgroup/jobs/memory.max", "3000000\n")
    system("cgroup/jobs/memory.current", "2500000\n")
    system("cgroup/jobs/memory.stat", "anon 2300000\ninactive_file 200000\n")
    limit = f"limit of the control group, {tmp_path}/cgroup/jobs/memory.max"
    assert available_memory() == Room(700_000, limit)


def test_the_limit_of_a_group_of_version_1(system, tmp_path):
    system("proc/self/cgroup", "5:cpu:/x\n4:memory,other:/x\n")
    system("cgroup/memory/x/memory.limit_in_bytes", "5000\n")
    system("cgroup/memory/x/memory.usage_in_bytes", "1000\n")
    system("cgroup/memory/x/memory.stat", "total_inactive_file 10\n")
    limit = f"limit of the control group, {tmp_path}/cgroup/memory/x/memory.limit_in_bytes"
    assert available_memory() == Room(4010, limit)


def test_a_system_without_these_files_has_the_memory_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert available_memory() == Room(409_600, "memory of this machine")


def test_where_nothing_can_be_read_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.delattr("os.sysconf")
    assert available_memory() is None
    require_memory(10**18, "all", "wait")


def test_this_machine_has_some():
    room = available_memory()
    assert room is None or room.n_bytes > 2**20


def test_what_needs_more_is_refused_with_both_numbers_and_the_remedy(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: Room(2_500_000, "limit of the test"))
    require_memory(2_500_000, "this", "that")
    with pytest.raises(TooLargeError) as caught:
        require_memory(2_600_000_000, "a matrix of 3 x 5", "take a smaller one")
    assert str(caught.value) == (
        "a matrix of 3 x 5 needs 2.6 GB of memory, and 2.5 MB are available (limit of the test); "
        "take a smaller one"
    )


@pytest.mark.parametrize("kind", [LabelMatrixError, ValueError, MemoryError])
def test_it_is_an_error_of_the_votes_and_of_the_memory(kind):
    assert issubclass(TooLargeError, kind)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (-5, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_540_000, "1.5 MB"),
        (5.3e9, "5.3 GB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_bytes_are_written_as_people_do(n_bytes, text):
    assert as_bytes(n_bytes) == text
