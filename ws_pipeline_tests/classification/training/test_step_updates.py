"""Steps whose checks wait, as they do on a GPU: the same parameters, and the same errors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ws_pipeline.classification import DictDataLoader, MultitaskClassifier, Operation, Task, Trainer
from ws_pipeline.classification.training import setup as training_setup
from ws_pipeline.classification.training.step import DeferredUpdater, Updater
from ws_pipeline.errors import TrainingError


def state(model) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


@pytest.fixture(params=[Updater, DeferredUpdater])
def updater(request, monkeypatch):
    """The updater in use; the fused kernels of the CPU hold updates back as those of a GPU do."""
    monkeypatch.setattr(training_setup, "Updater", request.param)
    return request.param


def fit(model, data, *, shuffle=False, batch_size=4, **settings) -> Trainer:
    loader = DictDataLoader(data, batch_size=batch_size, shuffle=shuffle)
    return Trainer(progress_bar=False, **settings).fit(model, [loader])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("grad_clip", [0.05, None])
def test_both_updaters_agree(make_model, make_dataset, monkeypatch, optimizer, grad_clip):
    """Over more steps than are looked at together, with tasks that are missing in some batches."""
    results = []
    for kind in (Updater, DeferredUpdater):
        monkeypatch.setattr(training_setup, "Updater", kind)
        data = make_dataset(n=600)
        data.Y_dict["three"][100:300] = -1
        data.Y_dict["two"][250:400] = -1
        model = make_model()
        model.tasks["two"].loss_weight = 0.5
        trainer = fit(model, data, n_epochs=2, optimizer=optimizer, grad_clip=grad_clip)
        results.append((state(model), trainer.history_))
        assert not hasattr(trainer.optimizer, "found_inf")
    assert results[0] == results[1]


@pytest.mark.parametrize("bad_batch", [1, 3, 64, 65, 150])
def test_a_bad_loss_stops_before_the_update(make_model, make_dataset, updater, bad_batch):
    data = make_dataset(n=600)
    data.Y_dict["two"][4 * bad_batch - 2, 1] = torch.inf
    model, expected = make_model(), make_model()
    with pytest.raises(TrainingError, match=f"epoch 1, batch {bad_batch}: the loss of task 'two' is inf"):
        fit(model, data, grad_clip=None)
    if bad_batch > 1:
        good = make_dataset(n=600)
        good.X_dict["features"] = good.X_dict["features"][: 4 * (bad_batch - 1)]
        good.Y_dict = {name: labels[: 4 * (bad_batch - 1)] for name, labels in good.Y_dict.items()}
        fit(expected, good, grad_clip=None)
    assert state(model) == state(expected)
    assert issubclass(updater, Updater)


def test_a_bad_gradient_names_the_tasks_and_stops_before_the_update(make_model, make_dataset, updater):
    model = make_model(dropout=0.0)
    model.module_pool["two_head"].weight.register_hook(lambda gradient: gradient * torch.nan)
    before = state(model)
    message = "epoch 1, batch 1: the norm of the gradient is nan.* with losses of 'three', 'two'"
    with pytest.raises(TrainingError, match=message) as caught:
        fit(model, make_dataset())
    assert state(model) == before
    names = ", from module_pool.two_head.weight," in str(caught.value)
    assert names == (updater is Updater), "afterwards the gradients are those of another batch"


def test_no_checkpoint_of_parameters_after_a_bad_batch(make_model, make_dataset, updater, tmp_path):
    data = make_dataset(n=600)
    data.X_dict["features"][42] = torch.nan  # batch 11
    settings = {"checkpointing": True, "counter_unit": "batches", "evaluation_freq": 5}
    with pytest.raises(TrainingError, match="batch 11: the loss of task 'three' is nan"):
        fit(make_model(), data, checkpoint_dir=str(tmp_path), **settings)
    assert issubclass(updater, Updater)
    trainer = Trainer(checkpoint_dir=str(tmp_path), progress_bar=False, **settings)
    loader = DictDataLoader(data, batch_size=4)
    with pytest.raises(TrainingError, match="batch 11: the loss of task 'three' is nan"):
        trainer.fit(make_model(), [loader])
    assert trainer.resumed_from_step_ == 10


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "sgd"])
def test_batches_of_a_frozen_task_change_nothing(make_dataset, updater, optimizer):
    """Their loss has no gradient at all, but is in the history."""
    states = []
    for names in (["both"], ["both", "frozen"], ["frozen", "both"]):
        torch.manual_seed(0)
        tasks = [
            Task(name, nn.ModuleDict({name: nn.Linear(4, k)}), [Operation(name, [("_input_", "features")])])
            for name, k in (("three", 3), ("two", 2))
        ]
        model = MultitaskClassifier(tasks, device=-1)
        model.module_pool["two"].requires_grad_(requires_grad=False)
        datasets = {name: make_dataset(name=name) for name in names}
        if "frozen" in datasets:
            del datasets["frozen"].Y_dict["three"]
        loaders = [DictDataLoader(data, batch_size=20) for data in datasets.values()]
        settings = {"optimizer": optimizer, "batch_scheduler": "sequential", "progress_bar": False}
        trainer = Trainer(n_epochs=1, **settings).fit(model, loaders)
        assert all(trainer.history_[0][f"two/{name}/train/loss"] > 0 for name in names)
        states.append(state(model))
    assert states[0] == states[1] == states[2]
    assert issubclass(updater, Updater)
