"""The JSON log: every record at once and whole, runs that go on, values of any kind."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import os
import signal
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.classification.training.log import log_writer
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.errors import FileAccessError, FileFormatError, InvalidInputError, SettingsError
from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.end_model import ModelConfig
from ws_pipeline.settings.trainer import TrainerConfig

PROPERTY = settings(derandomize=True, deadline=None, max_examples=40)


def files_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def lines_of(writer):
    return Path(writer.log_dir, "log.jsonl").read_bytes()


def records_of(writer):
    return [json.loads(line) for line in lines_of(writer).splitlines()]


@pytest.fixture
def writer(tmp_path):
    return LogWriter(log_dir=str(tmp_path), run_name="run")


def test_the_folder_of_a_run_is_in_the_folder_of_all_logs(tmp_path):
    writer = LogWriter(log_dir=tmp_path / "logs", run_name="first")
    assert (writer.run_name, writer.log_dir) == ("first", str(tmp_path / "logs" / "first"))
    assert (writer.config.log_dir, writer.config.run_name) == (str(tmp_path / "logs"), "first")
    assert files_in(writer.log_dir) == []


def test_the_defaults_are_those_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(LogWriter(run_name="x").log_dir) == Path("logs", "x")


def test_a_run_without_a_name_is_called_after_the_date_and_time(tmp_path):
    before = dt.datetime.now().astimezone().replace(microsecond=0)
    name = LogWriter(log_dir=str(tmp_path)).run_name
    at = dt.datetime.strptime(name, "%Y_%m_%d/%H_%M_%S").astimezone()
    assert before <= at <= dt.datetime.now().astimezone()


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    noon = dt.datetime(2025, 1, 31, 12, 0, 0, tzinfo=dt.UTC)
    monkeypatch.setattr(log_writer, "_now", lambda: noon)
    names = [LogWriter(log_dir=str(tmp_path)).run_name for _ in range(3)]
    assert names == ["2025_01_31/12_00_00", "2025_01_31/12_00_00_2", "2025_01_31/12_00_00_3"]
    assert files_in(tmp_path / "2025_01_31") == ["12_00_00", "12_00_00_2", "12_00_00_3"]


NAME_RUNS = """
import sys
from ws_pipeline.classification.training.log.log_writer import LogWriter
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    print(LogWriter(log_dir=sys.argv[1]).run_name)
"""


def test_processes_that_start_together_get_folders_of_their_own(tmp_path):
    command = [sys.executable, "-c", NAME_RUNS, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = [name for process in processes for name in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(names) == len(set(names)) == 40


def test_every_record_is_a_line_on_disk_when_the_call_returns(writer):
    writer.add_scalar("loss", 0.5, 1)
    assert lines_of(writer) == b'{"name": "loss", "step": 1, "value": 0.5}\n'
    writer.add_text("note", "two\nlines\u2028three")
    writer.add_scalar("loss", 0.25, 1.5)
    assert records_of(writer) == [
        {"name": "loss", "step": 1, "value": 0.5},
        {"name": "note", "text": "two\nlines\u2028three"},
        {"name": "loss", "step": 1.5, "value": 0.25},
    ]
    assert writer.run_log == {"loss": [[1, 0.5], [1.5, 0.25]]}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (True, 1),
        (0.1, 0.1),
        (np.int64(7), 7),
        (np.int32(-7), -7),
        (np.uint8(7), 7),
        (np.array([True])[0], 1),
        (np.float64(0.1), 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float16(0.5), 0.5),
        (np.array(0.25), 0.25),
        (np.array([[0.25]]), 0.25),
        (torch.tensor(0.25), 0.25),
        (torch.tensor([0.25], requires_grad=True), 0.25),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (torch.tensor(3), 3),
        (Fraction(1, 4), 0.25),
    ],
)
def test_numbers_of_any_library_are_written(writer, value, number):
    writer.add_scalar("x", value, value)
    writer.cleanup()
    (record,) = records_of(writer)
    assert record == {"name": "x", "step": number, "value": number}
    assert type(record["value"]) is type(number)
    assert json.loads(Path(writer.log_dir, "log.json").read_text()) == {"x": [[number, number]]}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [float, np.float32, torch.tensor])
def test_numbers_that_json_does_not_have_are_strings(writer, number, kind):
    writer.add_scalar("loss", kind(number), 1)
    writer.cleanup()

    def refuse(constant):
        raise AssertionError(constant)

    record = json.loads(lines_of(writer), parse_constant=refuse)
    assert record["value"] in {"NaN", "Infinity", "-Infinity"}
    assert repr(float(record["value"])) == repr(number)
    summary = json.loads(Path(writer.log_dir, "log.json").read_text(), parse_constant=refuse)
    assert summary == {"loss": [[1, record["value"]]]}
    again = LogWriter(log_dir=writer.config.log_dir, run_name="run")
    assert repr(again.run_log["loss"]) == repr([[1, number]])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("0.5", r"'0.5' \(str\)"),
        (None, r"None \(NoneType\)"),
        (np.zeros(2), r"array\(\[0., 0.\]\) \(ndarray\)"),
        (torch.zeros(2), r"tensor\(\[0., 0.\]\) \(Tensor\)"),
        (1j, r"1j \(complex\)"),
        (np.array("a"), r"\(ndarray\)"),
    ],
)
def test_what_is_no_number_is_refused_and_not_written(writer, value, found):
    with pytest.raises(InvalidInputError, match=f"value of scalar 'loss' must be a number, got .*{found}"):
        writer.add_scalar("loss", value, 1)
    with pytest.raises(InvalidInputError, match=f"step of scalar 'loss' must be a number, got .*{found}"):
        writer.add_scalar("loss", 1, value)
    assert writer.run_log == {}
    assert not Path(writer.log_dir, "log.jsonl").exists()


class Colour(enum.StrEnum):
    RED = "red"


class Head(enum.Enum):
    LINEAR = Path("linear")


@dataclasses.dataclass
class Part:
    sizes: tuple[int, ...]
    folder: Path


class Trunk(Settings):
    hidden: list[int]
    dropout: float = 0.5


class Tuple(NamedTuple):
    lr: float
    parts: object


def config_of(writer, filename="config.json"):
    return json.loads(Path(writer.log_dir, filename).read_text(encoding="utf-8"))


def test_settings_of_this_package_are_written_and_read_back(writer):
    config = TrainerConfig(seed=3)
    writer.write_config(config)
    assert TrainerConfig(**config_of(writer)) == config
    writer.write_config(ModelConfig(hidden=[3, 4]), "model.json")
    assert config_of(writer, "model.json")["hidden"] == [3, 4]


def test_settings_of_any_kind_are_written(writer):
    config = Tuple(
        lr=np.float32(0.5),
        parts={
            "plain": Part((1, 2), Path("a/b")),
            "nested": Tuple(math.inf, [torch.tensor([[1, 2]]), np.array([True])]),
            "enums": [Colour.RED, Head.LINEAR],
            "when": [dt.date(2025, 1, 31), dt.datetime(2025, 1, 31, tzinfo=dt.UTC)],
            "set": {"b", "a", "c"},
            "trunk": Trunk(hidden=[5]),
            "é": None,
            3: True,
            np.int64(4): "key",
            None: 1,
        },
    )
    writer.write_config(config)
    assert config_of(writer) == {
        "lr": 0.5,
        "parts": {
            "plain": {"sizes": [1, 2], "folder": str(Path("a/b"))},
            "nested": {"lr": "Infinity", "parts": [[[1, 2]], [True]]},
            "enums": ["red", "linear"],
            "when": ["2025-01-31", "2025-01-31T00:00:00+00:00"],
            "set": ["a", "b", "c"],
            "trunk": {"hidden": [5], "dropout": 0.5},
            "é": None,
            "3": True,
            "4": "key",
            "null": 1,
        },
    }


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": object()}]}, r"config.a\[1\].b: cannot write <object .* \(object\) as JSON"),
        ({"a": len}, r"config.a: cannot write <built-in function len>"),
        ({"a": {(1, 2): 3}}, r"config.a: the key \(1, 2\) \(tuple\) has no JSON form"),
        ({"a": b"x"}, r"config.a: cannot write b'x' \(bytes\)"),
    ],
)
def test_a_value_without_a_json_form_is_named_and_the_old_file_stays(writer, value, place):
    writer.write_config({"old": 1})
    with pytest.raises(InvalidInputError, match=place):
        writer.write_config(value)
    assert config_of(writer) == {"old": 1}
    assert files_in(writer.log_dir) == ["config.json"]


def test_texts_and_objects_are_files(writer):
    writer.write_text("python train.py é\n", "command.txt")
    assert Path(writer.log_dir, "command.txt").read_text(encoding="utf-8") == "python train.py é\n"
    writer.write_json({"a": np.arange(3)}, "values.json")
    assert config_of(writer, "values.json") == {"a": [0, 1, 2]}
    writer.add_scalar("x", np.float64(2), 1)
    writer.write_log("scalars.json")
    assert config_of(writer, "scalars.json") == {"x": [[1, 2.0]]}
    assert not [name for name in files_in(writer.log_dir) if name.endswith(".tmp")]


def test_cleaning_up_twice_is_cleaning_up_once(writer):
    writer.add_scalar("x", 1, 1)
    writer.cleanup()
    before = {name: Path(writer.log_dir, name).read_bytes() for name in files_in(writer.log_dir)}
    writer.cleanup()
    assert {name: Path(writer.log_dir, name).read_bytes() for name in files_in(writer.log_dir)} == before
    assert set(before) == {"log.jsonl", "log.json"}


def test_a_second_training_may_go_on_after_the_cleanup(writer):
    writer.add_scalar("x", 1, 1)
    writer.cleanup()
    writer.add_scalar("x", 2, 2)
    writer.cleanup()
    assert [record["value"] for record in records_of(writer)] == [1, 2]
    assert config_of(writer, "log.json") == {"x": [[1, 1], [2, 2]]}


def test_a_with_block_cleans_up_when_it_fails_too(tmp_path):
    with pytest.raises(ZeroDivisionError), LogWriter(log_dir=tmp_path, run_name="r") as writer:  # noqa: PT012
        writer.add_scalar("x", 1, 1)
        _ = 1 / 0
    assert config_of(writer, "log.json") == {"x": [[1, 1]]}


def test_a_run_of_the_same_name_goes_on(tmp_path):
    with LogWriter(log_dir=tmp_path, run_name="r") as first:
        first.add_scalar("x", 1, 1)
        first.add_text("note", "first")
    with LogWriter(log_dir=tmp_path, run_name="r") as second:
        assert second.run_log == {"x": [[1, 1]]}
        second.add_scalar("x", 2, 2)
    assert [record.get("value", "first") for record in records_of(second)] == [1, "first", 2]
    assert config_of(second, "log.json") == {"x": [[1, 1], [2, 2]]}


def test_a_writer_that_is_dropped_closes_its_file(tmp_path):
    writer = LogWriter(log_dir=tmp_path, run_name="r")
    writer.add_scalar("x", 1, 1)
    stream = writer._stream
    del writer
    assert stream.closed


LINES = b"".join(
    json.dumps(record).encode() + b"\n"
    for record in [
        {"name": "a", "step": 1, "value": 0.5},
        {"name": "note", "text": "warm"},
        {"name": "a", "step": 2, "value": "NaN"},
        {"name": "b", "step": 2, "value": 12},
    ]
)


@pytest.mark.parametrize("cut", range(len(LINES) + 1))
def test_a_log_cut_anywhere_loses_the_unfinished_record_only(tmp_path, cut):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "log.jsonl").write_bytes(LINES[:cut])
    writer = LogWriter(log_dir=tmp_path, run_name="r")
    assert lines_of(writer) == LINES[:cut]  # looking changes nothing
    writer.add_scalar("new", 1, 3)
    writer._close()
    complete = [json.loads(line) for line in LINES[: cut + 1].split(b"\n")[:-1]]
    assert records_of(writer) == [*complete, {"name": "new", "step": 3, "value": 1}]
    assert sum(map(len, writer.run_log.values())) == 1 + sum("step" in record for record in complete)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"3",
        b"[1]",
        b'{"name": "a"',
        b'{"name": "a", "step": 1}',
        b'{"name": "a", "step": "x", "value": 1}',
    ],
)
def test_a_file_that_is_no_log_of_ours_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "log.jsonl").write_bytes(LINES + line + b"\n" + LINES)
    with pytest.raises(FileFormatError, match=r"log.jsonl, line 5: expected a record of this log, got b'"):
        LogWriter(log_dir=tmp_path, run_name="r")


ITEMS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.floats(-1, 1)), max_size=12)


@PROPERTY
@given(items=ITEMS, step=st.integers(-1, 20), later=ITEMS)
def test_rewinding_is_as_if_the_later_steps_had_never_been(tmp_path_factory, items, step, later):
    items = sorted(items, key=lambda item: item[1])
    folder = tmp_path_factory.mktemp("logs")
    writer, plain = (LogWriter(log_dir=folder, run_name=name) for name in ("rewound", "plain"))
    for name, when, value in items:
        writer.add_scalar(name, value, when)
        if when <= step:
            plain.add_scalar(name, value, when)
    writer.rewind(step)
    for name, when, value in later:
        writer.add_scalar(name, value, when)
        plain.add_scalar(name, value, when)
    assert writer.run_log == plain.run_log
    assert records_of(writer) == records_of(plain) if plain.run_log else not any(writer.run_log.values())
    assert LogWriter(log_dir=folder, run_name="rewound").run_log == plain.run_log


def test_rewinding_drops_the_texts_that_came_later(writer):
    writer.add_scalar("x", 1, 1)
    writer.add_text("note", "before")
    writer.add_scalar("x", 1, 2)
    writer.add_text("note", "after")
    writer.rewind(1)
    assert [record.get("text") for record in records_of(writer)] == [None, "before"]


def test_settings_are_checked(tmp_path):
    with pytest.raises(SettingsError, match="unknown key 'logdir', did you mean 'log_dir'"):
        LogWriter(logdir=str(tmp_path))
    with pytest.raises(SettingsError, match=r"run_name: .* got 3"):
        LogWriter(log_dir=str(tmp_path), run_name=3)
    assert files_in(tmp_path) == []


KILLED = """
import os, sys
from ws_pipeline.classification.training.log.log_writer import LogWriter
writer = LogWriter(log_dir=sys.argv[1], run_name="r")
step = 0
while True:
    step += 1
    writer.add_scalar("loss", 1 / step, step)
    os.write(1, b"%d\\n" % step)
