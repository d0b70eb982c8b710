"""Training: against a hand-written loop, from a seed, and what stops it."""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    MultitaskClassifier,
    Operation,
    Task,
    Trainer,
    collate_dicts,
    label_cross_entropy,
)
from ws_pipeline.errors import (
    DatasetError,
    SettingsError,
    TaskGraphError,
    TrainingError,
    UnmatchedLabelsWarning,
)


def fit(model, *datasets, batch_size=16, shuffle=True, **settings) -> Trainer:
    loaders = [DictDataLoader(data, batch_size=batch_size, shuffle=shuffle) for data in datasets]
    return Trainer(progress_bar=False, **settings).fit(model, loaders)


def state(model) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_as_a_hand_written_loop(make_model, dataset, optimizer):
    settings = {"n_epochs": 2, "lr": 0.05, "l2": 0.01, "grad_clip": 0.5, "lr_scheduler": "linear"}
    ours = make_model(dropout=0.0)
    trainer = fit(ours, dataset, shuffle=False, optimizer=optimizer, **settings)
    model = make_model(dropout=0.0)
    pool, parameters = model.module_pool, list(model.parameters())
    if optimizer == "adam":
        steps = torch.optim.Adam(parameters, lr=0.05, weight_decay=0.01)
    else:
        steps = torch.optim.SGD(parameters, lr=0.05, weight_decay=0.01, momentum=0.9)
    losses = []
    for step in range(8):
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        hidden = pool["trunk"](dataset.X_dict["features"][rows])
        three = F.cross_entropy(pool["three_head"](hidden), dataset.Y_dict["three"][rows])
        two = F.cross_entropy(pool["two_head"](hidden), dataset.Y_dict["two"][rows])
        steps.param_groups[0]["lr"] = 0.05 * (8 - step) / 8
        steps.zero_grad()
        (three + two).backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        steps.step()
        losses.append((three.item(), two.item()))
    torch.testing.assert_close(dict(ours.state_dict()), dict(model.state_dict()), rtol=1e-6, atol=1e-7)
    last, sizes = np.array(losses[4:]), np.array([16, 16, 16, 12])
    record = trainer.history_[1]
    assert record["three/toy/train/loss"] == pytest.approx(np.average(last[:, 0], weights=sizes))
    assert record["two/toy/train/loss"] == pytest.approx(np.average(last[:, 1], weights=sizes))
    assert record["model/all/train/loss"] == pytest.approx(last.sum(axis=1).mean())
    assert (record["epoch"], record["step"], record["lr"]) == (2, 8, pytest.approx(0.05 / 8))


def test_same_seed_same_parameters_other_seed_others(make_model, dataset):
    results = []
    for seed in (3, 3, 4):
        model = make_model()
        fit(model, dataset, seed=seed, n_epochs=2)
        results.append(state(model))
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize(("dropout", "shuffle"), [(0.0, True), (0.5, False)])
def test_the_seed_reaches_shuffling_and_dropout_each(make_model, dataset, dropout, shuffle):
    results = []
    for seed in (3, 3, 4):
        model = make_model(dropout=dropout)
        fit(model, dataset, seed=seed, shuffle=shuffle)
        results.append(state(model))
    assert results[0] == results[1] != results[2]


def test_epochs_are_shuffled_differently(dataset):
    seen = []
    body = nn.Linear(4, 3)
    body.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][0].tolist()))
    task = Task("three", {"body": body}, [Operation("body", [("_input_", "features")])])
    del dataset.Y_dict["two"]
    fit(MultitaskClassifier([task], device=-1), dataset, n_epochs=2, batch_size=60)
    assert seen[0] != seen[1]


def global_states() -> tuple[object, ...]:
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_the_callers_random_state_is_neither_read_nor_changed(make_model, make_dataset):
    results = []
    for caller_seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(caller_seed)
            before = global_states()
            model = make_model()
            fit(model, make_dataset(), make_dataset(split="valid", seed=9), n_epochs=2)
            model.predict(DictDataLoader(make_dataset(), batch_size=8, shuffle=True))
            assert global_states() == before
        results.append(state(model))
    assert results[0] == results[1]


