"""Trainings that are killed, interrupted or broken off, and what comes of starting them again."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import WeightedRandomSampler

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import DictDataLoader, DictDataset, Trainer
from ws_pipeline.classification.data.dict_dataset import collate_dicts
from ws_pipeline.errors import FileFormatError

HERE = Path(__file__).parent
SCRIPT = HERE / "killed_training.py"
TRAIN_ONCE = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
from killed_training import train
train(Path(sys.argv[1]), {{"checkpoint_clear": False}})
"""
OWN_FUNCTIONS = f"""
import random, sys
sys.path.insert(0, {str(HERE)!r})
held = [object() for _ in range(random.SystemRandom().randrange(1, 5000))]  # moves what comes after
import torch
from torch import nn
from torch.nn import functional as F
from killed_training import SETTINGS, make_dataset
from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import *

class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.words, self.activation = nn.Linear(4, 3), {{"a", "b", "c"}}, self.leaky
    def leaky(self, x):
        return F.leaky_relu(x, 0.2)
    def forward(self, x):
        steps.extend([1] * self.training)
        if len(steps) == int(sys.argv[2]):
            sys.exit()
        return self.activation(self.layer(x))

def smooth(amount):
    return lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=amount)

def first(golds, preds, probs):
    return float(golds[0] in {{0, 1, "none"}})

steps = []
scorer = Scorer(metrics=["accuracy"], custom_metric_funcs={{"first": first}})
operations = [Operation("trunk", [("_input_", "features")])]
task = Task("three", {{"trunk": Trunk()}}, operations, scorer, loss_func=smooth(0.1))
loaders = [DictDataLoader(make_dataset(60, split, "toy", 1), batch_size=16) for split in ("train", "valid")]
trainer = Trainer(**SETTINGS, checkpoint_dir=sys.argv[1])
print(trainer.fit(MultitaskClassifier([task], device=-1), loaders).resumed_from_step_)
"""
METRIC = "three/toy/valid/accuracy:max"


class BrokenOffError(Exception):
    """Stands for any end of a process that cleans nothing up."""


class Training:
    """One training that can be started several times, in one folder."""

    def __init__(self, make_model, make_dataset, folder, **settings):
        self.make_model, self.make_dataset = make_model, make_dataset
        self.settings = {
            "n_epochs": 3,
            "counter_unit": "batches",
            "evaluation_freq": 3,
            "checkpointing": True,
            "checkpoint_dir": str(folder),
            "checkpoint_metric": METRIC,
            "progress_bar": False,
            **settings,
        }
        self.model = self.trainer = None

    def loaders(self):
        return [
            DictDataLoader(self.make_dataset(), batch_size=16, shuffle=True),
            DictDataLoader(self.make_dataset(split="valid", seed=9), batch_size=32),
        ]

    def start(self, at_step: int | None = None, event=None, **settings) -> Training:
        """Train; ``event`` happens within the forward pass of batch ``at_step``."""
        self.model = self.make_model()
        seen = []

        def hook(module, _):
            if module.training:
                seen.append(1)
                if len(seen) == at_step:
                    event()

        self.model.module_pool["trunk"].register_forward_pre_hook(hook)
        self.trainer = Trainer(**self.settings | settings)
        self.trainer.fit(self.model, self.loaders())
        return self

    def outcome(self) -> list:
        parameters = {name: tensor.tolist() for name, tensor in self.model.state_dict().items()}
        trainer = self.trainer
        return [parameters, json.dumps(trainer.history_), trainer.best_step_, trainer.best_metrics_]


def with_smoothing(model, smoothing):
    model.tasks["three"].loss_func = nn.CrossEntropyLoss(label_smoothing=smoothing)
    return model


def break_off():
    raise BrokenOffError


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def training(make_model, make_dataset, tmp_path):
    return Training(make_model, make_dataset, tmp_path / "checkpoints")


@pytest.fixture
def whole(make_model, make_dataset, tmp_path):
    """The outcome of the same training when nothing happens."""
    return Training(make_model, make_dataset, tmp_path / "whole").start().outcome()


