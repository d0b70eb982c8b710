"""The end model as a value: a trained classifier, what it was built from, and its history.

A :class:`~ws_pipeline.classification.MultitaskClassifier` alone cannot be read back without its tasks;
an :class:`EndModel` keeps the settings that built them in the same file.  Start reading at
:func:`train_end_model`.

Legend: n examples, f features, k classes of a task.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import DictDataset
from ws_pipeline.classification.data.from_examples import FEATURES, Fields, feature_fields, split_by_reference
from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
from ws_pipeline.classification.network.mlp import build_tasks
from ws_pipeline.classification.network.task import Task
from ws_pipeline.classification.network.task_builder import build_own_tasks
from ws_pipeline.classification.training.single_row import BATCH_NORMS
from ws_pipeline.classification.training.trainer import Trainer
from ws_pipeline.errors import DatasetError, FileFormatError, SingleRowBatchWarning
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.settings.end_model import EndModelConfig, ModelConfig
from ws_pipeline.settings.metric_names import HistoryRecord
from ws_pipeline.storage.files import FileFormat, PathLike
from ws_pipeline.storage.tensor_file import check_names_and_shapes, read_tensors, write_tensors

if TYPE_CHECKING:
    from ws_pipeline.examples import Examples

_FILE_FORMAT = FileFormat("ws_pipeline/EndModel", version=2)
_PREDICT_BATCH = 4096
_OWN = {"build_tasks", "options"}

Features = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""Features ``[n, f]``, or several fields of them by name."""


@dataclass(frozen=True)
class TrainingSummary:
    """Summary of one training; not part of the file, which depends on data, settings and seed alone.

    Parameters
    ----------
    device
        Name of the torch device.
    examples_per_second
        Examples trained on per second by this process, evaluations and checkpoints left out.
    best_epoch, best_step
        The epoch and the step that the model is from: the best by ``checkpoint_metric``, or the last
        without checkpoints.
    resumed_from_step
        The step of the checkpoint that the training continued from; 0: it started afresh.
    stopped_early
        Whether a metric that no longer improved ended it.
    checkpoint_path
        File of the model's parameters as they were at its best; None: none was kept.
    """

    device: str
    examples_per_second: float
    best_epoch: int
    best_step: int
    resumed_from_step: int
    stopped_early: bool
    checkpoint_path: str | None


