"""A classifier that learns slices beside the label."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from ws_pipeline import classification
from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import DictDataset, MultitaskClassifier, Operation, Task, Trainer
from ws_pipeline.compat.slice_aware_classifier import SliceAwareClassifier
from ws_pipeline.compat.slicing import to_slices
from ws_pipeline.errors import DatasetError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.classification as their_classification
        import snorkel.slicing as theirs
    except ImportError:
        theirs = None

HIDDEN = 8


def make_data(n=2000, seed=0):
    """A label that is the sign of x0, but in a rare slice (x1 > 1.5) the opposite."""
    features = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    rare = features[:, 1] > 1.5
    labels = ((features[:, 0] > 0) ^ rare).astype(np.int64)
    return (
        torch.from_numpy(features),
        torch.from_numpy(labels),
        to_slices(rare[:, None].astype(int), ["rare"]),
    )


def make_model(kind=SliceAwareClassifier, names=("rare",), seed=0, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU())
        return kind(body, HIDDEN, list(names), "x", "label", **settings)


def make_dataset(X, Y, split="train", library=classification):
    return library.DictDataset("data", split, {"x": X}, {"label": Y})


def test_it_has_the_tasks_and_scores_of_its_slices():
    X, Y, slices = make_data(50)
    model = make_model(scorer=Scorer(metrics=["accuracy"]))
    assert model.name == "label_sliceaware_classifier"
    assert model.slice_names == ["rare"]
    assert model.task_names == {
        "label",
        *(f"label_slice:{name}_{kind}" for name in ("rare", "base") for kind in ("ind", "pred")),
    }
    dataset = make_dataset(X, Y, "valid")
    loader = model.make_slice_dataloader(dataset, slices, batch_size=16)
    assert list(dataset.Y_dict) == ["label"]
    assert loader.batch_size == 16
    assert len(model.score([loader])) == 5
    scores = model.score_slices([loader])
    assert set(scores) == {
        f"{label}/data/valid/accuracy"
        for label in ("label", "label_slice:base_pred", "label_slice:rare_pred")
    }
    preds = model.predict(loader, return_preds=True)["preds"]["label"]
    rows = torch.from_numpy(slices["rare"] == 1)
    expected = (preds == Y)[rows].float().mean().item()
    assert scores["label_slice:rare_pred/data/valid/accuracy"] == pytest.approx(expected)
    table = model.score_slices([loader], as_dataframe=True)
    assert dict(zip(table.label, table.score, strict=True)) == {
        key.split("/")[0]: value for key, value in scores.items()
    }


def test_labels_are_told_by_their_whole_names():
    """The name of this task holds "pred", that of its slice "ind"."""
    X, Y, slices = make_data(50)
    body = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU())
    model = SliceAwareClassifier(body, HIDDEN, ["kind"], "x", "is_predator", Scorer(metrics=["accuracy"]))
    dataset = DictDataset("data", "valid", {"x": X}, {"is_predator": Y})
    loader = model.make_slice_dataloader(dataset, to_slices(slices["rare"][:, None], ["kind"]))
    assert sorted(model.score_slices([loader])) == [
        "is_predator/data/valid/accuracy",
        "is_predator_slice:base_pred/data/valid/accuracy",
        "is_predator_slice:kind_pred/data/valid/accuracy",
    ]


def test_it_learns_a_rare_slice_that_a_small_network_does_not():
    X, Y, slices = make_data()
    X_test, Y_test, test_slices = make_data(seed=1)
    rows = test_slices["rare"] == 1

    def accuracy_on_slice(model, train):
        Trainer(n_epochs=6, lr=0.01, progress_bar=False, seed=0).fit(model, [train])
        loader = classification.DictDataLoader(make_dataset(X_test, Y_test, "test"))
        preds = model.predict(loader, return_preds=True)["preds"]["label"].numpy()
        return (preds == Y_test.numpy())[rows].mean()

    def plain(body, head_dim, *_, **__):
        pool = {"body": body, "head": nn.Linear(head_dim, 2)}
        return MultitaskClassifier(
            [Task("label", pool, [Operation("body", [("_input_", "x")]), Operation("head", ["body"])])]
        )

    model = make_model()
    with_slices = accuracy_on_slice(
        model, model.make_slice_dataloader(make_dataset(X, Y), slices, shuffle=True, batch_size=64)
    )
    loader = classification.DictDataLoader(make_dataset(X, Y), shuffle=True, batch_size=64)
    assert with_slices > accuracy_on_slice(make_model(plain), loader) + 0.1


def test_it_is_saved_and_loaded(tmp_path):
    X, Y, slices = make_data(20)
    model, other = make_model(), make_model(seed=1)
    model.save(tmp_path / "model")
    other.load(tmp_path / "model")
    loader = model.make_slice_dataloader(make_dataset(X, Y), slices)
    found = [one.predict(loader)["probs"]["label"] for one in (model, other)]
    assert torch.equal(*found)


def test_slices_and_labels_that_are_missing_are_named():
    X, Y, slices = make_data(5)
    model = make_model(names=["rare", "long"])
    with pytest.raises(DatasetError, match=r"S has no slice 'long', .* it has: rare"):
        model.make_slice_dataloader(make_dataset(X, Y), slices)
    dataset = DictDataset("data", "train", {"x": X}, {"other": Y})
    with pytest.raises(DatasetError, match="labels missing of task 'label', got labels of: other"):
        make_model().make_slice_dataloader(dataset, slices)


@pytest.mark.skipif(theirs is None, reason="Snorkel is not installed")
def test_the_same_seed_gives_the_predictions_and_scores_of_snorkel():
    X, Y, slices = make_data(200)
    model = make_model()
    their_model = make_model(theirs.SliceAwareClassifier, dataparallel=False)
    loader = model.make_slice_dataloader(make_dataset(X, Y, "valid"), slices, batch_size=64)
    their_loader = their_model.make_slice_dataloader(
        make_dataset(X, Y, "valid", their_classification), slices, batch_size=64
    )
    probs, expected = model.predict(loader)["probs"], their_model.predict(their_loader)["probs"]
    assert probs.keys() == expected.keys()
    for label in expected:
        assert probs[label].numpy() == pytest.approx(np.asarray(expected[label]), abs=1e-6)
    assert model.score_slices([loader]) == pytest.approx(their_model.score_slices([their_loader]))
