"""Torch tensors and a small header in one safetensors file; loading runs no code from the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.files import FileFormat, PathLike, atomic_write, read_stamped, stamp


def write_tensors(
    path: PathLike,
    tensors: Mapping[str, torch.Tensor],
    *,
    file_format: FileFormat,
    header: Mapping[str, Any],
) -> None:
    """Write tensors and header to ``path`` (a local path or any fsspec URL), atomically.

    Parameters
    ----------
    path
        The file; an older one is replaced.
    tensors
        Tensors by name; those on other devices are copied to the CPU first.
    file_format
        What the file holds, and in which layout; reading asks for it again.
    header
        Further JSON values to keep.
    """
    content = safetensors.torch.save(_own_memory(tensors), metadata=stamp(file_format, header))
    with atomic_write(path) as stream:
        stream.write(content)


def read_tensors(
    path: PathLike, *, file_format: FileFormat
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read what :func:`write_tensors` wrote: the header, and the tensors on the CPU.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    FileFormatError
        The file is damaged, holds something else, or is of another format version.
    """
    return read_stamped(path, safetensors.torch.load, file_format=file_format)


def check_names_and_shapes(
    path: PathLike, found: Mapping[str, torch.Tensor], *, expected: Mapping[str, torch.Tensor]
) -> None:
    """Compare the tensors found in a file with the expected ones, by name and shape.

    Raises
    ------
    FileFormatError
        A tensor is missing, unexpected or of another shape.
    """
    problems = [f"no '{name}'" for name in sorted(expected.keys() - found.keys())]
    problems += [f"unexpected '{name}'" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        if expected[name].shape != found[name].shape:
            shapes = f"{list(found[name].shape)} instead of {list(expected[name].shape)}"
            problems.append(f"'{name}' of shape {shapes}")
    if problems:
        message = f"{path}: the tensors are those of another model: {'; '.join(problems)}"
        raise FileFormatError(message)


def _own_memory(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make every tensor contiguous, on the CPU and alone in its memory, as safetensors asks."""
    owned: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        owned[name] = tensor
    return owned
