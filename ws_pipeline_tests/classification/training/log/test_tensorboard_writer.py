"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.classification.training.log.tensorboard_writer import TensorBoardWriter
from ws_pipeline.errors import InvalidInputError, SettingsError
from ws_pipeline.settings.trainer import TrainerConfig

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def files_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def read(log_dir):
    reader = event_accumulator.EventAccumulator(log_dir)
    reader.Reload()
    return reader


def scalars(log_dir):
    reader = read(log_dir)
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def text(log_dir, tag):
    (event,) = read(log_dir).Tensors(f"{tag}/text_summary")
    return event.tensor_proto.string_val[0].decode()


@pytest.fixture
def writer(tmp_path):
    with TensorBoardWriter(log_dir=str(tmp_path), run_name="run") as writer:
        yield writer


def test_tensorboard_reads_the_scalars(writer):
    assert isinstance(writer, LogWriter)
    writer.add_scalar("model/all/train/loss", 0.5, 64)
    writer.add_scalar("model/all/train/loss", np.float32(0.1), np.int64(128))
    writer.add_scalar("digit/demo/valid/accuracy", torch.tensor(0.75), 128.0)
    writer.cleanup()
    assert scalars(writer.log_dir) == {
        "model/all/train/loss": [(64, 0.5), (128, float(np.float32(0.1)))],
        "digit/demo/valid/accuracy": [(128, 0.75)],
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_tensorboard_reads_numbers_that_are_not_finite_in_single_precision(writer, value):
    writer.add_scalar("loss", value, 1)
    writer.cleanup()
    ((_, found),) = scalars(writer.log_dir)["loss"]
    with np.errstate(over="ignore"):
        assert repr(found) == repr(float(np.float32(value)))
    assert repr(writer.run_log["loss"]) == repr([[1, float(value)]])


def test_the_json_lines_are_written_as_well(writer):
    writer.add_scalar("loss", 0.1, 1)
    assert json.loads(Path(writer.log_dir, "log.jsonl").read_text()) == {
        "name": "loss",
        "step": 1,
        "value": 0.1,
    }
    writer.cleanup()
    assert json.loads(Path(writer.log_dir, "log.json").read_text()) == {"loss": [[1, 0.1]]}


def test_texts_and_settings_are_shown(writer):
    config = TrainerConfig(seed=7)
    writer.add_text("note", "warm-up is *over*")
    writer.write_config(config)
    writer.cleanup()
    assert text(writer.log_dir, "note") == "warm-up is *over*"
    shown = text(writer.log_dir, "config").removeprefix("```\n").removesuffix("```")
    assert TrainerConfig(**json.loads(shown)) == config
    assert TrainerConfig(**json.loads(Path(writer.log_dir, "config.json").read_text())) == config


@pytest.mark.parametrize("step", [0.5, np.float32(1.25), float("nan"), float("inf")])
def test_a_step_between_whole_numbers_is_refused_and_not_rounded(writer, step):
    with pytest.raises(InvalidInputError, match=f"'loss' must be a whole number .* got {float(step)};"):
        writer.add_scalar("loss", 1.0, step)
    writer.cleanup()
    assert scalars(writer.log_dir) == {}
    assert writer.run_log == {}


def test_what_is_no_number_is_in_neither_log(writer):
    with pytest.raises(InvalidInputError, match="value of scalar 'loss' must be a number, got 'low'"):
        writer.add_scalar("loss", "low", 1)
    writer.cleanup()
    assert scalars(writer.log_dir) == {}
    assert writer.run_log == {}


def test_cleaning_up_twice_and_going_on_work(writer):
    writer.add_scalar("x", 1.0, 1)
    writer.cleanup()
    before = files_in(writer.log_dir)
    writer.cleanup()
    assert files_in(writer.log_dir) == before
    writer.add_scalar("x", 2.0, 2)
    writer.cleanup()
    assert scalars(writer.log_dir) == {"x": [(1, 1.0), (2, 2.0)]}


def test_cleaning_up_ends_the_thread_that_writes(tmp_path):
    before = set(threading.enumerate())
    writer = TensorBoardWriter(log_dir=str(tmp_path), run_name="run")
    writer.add_scalar("x", 1.0, 1)
    assert len(set(threading.enumerate()) - before) == 1
    writer.cleanup()
    assert set(threading.enumerate()) <= before


def test_a_run_of_the_same_name_goes_on_from_its_checkpoint(tmp_path):
    first = TensorBoardWriter(log_dir=str(tmp_path), run_name="run")
    for step in range(1, 8):
        first.add_scalar("loss", float(step), step)
    first.cleanup()
    second = TensorBoardWriter(log_dir=str(tmp_path), run_name="run")
    second.rewind(4)
    for step in range(5, 7):
        second.add_scalar("loss", -float(step), step)
    second.cleanup()
    expected = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, -5.0), (6, -6.0)]
    assert scalars(second.log_dir) == {"loss": expected}
    assert second.run_log == {"loss": [list(pair) for pair in expected]}


def test_a_missing_package_is_named_before_a_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"pip install 'ws_pipeline\[tensorboard\]'"):
        TensorBoardWriter(log_dir=str(tmp_path), run_name="run")
    assert files_in(tmp_path) == []


def test_importing_the_module_does_not_import_tensorboard():
    code = (
        "import sys, ws_pipeline.classification.training.log.tensorboard_writer\n"
        "assert not {'tensorboard', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_tensorboard_itself_warns_of_nothing(tmp_path):
    code = (
        "import sys\n"
        "from ws_pipeline.classification.training.log.tensorboard_writer import TensorBoardWriter\n"
        "with TensorBoardWriter(log_dir=sys.argv[1], run_name='run') as writer:\n"
        "    writer.add_scalar('x', 1.0, 1)\n"
        "    writer.add_text('x', 'y')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], check=True)
