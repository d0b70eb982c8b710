"""Files of a training: its best models, and the checkpoint from which it continues.

In the folder are ``last.safetensors``, the whole state of the training at its last checkpoint, and
``best_model_<metric>.safetensors`` per metric, which ``MultitaskClassifier.load`` reads.  Every file is
written atomically, best models before the checkpoint that refers to them: a training that is killed in
between continues from the checkpoint before, and comes to write the same best models again.
"""

from __future__ import annotations

import glob
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from upath import UPath

from ws_pipeline.classification.training.fingerprint import fingerprint_of
from ws_pipeline.errors import FileFormatError, SettingsError, SettingTypeError, TrainingError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.metric_names import MetricMode
from ws_pipeline.settings.trainer import CheckpointerConfig
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import FileFormat
from ws_pipeline.storage.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

_log = logging.getLogger(__name__)

_FILE_FORMAT = FileFormat("ws_pipeline/Checkpoint", version=1)
_LAST = "last.safetensors"
_LOCAL = {"", "file", "local"}


@dataclass(frozen=True)
class BestModel:
    """The best model by one metric.

    Parameters
    ----------
    iteration
        When it was found, in counter_units.
    metrics
        Everything that was measured then.
    fingerprint
        Fingerprint of its parameters.
    """

    iteration: float
    metrics: dict[str, float]
    fingerprint: str


