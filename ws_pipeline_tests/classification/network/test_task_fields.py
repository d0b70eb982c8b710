"""What a classifier's tasks have, by task name: reading and writing."""

from __future__ import annotations

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
    Trainer,
)
from ws_pipeline.errors import TaskGraphError, UnknownNameError

X = {"x": torch.arange(12.0).reshape(6, 2), "z": torch.ones(6, 2)}
Y = {"t": torch.tensor([0, 1, 1, 0, 1, 0])}


@pytest.fixture
def model() -> MultitaskClassifier:
    torch.manual_seed(0)
    body = Operation("body", [("_input_", "x")])
    return MultitaskClassifier([Task("t", {"body": nn.Linear(2, 2)}, [body])], device="cpu")


@pytest.fixture
def loader() -> DictDataLoader:
    return DictDataLoader(DictDataset("d", "train", X, Y), batch_size=6)


def test_a_scorer_that_is_written_scores(model, loader):
    model.scorers["t"] = Scorer(metrics=["f1"], custom_metric_funcs={"rows": lambda golds, *_: len(golds)})
    assert model.tasks["t"].scorer is model.scorers["t"]
    assert model.score([loader])["t/d/train/rows"] == 6
    record = Trainer(n_epochs=1, progress_bar=False, valid_split="valid").fit(model, [loader]).history_[-1]
    assert "t/d/train/loss" in record


def test_a_loss_that_is_written_is_what_training_minimises(model, loader):
    model.loss_funcs["t"] = lambda logits, labels: 3 * F.cross_entropy(logits, labels)
    losses, _ = model.calculate_loss(X, Y)
    expected = 3 * F.cross_entropy(model(X, ["t"])["body"], Y["t"])
    assert losses["t"].item() == expected.item()
    record = Trainer(n_epochs=1, lr=1e-9, progress_bar=False).fit(model, [loader]).history_[0]
    assert record["t/d/train/loss"] == pytest.approx(expected.item())


def test_an_output_function_that_is_written_gives_the_probabilities(model, loader):
    model.output_funcs["t"] = lambda logits: F.one_hot(logits.argmax(dim=1), 2).float()
    assert set(model.predict(loader)["probs"]["t"].ravel().tolist()) == {0.0, 1.0}


def test_operations_that_are_written_run(model):
    before = model(X, ["t"])["body"]
    model.module_pool["head"] = nn.Linear(2, 5)
    model.op_sequences["t"] = [*model.op_sequences["t"], Operation("head", ["body"])]
    torch.testing.assert_close(model(X, ["t"])["head"], model.module_pool["head"](before))
    model.op_sequences["t"].pop()
    assert set(model(X, ["t"])) == {"_input_", "body"}
    model.op_sequences.update({"t": [Operation("body", [("_input_", "z")])]})
    torch.testing.assert_close(model(X, ["t"])["body"], model.module_pool["body"](X["z"]))


@pytest.mark.parametrize(
    ("view", "value", "message"),
    [
        ("scorers", None, "the scorer of task 't' must be an object with a method 'score', got None"),
        ("loss_funcs", 3, "the loss_func of task 't' must be a function, got 3"),
        ("output_funcs", "softmax", "the output_func of task 't' must be a function, got 'softmax'"),
        ("op_sequences", [], "task 't' needs at least one operation"),
        (
            "op_sequences",
            [Operation("bodi", [("_input_", "x")])],
            "operation 'bodi' names module 'bodi', which is not in the pool, did you mean 'body'",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(model, view, value, message):
    before = getattr(model, view)["t"]
    with pytest.raises(TaskGraphError, match=message):
        getattr(model, view)["t"] = value
    assert getattr(model, view)["t"] is before


@pytest.mark.parametrize("view", ["scorers", "loss_funcs", "output_funcs", "op_sequences"])
def test_the_keys_are_the_tasks(model, view):
    found = getattr(model, view)
    assert (list(found), len(found), "t" in found, "u" in found) == (["t"], 1, True, False)
    assert found == {"t": getattr(model.tasks["t"], view.removesuffix("s"))}
    assert repr(found) == repr(dict(found))
    for use in (lambda: found["tt"], lambda: found.__setitem__("tt", found["t"])):
        with pytest.raises(UnknownNameError, match=r"^there is no task 'tt', did you mean 't'\?$"):
            use()
    with pytest.raises(
        TaskGraphError, match=f"task 't' needs its {view.removesuffix('s')}; write another one"
    ):
        del found["t"]
    assert found.get("tt") is None