@dataclass(frozen=True, eq=False)
class EndModel:
    """A trained multi-task classifier with all that is needed to rebuild it.

    Parameters
    ----------
    classifier
        The trained model.
    architecture
        What built its tasks.
    cardinalities
        Number of classes of every task, by task name.
    n_features
        Number of features f of every field, by field name.
    history
        One record per epoch, see :class:`~ws_pipeline.classification.Trainer`.
    fields
        Feature columns of every field.  None: all, in the field "features".
    training
        How it was trained; None in a model that was read from a file.
    text_digest
        Digest of the models that made features of text for it; None: there are none.
    """

    classifier: MultitaskClassifier
    architecture: ModelConfig
    cardinalities: dict[str, int]
    n_features: dict[str, int]
    history: list[HistoryRecord]
    fields: dict[str, list[str]] | None = None
    training: TrainingSummary | None = None
    text_digest: str | None = None

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.classifier.parameters() if p.requires_grad)

    def predict_proba(self, features: Features) -> dict[str, npt.NDArray[np.float32]]:
        """Predict P(class) of every task, by name, ``[n, k]``.

        Parameters
        ----------
        features
            The field "features" ``[n, f]``, or every field by name.

        Raises
        ------
        DatasetError
            A field is missing, or has another number of features.
        """
        fields = dict(features) if isinstance(features, Mapping) else {FEATURES: features}
        for name, width in self.n_features.items():
            if name not in fields:
                message = f"the model expects field '{name}' of shape [n, {width}], got fields {list(fields)}"
                raise DatasetError(message)
        tensors = {
            name: torch.from_numpy(_as_features(name, fields[name], width))
            for name, width in self.n_features.items()
        }
        loader = DictDataLoader(DictDataset("examples", "all", tensors), batch_size=_PREDICT_BATCH)
        return {task: probs.numpy() for task, probs in self.classifier.predict(loader)["probs"].items()}

    def predictions(self, examples: Examples) -> pa.Table:
        """Predict every task for every example, on the device that the model is on.

        Returns
        -------
        pyarrow.Table
            example_id, split and, per task, ``<task>/p_0`` .. ``<task>/p_{k-1}`` and
            ``<task>/prediction``.

        Raises
        ------
        DatasetError
            A field is missing, has another number of features, or features that other models made of text.
        """
        _check_same_texts("the examples", examples.text_digest, self.text_digest)
        columns = {ID_COLUMN: pa.array(examples.example_ids), "split": pa.array(examples.splits, pa.string())}
        for task, probs in self.predict_proba(feature_fields(examples, self.fields)).items():
            columns |= {f"{task}/p_{label}": pa.array(column) for label, column in enumerate(probs.T.copy())}
            columns[f"{task}/prediction"] = pa.array(probs_to_preds(probs))
        return pa.table(columns)

    def save(self, path: PathLike) -> None:
        """Write everything to one safetensors file, atomically; the same model gives the same bytes."""
        header: dict[str, Any] = {
            "architecture": _describe(self.architecture),
            "classes": list(self.cardinalities.items()),  # stored files have this key; it stays
            "n_features": list(self.n_features.items()),
            "fields": self.fields and list(self.fields.items()),
            "history": self.history,
        }
        if self.text_digest is not None:
            header["text_digest"] = self.text_digest
        write_tensors(path, self.classifier.state_dict(), file_format=_FILE_FORMAT, header=header)

    @classmethod
    def load(
        cls, path: PathLike, *, architecture: ModelConfig | None = None, device: str = "cpu"
    ) -> EndModel:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path
            A local path or any fsspec URL.
        architecture
            Needed for a model whose tasks a function of one's own built (``build_tasks``): the
            function that is called is the one named here, never one that only the file names.
        device
            Name of the torch device that the model is put on.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else or is of another format version; or its tasks
            were built by another function or with other options than ``architecture`` names; or that
            function builds other tensors today.
        """
        header, tensors = read_tensors(path, file_format=_FILE_FORMAT)
        trusted = _trusted_architecture(path, header["architecture"], architecture)
        cardinalities, n_features = dict(header["classes"]), dict(header["n_features"])
        tasks = _tasks(trusted, n_features=n_features, cardinalities=cardinalities, seed=0)
        classifier = MultitaskClassifier(tasks, device=device, dataparallel=False)
        check_names_and_shapes(path, tensors, expected=classifier.state_dict())
        classifier.load_state_dict(tensors)
        fields = header["fields"] and dict(header["fields"])
        digest = header.get("text_digest")
        return cls(classifier, trusted, cardinalities, n_features, header["history"], fields, None, digest)


def train_end_model(
    train: DictDataset,
    valid: DictDataset | None = None,
    *,
    cardinalities: Mapping[str, int],
    architecture: ModelConfig,
    settings: EndModelConfig,
    fields: Fields | None = None,
    device: str = "cpu",
    checkpoint_dir: str | None = None,
    on_epoch: Callable[[HistoryRecord], None] | None = None,
) -> EndModel:
    """Build the tasks, train them together, and keep the history.

    Parameters
    ----------
    train
        Features and probabilistic labels.
    valid
        Features and reference labels, evaluated during training, see
        :func:`~ws_pipeline.classification.data.from_examples.reference_dataset`.  Default: no evaluation.
    cardinalities
        Number of classes of every task, by task name.
    architecture, settings
        What to build and how to train it; ``settings.seed`` decides the initial weights too.
    fields
        Feature columns of every field of the datasets; kept with the model, so that it can predict
        examples.  Default: all, in the field "features".
    device
        Name of a torch device.
    checkpoint_dir
        Folder or fsspec URL that the state of the training and its best model are kept in.  A
        training with the same data and settings that was stopped before its end continues from
        there, and the best model by ``settings.checkpoint_metric`` is the result.  Default: none;
        the model of the last epoch is the result.
    on_epoch
        Called with the record of every epoch, as soon as the epoch is done.

    Warns
    -----
    SingleRowBatchWarning
        The last mini-batch of every epoch is left out: it has one example, and the model batch norm.
    """
    if valid is not None:
        _check_same_texts("the valid dataset", valid.text_digest, train.text_digest)
    n_features = {name: int(values.shape[1]) for name, values in train.X_dict.items()}
    tasks = _tasks(
        architecture,
        n_features=n_features,
        cardinalities=cardinalities,
        seed=settings.seed,
        train_features=train.X_dict,
    )
    classifier = MultitaskClassifier(tasks, device=device, dataparallel=False)
    drop_last = settings.drop_last or _drops_single_row(classifier, len(train), settings.batch_size)
    loaders = [DictDataLoader(train, batch_size=settings.batch_size, shuffle=True, drop_last=drop_last)]
    parts = [] if valid is None else split_by_reference(valid)
    loaders += [DictDataLoader(part, batch_size=_PREDICT_BATCH) for part in parts]
    config = settings.trainer_config(has_valid=bool(parts), checkpoint_dir=checkpoint_dir)
    trainer = Trainer.from_config(config).fit(classifier, loaders, on_record=on_epoch)
    return EndModel(
        classifier,
        architecture,
        dict(cardinalities),
        n_features,
        trainer.history_,
        None if fields is None else {name: list(names) for name, names in fields.items()},
        _summary(trainer, device),
        train.text_digest,
    )


def _check_same_texts(what: str, found: str | None, expected: str | None) -> None:
    """Refuse features that other models made of text: the same numbers mean something else there."""
    if found != expected:
        message = (
            f"{what} have features that other models made of text than the end model was trained on (digest "
            f"{found and found[:12]}, expected {expected and expected[:12]}); make datasets, end model and "
            "predictions again: retrain"
        )
        raise DatasetError(message)


def _drops_single_row(model: nn.Module, n: int, batch_size: int) -> bool:
    """Whether to leave out a last batch of one row, and say so: batch norm cannot train on it."""
    has_batch_norm = any(isinstance(module, BATCH_NORMS) for module in model.modules())
    if not has_batch_norm or n <= batch_size or n % batch_size != 1 or batch_size == 1:
        return False
    message = (
        f"of {n} train examples in mini-batches of {batch_size}, one is left for the last, on which batch "
        "norm cannot train; each epoch leaves out another example, unless batch_size is changed"
    )
    warnings.warn(message, SingleRowBatchWarning, stacklevel=3)
    return True


def _summary(trainer: Trainer, device: str) -> TrainingSummary:
    best = trainer.best_metrics_ or trainer.history_[-1]
    kept = trainer.checkpointer if trainer.best_step_ is not None else None
    return TrainingSummary(
        device=device,
        examples_per_second=trainer.examples_per_second_,
        best_epoch=int(best["epoch"]),
        best_step=int(best["step"]),
        resumed_from_step=trainer.resumed_from_step_ or 0,
        stopped_early=trainer.stopped_early_,
        checkpoint_path=None if kept is None else str(kept.best_model_path()),
    )


def _as_features(name: str, values: Any, width: int) -> npt.NDArray[np.float32]:
    """Features ``[n, width]`` as an array; refused where they are none."""
    try:
        array = np.asarray(values, dtype=np.float32)
        found = str(list(array.shape))
    except (ValueError, TypeError) as error:
        array, found = None, f"{type(values).__name__} ({error})"
    if array is None or array.ndim != 2 or array.shape[1] != width:
        message = f"the model expects field '{name}' of shape [n, {width}], got {found}"
        raise DatasetError(message)
    return array if array.flags.writeable else array.copy()


def task_probs(predictions: pa.Table, task: str, cardinality: int) -> npt.NDArray[Any]:
    """Probabilities ``[n, k]`` of one task from the table of :meth:`EndModel.predictions`."""
    columns: Sequence[Any] = [predictions[f"{task}/p_{label}"].to_numpy() for label in range(cardinality)]
    return np.stack(columns, axis=1)


def _tasks(
    architecture: ModelConfig,
    *,
    n_features: Mapping[str, int],
    cardinalities: Mapping[str, int],
    seed: int,
    train_features: Mapping[str, Tensor] | None = None,
) -> list[Task]:
    """The tasks that the settings describe, or that their function builds."""
    if architecture.build_tasks is not None:
        return build_own_tasks(
            architecture,
            n_features=n_features,
            cardinalities=cardinalities,
            seed=seed,
            train_features=train_features,
        )
    if len(n_features) != 1:
        message = (
            f"a multilayer perceptron reads one field, got {list(n_features)}; list the feature columns "
            "without naming fields, or build the tasks with a function of your own (build_tasks)"
        )
        raise DatasetError(message)
    ((field, width),) = n_features.items()
    features = None if train_features is None else train_features[field]
    return build_tasks(
        architecture,
        n_features=width,
        cardinalities=cardinalities,
        feature_field=field,
        seed=seed,
        train_features=features,
    )


def _describe(architecture: ModelConfig) -> dict[str, Any]:
    """The settings that matter, so that a file does not change when others get new defaults."""
    if architecture.build_tasks is not None:
        return architecture.model_dump(include=_OWN)
    return architecture.model_dump(exclude=_OWN)


def _trusted_architecture(
    path: PathLike, described: dict[str, Any], architecture: ModelConfig | None
) -> ModelConfig:
    """Settings of an MLP as the file has them; a function only if the caller names the same one."""
    if "build_tasks" not in described:
        return ModelConfig(**described)
    wanted = None if architecture is None or architecture.build_tasks is None else _describe(architecture)
    if architecture is None or described != wanted:
        expected = f"the settings name {wanted}" if wanted else "the settings name no such function"
        message = (
            f"{path}: the tasks were built by {described}, but {expected}; train the model again, or give "
            "the architecture that it was trained with"
        )
        raise FileFormatError(message)
    return architecture