@pytest.mark.slow
def test_killed_at_20_random_points_it_ends_in_the_same_bytes(tmp_path):
    """Each training is killed twice with SIGKILL, some while they write a file, then finished."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(tmp_path), "20", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert [entry["same"] for entry in report] == [True] * 20
    resumed = [entry["resumed"][-1] for entry in report]
    assert len(set(resumed)) >= 8
    assert sum(step != "None" for step in resumed) >= 15
    assert sum(sum(entry["killed"]) for entry in report) >= 20
    best = {name for entry in report for name in entry["files"] if "best_model" in name}
    assert len(best) == 3


@pytest.mark.slow
def test_two_processes_end_in_the_same_bytes(tmp_path):
    contents = []
    for hash_seed in ("1", "2"):
        folder = tmp_path / hash_seed
        folder.mkdir()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", TRAIN_ONCE, str(folder)]
        subprocess.run(command, check=True, env=environment)
        contents.append({path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]
    assert {"end.safetensors", "last.safetensors", "history.json"} <= set(contents[0])


@pytest.mark.slow
def test_a_training_with_functions_of_its_own_resumes_in_another_process(tmp_path):
    """Addresses and the order of sets are others there."""
    printed = []
    for hash_seed, at_step in (("1", "7"), ("2", "-1")):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", OWN_FUNCTIONS, str(tmp_path), at_step]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        printed.append(done.stdout.strip())
    assert printed == ["", "6"]


@pytest.mark.parametrize("at_step", [4, 5, 8, 12])
def test_interrupted_it_continues_from_the_step_it_was_in(training, whole, at_step):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.start(at_step, interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    training.start()
    assert training.trainer.resumed_from_step_ == at_step
    assert training.outcome() == whole


def test_a_handler_of_ones_own_gets_the_signal_after_the_checkpoint(training, whole, tmp_path):
    """As an orchestrator does it, for SIGTERM too."""
    found = []

    def handler(number, _):
        found.append((number, (tmp_path / "checkpoints" / "last.safetensors").exists()))
        raise BrokenOffError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(BrokenOffError):
            training.start(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found == [(signal.SIGTERM, True)]
    assert training.start().trainer.resumed_from_step_ == 2
    assert training.outcome() == whole


def test_a_handler_that_returns_lets_training_go_on(training, whole):
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, _: calls.append(number))
    try:
        training.start(5, interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [signal.SIGINT]
    assert training.outcome() == whole


def test_a_second_signal_does_not_wait(training):
    seen = []

    def twice():
        interrupt()
        seen.append("held")
        interrupt()
        seen.append("never")

    with pytest.raises(KeyboardInterrupt):
        training.start(5, twice)
    assert seen == ["held"]
    assert training.start().trainer.resumed_from_step_ == 3  # the last evaluation


def test_an_error_is_not_hidden_by_a_signal_that_came_with_it(training):
    def both():
        interrupt()
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        training.start(5, both)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_log_of_a_resumed_training_is_that_of_an_undisturbed_one(training, tmp_path):
    log = {"logging": True, "log_writer": "json", "log_dir": str(tmp_path / "logs"), "checkpoint_factor": 2}
    with pytest.raises(BrokenOffError):
        training.start(11, break_off, run_name="resumed", **log)
    broken_off = (tmp_path / "logs" / "resumed" / "log.jsonl").read_bytes()
    training.start(run_name="resumed", **log)
    assert training.trainer.resumed_from_step_ == 6
    training.start(run_name="whole", **log)
    resumed, whole = ((tmp_path / "logs" / name / "log.jsonl").read_bytes() for name in ("resumed", "whole"))
    assert resumed == whole
    assert whole.startswith(broken_off)


def test_without_checkpoints_signals_are_left_alone(training):
    seen = []

    def once():
        interrupt()
        seen.append("never")

    with pytest.raises(KeyboardInterrupt):
        training.start(5, once, checkpointing=False)
    assert seen == []


def test_in_another_thread_signals_are_left_alone(training, whole):
    handlers = []
    event = lambda: handlers.append(signal.getsignal(signal.SIGINT))  # noqa: E731
    thread = threading.Thread(target=training.start, args=(3, event))
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
    assert training.outcome() == whole


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping_metric": "model/all/train/loss:max", "early_stopping_patience": 2},
        {"evaluation_freq": 1, "checkpoint_factor": 3},
        {"counter_unit": "points", "evaluation_freq": 20},
        {"class_weights": {"three": [1.0, 2.0, 3.0]}, "precision": "bf16"},
        {"batch_scheduler": "sequential", "optimizer": "adamax"},
    ],
)
def test_broken_off_it_ends_the_same(training, whole, settings, tmp_path):
    other = Training(training.make_model, training.make_dataset, tmp_path / "other", **settings)
    expected = other.start().outcome()
    training.settings |= settings
    for at_step in (7, 3):
        with pytest.raises(BrokenOffError):
            training.start(at_step, break_off)
    training.start()
    assert training.trainer.resumed_from_step_ > 3
    assert training.outcome() == expected != whole
    assert training.trainer.stopped_early_ == ("early_stopping_metric" in settings)


def test_moments_of_the_optimizer_are_in_the_checkpoint(training):
    with pytest.raises(KeyboardInterrupt):
        training.start(5, interrupt)
    saved = load((Path(training.settings["checkpoint_dir"]) / "last.safetensors").read_bytes())
    state = training.trainer.optimizer.state_dict()["state"]
    assert torch.equal(saved["optimizer/0/exp_avg"], state[0]["exp_avg"])
    assert saved["optimizer/0/step"].item() == 5


def test_a_sampler_with_a_generator_of_its_own_continues(training, tmp_path):
    """The trainer's seed does not reach it, so its state is in the checkpoint."""

    def loaders():
        generator = torch.Generator().manual_seed(3)
        sampler = WeightedRandomSampler(torch.arange(1.0, 61.0), 60, generator=generator)
        return [
            DictDataLoader(training.make_dataset(), batch_size=16, sampler=sampler),
            DictDataLoader(training.make_dataset(split="valid", seed=9), batch_size=32),
        ]

    training.loaders = loaders
    expected = training.start(checkpoint_dir=str(tmp_path / "whole")).outcome()
    for at_step in (8, 4):  # in the second epoch, and from there in the third
        with pytest.raises(BrokenOffError):
            training.start(at_step, break_off)
    assert training.start().outcome() == expected
    assert training.trainer.resumed_from_step_ == 9


