"""Fingerprints: one short text for the content of tensors, data and settings.

Two processes that train the same model on the same data in the same way find the same fingerprint.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Sampler

from ws_pipeline.classification.data_loader import DictDataLoader

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def fingerprint_of(*values: Any) -> str:
    """Fingerprint of nested values, 64 hexadecimal digits.

    Parameters
    ----------
    *values
        Tensors, arrays, strings, numbers, None, and mappings and sequences of these, by content;
        samplers and generators by their settings and state; of any other object only its type.
    """
    digest = hashlib.sha256()
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def describe_model(model: MultitaskClassifier) -> list[Any]:
    """All that decides what a classifier computes: modules, parameters, tasks."""
    tasks = [
        [
            repr(task),
            task.loss_weight,
            _described(task.loss_func),
            _described(task.output_func),
            sorted(task.scorer.metrics),
        ]
        for task in model.tasks.values()
    ]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [_ADDRESS.sub("", repr(model.module_pool)), tasks, trained, model.state_dict()]


def describe_loaders(loaders: Iterable[DictDataLoader]) -> list[Any]:
    """All that decides which batches loaders give: data, and how it is sampled."""
    return [
        [
            [type(loader.dataset).__qualname__, loader.dataset.name, loader.dataset.split],
            [loader.dataset.X_dict, loader.dataset.Y_dict],
            [loader.batch_size, loader.drop_last, loader.num_workers > 0],
            _described(getattr(loader.collate_fn, "collate", loader.collate_fn)),
            [loader.sampler, loader.batch_sampler, loader.generator],
        ]
        for loader in loaders
    ]


def _feed(digest: Any, value: Any) -> None:
    """Add a value; each is opened by its kind and length, so that no two kinds look the same."""
    if isinstance(value, torch.Tensor):
        _feed_tensor(digest, value)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        digest.update(f"a{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        _feed_all(digest, "m", [part for item in value.items() for part in item])
    elif isinstance(value, list | tuple):
        _feed_all(digest, "l", value)
    elif value is None or isinstance(value, bool | int | float | str | bytes | np.generic):
        text = repr(value)
        digest.update(f"s{len(text)}{text}".encode())
    else:
        _feed_object(digest, value)


def _feed_all(digest: Any, kind: str, values: Sequence[Any]) -> None:
    digest.update(f"{kind}{len(values)}".encode())
    for value in values:
        _feed(digest, value)


def _feed_object(digest: Any, value: Any) -> None:
    digest.update(f"o{type(value).__qualname__}".encode())
    if isinstance(value, torch.Generator):
        _feed_tensor(digest, value.get_state())
    elif isinstance(value, Sampler):
        _feed(digest, {name: item for name, item in vars(value).items() if name != "data_source"})


def _feed_tensor(digest: Any, tensor: torch.Tensor) -> None:
    digest.update(f"t{tensor.dtype}{list(tensor.shape)}".encode())
    content = tensor.detach().cpu().contiguous().reshape(-1)
    if content.numel():
        digest.update(content.view(torch.uint8).numpy())


def _described(function: Any) -> list[Any]:
    """Name of a function, or of the class of a callable object with its settings."""
    if isinstance(function, functools.partial):
        return [_described(function.func), list(function.args), function.keywords]
    if hasattr(function, "__qualname__"):
        return [function.__module__, function.__qualname__]
    own = {name: value for name, value in vars(function).items() if not name.startswith("_")}
    tensors = function.state_dict() if isinstance(function, torch.nn.Module) else {}
    return [type(function).__module__, type(function).__qualname__, own, tensors]
