"""Settings in Snorkel's nested form, and what is refused."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from ws_pipeline.classification import (
    CheckpointerConfig,
    LogManagerConfig,
    LogWriterConfig,
    Trainer,
    TrainerConfig,
)
from ws_pipeline.compat.nested_settings import flat_lr_scheduler_settings, flat_optimizer_settings
from ws_pipeline.errors import SettingsError


class Adam(NamedTuple):
    amsgrad: bool = False
    betas: tuple = (0.9, 0.999)


class Adamax(NamedTuple):
    betas: tuple = (0.5, 0.6)
    eps: float = 1e-3


class Optimizers(NamedTuple):
    adam_config: Adam = Adam()
    adamax_config: Adamax = Adamax()


NESTED = {
    "optimizer_config": {"adam_config": {"betas": (0.8, 0.95), "amsgrad": True}},
    "lr_scheduler": "step",
    "lr_scheduler_config": {
        "warmup_steps": 2,
        "warmup_unit": "epochs",
        "min_lr": 0.001,
        "exponential_config": {"gamma": 0.1},
        "step_config": {"gamma": 0.5, "step_size": 7},
    },
    "checkpointing": True,
    "checkpointer_config": {"checkpoint_factor": 3, "checkpoint_metric": "a/b/c/d:max"},
    "log_manager_config": LogManagerConfig(counter_unit="batches", evaluation_freq=5),
    "log_writer_config": {"log_dir": "elsewhere"},
}
FLAT = {
    "beta1": 0.8,
    "beta2": 0.95,
    "amsgrad": True,
    "lr_scheduler": "step",
    "warmup_steps": 2,
    "warmup_unit": "epochs",
    "min_lr": 0.001,
    "gamma": 0.5,
    "step_size": 7,
    "checkpointing": True,
    "checkpoint_factor": 3,
    "checkpoint_metric": "a/b/c/d:max",
    "counter_unit": "batches",
    "evaluation_freq": 5,
    "log_dir": "elsewhere",
}


def test_nested_settings_are_flat_ones():
    assert Trainer(**NESTED).config == Trainer(**FLAT).config == TrainerConfig(**FLAT)


def test_settings_of_snorkel_itself():
    """Its config tuples, with all their defaults, as its own tutorials write them."""
    trainer_module = pytest.importorskip("snorkel.classification.training.trainer")
    loggers = pytest.importorskip("snorkel.classification.training.loggers")
    optimizers = pytest.importorskip("snorkel.classification.training.trainer").OptimizerConfig
    config = Trainer(
        seed=None,
        optimizer="adamax",
        optimizer_config=optimizers(),
        lr_scheduler_config=trainer_module.LRSchedulerConfig(warmup_percentage=0.25),
        checkpointer_config=loggers.CheckpointerConfig(checkpoint_runway=2),
        log_manager_config=loggers.LogManagerConfig(evaluation_freq=0.5),
        log_writer_config=loggers.LogWriterConfig(run_name="first"),
    ).config
    assert config == TrainerConfig(
        optimizer="adamax", warmup_percentage=0.25, checkpoint_runway=2, evaluation_freq=0.5, run_name="first"
    )


def test_every_default_is_snorkels():
    """But for the seed, which is always set here, and what is nested there."""
    theirs = pytest.importorskip("snorkel.classification.training.trainer").TrainerConfig()._asdict()
    ours = TrainerConfig()
    parts = {name: theirs.pop(name)._asdict() for name in list(theirs) if name.endswith("_config")}
    flat = parts["checkpointer_config"] | parts["log_manager_config"] | parts["log_writer_config"]
    for name, value in (theirs | flat).items():
        if name != "seed":
            assert getattr(ours, name) == value, name


def test_named_tuples_of_other_optimizers_do_not_count():
    assert flat_optimizer_settings(Optimizers(), "adam") == {"amsgrad": False, "beta1": 0.9, "beta2": 0.999}
    assert flat_optimizer_settings(Optimizers(), "adamw") == flat_optimizer_settings(Optimizers(), "adam")
    assert flat_optimizer_settings(Optimizers(), "adamax") == {"beta1": 0.5, "beta2": 0.6, "eps": 1e-3}
    assert flat_optimizer_settings(Optimizers(), "sgd") == {}
    assert flat_lr_scheduler_settings({"step_config": {"gamma": 0.3}}, "constant") == {}


def test_settings_of_parts_may_be_settings_objects():
    parts = {
        "checkpointer_config": CheckpointerConfig(checkpoint_dir="c"),
        "log_writer_config": LogWriterConfig(run_name="r"),
    }
    assert Trainer(**parts).config == TrainerConfig(checkpoint_dir="c", run_name="r")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_config": {"device": -1}}, r"MultitaskClassifier\(tasks, device=..., dataparallel=...\)"),
        ({"checkpointer_config": {"checkpoint_metrics": []}}, "checkpointer_config: unknown key"),
        ({"optimizer_config": {"rmsprop_config": {}}}, "unknown key 'rmsprop_config'"),
        ({"lr_scheduler_config": {"exponental_config": {}}}, "unknown key 'exponental_config'"),
        ({"optimizer_config": [1]}, "expected a mapping of settings, got list"),
        (
            {"log_dir": "a", "log_writer_config": {"log_dir": "b"}},
            "log_dir is given twice: 'a', and 'b' in log_writer_config",
        ),
        ({"class_weights": {"t": "even"}}, "class_weights.t: .* valid list, got 'even'"),
        ({"early_stopping_metric": "loss:min"}, "early_stopping_metric: must be of the form"),
        ({"checkpointing": True, "checkpoint_metric": "a/b/c/d:best"}, "unrecognized mode 'best'"),
        ({"checkpointing": True, "evaluation_freq": 0}, "evaluation_freq is 0; set it above 0"),
        ({"precision": "fp16"}, "Unrecognized precision option 'fp16'"),
        ({"log_writer": "csv"}, "Unrecognized log writer option 'csv'"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Trainer(**settings)