def test_random_numbers_of_numpy_and_python_continue(training, tmp_path):
    """A module of someone else may draw from them: they are seeded, and part of the checkpoint."""
    make_model = training.make_model

    def noisy():
        model = make_model()

        def noise(_module, _inputs, output):
            return output * (1 + 0.1 * np.random.normal() + 0.1 * random.gauss(0, 1))  # noqa: NPY002

        model.module_pool["trunk"].register_forward_hook(noise)
        return model

    training.make_model = noisy
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    expected = training.start(checkpoint_dir=str(tmp_path / "whole")).outcome()
    assert training.start(checkpoint_dir=str(tmp_path / "again")).outcome() == expected
    with pytest.raises(BrokenOffError):
        training.start(8, break_off)
    assert training.start().outcome() == expected
    assert training.trainer.resumed_from_step_ == 6
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_the_log_of_another_training_stays(training, tmp_path):
    log = {"logging": True, "log_writer": "json", "log_dir": str(tmp_path / "logs"), "run_name": "r"}
    path = tmp_path / "logs" / "r" / "log.jsonl"
    training.start(**log)
    first = path.read_bytes()
    with pytest.raises(BrokenOffError):  # before its first checkpoint
        training.start(2, break_off, lr=0.02, **log)
    with pytest.raises(BrokenOffError):
        training.start(8, break_off, lr=0.02, checkpoint_factor=2, **log)
    training.start(lr=0.02, checkpoint_factor=2, **log)
    assert training.trainer.resumed_from_step_ == 6
    assert path.read_bytes().startswith(first)
    steps = [json.loads(line).get("step") for line in path.read_text().splitlines()]
    per_training = first.count(b'"step"')
    assert sum(step is not None for step in steps) == 2 * per_training


def test_another_training_starts_anew_and_says_so(training, whole, caplog):
    with pytest.raises(BrokenOffError):
        training.start(7, break_off)
    with caplog.at_level(logging.WARNING), pytest.raises(BrokenOffError):
        training.start(7, break_off, lr=0.02)
    assert training.trainer.resumed_from_step_ is None
    (message,) = [record.getMessage() for record in caplog.records]
    assert "last.safetensors: the checkpoint is of another training" in message
    training.start()
    assert training.trainer.resumed_from_step_ is None
    assert training.outcome() == whole


def weighted(model):
    model.tasks["two"].loss_weight = 2.0
    return model


def frozen(model):
    model.module_pool["trunk"].requires_grad_(requires_grad=False)
    return model


OTHER_MODELS = {
    "parameters": lambda make: with_smoothing(make(seed=1), 0.0),
    "dropout": lambda make: with_smoothing(make(dropout=0.5), 0.0),
    "loss_weight": lambda make: weighted(with_smoothing(make(), 0.0)),
    "loss function": lambda make: with_smoothing(make(), 0.5),
    "frozen": lambda make: frozen(with_smoothing(make(), 0.0)),
}


@pytest.mark.parametrize("change", ["nothing", "seed", "data", "labels", "batch_size", *OTHER_MODELS])
def test_what_makes_another_training(training, change):
    make_model, loaders = training.make_model, training.loaders
    training.make_model = lambda: with_smoothing(make_model(), 0.0)
    with pytest.raises(BrokenOffError):
        training.start(7, break_off)
    if change in OTHER_MODELS:
        training.make_model = lambda: OTHER_MODELS[change](make_model)

    def changed():
        train, valid = loaders()
        if change == "data":
            train.dataset.X_dict["features"][59, 3] += 1
        elif change == "labels":
            valid.dataset.Y_dict["three"][0] = -1
        elif change == "batch_size":
            train = DictDataLoader(train.dataset, batch_size=15, shuffle=True)
        return [train, valid]

    training.loaders = changed
    resumed = training.start(seed=4 if change == "seed" else 0).trainer.resumed_from_step_
    assert resumed == (6 if change == "nothing" else None)


