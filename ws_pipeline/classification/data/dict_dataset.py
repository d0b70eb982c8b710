"""Datasets of named fields and labels, which gather a batch in one go.

A batch of a tensor field is one indexed gather, not n items collated one by one.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ws_pipeline.errors import DatasetError, FileFormatError
from ws_pipeline.storage.files import FileFormat, PathLike
from ws_pipeline.storage.tensor_file import read_tensors, write_tensors

Batch = tuple[dict[str, Any], dict[str, Tensor]]
"""Fields and labels of several examples."""
Item = tuple[dict[str, Any], dict[str, Tensor]]
"""Fields and labels of one example."""
Rows = Tensor | slice | Sequence[int]

_FILE_FORMAT = FileFormat("ws_pipeline/DictDataset", version=1)


class DictDataset(Dataset[Item]):
    """Examples as named fields, with labels per task.

    Parameters
    ----------
    name
        Name of the dataset; part of the key of every score.
    split
        Name of the split: "train", "valid" or "test", unless the trainer is told otherwise.
    X_dict
        Fields by name: tensors ``[n, ...]`` or lists of n objects of any kind.  Numeric numpy arrays
        and numeric pandas Series become tensors; other Series, and arrays ``[n]`` of strings or
        objects, become lists of Python objects, in their order.
    Y_dict
        Labels by task name: tensors of hard labels ``[n]`` (-1: unlabelled) or of probabilities
        ``[n, k]`` (a row of -1: unlabelled).  Numeric numpy arrays and numeric pandas Series become
        tensors.  Default: no labels, for inference.
    label_sources
        Where the labels of a task are from, by task name, such as "gold"; tasks without labels are left
        out.  Default: it is not known.
    text_digest
        Digest of the models that made features of text.  Default: there are none.

    Raises
    ------
    DatasetError
        There is no field or no row, lengths differ, labels are not tensors, hard labels are below
        -1, or probabilities are NaN.

    Notes
    -----
    ``X_dict`` and ``Y_dict`` may be changed later, to other tensors and lists; a loader checks their
    lengths before each epoch.  A subclass may have a ``__len__`` of its own: rows 0..len-1 are read.
    """

    def __init__(
        self,
        name: str,
        split: str,
        X_dict: Mapping[str, Any],
        Y_dict: Mapping[str, Any] | None = None,
        *,
        label_sources: Mapping[str, str] | None = None,
        text_digest: str | None = None,
    ) -> None:
        self.text_digest = text_digest
        self.label_sources = None if label_sources is None else dict(label_sources)
        self.name = name
        self.split = split
        self.X_dict: dict[str, Any] = {field: _to_field(values) for field, values in X_dict.items()}
        self.Y_dict: dict[str, Tensor] = {
            task: _numbers_to_tensor(values) for task, values in (Y_dict or {}).items()
        }
        _check_lengths(self._where, self.X_dict, self.Y_dict)
        for task, labels in self.Y_dict.items():
            _check_labels(self._where, task, labels)

    @classmethod
    def from_tensors(
        cls,
        X_tensor: Tensor,
        Y_tensor: Tensor,
        split: str,
        input_data_key: str = "input_data",
        task_name: str = "task",
        dataset_name: str = "SnorkelDataset",
    ) -> DictDataset:
        """Make a dataset of one field ``[n, ...]`` and one task's labels ``[n]`` or ``[n, k]``."""
        return cls(dataset_name, split, {input_data_key: X_tensor}, {task_name: Y_tensor})

    def __len__(self) -> int:
        columns = self.Y_dict or self.X_dict
        return len(next(iter(columns.values()), ()))

    def __getitem__(self, index: int) -> Item:
        fields = {name: values[index] for name, values in self.X_dict.items()}
        return fields, {name: labels[index] for name, labels in self.Y_dict.items()}

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Item]:
        """Stand for several items; torch's loaders call this, and collate what it returns."""
        return LazyItems(self, indices)

    def __repr__(self) -> str:
        fields, tasks = ", ".join(self.X_dict), ", ".join(self.Y_dict)
        return f"DictDataset({self.name!r}, {self.split!r}, n={len(self)}, X=[{fields}], Y=[{tasks}])"

    @property
    def _where(self) -> str:
        return f"dataset '{self.name}' ({self.split})"

    def check_rows(self) -> None:
        """Check that fields and labels have one length, which those put in later may not have.

        Loaders call this before each epoch.  A subclass with both its own length and its own way to
        make items or batches may keep what it likes, and is not checked.

        Raises
        ------
        DatasetError
            There is no field or no row, lengths differ, labels are not tensors, a field is neither
            a tensor nor a list, or a subclass's ``__len__`` promises more rows than there are.
        """
        kind = type(self)
        own_length = kind.__len__ is not DictDataset.__len__
        if own_length and (kind.__getitem__, kind.take) != (DictDataset.__getitem__, DictDataset.take):
            return
        n = _check_lengths(self._where, self.X_dict, self.Y_dict)
        if len(self) > n:
            message = f"{self._where}: len() of {kind.__name__} is {len(self)}, but there are {n} rows"
            raise DatasetError(message)

    def take(self, indices: Rows) -> Batch:
        """Gather examples.

        Parameters
        ----------
        indices
            Row numbers in 0..n-1 (int64 tensor or sequence), or a slice.

        Returns
        -------
        tuple
            Fields and labels of these rows, copied.  A list field whose items are tensors is
            stacked; when they are 1-d of different lengths, shorter ones are filled with zeros.
        """
        indices = _to_rows(indices)
        labels = {name: _gather(name, values, indices) for name, values in self.Y_dict.items()}
        return self.take_fields(indices), labels

    def take_fields(self, indices: Rows) -> dict[str, Any]:
        """Gather the fields of examples, without labels; see :meth:`take`."""
        indices = _to_rows(indices)
        return {name: _gather(name, values, indices) for name, values in self.X_dict.items()}

    def complete_tasks(self) -> frozenset[str]:
        """Names of the tasks whose labels have no -1 at present."""
        return frozenset(task for task, labels in self.Y_dict.items() if bool(labels.min() > -1))

    def save(self, path: PathLike) -> None:
        """Write the dataset to one safetensors file; the same content gives the same bytes.

        Parameters
        ----------
        path
            A local path or any fsspec URL.  The file appears only when it is complete.

        Raises
        ------
        DatasetError
            A list field holds something that JSON does not give back as it was.
        """
        tensors = {f"Y/{task}": labels for task, labels in self.Y_dict.items()}
        for field, values in self.X_dict.items():
            if isinstance(values, Tensor):
                tensors[f"X/{field}"] = values
            else:
                tensors[f"X.json/{field}"] = _encode_list(field, values)
        header: dict[str, Any] = {"name": self.name, "split": self.split, "label_sources": self.label_sources}
        if self.text_digest is not None:
            header["text_digest"] = self.text_digest
        write_tensors(path, tensors, file_format=_FILE_FORMAT, header=header)

    @classmethod
    def load(cls, path: PathLike) -> DictDataset:
        """Read a dataset that :meth:`save` wrote; fields and tasks come in alphabetical order.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else or has a newer layout.
        """
        header, tensors = read_tensors(path, file_format=_FILE_FORMAT)
        parts: dict[str, dict[str, Any]] = {"X": {}, "Y": {}}
        try:
            for key in sorted(tensors):
                part, _, name = key.partition("/")
                is_json = part == "X.json"
                value = json.loads(tensors[key].numpy().tobytes()) if is_json else tensors[key]
                parts["X" if is_json else part][name] = value
            sources = header.get("label_sources")  # earlier files have none
            return cls(
                header["name"],
                header["split"],
                parts["X"],
                parts["Y"],
                label_sources=sources,
                text_digest=header.get("text_digest"),
            )
        except (KeyError, ValueError) as broken:
            message = f"{path}: not a dataset that can be used ({broken}); write it again"
            raise FileFormatError(message) from broken