def test_modules_that_draw_from_python_and_numpy_leave_the_callers_state(make_model, dataset):
    def draw(*_):
        random.random(), np.random.rand()  # noqa: NPY002, S311

    model = make_model()
    model.module_pool["trunk"].register_forward_pre_hook(draw)
    before = global_states()
    fit(model, dataset)
    assert global_states() == before


def test_the_callers_random_state_survives_an_error(make_model, dataset):
    before = global_states()
    dataset.X_dict["features"][0, 0] = torch.nan
    with pytest.raises(TrainingError):
        fit(make_model(), dataset)
    assert global_states() == before


def test_evaluation_does_not_change_training(make_model, make_dataset):
    results = []
    for freq in (0, 1):
        model = make_model()
        valid = make_dataset(split="valid", seed=9)
        fit(model, make_dataset(), valid, n_epochs=3, evaluation_freq=freq)
        results.append(state(model))
    assert results[0] == results[1]


def test_history_and_evaluation_frequency(make_model, make_dataset):
    model = make_model()
    splits = [make_dataset(), make_dataset(split="valid", seed=9), make_dataset(split="test", seed=8)]
    trainer = fit(model, *splits, n_epochs=4, evaluation_freq=3)
    scores = {
        f"{task}/toy/valid/{metric}" for task in ("three", "two") for metric in ("accuracy", "f1_macro")
    }
    assert [scores <= set(record) for record in trainer.history_] == [False, False, True, True]
    losses = {"model/all/train/loss", "three/toy/train/loss", "two/toy/train/loss"}
    assert set(trainer.history_[0]) == {"epoch", "step", "lr"} | losses
    assert trainer.history_[3].items() >= model.score([DictDataLoader(splits[1], batch_size=60)]).items()
    assert not model.training
    assert len(trainer.fit(model, [DictDataLoader(splits[0], batch_size=60)]).history_) == 4


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamax", "adamw"])
def test_partially_labelled_tasks(make_model, make_dataset, optimizer):
    """Two datasets with one task each train both heads; the unlabelled head stays as it was."""
    full = make_dataset()
    model = make_model()
    before = state(model)
    only_two = DictDataset(
        "left", "train", full.X_dict, {"two": full.Y_dict["two"], "three": torch.full((60,), -1)}
    )
    with pytest.warns(UnmatchedLabelsWarning, match="no train dataset has a labelled row of three, so these"):
        record = fit(model, only_two, optimizer=optimizer).history_[0]
    assert "three/left/train/loss" not in record
    after = state(model)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if "three_head" not in name and "standardizer" not in name}
    only_three = DictDataset("right", "train", full.X_dict, {"three": full.Y_dict["three"]})
    record = fit(model, only_two, only_three, optimizer=optimizer).history_[0]
    assert {"two/left/train/loss", "three/right/train/loss"} <= set(record)
    assert "module_pool.three_head.weight" in {name for name in after if after[name] != state(model)[name]}


def test_loss_of_logits_that_are_no_tensor(make_model, make_dataset):
    """The loss function gets all rows of both, and the labelled ones count."""
    data = make_dataset()
    data.Y_dict["three"][::2] = -1
    results = []
    for as_list in (False, True):
        model = make_model(dropout=0.0)
        task = model.tasks["three"]
        if as_list:
            model.module_pool["three_head"].register_forward_hook(lambda _, __, logits: [logits])
            task.loss_func = lambda logits, labels: F.cross_entropy(logits[0], labels, ignore_index=-1)
        losses, counts = model.calculate_loss(data.X_dict, data.Y_dict)
        results.append((losses["three"].item(), counts))
        if as_list:
            fit(model, data)
    assert results[0][0] == pytest.approx(results[1][0])
    assert results[0][1] == results[1][1] == {"three": 30, "two": 60}


