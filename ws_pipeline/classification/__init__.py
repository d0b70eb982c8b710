"""Labels and features to a trained, scored end model: multi-task classification.

The journey: a :class:`DictDataset` per split holds feature fields and labels (probabilities or
classes); each :class:`Task` says how modules turn fields into logits; a :class:`MultitaskClassifier`
joins tasks that share modules; a :class:`Trainer` fits it.  :func:`build_tasks` makes the tasks of a
plain multilayer perceptron.  Start reading at :mod:`ws_pipeline.classification.multitask_classifier`.

Names are imported at first use, so that the settings can be had without importing torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ws_pipeline.classification.batch_schedulers import (
        BatchScheduler,
        SequentialScheduler,
        ShuffledScheduler,
    )
    from ws_pipeline.classification.data import DictDataset
    from ws_pipeline.classification.data_loader import DictDataLoader
    from ws_pipeline.classification.loss import cross_entropy_with_probs, label_cross_entropy
    from ws_pipeline.classification.mlp import Standardizer, build_tasks
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
    from ws_pipeline.classification.settings import ClassifierConfig, ModelConfig, TrainerConfig
    from ws_pipeline.classification.task import Operation, Task
    from ws_pipeline.classification.trainer import Trainer

_MODULE_OF = {
    "BatchScheduler": "batch_schedulers",
    "ClassifierConfig": "settings",
    "DictDataLoader": "data_loader",
    "DictDataset": "data",
    "ModelConfig": "settings",
    "MultitaskClassifier": "multitask_classifier",
    "Operation": "task",
    "SequentialScheduler": "batch_schedulers",
    "ShuffledScheduler": "batch_schedulers",
    "Standardizer": "mlp",
    "Task": "task",
    "Trainer": "trainer",
    "TrainerConfig": "settings",
    "build_tasks": "mlp",
    "cross_entropy_with_probs": "loss",
    "label_cross_entropy": "loss",
}

__all__ = [
    "BatchScheduler",
    "ClassifierConfig",
    "DictDataLoader",
    "DictDataset",
    "ModelConfig",
    "MultitaskClassifier",
    "Operation",
    "SequentialScheduler",
    "ShuffledScheduler",
    "Standardizer",
    "Task",
    "Trainer",
    "TrainerConfig",
    "build_tasks",
    "cross_entropy_with_probs",
    "label_cross_entropy",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        message = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(message)
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
