"""The end model as a value: a trained classifier, what it was built from, and its history.

A :class:`~ws_pipeline.classification.MultitaskClassifier` alone cannot be read back without its tasks;
an :class:`EndModel` keeps the settings that built them in the same file.

Legend: n examples, f features, k classes of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.classification.data import DictDataset
from ws_pipeline.classification.data_loader import DictDataLoader
from ws_pipeline.classification.datasets import FEATURES
from ws_pipeline.classification.mlp import build_tasks
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.settings import EndModelConfig, ModelConfig
from ws_pipeline.classification.tensor_file import read_tensors, write_tensors
from ws_pipeline.classification.trainer import HistoryRecord, Trainer
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.files import FileFormat, PathLike

if TYPE_CHECKING:
    from ws_pipeline.classification.examples import Examples

_FILE_FORMAT = FileFormat("ws_pipeline/EndModel", version=1)
_PREDICT_BATCH = 4096


@dataclass(frozen=True, eq=False)
class EndModel:
    """A trained multi-task classifier with all that is needed to rebuild it.

    Parameters
    ----------
    classifier
        The trained model.
    architecture
        What its trunk looks like.
    classes
        Number of classes of every task, by task name.
    n_features
        Number of features f.
    history
        One record per epoch, see :class:`~ws_pipeline.classification.Trainer`.
    """

    classifier: MultitaskClassifier
    architecture: ModelConfig
    classes: dict[str, int]
    n_features: int
    history: list[HistoryRecord]

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.classifier.parameters() if p.requires_grad)

    def predict_proba(self, features: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
        """P(class) of every task, by name, ``[n, k]``, from features ``[n, f]``."""
        dataset = DictDataset("examples", "all", {FEATURES: torch.from_numpy(features)})
        loader = DictDataLoader(dataset, batch_size=_PREDICT_BATCH)
        return dict(self.classifier.predict(loader)["probs"])

    def predictions(self, examples: Examples, *, device: str = "cpu") -> pa.Table:
        """Predict every task for every example.

        Returns
        -------
        pyarrow.Table
            example_id, split and, per task, ``<task>/p_0`` .. ``<task>/p_{k-1}`` and
            ``<task>/prediction``.
        """
        self.classifier.to(device)
        columns = {ID_COLUMN: pa.array(examples.example_ids), "split": pa.array(examples.splits, pa.string())}
        for task, probs in self.predict_proba(examples.feature_matrix()).items():
            columns |= {f"{task}/p_{label}": pa.array(column) for label, column in enumerate(probs.T.copy())}
            columns[f"{task}/prediction"] = pa.array(probs_to_preds(probs))
        return pa.table(columns)

    def save(self, path: PathLike) -> None:
        """Write everything to one safetensors file, atomically; the same model gives the same bytes."""
        write_tensors(
            path,
            self.classifier.state_dict(),
            file_format=_FILE_FORMAT,
            header={
                "architecture": self.architecture.model_dump(),
                "classes": list(self.classes.items()),
                "n_features": self.n_features,
                "history": self.history,
            },
        )

    @classmethod
    def load(cls, path: PathLike) -> EndModel:
        """Read a model that :meth:`save` wrote, onto the CPU.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else, or is of another format version.
        """
        header, tensors = read_tensors(path, file_format=_FILE_FORMAT)
        architecture = ModelConfig(**header["architecture"])
        classes = dict(header["classes"])
        tasks = build_tasks(architecture, n_features=header["n_features"], classes=classes, seed=0)
        classifier = MultitaskClassifier(tasks, device="cpu", dataparallel=False)
        classifier.load_state_dict(tensors)
        return cls(classifier, architecture, classes, header["n_features"], header["history"])


def train_end_model(
    train: DictDataset,
    valid: DictDataset,
    *,
    classes: Mapping[str, int],
    architecture: ModelConfig,
    settings: EndModelConfig,
    device: str = "cpu",
) -> EndModel:
    """Build the tasks, train them together, and keep the history.

    Parameters
    ----------
    train
        Features and probabilistic labels.
    valid
        Features and gold labels, evaluated during training.
    classes
        Number of classes of every task, by task name.
    architecture, settings
        What to build and how to train it; ``settings.seed`` decides the initial weights too.
    device
        Name of a torch device.
    """
    features = train.X_dict[FEATURES]
    tasks = build_tasks(
        architecture,
        n_features=features.shape[1],
        classes=classes,
        seed=settings.seed,
        train_features=features,
    )
    classifier = MultitaskClassifier(tasks, device=device, dataparallel=False)
    loaders = [
        DictDataLoader(train, batch_size=settings.batch_size, shuffle=True),
        DictDataLoader(valid, batch_size=_PREDICT_BATCH),
    ]
    trainer = Trainer(**settings.trainer_settings()).fit(classifier, loaders)
    return EndModel(classifier, architecture, dict(classes), features.shape[1], trainer.history_)


def task_probs(predictions: pa.Table, task: str, cardinality: int) -> npt.NDArray[Any]:
    """Probabilities ``[n, k]`` of one task from the table of :meth:`EndModel.predictions`."""
    columns: Sequence[Any] = [predictions[f"{task}/p_{label}"].to_numpy() for label in range(cardinality)]
    return np.stack(columns, axis=1)
