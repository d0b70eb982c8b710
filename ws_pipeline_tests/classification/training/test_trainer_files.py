"""Saving and loading a trainer, and its log."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from ws_pipeline.classification import DictDataLoader, LogWriter, Trainer
from ws_pipeline.errors import FileFormatError, TrainingError


@pytest.fixture
def fit(make_dataset):
    def run(trainer, model, **data_settings):
        loaders = [
            DictDataLoader(make_dataset(**data_settings), batch_size=16, shuffle=True),
            DictDataLoader(make_dataset(split="valid", seed=9), batch_size=60),
        ]
        trainer.fit(model, loaders)
        return trainer

    return run


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_loaded_trainer_goes_on_with_its_optimizer(tmp_path, make_model, make_dataset, optimizer):
    """As one optimizer would over both trainings."""
    settings = {"optimizer": optimizer, "lr": 0.05, "grad_clip": None, "progress_bar": False}
    data = make_dataset()
    loader = DictDataLoader(data, batch_size=16)
    model = make_model(dropout=0.0)
    first = Trainer(**settings).fit(model, [loader])
    first.save(tmp_path / "trainer")
    model.save(tmp_path / "model")
    second_model, second = make_model(seed=5, dropout=0.0), Trainer(n_epochs=9)
    second_model.load(tmp_path / "model")
    second.load(tmp_path / "trainer", second_model)
    assert second.config == first.config
    second.fit(second_model, [loader])

    expected = make_model(dropout=0.0)
    kind = {"adam": torch.optim.Adam, "sgd": lambda *a, **k: torch.optim.SGD(*a, momentum=0.9, **k)}
    steps = kind[optimizer](expected.parameters(), lr=0.05)
    for _ in range(2):
        for batch in loader:
            losses, _ = expected.calculate_loss(*batch)
            steps.zero_grad()
            sum(losses.values()).backward()
            steps.step()
    torch.testing.assert_close(
        dict(second_model.state_dict()), dict(expected.state_dict()), rtol=1e-5, atol=1e-6
    )
    third_model = make_model(dropout=0.0)
    third_model.load(tmp_path / "model")
    Trainer(**settings).fit(third_model, [loader])
    assert not torch.equal(third_model.state_dict()["module_pool.two_head.weight"],
                           second_model.state_dict()["module_pool.two_head.weight"])  # fmt: skip


def test_the_file_is_no_pickle_and_the_same_every_time(tmp_path, make_model, fit):
    trainer = fit(Trainer(progress_bar=False), make_model())
    for name in "ab":
        trainer.save(tmp_path / "deep" / "er" / name)
    contents = {path.read_bytes() for path in (tmp_path / "deep" / "er").iterdir()}
    assert len(contents) == 1
    moments = load(contents.pop())
    assert {name.rsplit("/", 1)[1] for name in moments} == {"exp_avg", "exp_avg_sq", "step"}


def test_settings_alone(tmp_path, make_model, fit):
    """Before the first fit there is no optimizer; without a model it is not taken over."""
    Trainer(n_epochs=7, lr=0.5).save(tmp_path / "settings")
    trainer = Trainer()
    trainer.load(tmp_path / "settings", make_model())
    assert (trainer.config.n_epochs, trainer.config.lr) == (7, 0.5)
    fit(Trainer(progress_bar=False, seed=3), make_model()).save(tmp_path / "whole")
    trainer.load(tmp_path / "whole")
    other = make_model()
    fit(trainer, other)
    fresh = make_model()
    fit(Trainer(progress_bar=False, seed=3), fresh)
    assert torch.equal(
        other.state_dict()["module_pool.two_head.weight"], fresh.state_dict()["module_pool.two_head.weight"]
    )


def test_saving_that_fails_is_an_error(tmp_path, monkeypatch):
    def fail(*_arguments: object, **_settings: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        Trainer().save(tmp_path / "trainer")
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_loaded(tmp_path, make_model, fit):
    model, trainer = make_model(), Trainer(progress_bar=False)
    before = trainer.config
    with pytest.raises(FileNotFoundError):
        trainer.load(tmp_path / "absent", model)
    model.save(tmp_path / "model")
    with pytest.raises(FileFormatError, match="expected a ws_pipeline/Trainer file, got"):
        trainer.load(tmp_path / "model", model)
    fit(Trainer(progress_bar=False, lr=0.5), make_model(hidden=[9])).save(tmp_path / "wide")
    with pytest.raises(FileFormatError, match=r"'optimizer/0/exp_avg' has shape \[9, 4\].* shape \[8, 4\]"):
        trainer.load(tmp_path / "wide", model)
    fit(Trainer(progress_bar=False), make_model(hidden=[8, 8])).save(tmp_path / "deep")
    with pytest.raises(FileFormatError, match="the optimizer is that of another model"):
        trainer.load(tmp_path / "deep", model)
    assert trainer.config == before


def test_the_log_has_every_record(tmp_path, make_model, fit):
    settings = {"logging": True, "log_writer": "json", "log_dir": str(tmp_path), "run_name": "first"}
    trainer = fit(Trainer(n_epochs=3, progress_bar=False, **settings), make_model())
    log = LogWriter(log_dir=str(tmp_path), run_name="first").run_log
    assert [step for step, _ in log["model/all/train/loss"]] == [60, 120, 180]
    for name in ("model/all/train/loss", "three/toy/valid/accuracy", "model/all/valid/loss"):
        assert [value for _, value in log[name]] == [record[name] for record in trainer.history_]
    assert log["model/all/train/lr"] == [[60 * epoch, 0.01] for epoch in (1, 2, 3)]
    config = json.loads((Path(tmp_path) / "first" / "config.json").read_text())
    assert config["n_epochs"] == 3


def test_the_log_is_closed_when_training_fails(tmp_path, make_model, make_dataset, monkeypatch):
    closed = []
    monkeypatch.setattr(LogWriter, "cleanup", lambda _: closed.append(True))
    data = make_dataset()
    data.X_dict["features"][0, 0] = math.nan
    settings = {"logging": True, "log_writer": "json", "log_dir": str(tmp_path)}
    with pytest.raises(TrainingError):
        Trainer(progress_bar=False, **settings).fit(make_model(), [DictDataLoader(data, batch_size=16)])
    assert closed == [True]


def test_a_resumed_training_continues_its_log(tmp_path, make_model, fit):
    """What was logged after the checkpoint comes again, with the same steps and values."""
    settings = {
        "n_epochs": 3,
        "progress_bar": False,
        "checkpointing": True,
        "checkpoint_dir": None,
        "logging": True,
        "log_writer": "json",
        "log_dir": str(tmp_path),
        "checkpoint_factor": 2,
    }
    whole = fit(Trainer(run_name="whole", **settings), make_model())
    model = make_model()
    seen = []

    def break_off(module, _):
        seen.append(module.training)
        if sum(seen) == 14:  # batches: after the fourth evaluation, whose checkpoint is the second's
            raise KeyboardInterrupt

    model.module_pool["trunk"].register_forward_pre_hook(break_off)
    settings |= {"counter_unit": "batches", "evaluation_freq": 3, "n_epochs": 5}
    expected = fit(Trainer(run_name="expected", **settings), make_model())
    with pytest.raises(KeyboardInterrupt):
        fit(Trainer(run_name="cut", **settings), model)
    trainer = fit(Trainer(run_name="cut", **settings), make_model())
    assert trainer.resumed_from_step_ == 12
    logs = [LogWriter(log_dir=str(tmp_path), run_name=name).run_log for name in ("expected", "cut")]
    assert logs[0].keys() == logs[1].keys()
    for name, entries in logs[0].items():
        assert list(dict.fromkeys(map(tuple, logs[1][name]))) == list(map(tuple, entries))
    assert trainer.history_ == expected.history_ != whole.history_
    assert (tmp_path / "cut" / "best_model_model_all_train_loss.safetensors").exists()


def test_tensorboard_gets_the_same_scalars(tmp_path, make_model, fit):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = {"logging": True, "log_dir": str(tmp_path), "run_name": "first"}
    trainer = fit(Trainer(n_epochs=2, progress_bar=False, **settings), make_model())
    events = EventAccumulator(str(tmp_path / "first"))
    events.Reload()
    found = [event.value for event in events.Scalars("model/all/valid/loss")]
    assert found == pytest.approx([record["model/all/valid/loss"] for record in trainer.history_])