class LazyItems(Sequence[Item]):
    """The items of a batch: a sequence of items for any collate function, rows for our own."""

    def __init__(self, dataset: DictDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: Any) -> Any:
        return self.dataset[self.indices[position]]


class Labels(dict[str, Tensor]):
    """Labels of a batch by task name, as a loader gathered them from a dataset.

    Parameters
    ----------
    labels
        Labels by task name, fresh copies.
    complete
        Names of tasks whose labels have no -1 in the whole dataset.
    """

    def __init__(self, labels: Mapping[str, Tensor], complete: Collection[str]) -> None:
        super().__init__(labels)
        self._gathered = {task: tensor for task, tensor in labels.items() if task in complete}

    def is_complete(self, task: str) -> bool:
        """Say whether no row of the task can be unlabelled, without looking at the labels.

        Looking would make the host wait for the device at every step.  False is always safe; True
        holds as long as the labels are what was gathered, neither replaced nor written to.
        """
        gathered = self._gathered.get(task)
        if gathered is None or gathered is not self[task] or gathered.is_inference():
            return False
        return gathered._version == 0  # noqa: SLF001  torch's count of in-place changes


def _to_rows(indices: Rows) -> Tensor | slice:
    return indices if isinstance(indices, slice | Tensor) else torch.as_tensor(indices, dtype=torch.int64)


