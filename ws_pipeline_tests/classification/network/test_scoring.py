"""Scores and losses of loaders in one pass."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    MultitaskClassifier,
    Operation,
    Task,
    cross_entropy_with_probs,
)
from ws_pipeline.classification.network import prediction
from ws_pipeline.classification.network.scoring import evaluate_loaders
from ws_pipeline.errors import DatasetError, InvalidInputError, MetricError, TaskGraphError, WsPipelineWarning

OPS = [Operation("body", [("_input_", "features")])]


def with_gaps(dataset: DictDataset, name: str = "gaps", split: str = "valid") -> DictDataset:
    labels = {task: values.clone() for task, values in dataset.Y_dict.items()}
    labels["three"][::3] = -1
    labels["two"][5:10] = -1.0
    return DictDataset(name, split, dataset.X_dict, labels)


def whole_losses(model: MultitaskClassifier, dataset: DictDataset) -> dict[str, float]:
    losses, _ = model.calculate_loss(dataset.X_dict, dataset.Y_dict)
    return {task: loss.item() for task, loss in losses.items()}


@pytest.mark.parametrize("batch_size", [7, 60])
def test_scores_and_mean_losses(model, dataset, batch_size):
    model.tasks["two"].loss_weight = 0.25
    data = with_gaps(dataset)
    loader = DictDataLoader(data, batch_size=batch_size, shuffle=True)
    found = evaluate_loaders(model.eval(), [loader])
    losses = whole_losses(model, data)
    expected = {f"{task}/gaps/valid/loss": loss for task, loss in losses.items()}
    expected["model/all/valid/loss"] = losses["three"] + 0.25 * losses["two"]
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-6)
    scores = model.score([loader])
    assert len(scores) == 4
    assert {key: value for key, value in found.items() if key not in expected} == scores


def test_a_splits_loss_is_the_mean_over_all_its_rows(model, dataset, make_dataset):
    """Not the mean of the datasets' means; and tasks that are in one dataset only count too."""
    model.tasks["three"].loss_weight = 3.0
    small = make_dataset(n=5, seed=1)
    parts = [
        with_gaps(dataset),
        DictDataset("small", "valid", small.X_dict, {"three": small.Y_dict["three"]}),
        DictDataset("small", "test", small.X_dict, small.Y_dict),
    ]
    found = evaluate_loaders(model.eval(), [DictDataLoader(part, batch_size=16) for part in parts])
    first, second, third = (whole_losses(model, part) for part in parts)
    three = (40 * first["three"] + 5 * second["three"]) / 45
    assert found["model/all/valid/loss"] == pytest.approx(3 * three + first["two"])
    assert found["model/all/test/loss"] == pytest.approx(3 * third["three"] + third["two"])
    assert found["three/small/valid/loss"] == pytest.approx(second["three"])


def test_class_weights(model, dataset):
    weights = {"two": torch.tensor([1.0, 4.0])}
    found = evaluate_loaders(model.eval(), [DictDataLoader(dataset, batch_size=7)], weights)
    expected, _ = model.calculate_loss(dataset.X_dict, dataset.Y_dict, weights)
    assert found["two/toy/train/loss"] == pytest.approx(expected["two"].item())
    assert found["three/toy/train/loss"] == pytest.approx(whole_losses(model, dataset)["three"])
    with pytest.raises(TaskGraphError, match="class weights: there is no task 'too'"):
        evaluate_loaders(model, [], {"too": torch.ones(2)})


def test_one_forward_pass_per_batch_without_dropout_and_gradient(model, dataset):
    model.train()
    model.module_pool["two_head"].eval()
    calls: Counter[str] = Counter()

    def note(module, _inputs, output):
        calls["training" if module.training or output.requires_grad else "evaluation"] += 1

    model.module_pool["trunk"].register_forward_hook(note)
    evaluate_loaders(model, [DictDataLoader(dataset, batch_size=7)])
    assert calls == {"evaluation": 9}
    assert model.module_pool["trunk"].training
    assert not model.module_pool["two_head"].training


def test_modes_come_back_after_an_error(model, dataset):
    model.train()
    model.module_pool["two_head"].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate_loaders(model, [DictDataLoader(dataset, batch_size=7)])
    assert all(module.training for module in model.modules())
    assert torch.is_grad_enabled()