"""


def test_a_killed_process_leaves_every_line_it_has_written(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    told = [int(process.stdout.readline()) for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    told += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    resumed = LogWriter(log_dir=tmp_path, run_name="r")
    steps = [step for step, _ in resumed.run_log["loss"]]
    assert steps[: len(told)] == told == list(range(1, len(told) + 1))
    assert len(steps) - len(told) <= 1
    resumed.add_scalar("loss", 0.0, 10**9)
    assert [record["step"] for record in records_of(resumed)] == [*steps, 10**9]


def test_the_files_are_those_of_snorkel(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loggers = pytest.importorskip("snorkel.classification.training.loggers.log_writer")
    found = {}
    config = loggers.LogWriterConfig(log_dir="x", run_name="y")
    for name, kind in (("ours", LogWriter), ("theirs", loggers.LogWriter)):
        writer = kind(log_dir=str(tmp_path), run_name=name)
        writer.add_scalar("loss", 0.5, 1)
        writer.add_scalar("accuracy", 0.75, 10)
        writer.add_scalar("loss", 0.25, 20)
        writer.write_config(config)
        writer.write_text("text", "note.txt")
        writer.write_log("scalars.json")
        writer.cleanup()
        files = set(files_in(writer.log_dir)) - {"log.jsonl"}
        found[name] = {
            file: json.loads(text) if file.endswith("json") else text
            for file in files
            if (text := Path(writer.log_dir, file).read_text())
        }
        assert writer.log_dir == os.path.join(tmp_path, name)  # noqa: PTH118
    assert found["ours"] == found["theirs"]
    assert set(found["ours"]) == {"config.json", "note.txt", "scalars.json", "log.json"}


def test_a_log_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "logs").touch()
    with pytest.raises(FileAccessError) as refused:
        LogWriter(log_dir=tmp_path / "logs" / "deep", run_name="first")
    assert str(refused.value) == (
        f"{tmp_path / 'logs' / 'deep'}: '{tmp_path / 'logs'}' is a file, expected a folder; move the file "
        "away, or choose another path"
    )


def test_a_log_that_is_a_folder_is_told(tmp_path):
    (tmp_path / "first" / "log.jsonl").mkdir(parents=True)
    with pytest.raises(FileAccessError, match=r"log.jsonl: this is a folder, expected a file; give the path"):
        LogWriter(log_dir=tmp_path, run_name="first")
