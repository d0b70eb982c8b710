"""Which model a training ends with: best models, early stopping, weights of losses and classes."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import RandomSampler

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    ModelConfig,
    MultitaskClassifier,
    Trainer,
    build_tasks,
)
from ws_pipeline.errors import DatasetError, DeviceError, SettingsError, TaskGraphError, WsPipelineWarning

VALID_LOSS = "model/all/valid/loss"
ACCURACY = "three/toy/valid/accuracy"


def state(model) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


@pytest.fixture
def fit(make_model, make_dataset, tmp_path):
    """Train a fresh model with checkpoints; ``seen`` gets its parameters at every evaluation."""

    def run(seen=None, model=None, loaders=None, **settings):
        model = model or make_model()
        loaders = loaders or [
            DictDataLoader(make_dataset(), batch_size=16, shuffle=True),
            DictDataLoader(make_dataset(split="valid", seed=9), batch_size=60),
        ]
        if seen is not None:
            trunk = model.module_pool["trunk"]
            trunk.register_forward_hook(
                lambda module, *_: None if module.training else seen.append(state(model))
            )
        settings = {"checkpointing": True, "progress_bar": False, "lr": 0.1, **settings}
        trainer = Trainer(checkpoint_dir=str(tmp_path / "checkpoints"), **settings)
        return trainer.fit(model, loaders), model

    return run


@pytest.mark.parametrize("metric", [f"{VALID_LOSS}:min", f"{ACCURACY}:max", f"{VALID_LOSS}:max"])
def test_it_ends_with_the_best_model(fit, metric):
    seen = []
    trainer, model = fit(seen, n_epochs=8, checkpoint_metric=metric)
    name, mode = metric.split(":")
    values = [record[name] for record in trainer.history_]
    best = int(np.argmax(values) if mode == "max" else np.argmin(values))
    assert best < 7, "otherwise the last model would do"
    assert state(model) == seen[best]
    assert trainer.best_step_ == 4 * (best + 1)
    assert trainer.best_metrics_ == trainer.history_[best]
    assert trainer.checkpointer.best_metric_dict == {name: values[best]}
    assert not model.training


def test_the_default_metric_is_the_train_loss(fit):
    trainer, _ = fit(n_epochs=3)
    best = min(trainer.history_, key=lambda record: record["model/all/train/loss"])
    assert trainer.best_metrics_ == best


def test_a_best_model_per_metric(fit, make_model):
    seen = []
    trainer, _ = fit(
        seen,
        n_epochs=8,
        checkpoint_metric=f"{ACCURACY}:max",
        checkpoint_task_metrics=[f"{VALID_LOSS}:min", "two/toy/train/loss:max"],
    )
    other = make_model()
    for name, choose in [(VALID_LOSS, np.argmin), ("two/toy/train/loss", np.argmax)]:
        best = int(choose([record[name] for record in trainer.history_]))
        other.load(trainer.checkpointer.best_model_path(name))
        assert state(other) == seen[best]


def test_runway_and_factor(fit):
    """Candidates are every second evaluation from the fifth epoch on, and the last one."""
    trainer, _ = fit(
        n_epochs=9, checkpoint_runway=5, checkpoint_factor=2, checkpoint_metric=f"{VALID_LOSS}:max"
    )
    values = {record["epoch"]: record[VALID_LOSS] for record in trainer.history_}
    candidates = {epoch: values[epoch] for epoch in (6, 8, 9)}
    assert trainer.best_metrics_["epoch"] == max(candidates, key=candidates.get)
    assert max(values, key=values.get) not in candidates, "otherwise it shows nothing"


def test_a_runway_longer_than_training(fit):
    with pytest.raises(
        SettingsError, match="checkpoint_runway=4 epochs is longer than the whole training of 3"
    ):
        fit(n_epochs=3, checkpoint_runway=4)


def test_a_runway_in_points_of_a_sampler_that_repeats_rows(fit, make_dataset, tmp_path):
    """The sampler's rows count, not the dataset's; a runway that is refused leaves no log behind."""
    log = {"logging": True, "log_writer": "json", "log_dir": str(tmp_path / "logs")}
    loaders = [DictDataLoader(make_dataset(), batch_size=16, sampler=list(range(60)) * 10)]
    settings = {"n_epochs": 1, "counter_unit": "points", "evaluation_freq": 100, "loaders": loaders}
    trainer, _ = fit(checkpoint_runway=100, **settings)
    assert trainer.best_step_ is not None
    with pytest.raises(SettingsError, match=r"checkpoint_runway=700 points is longer than the whole .* 608"):
        fit(checkpoint_runway=700, **settings, **log)
    assert not (tmp_path / "logs").exists()


def test_early_stopping_that_would_never_look_is_refused():
    with pytest.raises(SettingsError, match="early_stopping_metric needs evaluations, but evaluation_freq"):
        Trainer(early_stopping_metric=f"{VALID_LOSS}:min", evaluation_freq=0)


def test_balancing_classes_leaves_the_global_random_numbers_alone(fit, make_dataset):
    data = make_dataset()
    loaders = [DictDataLoader(data, batch_size=16, sampler=RandomSampler(data))]
    before = torch.get_rng_state()
    fit(n_epochs=1, loaders=loaders, class_weights={"three": "balanced"})
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("clear", "left"),
    [(True, set()), (False, {"last.safetensors", "checkpoint_1.safetensors", "checkpoint_2.safetensors"})],
)
def test_what_is_left_in_the_folder(fit, tmp_path, clear, left):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "checkpoint_9.safetensors").write_text("another run's")
    fit(n_epochs=2, checkpoint_clear=clear)
    best = {"best_model_model_all_train_loss.safetensors", "checkpoint_9.safetensors"}
    assert {path.name for path in folder.iterdir()} == left | best


@pytest.mark.parametrize("setting", ["checkpoint_metric", "checkpoint_task_metrics", "early_stopping_metric"])
def test_a_metric_that_does_not_exist_shows_before_training(fit, setting, tmp_path):
    value = "three/toy/valid/acuracy:max"
    settings = {setting: [value] if setting.endswith("s") else value}
    seen = []
    log = {"logging": True, "log_writer": "json", "log_dir": str(tmp_path / "logs")}
    with pytest.raises(SettingsError) as caught:
        fit(seen, n_epochs=5, **settings, **log)
    message = str(caught.value)
    assert seen == []
    assert not (tmp_path / "logs").exists()
    assert f"{setting}: there is no metric 'three/toy/valid/acuracy', did you mean '{ACCURACY}'?" in message
    assert "model/all/valid/loss, three/toy/train/loss, three/toy/valid/accuracy" in message


def test_own_metrics_may_give_names_that_only_an_evaluation_tells(fit, make_model):
    for name, shows in (("x", False), ("y", True)):
        model, seen = make_model(), []
        model.tasks["three"].scorer = Scorer(custom_metric_funcs={"own": lambda *_: {"x": 1.0}})
        settings = {"n_epochs": 2, "checkpoint_metric": f"three/toy/valid/{name}:max"}
        if shows:
            with pytest.raises(SettingsError, match="there is no metric 'three/toy/valid/y'"):
                fit(seen, model, **settings)
            assert len(seen) == 1
        else:
            assert fit(seen, model, **settings)[0].best_step_ == 4


def test_two_valid_loaders_of_one_name_show_before_training(fit, make_model, make_dataset):
    model = make_model()
    before = state(model)
    valid = [DictDataLoader(make_dataset(split="valid"), batch_size=60) for _ in range(2)]
    with pytest.raises(DatasetError, match="two loaders have labels 'three' of dataset 'toy', split 'valid'"):
        fit(model=model, loaders=[DictDataLoader(make_dataset(), batch_size=60), *valid])
    assert state(model) == before


def test_a_metric_without_a_value_does_not_end_the_training(fit, make_model, make_dataset):
    model, valid = make_model(), make_dataset(split="valid")
    model.tasks["two"].scorer = Scorer(metrics=["f1"])
    valid.Y_dict["two"] = torch.zeros(60, dtype=torch.int64)
    loaders = [DictDataLoader(data, batch_size=20) for data in (make_dataset(), valid)]
    settings = {"checkpoint_metric": "two/toy/valid/f1:max", "n_epochs": 2}
    with pytest.warns(WsPipelineWarning, match="'two' of .*'f1' needs gold labels of class 1"):
        trainer, _ = fit(model=model, loaders=loaders, **settings)
    assert all(np.isnan(record["two/toy/valid/f1"]) for record in trainer.history_)
    assert trainer.best_step_ is None


def test_a_classifier_with_a_loss_of_its_own(make_dataset):
    """Its method need not know class weights as long as there are none."""

    class Doubled(MultitaskClassifier):
        def calculate_loss(self, X_dict, Y_dict):
            losses, counts = super().calculate_loss(X_dict, Y_dict)
            return {name: 2 * loss for name, loss in losses.items()}, counts

    histories = []
    for kind in (MultitaskClassifier, Doubled):
        tasks = build_tasks(
            ModelConfig(hidden=[8]), n_features=4, cardinalities={"three": 3, "two": 2}, seed=0
        )
        loader = DictDataLoader(make_dataset(), batch_size=60)
        histories.append(
            Trainer(n_epochs=1, progress_bar=False).fit(kind(tasks, device=-1), [loader]).history_
        )
    first, doubled = (history[0]["model/all/train/loss"] for history in histories)
    assert doubled == pytest.approx(2 * first, rel=1e-6)


def test_a_classifier_with_a_score_of_its_own(fit):
    class Graded(MultitaskClassifier):
        def score(self, dataloaders, remap_labels=None, as_dataframe=False):
            scores = super().score(dataloaders, remap_labels, as_dataframe)
            return scores | {"three/toy/valid/grade": 10 * scores["three/toy/valid/accuracy"]}

    tasks = build_tasks(ModelConfig(hidden=[8]), n_features=4, cardinalities={"three": 3, "two": 2}, seed=0)
    settings = {"n_epochs": 3, "checkpoint_metric": "three/toy/valid/grade:max"}
    trainer, _ = fit(model=Graded(tasks, device=-1), **settings)
    for record in trainer.history_:
        assert record["three/toy/valid/grade"] == 10 * record["three/toy/valid/accuracy"]
        assert record[VALID_LOSS] > 0
    assert trainer.best_step_ is not None


def test_a_train_loss_that_comes_later_is_no_error(fit, make_dataset):
    """The second dataset has no batch before the first evaluation."""
    loaders = [DictDataLoader(make_dataset(name=name, seed=1), batch_size=16) for name in ("first", "second")]
    trainer, _ = fit(
        loaders=loaders,
        batch_scheduler="sequential",
        counter_unit="batches",
        evaluation_freq=2,
        checkpoint_metric="two/second/train/loss:min",
    )
    assert [("two/second/train/loss" in record) for record in trainer.history_] == [False, False, True, True]
    assert trainer.best_step_ in {6, 8}


def test_early_stopping(fit):
    trainer, _ = fit(
        n_epochs=30, early_stopping_metric=f"{VALID_LOSS}:min", early_stopping_patience=3, checkpointing=False
    )
    values = [record[VALID_LOSS] for record in trainer.history_]
    assert trainer.stopped_early_
    assert len(values) < 30
    assert int(np.argmin(values)) == len(values) - 4
    assert trainer.best_step_ is trainer.best_metrics_ is None


def test_early_stopping_within_an_epoch_and_the_best_model(fit):
    seen = []
    trainer, model = fit(
        seen,
        n_epochs=30,
        counter_unit="batches",
        evaluation_freq=1,
        early_stopping_metric=f"{VALID_LOSS}:min",
        early_stopping_patience=2,
        checkpoint_metric=f"{VALID_LOSS}:min",
        checkpoint_factor=50,
        lr=0.3,
    )
    assert trainer.history_[-1]["step"] % 4, "it stopped at the end of an epoch"
    assert trainer.best_step_ == trainer.history_[-1]["step"], "the last model is a candidate as well"
    assert state(model) == seen[-1]


def test_no_early_stop_while_it_improves(fit):
    settings = {"early_stopping_metric": f"{VALID_LOSS}:min", "early_stopping_patience": 1}
    trainer, _ = fit(n_epochs=6, lr=0.01, **settings)
    assert not trainer.stopped_early_
    assert len(trainer.history_) == 6


def test_records_within_an_epoch(fit, make_dataset):
    """Their losses cover the batches since the record before; together they are the epoch's."""
    by_epoch, _ = fit(checkpointing=False)
    trainer, model = fit(counter_unit="batches", evaluation_freq=3, checkpointing=False)
    assert [(record["epoch"], record["step"]) for record in trainer.history_] == [(1, 3), (1, 4)]
    first, last = (record["three/toy/train/loss"] for record in trainer.history_)
    assert (48 * first + 12 * last) / 60 == pytest.approx(by_epoch.history_[0]["three/toy/train/loss"])
    assert all({VALID_LOSS, ACCURACY, "two/toy/valid/loss"} <= record.keys() for record in trainer.history_)
    valid = DictDataLoader(make_dataset(split="valid", seed=9), batch_size=7)
    losses, _ = model.calculate_loss(*next(iter(DictDataLoader(valid.dataset, batch_size=60))))
    record = trainer.history_[-1]
    assert record["two/toy/valid/loss"] == pytest.approx(losses["two"].item())
    assert record[VALID_LOSS] == pytest.approx(sum(loss.item() for loss in losses.values()))
    assert record.items() >= model.score([valid]).items()