def _to_field(values: Any) -> Any:
    """Turn numbers into tensors, and arrays and Series of anything else into lists."""
    values = _numbers_to_tensor(values)
    if _is_series(values):
        return values.to_list()
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "OUST":
        return values.tolist()  # not dates: those of numpy would become integers
    return values


def _numbers_to_tensor(values: Any) -> Any:
    """Turn numeric numpy arrays and Series into tensors, which share their memory where they can."""
    array = values.to_numpy() if _is_series(values) else values
    if isinstance(array, np.ndarray) and array.dtype.kind in "biuf":
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return values


def _is_series(values: Any) -> bool:
    """Whether it is a Series, told by what it can do: pandas need not be imported."""
    return hasattr(values, "to_numpy") and hasattr(values, "to_list")


def collate_dicts(batch: Sequence[Item]) -> Batch:
    """Make a batch from items, as :meth:`DictDataset.take` makes it from rows.

    For collate functions of one's own, that change the items before or the batch after.

    Parameters
    ----------
    batch
        Fields and labels of each example, at least one; all with the names of the first.

    Returns
    -------
    tuple
        Fields and labels by name: tensors ``[n, ...]`` where the items are tensors, else lists of n
        objects.
    """
    fields, labels = (
        {name: _collate(name, [item[part][name] for item in batch]) for name in batch[0][part]}
        for part in (0, 1)
    )
    return fields, labels


def _gather(name: str, values: Any, rows: Tensor | slice) -> Any:
    if isinstance(values, Tensor):
        if isinstance(rows, slice):
            return values[rows].clone()  # a view would let in-place modules write into the dataset
        return values.index_select(0, rows if rows.device == values.device else rows.to(values.device))
    return _collate(
        name, list(values[rows]) if isinstance(rows, slice) else [values[row] for row in rows.tolist()]
    )


def _collate(name: str, items: list[Any]) -> Any:
    if not items or not isinstance(items[0], Tensor):
        return items
    try:
        if all(item.ndim == 1 for item in items):
            return torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
        return torch.stack(items)
    except Exception as error:
        error.add_note(f"when joining the tensors of '{name}' to a batch")
        raise


def _check_lengths(where: str, X_dict: Mapping[str, Any], Y_dict: Mapping[str, Any]) -> int:
    if not X_dict:
        message = f"{where} needs at least one field in X_dict"
        raise DatasetError(message)
    lengths = {f"field '{name}'": _length(where, name, values) for name, values in X_dict.items()}
    for task, labels in Y_dict.items():
        if not isinstance(labels, Tensor) or labels.ndim == 0:
            message = f"{where}: labels of task '{task}' must be a tensor [n] or [n, k], got {type(labels)}"
            raise DatasetError(message)
        lengths[f"labels of task '{task}'"] = len(labels)
    first, n = next(iter(lengths.items()))
    for what, length in lengths.items():
        if length != n:
            message = f"{where}: all lengths must agree, but {first} has {n} rows and {what} has {length}"
            raise DatasetError(message)
    if n == 0:
        message = f"{where} has no rows; leave the empty dataset out"
        raise DatasetError(message)
    return n


def _length(where: str, name: str, values: Any) -> int:
    if isinstance(values, list | tuple) or (isinstance(values, Tensor) and values.ndim > 0):
        return len(values)
    message = (
        f"{where}: field '{name}' must be a tensor [n, ...] or a list of n objects, got {type(values)}; "
        "make a list of it"
    )
    raise DatasetError(message)


def _check_labels(where: str, task: str, labels: Tensor) -> None:
    if labels.is_floating_point():
        bad = torch.isnan(labels).reshape(len(labels), -1).any(dim=1)
        rule = "labels must not be NaN"
    else:
        bad = (labels < -1).reshape(len(labels), -1).any(dim=1)
        rule = "hard labels must be at least -1 (-1: unlabelled)"
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        message = f"{where}, task '{task}': {rule}, got {labels[row].tolist()} in row {row}"
        raise DatasetError(message)


def _encode_list(field: str, values: Sequence[Any]) -> Tensor:
    """JSON bytes ``[length]``; a tensor, because safetensors limits the size of its metadata."""
    try:
        content = json.dumps(list(values), allow_nan=False)
        kept = json.loads(content) == list(values)
    except (TypeError, ValueError):
        kept, content = False, ""
    if not kept:
        message = (
            f"field '{field}' cannot be saved: only tensors and lists of strings, finite numbers, None and "
            "nested lists of these; leave it out, or convert it first"
        )
        raise DatasetError(message)
    return torch.frombuffer(bytearray(content.encode()), dtype=torch.uint8)
