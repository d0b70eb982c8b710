"""Calls that Snorkel refuses: ours are refused too, with an error that the same ``except`` catches."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ws_pipeline.errors import WsPipelineError

pytest.importorskip("snorkel")

L = np.array([[0, 0, 1], [1, 1, 1], [0, -1, 0], [1, 1, -1], [0, 1, 0], [-1, 0, 1]])
GOLD, PREDS = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])
THREE = np.array([0, 1, 2, 1])
X = {"x": torch.arange(12.0).reshape(6, 2)}
Y = torch.tensor([0, 1, 1, 0, 1, 0])

OURS = {
    "labeling": "ws_pipeline.labeling",
    "model": "ws_pipeline.labeling",
    "analysis": "ws_pipeline.analysis",
    "utils": "ws_pipeline.analysis",
    "classification": "ws_pipeline.classification",
    "loggers": "ws_pipeline.classification",
}
THEIRS = {
    "labeling": "snorkel.labeling",
    "model": "snorkel.labeling.model",
    "analysis": "snorkel.analysis",
    "utils": "snorkel.utils",
    "classification": "snorkel.classification",
    "loggers": "snorkel.classification.training.loggers",
}


def library(modules: dict[str, str]) -> SimpleNamespace:
    return SimpleNamespace(**{name: importlib.import_module(module) for name, module in modules.items()})


def fit(lib: Any, votes: Any = L, **settings: Any) -> Any:
    quiet = {"progress_bar": False, "n_epochs": 2}
    model = lib.model.LabelModel(cardinality=2, verbose=False)
    model.fit(votes, **quiet | settings)
    return model


def lf(lib: Any, f: Callable[[Any], Any] = lambda _: 0, name: str = "lf", **settings: Any) -> Any:
    return lib.labeling.LabelingFunction(name, f, **settings)


def dataset(lib: Any, split: str = "train", **labels: torch.Tensor) -> Any:
    return lib.classification.DictDataset("d", split, X, labels or {"t": Y})


def loader(lib: Any, split: str = "train") -> Any:
    return lib.classification.DictDataLoader(dataset(lib, split), batch_size=3)


def task(lib: Any, name: str = "t", *, source: Any = ("_input_", "x"), n_in: int = 2) -> Any:
    operation = lib.classification.Operation("body", [source])
    return lib.classification.Task(name, nn.ModuleDict({"body": nn.Linear(n_in, 2)}), [operation])


def classifier(lib: Any, *tasks: Any, **settings: Any) -> Any:
    return lib.classification.MultitaskClassifier(
        list(tasks or [task(lib)]), device=-1, dataparallel=False, **settings
    )


def train(lib: Any, **settings: Any) -> Any:
    trainer = lib.classification.Trainer(**{"n_epochs": 1, "progress_bar": False} | settings)
    trainer.fit(classifier(lib), [loader(lib)])


def fails_with(error: Exception) -> Callable[[Any], Any]:
    def f(_: Any) -> Any:
        raise error

    return f


LABELING = {
    "decorator without parentheses": (ValueError, lambda lib: lib.labeling.labeling_function(lambda _: 0)),
    "two LFs of one name": (ValueError, lambda lib: lib.labeling.LFApplier([lf(lib), lf(lib)])),
    "preprocessor gives None": (ValueError, lambda lib: lf(lib, pre=[lambda _: None])(1)),
    "LF raises AttributeError": (
        AttributeError,
        lambda lib: lib.labeling.LFApplier([lf(lib, lambda x: x.text)]).apply([1], progress_bar=False),
    ),
    "LF raises KeyError on a DataFrame": (
        KeyError,
        lambda lib: lib.labeling.PandasLFApplier([lf(lib, lambda x: x["text"])]).apply(
            pd.DataFrame({"a": [1]}), progress_bar=False
        ),
    ),
    "LF raises ConnectionError": (
        ConnectionError,
        lambda lib: lib.labeling.LFApplier([lf(lib, fails_with(ConnectionError("no route")))]).apply(
            [1], progress_bar=False
        ),
    ),
    "LF returns a text": (
        TypeError,
        lambda lib: lib.labeling.LFApplier([lf(lib, lambda _: "spam")]).apply([1], progress_bar=False),
    ),
    "LF returns None": (
        TypeError,
        lambda lib: lib.labeling.LFApplier([lf(lib, lambda _: None)]).apply([1], progress_bar=False),
    ),
    "summary of other LFs": (ValueError, lambda lib: lib.labeling.LFAnalysis(L, [lf(lib)])),
    "LabelModel: unknown setting": (TypeError, lambda lib: lib.model.LabelModel(cardinality=2, divice="cpu")),
    "fit: votes are text": (TypeError, lambda lib: fit(lib, L.astype(str))),
    "fit: n_epochs is text": (TypeError, lambda lib: fit(lib, n_epochs="ten")),
    "fit: lr is text": (TypeError, lambda lib: fit(lib, lr="fast")),
    "fit: prec_init is text": (TypeError, lambda lib: fit(lib, prec_init="high")),
    "fit: prec_init of another length": (ValueError, lambda lib: fit(lib, prec_init=[0.7, 0.8])),
    "fit: class_balance of another length": (ValueError, lambda lib: fit(lib, class_balance=[0.2, 0.3, 0.5])),
    "fit: class_balance with 0": (ValueError, lambda lib: fit(lib, class_balance=[0.0, 1.0])),
    "fit: Y_dev with one class": (ValueError, lambda lib: fit(lib, Y_dev=np.zeros(6, dtype=int))),
    "fit: two LFs": (ValueError, lambda lib: fit(lib, L[:, :2])),
    "fit: unknown optimizer": (ValueError, lambda lib: fit(lib, optimizer="adagrad")),
    "fit: unknown scheduler": (ValueError, lambda lib: fit(lib, lr_scheduler="cosine")),
    "fit: warm-up below 0": (ValueError, lambda lib: fit(lib, lr_scheduler_config={"warmup_steps": -1})),
    "fit: votes above the cardinality": (ValueError, lambda lib: fit(lib, L + 1)),
    "predict before fit": (
        AttributeError,
        lambda lib: lib.model.LabelModel(cardinality=2).predict(L),
    ),
    "predict: votes of other LFs": (ValueError, lambda lib: fit(lib).predict(L[:, :2])),
    "score: unknown metric": (ValueError, lambda lib: fit(lib).score(L, Y.numpy(), metrics=["accuracy1"])),
    "score: gold of another length": (ValueError, lambda lib: fit(lib).score(L, GOLD)),
    "load: no such file": (FileNotFoundError, lambda lib: fit(lib).load("/nowhere/model")),
}

ANALYSIS = {
    "unknown metric": (ValueError, lambda lib: lib.analysis.metric_score(GOLD, PREDS, metric="f2")),
    "preds are missing": (ValueError, lambda lib: lib.analysis.metric_score(GOLD, metric="accuracy")),
    "probs are missing": (ValueError, lambda lib: lib.analysis.metric_score(GOLD, PREDS, metric="roc_auc")),
    "unknown key in filter_dict": (
        ValueError,
        lambda lib: lib.analysis.metric_score(GOLD, PREDS, filter_dict={"gold": [-1]}),
    ),
    "preds of another length": (ValueError, lambda lib: lib.analysis.metric_score(GOLD, PREDS[:3])),
    "f1 of three classes": (ValueError, lambda lib: lib.analysis.metric_score(THREE, THREE, metric="f1")),
    "Scorer: unknown metric": (ValueError, lambda lib: lib.analysis.Scorer(metrics=["f2"])),
    "Scorer: no labels": (
        ValueError,
        lambda lib: lib.analysis.Scorer(metrics=["accuracy"]).score(np.array([]), np.array([]), np.array([])),
    ),
    "slice of another length": (
        ValueError,
        lambda lib: lib.analysis.Scorer(metrics=["accuracy"]).score_slices(
            np.rec.fromarrays([GOLD[:2]], names=["short"]), GOLD, PREDS, np.full((4, 2), 0.5)
        ),
    ),
    "buckets of other lengths": (ValueError, lambda lib: lib.analysis.get_label_buckets(GOLD, PREDS[:3])),
    "bucket of another length": (
        ValueError,
        lambda lib: lib.analysis.get_label_instances((1, 0), GOLD[:, None], GOLD),
    ),
    "rows of another length": (
        ValueError,
        lambda lib: lib.analysis.get_label_instances((1, 1), GOLD[:3, None], GOLD, PREDS),
    ),
    "probs of one class": (ValueError, lambda lib: lib.utils.probs_to_preds(np.ones((3, 1)))),
    "unknown tie policy": (
        ValueError,
        lambda lib: lib.utils.probs_to_preds(np.full((3, 2), 0.5), tie_break_policy="none"),
    ),
    "abstained vote to probabilities": (
        ValueError,
        lambda lib: lib.utils.preds_to_probs(np.array([0, -1]), 2),
    ),
    "labels between whole numbers": (
        ValueError,
        lambda lib: lib.analysis.metric_score(GOLD + 0.5, PREDS),
    ),
    "labels in two columns": (
        ValueError,
        lambda lib: lib.analysis.metric_score(np.eye(4), PREDS),
    ),
}

CLASSIFICATION = {
    "labels are a list": (
        ValueError,
        lambda lib: lib.classification.DictDataset("d", "train", X, {"t": [0] * 6}),
    ),
    "loader of a list": (AssertionError, lambda lib: lib.classification.DictDataLoader([1, 2])),
    "two tasks of one name": (ValueError, lambda lib: classifier(lib, task(lib), task(lib))),
    "task is something else": (ValueError, lambda lib: classifier(lib, task(lib), nn.Linear(2, 2))),
    "classifier: unknown setting": (TypeError, lambda lib: classifier(lib, divice=0)),
    "forward: unknown task": (KeyError, lambda lib: classifier(lib)(X, ["u"])),
    "forward: field is missing": (
        ValueError,
        lambda lib: classifier(lib, task(lib, source=("_input_", "z")))(X, ["t"]),
    ),
    "forward: operation is missing": (
        ValueError,
        lambda lib: classifier(lib, task(lib, source="trunk"))(X, ["t"]),
    ),
    "forward: module fails": (ValueError, lambda lib: classifier(lib, task(lib, n_in=5))(X, ["t"])),
    "loss function of another task": (KeyError, lambda lib: classifier(lib).loss_funcs["u"]),
    "labels of an unknown task": (
        KeyError,
        lambda lib: classifier(lib).score([loader(lib)], remap_labels={"t": "u"}),
    ),
    "predict with an unknown task": (
        KeyError,
        lambda lib: classifier(lib).predict(loader(lib), remap_labels={"t": "u"}),
    ),
    "classifier: load no file": (FileNotFoundError, lambda lib: classifier(lib).load("/nowhere/model.pth")),
    "unknown reduction": (
        ValueError,
        lambda lib: lib.classification.cross_entropy_with_probs(
            torch.ones(2, 2), torch.ones(2, 2), reduction="max"
        ),
    ),
    "fit: no train loader": (
        ValueError,
        lambda lib: lib.classification.Trainer().fit(classifier(lib), [loader(lib, "valid")]),
    ),
    "fit: unknown split": (
        ValueError,
        lambda lib: lib.classification.Trainer().fit(classifier(lib), [loader(lib), loader(lib, "dev")]),
    ),
    "Trainer: unknown setting": (ValueError, lambda lib: train(lib, n_epoch=3)),
    "Trainer: unknown nested setting": (ValueError, lambda lib: train(lib, optimizer_config={"beta": 1})),
    "Trainer: n_epochs is text": (TypeError, lambda lib: train(lib, n_epochs="ten")),
    "Trainer: n_epochs is a fraction": (TypeError, lambda lib: train(lib, n_epochs=1.5)),
    "Trainer: lr is None": (TypeError, lambda lib: train(lib, lr=None)),
    "Trainer: lr is text": (TypeError, lambda lib: train(lib, lr="fast")),
    "Trainer: unknown optimizer": (ValueError, lambda lib: train(lib, optimizer="adagrad")),
    "Trainer: unknown scheduler": (ValueError, lambda lib: train(lib, lr_scheduler="cosine")),
    "Trainer: unknown batch scheduler": (ValueError, lambda lib: train(lib, batch_scheduler="random")),
    "Trainer: unknown log writer": (ValueError, lambda lib: train(lib, logging=True, log_writer="csv")),
    "Trainer: warm-up below 0": (
        ValueError,
        lambda lib: train(lib, lr_scheduler_config={"warmup_steps": -1}),
    ),
    "Trainer: unknown warm-up unit": (
        ValueError,
        lambda lib: train(lib, lr_scheduler_config={"warmup_steps": 1, "warmup_unit": "points"}),
    ),
    "Trainer: unknown counter unit": (
        ValueError,
        lambda lib: train(lib, log_manager_config={"counter_unit": "rows"}),
    ),
    "Trainer: checkpoints without a folder": (
        TypeError,
        lambda lib: train(lib, checkpointing=True, checkpointer_config={"checkpoint_dir": None}),
    ),
    "Checkpointer: unknown setting": (TypeError, lambda lib: lib.loggers.Checkpointer("epochs", 1, freq=3)),
    "Checkpointer: frequency 0": (
        ValueError,
        lambda lib: lib.loggers.Checkpointer("epochs", 0, checkpoint_dir="unused"),
    ),
    "Checkpointer: metric without a mode": (
        ValueError,
        lambda lib: lib.loggers.Checkpointer(
            "epochs",
            1,
            checkpoint_dir="unused",
            checkpoint_metric="t/d/valid/f1",
        ),
    ),
    "Checkpointer: unknown mode": (
        ValueError,
        lambda lib: lib.loggers.Checkpointer(
            "epochs",
            1,
            checkpoint_dir="unused",
            checkpoint_metric="t/d/valid/f1:best",
        ),
    ),
    "LogManager: unknown setting": (TypeError, lambda lib: lib.loggers.LogManager(3, unit="epochs")),
    "LogManager: unknown counter unit": (
        ValueError,
        lambda lib: lib.loggers.LogManager(3, counter_unit="rows"),
    ),
    "LogWriter: unknown setting": (TypeError, lambda lib: lib.loggers.LogWriter(folder="logs")),
}

CALLS = LABELING | ANALYSIS | CLASSIFICATION


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_the_same_except_catches_both(name, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    kind, call = CALLS[name]
    with pytest.raises(kind) as theirs:
        call(library(THEIRS))
    assert not isinstance(theirs.value, WsPipelineError)
    with pytest.raises(kind) as ours:
        call(library(OURS))
    assert isinstance(ours.value, WsPipelineError) or type(ours.value) is kind  # of Python itself
    assert len(str(ours.value)) > 15