def test_the_history_is_plain_numbers(fit, make_model):
    """Whatever own metrics return; a checkpoint and a log are JSON."""
    model = make_model()
    metrics = {"count": lambda golds, *_: np.int64(len(golds)), "share": lambda *_: np.float32(0.5)}
    model.tasks["three"].scorer = Scorer(custom_metric_funcs=metrics)
    trainer, _ = fit(model=model, n_epochs=2, checkpoint_metric="three/toy/valid/share:max")
    assert json.loads(json.dumps(trainer.history_)) == trainer.history_
    kinds = {type(value) for record in trainer.history_ for value in record.values()}
    assert kinds == {int, float}


def one_step(model, dataset, **settings) -> dict[str, torch.Tensor]:
    """What one step of plain gradient descent changes."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loader = DictDataLoader(dataset, batch_size=len(dataset))
    settings = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "grad_clip": None, **settings}
    trainer = Trainer(progress_bar=False, **settings).fit(model, [loader])
    changes = {name: before[name] - value for name, value in model.state_dict().items()}
    return trainer, {name: change for name, change in changes.items() if change.any()}


def test_loss_weights_of_tasks(make_model, dataset):
    """The gradient is that of the weighted sum; losses of tasks are reported as they are."""
    model, plain = make_model(dropout=0.0), make_model(dropout=0.0)
    model.tasks["three"].loss_weight = 0.25
    losses, _ = plain.calculate_loss(dataset.X_dict, dataset.Y_dict)
    (0.25 * losses["three"] + losses["two"]).backward()
    trainer, changes = one_step(model, dataset)
    assert len(changes) == 6
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(changes[name], parameter.grad, rtol=1e-4, atol=1e-6)
    record = trainer.history_[0]
    assert record["three/toy/train/loss"] == pytest.approx(losses["three"].item())
    expected = 0.25 * losses["three"].item() + losses["two"].item()
    assert record["model/all/train/loss"] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_class_weights(make_model, make_dataset, kind):
    data = make_dataset()
    labels = data.Y_dict["three"]
    if kind == "soft":
        data.Y_dict["three"] = F.one_hot(labels, 3) * 0.9 + 0.1 / 3
    data.Y_dict["three"][:5] = -1
    weights = torch.tensor([0.5, 1.0, 4.0])
    model, plain = make_model(dropout=0.0), make_model(dropout=0.0)
    losses, _ = plain.calculate_loss(data.X_dict, data.Y_dict, {"three": weights})
    sum(losses.values()).backward()
    trainer, changes = one_step(model, data, class_weights={"three": weights})
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(changes[name], parameter.grad, rtol=1e-4, atol=1e-6)
    assert trainer.history_[0]["three/toy/train/loss"] == pytest.approx(losses["three"].item())


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_balanced_classes_are_as_sklearns(make_model, make_dataset, kind):
    data = make_dataset(n=50)
    labels = data.Y_dict["three"]
    labels[:7] = -1
    known = labels[7:].numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=known).tolist()
    if kind == "soft":
        soft = F.one_hot(labels.clamp(min=0), 3).float()
        soft[:7] = -1
        data.Y_dict["three"] = soft
    results = []
    for settings in ({"class_weights": {"three": "balanced"}}, {"class_weights": {"three": expected}}):
        model = make_model()
        one_step(model, data, **settings)
        results.append(model.state_dict())
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)


def test_a_class_without_rows_gets_weight_one(make_model, make_dataset):
    data = make_dataset()
    data.Y_dict["three"][data.Y_dict["three"] == 2] = 0
    _, changes = one_step(make_model(), data, balance_classes=["three"])
    assert all(torch.isfinite(change).all() for change in changes.values())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"class_weights": {"thre": [1.0]}}, TaskGraphError, "no task 'thre', did you mean 'three'"),
        ({"balance_classes": ["tow"]}, TaskGraphError, "balance_classes: there is no task 'tow'"),
        ({"class_weights": {"two": [-1.0, 2.0]}}, SettingsError, r"got \[-1.0, 2.0\]"),
        (
            {"class_weights": {"two": [1.0, 2.0]}, "balance_classes": ["two"]},
            SettingsError,
            "task 'two' is in class_weights and in balance_classes",
        ),
    ],
)
def test_class_weights_that_do_not_fit(make_model, dataset, settings, error, message):
    with pytest.raises(error, match=message):
        one_step(make_model(), dataset, **settings)


@pytest.mark.filterwarnings("ignore::ws_pipeline.errors.UnmatchedLabelsWarning")
def test_balancing_needs_labels(make_model, dataset):
    only = DictDataset("d", "train", dataset.X_dict, {"two": dataset.Y_dict["two"]})
    with pytest.raises(DatasetError, match="no train dataset has labels of task 'three'"):
        one_step(make_model(), only, balance_classes=["three"])


def test_bf16_computes_products_in_bfloat16_and_keeps_float32_parameters(make_model, dataset):
    seen = set()
    model = make_model(dropout=0.0)
    model.module_pool["trunk"][1].register_forward_hook(lambda *arguments: seen.add(arguments[2].dtype))
    _, changes = one_step(model, dataset, precision="bf16")
    assert seen == {torch.bfloat16}
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    _, exact = one_step(make_model(dropout=0.0), dataset)
    for name, change in exact.items():
        assert not torch.equal(changes[name], change)
        torch.testing.assert_close(changes[name], change, rtol=0.1, atol=0.02)


def test_bf16_where_the_device_has_none(make_model, dataset, monkeypatch):
    monkeypatch.setattr("torch.amp.is_autocast_available", lambda _: False)
    with pytest.raises(DeviceError, match="device 'cpu' does not compute in bfloat16"):
        one_step(make_model(), dataset, precision="bf16")


def test_throughput(fit):
    trainer, _ = fit(n_epochs=2)
    assert 100 < trainer.examples_per_second_ < 1e7


def test_a_frozen_task_does_not_stop_training(make_model, make_dataset):
    """A batch may hold nothing but tasks whose whole path is frozen."""
    model, full = make_model(), make_dataset()
    model.module_pool["trunk"].requires_grad_(requires_grad=False)
    model.module_pool["three_head"].requires_grad_(requires_grad=False)
    data = [DictDataset(task, "train", full.X_dict, {task: full.Y_dict[task]}) for task in ("two", "three")]
    loaders = [DictDataLoader(part, batch_size=16) for part in data]
    record = Trainer(progress_bar=False).fit(model, loaders).history_[0]
    assert {"two/two/train/loss", "three/three/train/loss"} <= record.keys()


def test_a_model_that_stays_as_it_is_says_so(fit, caplog):
    """Early stopping before the runway leaves no best model."""
    with caplog.at_level(logging.WARNING):
        trainer, _ = fit(
            n_epochs=30,
            checkpoint_runway=29,
            early_stopping_metric=f"{VALID_LOSS}:max",
            early_stopping_patience=1,
        )
    assert "no best model by model/all/train/loss was found" in caplog.text
    assert trainer.best_step_ is None