class Checkpointer:
    """Keeps the best models by one or several metrics, and the state of the training.

    Parameters
    ----------
    counter_unit
        What iterations count: "epochs", "batches" or "points".
    evaluation_freq
        Number of counter_units between two evaluations, above 0.
    config
        The settings.  Default: made of ``kwargs``.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.trainer.CheckpointerConfig`.

    Attributes
    ----------
    config
        The settings.
    checkpoint_dir
        The folder.
    checkpoint_metric
        Name of the metric that decides which model is loaded after training, and its mode.
    checkpoint_task_metrics
        All metrics that a best model is kept of, with their modes.
    checkpoint_freq
        Number of counter_units between two checkpoints.
    best
        The best model so far by metric.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range, a metric has another form than
        "task/dataset/split/metric:mode", or two metrics would share a file.
    """

    def __init__(
        self,
        counter_unit: str,
        evaluation_freq: float,
        *,
        config: CheckpointerConfig | None = None,
        **kwargs: Any,
    ) -> None:
        self.config = config or parse_settings(CheckpointerConfig, kwargs)
        if self.config.checkpoint_dir is None:
            message = "a checkpointer needs a checkpoint_dir"
            raise SettingTypeError(message)
        self.checkpoint_unit = counter_unit
        self.checkpoint_dir = self.config.checkpoint_dir
        self.checkpoint_clear = self.config.checkpoint_clear
        self.checkpoint_runway = self.config.checkpoint_runway
        self.checkpoint_factor = self.config.checkpoint_factor
        self.checkpoint_freq = evaluation_freq * self.checkpoint_factor
        if self.checkpoint_freq <= 0:
            message = (
                f"checkpoints follow evaluations, but evaluation_freq is {evaluation_freq:g}; set it above 0"
            )
            raise SettingsError(message)
        main = MetricMode.parse(self.config.checkpoint_metric)
        metrics = [MetricMode.parse(text) for text in self.config.checkpoint_task_metrics or []]
        self.checkpoint_metric = {main.name: main.mode}
        self.checkpoint_task_metrics = dict(metrics) | self.checkpoint_metric
        self.best: dict[str, BestModel] = {}
        self._main = main.name
        self._fingerprint: str | None = None
        self._check_file_names()

    @property
    def best_metric_dict(self) -> dict[str, float]:
        """Best value so far by metric."""
        return {metric: found.metrics[metric] for metric, found in self.best.items()}

    @property
    def best_model(self) -> BestModel | None:
        """The best model so far by ``checkpoint_metric``."""
        return self.best.get(self._main)

    @property
    def last_path(self) -> UPath:
        """File of the state of the training."""
        return UPath(self.checkpoint_dir) / _LAST

    def best_model_path(self, metric: str | None = None) -> UPath:
        """File of the best model by ``metric``, by default ``checkpoint_metric``."""
        name = (metric or self._main).replace("/", "_")
        return UPath(self.checkpoint_dir) / f"best_model_{name}.safetensors"

    def checkpoint(
        self, iteration: float, model: MultitaskClassifier, metric_dict: Mapping[str, float]
    ) -> None:
        """Write the model to the file of every metric by which it is the best so far.

        Before ``checkpoint_runway`` nothing happens.  Without ``checkpoint_clear`` the model is also
        written to a file of its own, ``checkpoint_<iteration>.safetensors``.

        Parameters
        ----------
        iteration
            The current time, in counter_units.
        model
            The model as it is now.
        metric_dict
            What was measured of it.  Metrics that are missing or nan are passed over.
        """
        if iteration < self.checkpoint_runway:
            return
        if not self.checkpoint_clear:
            number = int(iteration) if iteration == int(iteration) else iteration
            model.save(UPath(self.checkpoint_dir) / f"checkpoint_{number}.safetensors")
        improved = [name for name in self.checkpoint_task_metrics if self._is_new_best(name, metric_dict)]
        if improved:
            found = BestModel(iteration, dict(metric_dict), fingerprint_of(model.state_dict()))
            for metric in improved:
                model.save(self.best_model_path(metric))
                self.best[metric] = found

    def load_best_model(self, model: MultitaskClassifier) -> MultitaskClassifier:
        """Give ``model`` the parameters of the best one by ``checkpoint_metric``, and return it.

        If there was none (the runway was not reached), the model stays as it is, and a log message
        says so.

        Raises
        ------
        FileNotFoundError, FileFormatError
            The file was removed or damaged.
        TrainingError
            Another training has replaced the file.
        """
        best = self.best_model
        if best is None:
            _log.warning("no best model by %s was found; the model stays as it was trained last", self._main)
            return model
        path = self.best_model_path()
        model.load(path)
        if fingerprint_of(model.state_dict()) != best.fingerprint:
            message = (
                f"{path}: these are not the parameters of the best model of this training, another one wrote "
                "here meanwhile; give each training a checkpoint_dir of its own"
            )
            raise TrainingError(message)
        return model

    def clear(self) -> None:
        """Remove the checkpoint of this training if ``checkpoint_clear``; best models stay.

        Files of other trainings are left alone.
        """
        if self.checkpoint_clear and self._fingerprint is not None and self.last_path.exists():
            header, _ = self._read()
            if header["fingerprint"] == self._fingerprint:
                with telling_file_errors(self.last_path, "write"):
                    self.last_path.unlink()

    def write_state(
        self, fingerprint: str, tensors: Mapping[str, torch.Tensor], values: dict[str, Any]
    ) -> None:
        """Write the state of the training, in place of the one before.

        Parameters
        ----------
        fingerprint
            Says which training it is.
        tensors
            Tensors by name.
        values
            JSON values by name.
        """
        best = {metric: asdict(found) for metric, found in self.best.items()}
        # One JSON text, because the header itself is written with sorted keys, and records are in order.
        header = {"fingerprint": fingerprint, "state": json.dumps({"values": values, "best": best})}
        write_tensors(self.last_path, tensors, file_format=_FILE_FORMAT, header=header)
        self._fingerprint = fingerprint

    def read_state(self, fingerprint: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Read the state that this training wrote last, and its best models.

        Returns
        -------
        tuple or None
            What :meth:`write_state` was given.  None if there is nothing to continue from: no file,
            the file of another training, which a log message names and the next checkpoint
            replaces, or a best model that is gone.

        Raises
        ------
        FileFormatError
            The file is damaged, foreign or of another format version.
        """
        with telling_file_errors(self.checkpoint_dir, "read"):
            self._remove_leftovers()
            is_there = self.last_path.exists()
        if not is_there:
            for path in filter(UPath.exists, map(self.best_model_path, self.checkpoint_task_metrics)):
                _log.info("%s: the best model of an earlier training, which this one will replace", path)
            return None
        header, tensors = self._read()
        if header["fingerprint"] != fingerprint:
            _log.warning(
                "%s: the checkpoint is of another training (other settings, data, code or initial "
                "parameters); training begins at its first step and will replace it",
                self.last_path,
            )
            return None
        state = json.loads(header["state"])
        best = {metric: BestModel(**found) for metric, found in state["best"].items()}
        lost = [metric for metric in best if not self.best_model_path(metric).exists()]
        if lost:
            _log.warning(
                "%s: best model %s is gone; training begins at its first step",
                self.last_path,
                self.best_model_path(lost[0]),
            )
            return None
        self.best, self._fingerprint = best, fingerprint
        return tensors, state["values"]

    def _read(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        try:
            return read_tensors(self.last_path, file_format=_FILE_FORMAT)
        except FileFormatError as error:
            error.add_note("remove the file to begin the training at its first step")
            raise

    def _is_new_best(self, metric: str, found: Mapping[str, float]) -> bool:
        if metric not in found:
            return False
        mode = MetricMode(metric, self.checkpoint_task_metrics[metric])
        return mode.is_better(found[metric], self.best_metric_dict.get(metric))

    def _check_file_names(self) -> None:
        owner: dict[str, str] = {}
        for metric in self.checkpoint_task_metrics:
            first = owner.setdefault(self.best_model_path(metric).name, metric)
            if first != metric:
                message = f"metrics '{first}' and '{metric}' would share a file; leave one out"
                raise SettingsError(message)

    def _remove_leftovers(self) -> None:
        """Remove the parts of our files that a killed process was writing."""
        folder = UPath(self.checkpoint_dir)
        if folder.protocol in _LOCAL and folder.exists():
            best = [self.best_model_path(metric).name for metric in self.checkpoint_task_metrics]
            for pattern in (*map(glob.escape, [_LAST, *best]), "checkpoint_*.safetensors"):
                for part in Path(folder.path).glob(f".{pattern}.*.tmp"):
                    part.unlink(missing_ok=True)