def test_a_loader_that_drops_the_labels_is_refused(make_model, dataset):
    def collate(items):
        fields, _ = collate_dicts(items)
        return fields, {}

    loader = DictDataLoader(dataset, collate_fn=collate, batch_size=16)
    with pytest.raises(DatasetError, match="a batch has no labels at all"):
        Trainer(progress_bar=False).fit(make_model(), [loader])


@pytest.mark.parametrize("scheduler", ["shuffled", "sequential"])
def test_three_loaders_of_different_length(make_model, make_dataset, scheduler):
    data = [make_dataset(n=n, name=f"d{n}", seed=n) for n in (5, 33, 60)]
    trainer = fit(make_model(), *data, batch_scheduler=scheduler, n_epochs=2)
    assert [record["step"] for record in trainer.history_] == [1 + 3 + 4, 16]
    assert {f"three/d{n}/train/loss" for n in (5, 33, 60)} <= set(trainer.history_[0])


def test_a_batch_without_labels_is_a_step_without_update(make_model, dataset):
    dataset.Y_dict["three"][:16] = -1
    dataset.Y_dict["two"][:16] = -1
    trainer = fit(make_model(), dataset, shuffle=False)
    assert trainer.history_[0]["step"] == 4
    assert math.isfinite(trainer.history_[0]["model/all/train/loss"])


def test_a_loss_that_is_not_finite_stops_before_the_update(make_model, dataset):
    model = make_model()
    dataset.Y_dict["two"][20, 1] = torch.inf
    seen = []
    model.module_pool["trunk"].register_forward_pre_hook(lambda *_: seen.append(state(model)))
    with pytest.raises(TrainingError, match="epoch 1, batch 2: the loss of task 'two' is inf"):
        fit(model, dataset, shuffle=False)
    assert state(model) == seen[-1] != seen[0]


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return torch.sqrt(self.weight * x)  # finite, with an infinite slope at 0

    root = Root()
    task = Task(
        "t", {"root": root}, [Operation("root", [("_input_", "x")])], loss_func=lambda out, _: out.sum()
    )
    data = DictDataset("toy", "train", {"x": torch.ones(2)}, {"t": torch.tensor([0, 1])})
    with pytest.raises(TrainingError, match="epoch 1, batch 1: the norm of the gradient is inf"):
        fit(MultitaskClassifier([task], device=-1), data)
    assert root.weight.item() == 0.0


@pytest.mark.parametrize("grad_clip", [0, None])
def test_no_gradient_clipping(make_model, dataset, grad_clip, monkeypatch):
    monkeypatch.setattr(nn.utils, "clip_grads_with_norm_", lambda *_: pytest.fail("clipped"))
    fit(make_model(), dataset, grad_clip=grad_clip)
    with pytest.raises(pytest.fail.Exception, match="clipped"):
        fit(make_model(), dataset, grad_clip=1e-3)


def test_frozen_parameters_stay(make_model, dataset):
    model = make_model()
    model.module_pool["trunk"].requires_grad_(requires_grad=False)
    before = state(model)
    fit(model, dataset, l2=0.1)
    assert {name.split(".")[1] for name in before if before[name] != state(model)[name]} == {
        "three_head",
        "two_head",
    }
    model.requires_grad_(requires_grad=False)
    with pytest.raises(TaskGraphError, match="no parameter that can be trained"):
        fit(model, dataset)


