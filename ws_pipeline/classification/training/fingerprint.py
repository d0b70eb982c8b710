"""Fingerprints: one short text for the settings, tensors, data and code of a training.

Two processes that train the same model on the same data in the same way find the same fingerprint.  A
function enters by its name, its source text, its defaults, the variables that it encloses and the object that
it is bound to; of torch and other installed packages only the name.  An object enters by its type and its
attributes, without those whose name starts with an underscore, which is where to keep what differs from run
to run.  Everything enters as it is before training.

What is not seen: global variables that a function reads, and the functions that it calls.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import PurePath
from types import CodeType, EllipsisType, ModuleType, NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from upath import UPath

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier

_PLAIN = (
    *(NoneType, bool, int, float, complex, str, bytes, EllipsisType, range, slice),
    *(np.generic, np.dtype, torch.dtype, torch.device, Enum),
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_CODE = (  # all of a code object but its places in files
    *("co_code", "co_exceptiontable", "co_consts", "co_names", "co_varnames", "co_flags"),
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
)
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


def fingerprint_of(*values: Any) -> str:
    """Fingerprint of nested values, 64 hexadecimal digits.

    Parameters
    ----------
    *values
        Tensors, arrays, strings, numbers, None, and mappings, sequences and sets of these, by content;
        functions, modules, datasets and other objects as this module's text says.
    """
    return _digest(values, {}).hex()


def describe_model(model: MultitaskClassifier) -> list[Any]:
    """All that decides what a classifier computes and how it is scored: modules, parameters, tasks."""
    tasks = [
        [repr(task), task.loss_weight, task.loss_func, task.output_func, sorted_items(task.scorer.metrics)]
        for task in model.tasks.values()
    ]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    own = [type(model), _attributes(model, left_out={"name", "tasks"})]
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


def sorted_items(mapping: Mapping[str, Any]) -> list[list[Any]]:
    """Items of a mapping whose order says nothing."""
    return [[name, mapping[name]] for name in sorted(mapping)]


_Known = dict[int, tuple[object, bytes]]
"""id -> (object, digest); keeping the object stops Python from reusing its id."""


def _digest(value: Any, known: _Known) -> bytes:
    """Digest of a value; an object is described once, and within itself it stands for its place."""
    if isinstance(value, _PLAIN):
        return _hash("plain", repr(value))
    if id(value) not in known:
        known[id(value)] = value, _hash("within", str(len(known)))
        known[id(value)] = value, _describe(value, known)
    found = known[id(value)][1]
    if isinstance(value, list | tuple | Mapping | AbstractSet):
        del known[id(value)]  # equal containers are the same, shared or not
    return found


def _describe(value: Any, known: _Known) -> bytes:
    """Digest of a value that has parts."""
    if isinstance(value, torch.Tensor):
        return _hash(str(value.dtype), str(list(value.shape)), _content(value))
    if isinstance(value, np.ndarray):
        flat = np.ascontiguousarray(value).reshape(-1)
        content = _digest(value.tolist(), known) if value.dtype.hasobject else flat.view(np.uint8)
        return _hash(str(value.dtype), str(value.shape), content)
    if isinstance(value, AbstractSet):
        return _hash("set", *sorted(_digest(item, dict(known)) for item in value))
    kind, parts = "list", value
    if isinstance(value, Mapping):
        kind, parts = "mapping", [part for item in value.items() for part in item]
    elif not isinstance(value, list | tuple):
        kind, parts = f"object {type(value).__qualname__}", _parts(value)
    return _hash(kind, *(_digest(part, known) for part in parts))


def _parts(value: Any) -> list[Any]:
    """Values that decide what an object does."""
    for kind, parts_of in _PARTS_OF.items():
        if isinstance(value, kind):
            return parts_of(value)
    if hasattr(value, "__qualname__"):
        return _parts_of_function(value)
    return [type(value), _attributes(value)]


def _parts_of_module(module: torch.nn.Module) -> list[Any]:
    modules = [[name, type(part), _attributes(part)] for name, part in module.named_modules()]
    return [modules, module.state_dict() | dict(module.named_buffers()), _ADDRESS.sub("", repr(module))]


def _parts_of_function(function: Any) -> list[Any]:
    """Name, source text, and all that its calls depend on beside their arguments."""
    names = [getattr(function, name, None) for name in ("__module__", "__qualname__")]
    values = [getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__", "__self__")]
    closure = [_content_of_cell(cell) for cell in getattr(function, "__closure__", None) or ()]
    wrapped = getattr(function, "__wrapped__", None)
    return [names, _source(function), values, closure, wrapped, _attributes(function)]


def _source(code: Any) -> Any:
    """Source text of a function or class; what it was compiled to where there is none."""
    try:
        file = inspect.getsourcefile(code) or ""
        return None if file.startswith(_INSTALLED) else inspect.getsource(code)
    except (OSError, TypeError):
        if not isinstance(code, type):
            return getattr(code, "__code__", None)
        return sorted_items({name: part for name, part in vars(code).items() if inspect.isfunction(part)})


def _attributes(value: Any, left_out: AbstractSet[str] = frozenset()) -> list[list[Any]]:
    """Attributes of an object itself, without those whose name starts with an underscore."""
    own = {name: part for name, part in getattr(value, "__dict__", {}).items() if not name.startswith("_")}
    return sorted_items({name: own[name] for name in own.keys() - left_out - {"training"}})


def _sampling(part: Any) -> Any:
    """A sampler by its type and settings, its data left out; a generator by its state."""
    return [type(part), _attributes(part, {"data_source"})] if hasattr(part, "data_source") else part


def _content_of_cell(cell: Any) -> Any:
    """The value of a variable that a function encloses; it may not have one yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return "no value yet"


def _content(tensor: torch.Tensor) -> Any:
    """Numbers of a tensor; of one without content nothing."""
    content = tensor.detach()
    if content.is_nested:
        return _hash("nested", *map(_content, content.unbind()))
    if content.layout != torch.strided:
        entries = content.to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
        return _hash("sparse", _content(entries.indices()), _content(entries.values()))
    if content.is_meta or content.is_quantized or not content.numel():
        return b""
    flat = content.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()  # the tensor's own memory where it can be


def _hash(*parts: Any) -> bytes:
    """Digest of texts and buffers, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{memoryview(data).nbytes}:".encode())
        digest.update(data)
    return digest.digest()


_PARTS_OF: dict[type, Callable[[Any], list[Any]]] = {
    type: lambda kind: [kind.__module__, kind.__qualname__, *map(_source, kind.__mro__)],
    CodeType: lambda code: [getattr(code, name) for name in _CODE],
    functools.partial: lambda function: [function.func, function.args, function.keywords],
    torch.Generator: lambda generator: [generator.get_state()],
    ModuleType: lambda module: [module.__name__],
    PurePath: lambda path: [str(path)],
    UPath: lambda path: [str(path)],
    torch.nn.Module: _parts_of_module,
}
