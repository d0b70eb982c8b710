"""The files of a training by themselves: which models are kept, which are removed."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from ws_pipeline.classification import Checkpointer, CheckpointerConfig
from ws_pipeline.classification.training.fingerprint import fingerprint_of
from ws_pipeline.errors import FileAccessError, SettingsError, TrainingError

F1, LOSS = "task/dataset/valid/f1", "model/all/valid/loss"


def state(model) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def make_checkpointer(tmp_path):
    def make(**settings) -> Checkpointer:
        settings = {"checkpoint_dir": str(tmp_path / "c"), "checkpoint_metric": f"{F1}:max", **settings}
        return Checkpointer("epochs", 1, **settings)

    return make


def test_the_best_model_by_each_metric(make_checkpointer, make_model, tmp_path):
    checkpointer = make_checkpointer(checkpoint_task_metrics=[f"{LOSS}:min"])
    models = [make_model(seed=seed) for seed in range(4)]
    measured = [(0.5, 3.0), (0.7, 4.0), (0.6, 2.0), (math.nan, 2.0)]
    for iteration, (model, (f1, loss)) in enumerate(zip(models, measured, strict=True), start=1):
        checkpointer.checkpoint(iteration, model, {F1: f1, LOSS: loss, "other": 1.0})
    assert checkpointer.best_metric_dict == {F1: 0.7, LOSS: 2.0}
    assert checkpointer.best_model.iteration == 2
    assert checkpointer.best_model.metrics == {F1: 0.7, LOSS: 4.0, "other": 1.0}
    assert names(tmp_path / "c") == {
        "best_model_task_dataset_valid_f1.safetensors",
        "best_model_model_all_valid_loss.safetensors",
    }
    model = make_model(seed=9)
    assert checkpointer.load_best_model(model) is model
    assert state(model) == state(models[1])
    model.load(checkpointer.best_model_path(LOSS))
    assert state(model) == state(models[2])


def test_a_tie_keeps_the_earlier_model(make_checkpointer, make_model):
    checkpointer = make_checkpointer()
    for iteration in (1, 2):
        checkpointer.checkpoint(iteration, make_model(seed=iteration), {F1: 0.5})
    assert checkpointer.best_model.iteration == 1


def test_nothing_is_kept_before_the_runway(make_checkpointer, make_model, tmp_path):
    checkpointer = make_checkpointer(checkpoint_runway=3)
    checkpointer.checkpoint(2, make_model(), {F1: 0.9})
    assert names(tmp_path / "c") == set()
    checkpointer.checkpoint(3, make_model(), {F1: 0.1})
    assert checkpointer.best_metric_dict == {F1: 0.1}


def test_without_a_best_model_the_model_stays(make_checkpointer, make_model, caplog):
    model = make_model()
    before = state(model)
    with caplog.at_level(logging.WARNING):
        assert make_checkpointer().load_best_model(model) is model
    assert state(model) == before
    assert f"no best model by {F1} was found" in caplog.text


def test_clear_removes_its_own_checkpoint_only(make_checkpointer, make_model, tmp_path):
    """Neither best models, nor files of others, nor the checkpoint of another training."""
    folder = tmp_path / "c"
    folder.mkdir()
    others = {"checkpoint_1.pth", "checkpoint_7.safetensors", "notes.txt"}
    for name in others:
        (folder / name).write_text("another's")
    first, second = make_checkpointer(), make_checkpointer()
    first.checkpoint(1, make_model(), {F1: 0.5})
    first.write_state("a" * 64, {"x": torch.ones(2)}, {"step": 1})
    best = first.best_model_path().name
    second.clear()  # it has written nothing
    assert names(folder) == others | {best, "last.safetensors"}
    second.write_state("b" * 64, {"x": torch.ones(2)}, {"step": 1})
    first.clear()  # its checkpoint was replaced
    assert names(folder) == others | {best, "last.safetensors"}
    second.clear()
    assert names(folder) == others | {best}
    second.clear()


def test_without_clear_every_model_stays(make_checkpointer, make_model, tmp_path):
    checkpointer = make_checkpointer(checkpoint_clear=False)
    for iteration in (0.5, 1.0, 2):
        checkpointer.checkpoint(iteration, make_model(seed=int(2 * iteration)), {F1: -iteration})
    checkpointer.write_state("a" * 64, {}, {})
    checkpointer.clear()
    files = {f"checkpoint_{number}.safetensors" for number in ("0.5", "1", "2")}
    assert names(tmp_path / "c") == files | {checkpointer.best_model_path().name, "last.safetensors"}
    model = make_model(seed=9)
    model.load(tmp_path / "c" / "checkpoint_1.safetensors")
    assert state(model) == state(make_model(seed=2))


def test_a_best_model_of_another_training_is_refused(make_checkpointer, make_model):
    """Two trainings in one folder at a time."""
    first, second = make_checkpointer(), make_checkpointer()
    first.checkpoint(1, make_model(seed=1), {F1: 0.9})
    second.checkpoint(1, make_model(seed=2), {F1: 0.1})
    with pytest.raises(TrainingError, match=r"best_model_task_dataset_valid_f1.safetensors: these are not"):
        first.load_best_model(make_model())
    second.load_best_model(make_model())


def test_state_round_trip_keeps_order_and_best(make_checkpointer, make_model):
    first, second = make_checkpointer(), make_checkpointer()
    assert first.read_state("a" * 64) is None
    first.checkpoint(1, make_model(), {"z": 1.0, F1: 0.25})
    values = {"history": [{"b": 0.1, "a": math.pi}], "position": [1, 2, 3]}
    first.write_state("a" * 64, {"x": torch.arange(3.0)}, values)
    tensors, found = second.read_state("a" * 64)
    assert tensors["x"].tolist() == [0, 1, 2]
    assert found == values
    assert list(found["history"][0]) == ["b", "a"]
    assert second.best == first.best


def test_leftovers_of_a_killed_process_are_removed(make_checkpointer, tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    ours = [".last.safetensors.0a.tmp", ".best_model_task_dataset_valid_f1.safetensors.1b.tmp"]
    for name in (*ours, ".other.safetensors.2c.tmp"):
        (folder / name).write_text("")
    make_checkpointer().read_state("a" * 64)
    assert names(folder) == {".other.safetensors.2c.tmp"}


def test_attributes(make_checkpointer):
    checkpointer = make_checkpointer(checkpoint_factor=2, checkpoint_task_metrics=[f"{LOSS}:min"])
    assert checkpointer.checkpoint_metric == {F1: "max"}
    assert checkpointer.checkpoint_task_metrics == {F1: "max", LOSS: "min"}
    assert (checkpointer.checkpoint_unit, checkpointer.checkpoint_freq) == ("epochs", 2)
    assert isinstance(checkpointer.config, CheckpointerConfig)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint_metric": "f1:max"}, "checkpoint_metric: must be of the form .* got 'f1:max'"),
        ({"checkpoint_metric": F1}, "checkpoint_metric: must be of the form"),
        ({"checkpoint_metric": f"{F1}:best"}, "unrecognized mode 'best' for metric 'task/dataset/valid/f1'"),
        ({"checkpoint_task_metrics": ["a/b/c:max"]}, "checkpoint_task_metrics.0: must be of the form"),
        ({"checkpoint_runway": -1}, "checkpoint_runway: .* greater than or equal to 0"),
        ({"checkpoint_factor": 0}, "checkpoint_factor: .* greater than or equal to 1"),
        ({"checkpoint_dir": None}, "needs a checkpoint_dir"),
        ({"checkpoint_direc": "x"}, "unknown key 'checkpoint_direc', did you mean 'checkpoint_dir'"),
        (
            {"checkpoint_metric": "a/b_c/d/e:max", "checkpoint_task_metrics": ["a_b/c/d/e:max"]},
            "'a_b/c/d/e' and 'a/b_c/d/e' would share a file",
        ),
    ],
)
def test_settings_that_are_refused(make_checkpointer, settings, message):
    with pytest.raises(SettingsError, match=message):
        make_checkpointer(**settings)


def test_checkpoints_need_evaluations():
    with pytest.raises(SettingsError, match="evaluation_freq is 0; set it above 0"):
        Checkpointer("epochs", 0)


def test_fingerprints_tell_contents_apart():
    """Kinds, lengths and borders count, not only the bytes."""
    values = [
        None, "", 0, 0.0, False, [], {}, [[]], [[], []], [0.0, 0.0], b"ab",
        ["ab", "c"], ["a", "bc"], {"a": "b"}, ["a", "b"],
        torch.zeros(2), torch.zeros(1, 2), torch.zeros(2, dtype=torch.int32), torch.zeros(2).numpy(),
        torch.tensor(1.0), torch.zeros(0),
        torch.Generator().manual_seed(1), torch.Generator().manual_seed(2),
    ]  # fmt: skip
    assert len({fingerprint_of(value) for value in values}) == len(values)
    assert fingerprint_of(torch.ones(3)[::2], {"a": [1]}) == fingerprint_of(torch.ones(2), {"a": [1]})


def test_a_checkpoint_folder_that_is_a_file_is_told(tmp_path, model):
    (tmp_path / "file").touch()
    checkpointer = Checkpointer("epochs", 1, checkpoint_dir=str(tmp_path / "file" / "more"))
    with pytest.raises(FileAccessError) as refused:
        checkpointer.write_state("fingerprint", dict(model.state_dict()), {})
    assert str(refused.value) == (
        f"{tmp_path / 'file' / 'more' / 'last.safetensors'}: '{tmp_path / 'file'}' is a file, expected a "
        "folder; move the file away, or choose another path"
    )
