"""Fingerprints: one short text for the settings, tensors, data and code of a training.

Two processes that train the same model on the same data in the same way find the same fingerprint.  How
functions and other objects enter is in :mod:`ws_pipeline.object_digest`; attributes whose name starts with an
underscore do not, which is where to keep what differs from run to run.  Everything enters as it is before
training.

What is not seen: global variables that a function reads, and the functions that it calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.object_digest import Buffer, ObjectDigest, attributes_of, hash_parts, sorted_items

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def fingerprint_of(*values: Any) -> str:
    """Fingerprint of nested values, 64 hexadecimal digits.

    Parameters
    ----------
    *values
        Tensors, arrays, strings, numbers, None, and mappings, sequences and sets of these, by content;
        functions, modules, datasets and other objects as this module's text says.
    """
    return _DIGEST(*values)


def describe_model(model: MultitaskClassifier) -> list[Any]:
    """All that decides what a classifier computes and how it is scored: modules, parameters, tasks."""
    tasks = [
        [repr(task), task.loss_weight, task.loss_func, task.output_func, sorted_items(task.scorer.metrics)]
        for task in model.tasks.values()
    ]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    own = [type(model), attributes_of(model, left_out={"name", "tasks"})]
    return [own, model.module_pool, tasks, trained]


def describe_loaders(loaders: Iterable[DictDataLoader]) -> list[Any]:
    """All that decides which batches loaders give: data, and how it is sampled."""
    return [
        [
            loader.dataset,
            [loader.batch_size, loader.drop_last, loader.num_workers > 0],
            getattr(loader.collate_fn, "collate", loader.collate_fn),
            [_sampling(part) for part in (loader.sampler, loader.batch_sampler, loader.generator)],
        ]
        for loader in loaders
    ]


def _parts_of_module(module: torch.nn.Module) -> list[Any]:
    modules = [[name, type(part), attributes_of(part)] for name, part in module.named_modules()]
    return [modules, module.state_dict() | dict(module.named_buffers()), _ADDRESS.sub("", repr(module))]


def _sampling(part: Any) -> Any:
    """A sampler by its type and settings, its data left out; a generator by its state."""
    return [type(part), attributes_of(part, {"data_source"})] if hasattr(part, "data_source") else part


def _parts_of_tensor(tensor: torch.Tensor) -> list[Any]:
    return [Buffer((str(tensor.dtype), str(list(tensor.shape)), _content(tensor)))]


def _content(tensor: torch.Tensor) -> Any:
    """Numbers of a tensor; of one without content nothing."""
    content = tensor.detach()
    if content.is_nested:
        return hash_parts("nested", *map(_content, content.unbind()))
    if content.layout != torch.strided:
        entries = content.to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
        return hash_parts("sparse", _content(entries.indices()), _content(entries.values()))
    if content.is_meta or content.is_quantized or not content.numel():
        return b""
    flat = content.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()  # the tensor's own memory where it can be


_DIGEST = ObjectDigest(
    parts_of={
        torch.Tensor: _parts_of_tensor,
        torch.Generator: lambda generator: [generator.get_state()],
        torch.nn.Module: _parts_of_module,
    },
    plain=(torch.dtype, torch.device),
)
