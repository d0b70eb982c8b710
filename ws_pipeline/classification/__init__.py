"""Labels and features to a trained, scored end model: multi-task classification.

The journey: a :class:`DictDataset` per split holds feature fields and labels (probabilities or
classes); each :class:`Task` says how modules turn fields into logits; a :class:`MultitaskClassifier`
joins tasks that share modules; a :class:`Trainer` fits it.  :func:`build_tasks` makes the tasks of a
plain multilayer perceptron.  Start reading at :mod:`ws_pipeline.classification.multitask_classifier`.

The settings are in :mod:`ws_pipeline.settings`, which needs no torch.
"""

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import DictDataset, collate_dicts
from ws_pipeline.classification.end_model import EndModel, train_end_model
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.network.loss import cross_entropy_with_probs, label_cross_entropy
from ws_pipeline.classification.network.mlp import Standardizer, build_tasks
from ws_pipeline.classification.network.task import Operation, Task
from ws_pipeline.classification.training.batch_schedulers import (
    BatchScheduler,
    SequentialScheduler,
    ShuffledScheduler,
)
from ws_pipeline.classification.training.checkpointer import Checkpointer
from ws_pipeline.classification.training.log.counters import LogManager
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.classification.training.log.tensorboard_writer import TensorBoardWriter
from ws_pipeline.classification.training.trainer import Trainer
from ws_pipeline.settings.end_model import EndModelConfig, HeadConfig, ModelConfig
from ws_pipeline.settings.trainer import (
    CheckpointerConfig,
    ClassifierConfig,
    LogManagerConfig,
    LogWriterConfig,
    TrainerConfig,
)

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
