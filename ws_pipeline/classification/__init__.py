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
    from ws_pipeline.classification.data import DictDataset, collate_dicts
    from ws_pipeline.classification.data_loader import DictDataLoader
    from ws_pipeline.classification.end_model import EndModel, train_end_model
    from ws_pipeline.classification.loss import cross_entropy_with_probs, label_cross_entropy
    from ws_pipeline.classification.mlp import Standardizer, build_tasks
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
    from ws_pipeline.classification.settings import (
        CheckpointerConfig,
        ClassifierConfig,
        EndModelConfig,
        HeadConfig,
        LogManagerConfig,
        LogWriterConfig,
        ModelConfig,
        TrainerConfig,
    )
    from ws_pipeline.classification.task import Operation, Task
    from ws_pipeline.classification.training.batch_schedulers import (
        BatchScheduler,
        SequentialScheduler,
        ShuffledScheduler,
    )
    from ws_pipeline.classification.training.checkpointer import Checkpointer
    from ws_pipeline.classification.training.log_manager import LogManager
    from ws_pipeline.classification.training.log_writer import LogWriter
    from ws_pipeline.classification.training.tensorboard_writer import TensorBoardWriter
    from ws_pipeline.classification.training.trainer import Trainer

_MODULE_OF = {
    "BatchScheduler": "training.batch_schedulers",
    "Checkpointer": "training.checkpointer",
    "CheckpointerConfig": "settings",
    "ClassifierConfig": "settings",
    "DictDataLoader": "data_loader",
    "DictDataset": "data",
    "EndModel": "end_model",
    "EndModelConfig": "settings",
    "HeadConfig": "settings",
    "LogManager": "training.log_manager",
    "LogManagerConfig": "settings",
    "LogWriter": "training.log_writer",
    "LogWriterConfig": "settings",
    "ModelConfig": "settings",
    "MultitaskClassifier": "multitask_classifier",
    "Operation": "task",
    "SequentialScheduler": "training.batch_schedulers",
    "ShuffledScheduler": "training.batch_schedulers",
    "Standardizer": "mlp",
    "Task": "task",
    "TensorBoardWriter": "training.tensorboard_writer",
    "Trainer": "training.trainer",
    "TrainerConfig": "settings",
    "build_tasks": "mlp",
    "collate_dicts": "data",
    "cross_entropy_with_probs": "loss",
    "label_cross_entropy": "loss",
    "train_end_model": "end_model",
}

__all__ = [
    "BatchScheduler",
    "Checkpointer",
    "CheckpointerConfig",
    "ClassifierConfig",
    "DictDataLoader",
    "DictDataset",
    "EndModel",
    "EndModelConfig",
    "HeadConfig",
    "LogManager",
    "LogManagerConfig",
    "LogWriter",
    "LogWriterConfig",
    "ModelConfig",
    "MultitaskClassifier",
    "Operation",
    "SequentialScheduler",
    "ShuffledScheduler",
    "Standardizer",
    "Task",
    "TensorBoardWriter",
    "Trainer",
    "TrainerConfig",
    "build_tasks",
    "collate_dicts",
    "cross_entropy_with_probs",
    "label_cross_entropy",
    "train_end_model",
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
