"""Fingerprints: one short text for the content of tensors, data, functions and settings.

Two processes that train the same model on the same data in the same way find the same fingerprint.
Functions enter by what they compute: their compiled code, defaults, the variables they enclose, and
the object they are bound to.  Modules and datasets enter by their attributes as well.  All enter as
they are before training, so state that training changes (a counter, a cache) is what a new process
starts with.  Attributes whose name starts with an underscore are left out, which is where to keep
what differs from run to run, such as times.

What is not seen: global variables that a function reads, the code of functions that it calls, and
the content of objects of unknown kind.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import PurePath
from types import CellType, CodeType, EllipsisType, ModuleType, NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Sampler
from upath import UPath

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.classification.data.dict_dataset import DictDataset

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_PLAIN = (
    NoneType,
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    EllipsisType,
    range,
    np.generic,
    np.dtype,
    torch.dtype,
)
_CODE = (  # all of a code object but its places in files
    *("co_code", "co_exceptiontable", "co_consts", "co_names", "co_varnames", "co_flags"),
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
)
_FUNCTION = (
    *("__module__", "__qualname__", "__name__", "__code__", "__defaults__", "__kwdefaults__", "__closure__"),
    "__wrapped__",  # what functools.lru_cache calls
)

_Known = dict[int, tuple[object, bytes]]
"""Objects by id, with what stands for them from then on; kept, so that no other object gets the id."""


def fingerprint_of(*values: Any) -> str:
    """Fingerprint of nested values, 64 hexadecimal digits.

    Parameters
    ----------
    *values
        Tensors, arrays, strings, numbers, paths, None, and mappings, sequences and sets of these, by
        content; functions by code and settings; modules, datasets and callable objects by attributes
        and tensors; samplers and generators by their settings and state; of any other object only
        its type.
    """
    digest, known = hashlib.sha256(), _Known()
    for value in values:
        _feed(digest, value, known)
    return digest.hexdigest()


def describe_model(model: MultitaskClassifier) -> list[Any]:
    """All that decides what a classifier computes and how it is scored: modules, parameters, tasks."""
    tasks = [
        [
            repr(task),
            task.loss_weight,
            task.loss_func,
            task.output_func,
            [[name, task.scorer.metrics[name]] for name in sorted(task.scorer.metrics)],
        ]
        for task in model.tasks.values()
    ]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    own = [type(model), _public(model, {"name", "tasks", "training"})]
    return [own, *_described_parts(model.module_pool), tasks, trained, _tensors(model)]


def describe_loaders(loaders: Iterable[DictDataLoader]) -> list[Any]:
    """All that decides which batches loaders give: data, and how it is sampled."""
    return [
        [
            loader.dataset,
            [loader.batch_size, loader.drop_last, loader.num_workers > 0],
            getattr(loader.collate_fn, "collate", loader.collate_fn),
            [loader.sampler, loader.batch_sampler, loader.generator],
        ]
        for loader in loaders
    ]


# How values of every kind enter.


def _feed(digest: Any, value: Any, known: _Known) -> None:
    """Add a value; each is opened by its kind and length, so that no two kinds look the same."""
    if isinstance(value, _PLAIN):
        text = repr(value)
        digest.update(f"s{len(text)}:{text}".encode())
    elif isinstance(value, torch.Tensor):
        _feed_tensor(digest, value, known)
    elif isinstance(value, np.ndarray):
        _feed_array(digest, value, known)
    elif isinstance(value, list | tuple):
        _feed_all(digest, "l", value, value, known)
    elif isinstance(value, Mapping):
        _feed_all(digest, "m", value, [part for item in value.items() for part in item], known)
    elif isinstance(value, AbstractSet):
        own = sorted(_digest_of(item, known.copy()) for item in value)
        digest.update(f"u{len(own)}:".encode() + b"".join(own))
    else:
        _feed_object(digest, value, known)


def _feed_all(digest: Any, kind: str, owner: object, values: Sequence[Any], known: _Known) -> None:
    """Add the values of a container; one that is within itself is not entered again."""
    if id(owner) in known:
        digest.update(known[id(owner)][1])
        return
    known[id(owner)] = owner, _open_mark(known)
    digest.update(f"{kind}{len(values)}:".encode())
    for value in values:
        _feed(digest, value, known)
    del known[id(owner)]


def _feed_object(digest: Any, value: Any, known: _Known) -> None:
    """Add an object's type, and what is known to decide what it does; each object is opened once."""
    name = type(value).__qualname__
    digest.update(f"o{len(name)}:{name}".encode())
    describe = _description_of(value)
    if describe is None:
        return
    if id(value) not in known:
        known[id(value)] = value, _open_mark(known)
        known[id(value)] = value, _digest_of(describe(value), known)
    digest.update(known[id(value)][1])


