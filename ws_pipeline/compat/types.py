"""Names for types, as they are used in annotations of code that was written for Snorkel."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

DataPoint = Any
DataPoints = Sequence[DataPoint]
Field = Any
FieldMap = Mapping[str, Field]
HashingFunction = Callable[[Any], Hashable]
Config = NamedTuple
XDict = dict[str, Any]
YDict = dict[str, "Tensor"]
Batch = tuple[XDict, YDict]
OutputDict = dict[str, Any]
Outputs = Mapping[str, "list[Tensor]"]
Metrics = dict[str, float]
BatchIterator = Iterator["tuple[Batch, Any]"]
RowData = list[tuple[int, int, int]]
PandasRowData = list[tuple[int, int]]
TensorCollection = Any
"""A tensor, or tensors in dictionaries, lists and tuples."""

DEFAULT_INPUT_DATA_KEY = "input_data"
DEFAULT_DATASET_NAME = "SnorkelDataset"
DEFAULT_TASK_NAME = "task"