def smooth(amount):
    def loss(logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=amount)

    return loss


class Leaky(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return F.leaky_relu(x, self.slope)


class Noisy(DictDataset):
    def __init__(self, dataset, amount):
        super().__init__(dataset.name, dataset.split, dataset.X_dict, dataset.Y_dict)
        self.amount = amount

    def __getitem__(self, index):
        fields, labels = super().__getitem__(index)
        return {name: values + self.amount * index for name, values in fields.items()}, labels


class Shift:
    def __init__(self, amount):
        self.amount = amount

    def collate(self, items):
        fields, labels = collate_dicts(items)
        return {name: values + self.amount for name, values in fields.items()}, labels


OWN_PARTS = ["loss", "module", "dataset", "collate", "metric"]


@pytest.mark.parametrize("change", ["nothing", *OWN_PARTS])
def test_what_functions_and_attributes_say_makes_another_training(training, change):
    make_model, make_dataset = training.make_model, training.make_dataset
    amounts = dict.fromkeys(OWN_PARTS, 0.1)

    def own_model():
        model = make_model()
        model.module_pool["trunk"].append(Leaky(amounts["module"]))
        model.tasks["three"].loss_func = smooth(amounts["loss"])
        value = amounts["metric"]
        functions = {"own": lambda golds, preds, probs: value}  # noqa: ARG005
        model.tasks["two"].scorer = Scorer(custom_metric_funcs=functions)
        return model

    def own_loaders():
        train = Noisy(make_dataset(), amounts["dataset"])
        collate = Shift(amounts["collate"]).collate
        valid = DictDataLoader(make_dataset(split="valid", seed=9), batch_size=32)
        return [DictDataLoader(train, collate, batch_size=16, shuffle=True), valid]

    training.make_model, training.loaders = own_model, own_loaders
    with pytest.raises(BrokenOffError):
        training.start(7, break_off)
    amounts[change] = 0.2
    resumed = training.start().trainer.resumed_from_step_
    assert resumed == (6 if change == "nothing" else None)


@pytest.mark.parametrize(
    "settings", [{"progress_bar": True}, {"checkpoint_clear": False}, {"logging": True, "log_writer": "json"}]
)
def test_what_does_not_make_another_training(training, settings, tmp_path):
    with pytest.raises(BrokenOffError):
        training.start(7, break_off)
    training.start(log_dir=str(tmp_path / "logs"), **settings)
    assert training.trainer.resumed_from_step_ == 6


def test_a_finished_training_is_not_repeated_and_says_so(training, whole, caplog):
    training.start(checkpoint_clear=False)
    assert "nothing is trained" not in caplog.text
    seen = []
    training.start(1, lambda: seen.append("trained"), checkpoint_clear=False)
    assert seen == []
    assert "last.safetensors: this training has ended before; its result is loaded" in caplog.text
    assert training.trainer.resumed_from_step_ == 12
    assert training.trainer.examples_per_second_ == 0
    assert training.outcome() == whole


def test_a_damaged_checkpoint_is_an_error(training):
    with pytest.raises(BrokenOffError):
        training.start(7, break_off)
    last = Path(training.settings["checkpoint_dir"]) / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match=r"last.safetensors: not a complete") as caught:
        training.start()
    assert caught.value.__notes__ == ["remove the file to begin the training at its first step"]


def test_without_its_best_model_it_starts_anew(training, whole, caplog):
    with pytest.raises(BrokenOffError):
        training.start(7, break_off)
    best = Path(training.settings["checkpoint_dir"]) / "best_model_three_toy_valid_accuracy.safetensors"
    best.unlink()
    with caplog.at_level(logging.WARNING):
        training.start()
    assert f"best model {best} is gone" in caplog.text
    assert training.trainer.resumed_from_step_ is None
    assert training.outcome() == whole


def test_checkpoints_on_any_file_system(make_model, make_dataset, whole):
    training = Training(make_model, make_dataset, "memory://training/checkpoints")
    with pytest.raises(BrokenOffError):
        training.start(8, break_off)
    assert training.start().trainer.resumed_from_step_ == 6
    assert training.outcome() == whole
    assert not training.trainer.checkpointer.last_path.exists()