def test_a_progress_bar_on_standard_error(make_model, make_dataset, dataset, capsys):
    loader = DictDataLoader(dataset, batch_size=60)
    trainer = Trainer(n_epochs=2).fit(make_model(), [loader])
    shown = capsys.readouterr().err
    assert "2/2" in shown
    last = trainer.history_[-1]
    names = {"loss": "model/all/train/loss", "three": "three/toy/train/loss", "two": "two/toy/train/loss"}
    assert ", ".join(["epoch=2", *(f"{name}={last[key]:.4f}" for name, key in names.items())]) in shown
    other = DictDataLoader(make_dataset(name="other"), batch_size=60)
    Trainer(n_epochs=1, batch_scheduler="sequential").fit(make_model(), [loader, other])
    assert re.search(
        r"loss=.*, three/toy=.*, two/toy=.*, three/other=.*, two/other=", capsys.readouterr().err
    )
    fit(make_model(), dataset)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda _: [], "no loader of the train split 'train', got no loader"),
        (lambda make: [make(split="valid")], "'train', got valid"),
        (
            lambda make: [make(), make(split="val")],
            r"unknown split 'val', expected one of \('train', 'valid', 'test'\)",
        ),
        (
            lambda _: [DictDataset("d", "train", {"features": torch.ones(3, 4)})],
            "no labels of the tasks three, two",
        ),
        (
            lambda _: [
                DictDataset("d", "train", {"features": torch.ones(3, 4)}, {"two": torch.full((3, 2), -1.0)})
            ],
            "no labelled row: all labels of two are -1",
        ),
    ],
)
def test_loaders_that_cannot_be_trained_on(make_model, make_dataset, build, message):
    with pytest.raises(DatasetError, match=message):
        fit(make_model(), *build(make_dataset))


def test_a_loader_without_a_batch(make_model, dataset):
    loader = DictDataLoader(dataset, batch_size=100, drop_last=True)
    with pytest.raises(DatasetError, match="the loader gives no batch"):
        Trainer().fit(make_model(), [loader])


def test_splits_are_compared_whole(make_model, make_dataset):
    """ "val" is part of "valid" but is another split."""
    trainer = fit(
        make_model(), make_dataset(), make_dataset(split="valid"), valid_split="val", test_split="valid"
    )
    assert not any("valid" in key for key in trainer.history_[0])


def test_settings():
    assert Trainer(lr=0.5).config.lr == 0.5
    assert Trainer().config.optimizer == "adam"
    with pytest.raises(SettingsError, match="unknown key 'n_epoch', did you mean 'n_epochs'"):
        Trainer(n_epoch=3)
    with pytest.raises(SettingsError, match="seed"):
        Trainer(seed=-1)


def test_warmup_longer_than_training(make_model, dataset):
    with pytest.raises(SettingsError, match="warmup_steps=5 epochs is 20 steps, more than the 4 steps"):
        fit(make_model(), dataset, warmup_steps=5, warmup_unit="epochs")