def _feed_array(digest: Any, array: np.ndarray[Any, Any], known: _Known) -> None:
    digest.update(f"a{array.dtype}{array.shape}".encode())
    if array.dtype.hasobject:
        _feed_all(digest, "l", array, array.ravel().tolist(), known)
    elif array.nbytes:
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _feed_tensor(digest: Any, tensor: torch.Tensor, known: _Known) -> None:
    """Add a tensor; of a quantized one and of one without content only type and shape."""
    content = tensor.detach()
    if content.is_nested:
        _feed_all(digest, "n", tensor, content.unbind(), known)
        return
    digest.update(f"t{content.dtype}{list(content.shape)}".encode())
    if content.layout != torch.strided:
        entries = content.to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
        _feed_all(digest, "c", tensor, [entries.indices(), entries.values()], known)
    elif content.numel() and not (content.is_meta or content.is_quantized):
        flat = content.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())


def _digest_of(value: Any, known: _Known) -> bytes:
    digest = hashlib.sha256()
    _feed(digest, value, known)
    return digest.digest()


def _open_mark(known: _Known) -> bytes:
    """Stand for what is being described, until its description is complete."""
    return f"within{len(known)}".encode()


# What decides what an object does.


def _description_of(value: Any) -> Callable[[Any], Any] | None:
    """The function that describes a kind of objects; None for objects of unknown kind."""
    for kind, describe in _DESCRIPTIONS.items():
        if isinstance(value, kind):
            return describe
    if hasattr(value, "__qualname__"):
        return _describe_function
    return _describe_callable if callable(value) else None


def _describe_function(function: Any) -> list[Any]:
    parts = [getattr(function, name, None) for name in _FUNCTION]
    return [parts, _public(function), _described_owner(getattr(function, "__self__", None))]


def _described_owner(owner: Any) -> Any:
    """What a method is bound to: an object of unknown kind by its attributes too."""
    is_value = isinstance(owner, (*_PLAIN, torch.Tensor, np.ndarray, list, tuple, Mapping, AbstractSet))
    return owner if is_value or _description_of(owner) else [type(owner), _public(owner)]


def _describe_callable(function: Any) -> list[Any]:
    """An object that is called like a function."""
    kind = type(function)
    return [kind, kind.__call__, getattr(function, "__name__", None), _public(function)]


def _describe_module(module: torch.nn.Module) -> list[Any]:
    return [*_described_parts(module), _tensors(module)]


def _described_parts(module: torch.nn.Module) -> list[Any]:
    """All of a module and the modules in it but their tensors."""
    parts = [
        [name, type(part), getattr(type(part), "forward", None), _public(part, {"training"})]
        for name, part in module.named_modules()
    ]
    return [_ADDRESS.sub("", repr(module)), parts]


def _tensors(module: torch.nn.Module) -> dict[str, Any]:
    """Parameters and buffers by name, also the buffers that are not saved."""
    return module.state_dict() | dict(module.named_buffers())


def _describe_dataset(dataset: DictDataset) -> list[Any]:
    kind = type(dataset)
    return [kind, kind.__len__, kind.__getitem__, kind.take, _public(dataset)]


def _describe_sampler(sampler: Sampler[Any]) -> dict[str, Any]:
    return {name: value for name, value in vars(sampler).items() if name != "data_source"}


def _describe_cell(cell: CellType) -> list[Any]:
    """A variable that a function encloses; it may not have a value yet."""
    with contextlib.suppress(ValueError):
        return [cell.cell_contents]
    return []


def _public(value: Any, left_out: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """Attributes of an object itself, sorted, without those whose name starts with an underscore."""
    own = getattr(value, "__dict__", {})
    return {name: own[name] for name in sorted(own) if not name.startswith("_") and name not in left_out}


_DESCRIPTIONS: dict[type, Callable[[Any], Any]] = {
    torch.Generator: torch.Generator.get_state,
    Sampler: _describe_sampler,
    DictDataset: _describe_dataset,
    torch.nn.Module: _describe_module,
    type: lambda kind: [kind.__module__, kind.__qualname__],
    ModuleType: lambda module: module.__name__,
    functools.partial: lambda function: [function.func, function.args, function.keywords],
    CodeType: lambda code: [getattr(code, name) for name in _CODE],
    CellType: _describe_cell,
    slice: lambda part: [part.start, part.stop, part.step],
    Enum: lambda member: member.name,
    PurePath: str,
    UPath: str,
}