def test_what_has_no_labels_has_no_loss(model, dataset):
    nobody = DictDataset("toy", "valid", dataset.X_dict, {"three": torch.full((60,), -1)})
    bare = DictDataset("bare", "valid", dataset.X_dict)
    assert evaluate_loaders(model, [DictDataLoader(nobody), DictDataLoader(bare)]) == {}
    assert evaluate_loaders(model, []) == {}
    others = DictDataset("toy", "valid", dataset.X_dict, {"four": torch.zeros(60)})
    model.register_forward_hook(lambda *_: pytest.fail("there is nothing to compute"))
    assert evaluate_loaders(model, [DictDataLoader(others)]) == {}
    assert model.predict(DictDataLoader(others), return_preds=True) == {"golds": {}, "probs": {}, "preds": {}}


def test_hard_labels_for_a_loss_of_probabilities(dataset):
    """Train on probabilities, validate on gold."""
    task = Task("three", {"body": nn.Linear(4, 3)}, OPS, loss_func=cross_entropy_with_probs)
    model = MultitaskClassifier([task], device=-1)
    found = evaluate_loaders(model, [DictDataLoader(dataset, batch_size=60)])
    logits = model(dataset.X_dict, ["three"])["body"]
    expected = F.cross_entropy(logits, dataset.Y_dict["three"]).item()
    assert found["three/toy/train/loss"] == pytest.approx(expected)