def test_tasks_with_a_dataset_each_share_a_trunk_that_reads_two_fields():
    """Points in a circle and points in a square: one operation's name, a field per dataset."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
    inside = {"circle": lambda x: x.norm(dim=1) < 0.8, "square": lambda x: x.abs().amax(dim=1) < 0.7}
    tasks, loaders = [], []
    for name, label in inside.items():
        heads = nn.ModuleDict({"trunk": trunk, f"{name}_head": nn.Linear(16, 2)})
        ops = [Operation("trunk", [("_input_", f"{name}_data")]), Operation(f"{name}_head", ["trunk"])]
        tasks.append(Task(name, heads, ops))
        for split, n in (("train", 1000), ("valid", 500)):
            points = 2 * torch.rand(n, 2) - 1
            data = DictDataset(f"{name}s", split, {f"{name}_data": points}, {name: label(points).long()})
            loaders.append(DictDataLoader(data, batch_size=32, shuffle=split == "train"))
    model = MultitaskClassifier(tasks, device=-1)
    trainer = Trainer(n_epochs=10, lr=0.02, progress_bar=False).fit(model, loaders)
    last = trainer.history_[-1]
    assert last["circle/circles/valid/accuracy"] > 0.9
    assert last["square/squares/valid/accuracy"] > 0.9


def unlabelled(make_dataset, name: str, tasks: list[str]) -> DictDataset:
    data = make_dataset(name=name)
    return DictDataset(name, "train", data.X_dict, {task: torch.full((60,), -1) for task in tasks})


def test_a_dataset_that_trains_no_task_is_left_out_and_named(make_model, make_dataset):
    """The others train as if it were not there."""
    expected = fit(make_model(), make_dataset()).history_
    for extra, reason in (
        (unlabelled(make_dataset, "gaps", ["two"]), r"'gaps', .* no labelled row: all labels of two are -1"),
        (unlabelled(make_dataset, "other", ["four"]), r"'other', .* has no labels of the tasks three, two"),
    ):
        with pytest.warns(UnmatchedLabelsWarning, match=rf"{reason}; it is left out"):
            assert fit(make_model(), make_dataset(), extra).history_ == expected
    with pytest.raises(DatasetError, match=r"'gaps', .* are -1; .*'other', .* has no labels of"):
        fit(
            make_model(),
            unlabelled(make_dataset, "gaps", ["two"]),
            unlabelled(make_dataset, "other", ["four"]),
        )


@pytest.mark.parametrize("split", ["train", "valid"])
def test_labels_without_a_task_are_left_out_and_named(make_model, make_dataset, split):
    expected = fit(make_model(), make_dataset(), make_dataset(split="valid")).history_
    extra = make_dataset(split=split)
    extra.Y_dict["tow"] = torch.zeros(60, dtype=torch.int64)
    message = rf"'{split}', .* has labels of no task, which are left out: tow; did you mean 'two'\?"
    with pytest.warns(UnmatchedLabelsWarning, match=message):
        found = fit(make_model(), extra, make_dataset(split="valid" if split == "train" else "train"))
    assert found.history_ == expected


def test_fields_that_no_task_reads_change_nothing(make_model, make_dataset):
    expected = fit(make_model(), make_dataset()).history_
    wider = make_dataset()
    wider.X_dict |= {"text": ["a"] * 60, "more": torch.ones(60, 3)}
    assert fit(make_model(), wider).history_ == expected


def test_a_classifier_without_tasks_is_told_to_get_some(dataset):
    with pytest.raises(DatasetError, match="cannot train a classifier without tasks; add one with add_task"):
        fit(MultitaskClassifier([], device=-1), dataset)


def heads_of_one_name(names: dict[str, str]) -> MultitaskClassifier:
    """Two heads on two trunks; ``names`` gives the operations of both tasks their names."""
    torch.manual_seed(0)
    pool = {"body": nn.Linear(4, 8), "three_head": nn.Linear(8, 3), "two_head": nn.Linear(8, 2)}
    tasks = [
        Task(
            name,
            {"body": pool["body"], f"{name}_head": pool[f"{name}_head"]},
            [
                Operation("body", [("_input_", field)], name=names[field]),
                Operation(f"{name}_head", [names[field]], name=names[name]),
            ],
            loss_func=label_cross_entropy,
        )
        for name, field in (("three", "features"), ("two", "negative"))
    ]
    return MultitaskClassifier(tasks, device=-1)


def test_tasks_with_other_operations_of_one_name_train_as_if_the_names_were_different(make_dataset):
    """One loader has the labels of both, so they are computed in one forward pass."""
    same = {"features": "body", "negative": "body", "three": "head", "two": "head"}
    trained = []
    for names in (same, {name: name for name in same}):
        model, data = heads_of_one_name(names), [make_dataset(), make_dataset(split="valid", seed=1)]
        for part in data:
            part.X_dict["negative"] = -part.X_dict["features"]
        trainer = fit(model, *data, n_epochs=3)
        loaders = [DictDataLoader(part, batch_size=16) for part in data]
        probs = model.predict(loaders[0])["probs"]
        trained.append((state(model), trainer.history_, model.score(loaders), probs["two"].tolist()))
    assert trained[0] == trained[1]
    assert {"three/toy/valid/accuracy", "two/toy/valid/accuracy"} <= set(trained[0][2])
