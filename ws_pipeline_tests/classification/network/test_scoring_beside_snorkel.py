"""The same modules, data and calls, in Snorkel and here: the same batches, losses, predictions and scores."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import ws_pipeline.classification as ours
from ws_pipeline.analysis import Scorer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    theirs = pytest.importorskip("snorkel.classification")
    from snorkel.analysis import Scorer as TheirScorer

N = 40


def modules() -> dict[str, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {
            "trunk": nn.Sequential(nn.Linear(5, 8), nn.ReLU()),
            "a": nn.Linear(8, 3),
            "b": nn.Linear(8, 2),
        }


def labels() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hard = torch.randint(0, 3, (N,), generator=generator)
    soft = torch.softmax(torch.randn(N, 2, generator=generator), dim=1)
    soft[::7] = -1
    return {"a": torch.where(torch.arange(N) % 5 == 0, -1, hard), "b": soft}


def build(library, scorer):
    """What a user writes; only the imports differ."""
    pool = nn.ModuleDict(modules())
    trunk = library.Operation(name="trunk", module_name="trunk", inputs=[("_input_", "x")])
    losses = {"a": None, "b": library.cross_entropy_with_probs}
    tasks = [
        library.Task(
            name=name,
            module_pool=nn.ModuleDict({"trunk": pool["trunk"], name: pool[name]}),
            op_sequence=[trunk, library.Operation(module_name=name, inputs=["trunk"])],
            scorer=scorer(metrics=["accuracy"]),
            loss_func=losses[name],
        )
        for name in ("a", "b")
    ]
    model = library.MultitaskClassifier(tasks=tasks[:1], name="two", device=-1, dataparallel=False)
    model.add_task(tasks[1])
    x = torch.randn(N, 5, generator=torch.Generator().manual_seed(2))
    return model, library.DictDataset(name="toy", split="valid", X_dict={"x": x}, Y_dict=labels())


@pytest.fixture
def both():
    return build(ours, Scorer), build(theirs, TheirScorer)


def test_batches_of_tokens_and_ids():
    X_dict = {
        "tokens": [["w"] * (i % 4) for i in range(N)],
        "ids": [torch.arange(i % 3 + 1) for i in range(N)],
        "image": torch.arange(N * 4.0).reshape(N, 2, 2),
        "uid": [f"id-{i}" for i in range(N)],
    }
    loaders = [
        library.DictDataLoader(library.DictDataset("t", "train", X_dict, labels()), batch_size=7)
        for library in (ours, theirs)
    ]
    for (X, Y), (X_expected, Y_expected) in zip(*loaders, strict=True):
        assert (list(X), list(Y)) == (list(X_expected), list(Y_expected))
        assert (X["tokens"], X["uid"]) == (X_expected["tokens"], X_expected["uid"])
        for name in ("ids", "image"):
            assert torch.equal(X[name], X_expected[name])
        for name in Y:
            assert torch.equal(Y[name], Y_expected[name])


def test_outputs_and_losses(both):
    for model, _ in both:
        model.eval()
    (model, data), (expected, their_data) = both
    outputs = model(data.X_dict, ["a", "b"])
    their_outputs = expected(their_data.X_dict, ["a", "b"])
    assert set(outputs) == set(their_outputs)
    for name in ("trunk", "a", "b"):
        assert torch.equal(outputs[name], their_outputs[name])
    losses, counts = model.calculate_loss(data.X_dict, data.Y_dict)
    their_losses, their_counts = expected.calculate_loss(their_data.X_dict, their_data.Y_dict)
    torch.testing.assert_close(losses, their_losses, rtol=1e-6, atol=1e-6)
    assert counts == their_counts
    assert model.task_names == expected.task_names


@pytest.mark.filterwarnings("ignore::ws_pipeline.errors.UnmatchedLabelsWarning")
@pytest.mark.parametrize("remap", [{}, {"b": None}, {"c": "a"}])
def test_predictions_and_scores(both, remap):
    """Gold labels are hard here: Snorkel does not score probabilities."""
    results = []
    for library, (model, data) in zip((ours, theirs), both, strict=True):
        gold = {"a": labels()["a"], "b": labels()["a"].clamp(max=1), "c": labels()["a"], "d": labels()["a"]}
        held_out = library.DictDataset("toy", "test", data.X_dict, gold)
        loader = library.DictDataLoader(held_out, batch_size=7)
        predicted = model.predict(loader, return_preds=True, remap_labels=remap)
        scores = model.score([loader], remap_labels=remap)
        frame = model.score([loader], remap_labels=remap, as_dataframe=True)
        results.append((predicted, scores, frame))
    (predicted, scores, frame), (their_predicted, their_scores, their_frame) = results
    assert set(predicted) == set(their_predicted)
    for kind, by_label in their_predicted.items():
        assert set(predicted[kind]) == set(by_label)
        for label, values in by_label.items():
            assert isinstance(predicted[kind][label], type(values))
            np.testing.assert_allclose(np.asarray(predicted[kind][label]), values.numpy(), rtol=1e-6)
    assert scores == pytest.approx(their_scores)
    assert list(frame.columns) == list(their_frame.columns)
    key = ["label", "dataset", "split", "metric"]
    assert (
        frame.sort_values(key)[key].to_numpy().tolist()
        == their_frame.sort_values(key)[key].to_numpy().tolist()
    )


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("DictDataset", "__init__"),
        ("DictDataset", "from_tensors"),
        ("DictDataLoader", "__init__"),
        ("Operation", "__init__"),
        ("Task", "__init__"),
        *(
            ("MultitaskClassifier", name)
            for name in (
                "__init__",
                "add_task",
                "forward",
                "calculate_loss",
                "predict",
                "score",
                "save",
                "load",
            )
        ),
    ],
)
def test_parameters_have_the_same_names_in_the_same_order(kind, method):
    expected = list(inspect.signature(getattr(getattr(theirs, kind), method)).parameters)
    found = list(inspect.signature(getattr(getattr(ours, kind), method)).parameters)
    assert found[: len(expected)] == expected


def test_attributes_of_the_same_names(both):
    (model, data), (expected, their_data) = both
    task = next(iter(model.tasks.values()))
    for mine, other in (
        (model, expected),
        (data, their_data),
        (task.op_sequence[0], expected.op_sequences["a"][0]),
    ):
        documented = {name for name in vars(other) if not name.startswith("_")}
        assert {name for name in documented if not hasattr(mine, name)} == set()