def only_soft(logits, labels):
    return -(labels * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def test_a_loss_that_cannot_be_computed_is_said_and_left_out(dataset):
    pools = {"three": {"body": nn.Linear(4, 3)}, "two": {"other": nn.Linear(4, 2)}}
    tasks = [
        Task("three", pools["three"], OPS, loss_func=only_soft),
        Task("two", pools["two"], [Operation("other", OPS[0].inputs)], loss_func=only_soft),
    ]
    model = MultitaskClassifier(tasks, device=-1)
    elsewhere = DictDataset("toy", "test", dataset.X_dict, {"two": dataset.Y_dict["two"]})
    loaders = [DictDataLoader(data, batch_size=7) for data in (dataset, elsewhere)]
    message = r"no loss of 'three' on DictDataset\('toy', 'train'.*: RuntimeError: The size of tensor"
    with pytest.warns(WsPipelineWarning, match=message) as caught:
        found = evaluate_loaders(model, loaders)
    assert len(caught) == 1
    assert {key for key in found if key.endswith("loss")} == {
        "two/toy/train/loss",
        "two/toy/test/loss",
        "model/all/test/loss",
    }
    assert found["model/all/test/loss"] == found["two/toy/test/loss"]
    assert found["three/toy/train/accuracy"] >= 0


def test_a_loss_that_fails_in_a_later_batch_is_left_out_too(model, dataset):
    dataset.Y_dict["three"][50] = 7  # a class that the model does not have
    with pytest.warns(WsPipelineWarning, match="no loss of 'three'.*: IndexError: Target 7 is out of bounds"):
        found = evaluate_loaders(model, [DictDataLoader(dataset, batch_size=7)])
    assert {key for key in found if key.endswith("loss")} == {"two/toy/train/loss"}


def test_two_loaders_of_one_name_and_a_metric_called_loss(model, dataset):
    loader = DictDataLoader(dataset, batch_size=60)
    with pytest.raises(DatasetError, match="labels 'three' of dataset 'toy', split 'train'"):
        evaluate_loaders(model, [loader, loader])
    model.tasks["two"].scorer = Scorer(custom_metric_funcs={"loss": lambda *_: 1.0})
    with pytest.raises(MetricError, match="a metric of task 'two' is called 'loss'"):
        evaluate_loaders(model, [loader])


def test_batches_without_the_datasets_labels(model, dataset):
    loader = DictDataLoader(dataset, lambda items: (dataset.take(range(len(items)))[0], {}), batch_size=7)
    with pytest.raises(DatasetError, match="the loader's batches have no labels 'three' to score with"):
        evaluate_loaders(model, [loader])


def test_a_loss_that_is_not_finite_shows(model, dataset):
    model.tasks["two"].loss_func = lambda logits, _: logits.sum() * math.inf
    found = evaluate_loaders(model, [DictDataLoader(dataset, batch_size=60)])
    assert not math.isfinite(found["two/toy/train/loss"])
    assert not math.isfinite(found["model/all/train/loss"])
    assert math.isfinite(found["three/toy/train/loss"])


def test_predictions_in_half_precision(dataset):
    model = MultitaskClassifier([Task("three", {"body": nn.Linear(4, 3)}, OPS)], device=-1).bfloat16()
    halves = DictDataset("toy", "test", {"features": dataset.X_dict["features"].bfloat16()}, dataset.Y_dict)
    loader = DictDataLoader(halves, batch_size=7)
    found = evaluate_loaders(model, [loader])
    assert 0 <= found["three/toy/test/accuracy"] <= 1
    assert model.predict(loader, return_preds=True)["preds"]["three"].shape == (60,)


@pytest.mark.parametrize("limits", [(1, 64), (2**24, 3), (2**24, 64), (100, 64)])
@pytest.mark.parametrize("n_expected", [1, 10, 23, 100])
def test_a_column_is_its_batches_in_a_row(monkeypatch, limits, n_expected):
    monkeypatch.setattr(prediction, "_BYTES_WAITING", limits[0])
    monkeypatch.setattr(prediction, "_BATCHES_WAITING", limits[1])
    column = prediction._Column(n_expected)
    rows = torch.arange(46, dtype=torch.float64).reshape(23, 2)
    for batch in rows.split(5):
        column.append(batch)
    assert torch.equal(column.values(), rows)
    assert column.values().untyped_storage().nbytes() == rows.nbytes


def one_task(scorer=None, *, k=2, loss_func=None, output_func=None) -> MultitaskClassifier:
    torch.manual_seed(0)
    body = nn.ModuleDict({"body": nn.Linear(4, k)})
    return MultitaskClassifier([Task("t", body, OPS, scorer, loss_func, output_func)], device=-1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_labels_in_one_column_are_hard_labels(dataset, dtype):
    labels = (dataset.X_dict["features"][:, 0] > 0).long()
    model = one_task(
        Scorer(metrics=["accuracy", "f1"]), loss_func=lambda o, y: F.cross_entropy(o, y.view(-1).long())
    )
    data = [DictDataset("d", "valid", dataset.X_dict, {"t": y}) for y in (labels, labels[:, None].to(dtype))]
    flat, column = (evaluate_loaders(model, [DictDataLoader(part, batch_size=7)]) for part in data)
    assert flat == column
    assert 0 < flat["t/d/valid/accuracy"] < 1


def test_an_output_of_one_column_is_refused_with_the_remedy(dataset):
    model = one_task(k=1, output_func=torch.sigmoid)
    data = DictDataset("d", "valid", dataset.X_dict, {"t": torch.zeros(60)})
    with pytest.raises(InvalidInputError, match="the two columns are 1 - p and p") as caught:
        model.score([DictDataLoader(data, batch_size=60)])
    assert caught.value.__notes__ == ["when scoring 't' of " + repr(data)]


def test_a_class_that_is_missing_makes_scores_nan_and_says_so(dataset):
    model = one_task(Scorer(metrics=["accuracy", "f1", "roc_auc"]))
    data = DictDataset("d", "valid", dataset.X_dict, {"t": torch.zeros(60, dtype=torch.int64)})
    message = r"'t' of DictDataset\('d', 'valid'.*'f1' needs gold labels of class 1.*; such scores are nan"
    with pytest.warns(WsPipelineWarning, match=message) as caught:
        scores = model.score([DictDataLoader(data, batch_size=60)])
    assert len(caught) == 1
    assert {name.rpartition("/")[2] for name, value in scores.items() if math.isnan(value)} == {
        "f1",
        "roc_auc",
    }


def test_own_metrics_see_the_labels_as_they_are(dataset):
    """As tasks with several right answers need it."""
    labels = (dataset.X_dict["features"][:, :3] > 0).float()
    own = {"right": lambda golds, preds, probs: ((probs > 0.5) == golds).mean()}  # noqa: ARG005
    model = one_task(
        Scorer(custom_metric_funcs=own),
        k=3,
        loss_func=F.binary_cross_entropy_with_logits,
        output_func=torch.sigmoid,
    )
    data = DictDataset("d", "valid", dataset.X_dict, {"t": labels})
    found = evaluate_loaders(model, [DictDataLoader(data, batch_size=7)])
    right = (model({"features": dataset.X_dict["features"]}, ["t"])["body"] > 0) == labels.bool()
    assert found["t/d/valid/right"] == pytest.approx(right.float().mean().item())
