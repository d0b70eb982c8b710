"""The end model that settings alone can describe: a shared trunk of dense layers, a head per task.

Legend: n = examples, f = features, k = classes of a task.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification.network.loss import label_cross_entropy
from ws_pipeline.classification.network.task import INPUT, Operation, Task
from ws_pipeline.classification.seeding import own_random_numbers
from ws_pipeline.errors import DatasetError, TaskGraphError
from ws_pipeline.settings.end_model import HeadConfig, ModelConfig

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
_MIN_CLASSES = 2


class Standardizer(nn.Module):
    """Shifts and scales every feature; saved with the model and not trained.

    Parameters
    ----------
    n_features
        Number of features f.  Until :meth:`fit` is called, features pass unchanged.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def fit(self, features: Tensor) -> Standardizer:
        """Give ``features`` ``[n, f]`` mean 0 and standard deviation 1; constant ones are only shifted.

        Raises
        ------
        DatasetError
            There is another number of features, or one is not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            found = list(features.shape)
            message = f"expected features of shape [n, {len(self.mean)}], got {found}"
            raise DatasetError(message)
        bad = (~torch.isfinite(features).all(dim=0)).nonzero().flatten().tolist()
        if bad:
            message = f"features must be finite, got NaN or infinity in columns {bad[:5]}"
            raise DatasetError(message)
        wide = features.to(torch.float64)
        deviation = wide.std(dim=0, correction=0)
        self.mean.copy_(wide.mean(dim=0))
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Standardise features ``[n, f]`` of any number type."""
        return (features.to(self.mean.dtype) - self.mean) / self.scale


def build_tasks(
    config: ModelConfig,
    *,
    n_features: int,
    cardinalities: Mapping[str, int],
    feature_field: str = "features",
    seed: int,
    train_features: Tensor | None = None,
) -> list[Task]:
    """Build the tasks of a multilayer perceptron, with initial weights drawn from ``seed``.

    Parameters
    ----------
    config
        The trunk, and the heads of tasks for which a linear one does not do.
    n_features
        Number of features f.
    cardinalities
        Number of classes k of every task, by task name.
    feature_field
        The field of the datasets that holds the features ``[n, f]``.
    seed
        Decides the initial weights; torch's global random state stays as it was.
    train_features
        Features ``[n, f]`` whose mean and deviation standardise the input.  Default: no
        standardisation.

    Returns
    -------
    list of Task
        One task per entry of ``cardinalities``.  All share the module "trunk", and each has a head
        "<task>_head"; they take hard and probabilistic labels and are scored by accuracy and
        macro-averaged F1.

    Raises
    ------
    TaskGraphError
        There is no task, one has less than two classes, or ``config`` has a head for a task that
        is not there.
    DatasetError
        ``train_features`` has another shape, or is not finite.
    """
    too_few = [name for name, n_classes in cardinalities.items() if n_classes < _MIN_CLASSES]
    if too_few or not cardinalities:
        found = f"{cardinalities[too_few[0]]} for '{too_few[0]}'" if too_few else "no task"
        message = f"a multilayer perceptron needs tasks of at least two classes, got {found}"
        raise TaskGraphError(message)
    unknown = config.unknown_head(cardinalities)
    if unknown:
        raise TaskGraphError(unknown)
    standardizer = Standardizer(n_features)
    if train_features is not None:
        standardizer.fit(train_features)
    with own_random_numbers():
        torch.default_generator.manual_seed(seed)
        trunk, width = _build_trunk(config, standardizer)
        heads = {
            name: _build_head(_head_config(config, name), width, n_classes, config.activation)
            for name, n_classes in cardinalities.items()
        }
    return [
        _build_task(name, trunk, head, feature_field, _head_config(config, name).loss_weight)
        for name, head in heads.items()
    ]


def _head_config(config: ModelConfig, task: str) -> HeadConfig:
    return config.heads.get(task, HeadConfig())


def _build_trunk(config: ModelConfig, standardizer: Standardizer) -> tuple[nn.Sequential, int]:
    """The trunk, and the width of what it gives."""
    trunk = nn.Sequential()
    trunk.add_module("standardizer", standardizer)
    width = _add_layers(trunk, len(standardizer.mean), config, config.activation)
    return trunk, width


def _build_head(config: HeadConfig, width: int, n_classes: int, activation: str) -> nn.Module:
    """One linear layer, or several with activations between."""
    if not config.hidden:
        return nn.Linear(width, n_classes)
    head = nn.Sequential()
    head.add_module("logits", nn.Linear(_add_layers(head, width, config, activation), n_classes))
    return head


def _add_layers(layers: nn.Sequential, width: int, config: ModelConfig | HeadConfig, activation: str) -> int:
    """Append the hidden layers that ``config`` lists, and return the width of the last."""
    for number, next_width in enumerate(config.hidden):
        layers.add_module(f"linear{number}", nn.Linear(width, next_width))
        layers.add_module(f"activation{number}", _ACTIVATIONS[activation]())
        if config.dropout:
            layers.add_module(f"dropout{number}", nn.Dropout(config.dropout))
        width = next_width
    return width


def _build_task(name: str, trunk: nn.Module, head: nn.Module, feature_field: str, loss_weight: float) -> Task:
    head_name = f"{name}_head"
    return Task(
        name,
        {"trunk": trunk, head_name: head},
        [Operation("trunk", [(INPUT, feature_field)]), Operation(head_name, ["trunk"])],
        scorer=Scorer(metrics=["accuracy", "f1_macro"]),
        loss_func=label_cross_entropy,
        loss_weight=loss_weight,
    )
