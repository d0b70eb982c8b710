"""Small functions of tensors.

Legend: n rows, l length of the longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ws_pipeline.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd


def list_to_tensor(item_list: Sequence[Tensor]) -> Tensor:
    """Join tensors: those of one shape are stacked, others flattened and filled with zeros.

    Parameters
    ----------
    item_list
        n tensors.
    """
    shapes = {tuple(item.shape) for item in item_list}
    if len(shapes) == 1 and len(shapes.pop()) != 1:
        return torch.stack(list(item_list))
    return pad_batch([item.reshape(-1) for item in item_list])[0]


def pad_batch(
    batch: Sequence[Tensor], max_len: int = 0, pad_value: int = 0, left_padded: bool = False
) -> tuple[Tensor, Tensor]:
    """Bring vectors to one length.

    Parameters
    ----------
    batch
        n vectors.
    max_len
        Cut longer ones off: at the end, or with ``left_padded`` at the beginning.  0: keep all.
    pad_value
        What shorter ones are filled with.
    left_padded
        Fill at the beginning.

    Returns
    -------
    tuple
        The vectors ``[n, l]``; and 1 where a value is ``pad_value``, else 0, ``[n, l]`` of the same type.

    Raises
    ------
    InvalidInputError
        There is no vector.
    """
    if not batch:
        message = "pad_batch needs at least one tensor"
        raise InvalidInputError(message)
    longest = max(len(item) for item in batch)
    length = min(longest, max_len) if max_len > 0 else longest
    padded = batch[0].new_full((len(batch), length), pad_value)
    for row, item in zip(padded, batch, strict=True):
        if left_padded:
            row[max(length - len(item), 0) :] = item[max(len(item) - length, 0) :]
        else:
            row[: len(item)] = item[:length]
    return padded, (padded == pad_value).to(padded.dtype)


def move_to_device(obj: Any, device: int = -1) -> Any:
    """Move tensors, also those within dictionaries, lists and tuples.

    Parameters
    ----------
    obj
        A tensor or a collection; other objects stay as they are.
    device
        Number of a GPU; below 0, or where there is none: the CPU, nothing is moved.
    """
    if device < 0 or not torch.cuda.is_available():
        return obj
    if isinstance(obj, Tensor):
        return obj.to(f"cuda:{device}")
    if isinstance(obj, Mapping):
        return {key: move_to_device(value, device) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return type(obj)([move_to_device(value, device) for value in obj])
    return obj


def collect_flow_outputs_by_suffix(output_dict: Mapping[str, Tensor], suffix: str) -> list[Tensor]:
    """Return the outputs of the operations whose name ends in ``suffix``, in the order of their names."""
    return [output_dict[name] for name in sorted(output_dict) if name.endswith(suffix)]


def metrics_dict_to_dataframe(metrics_dict: Mapping[str, float]) -> pd.DataFrame:
    """Make a table of scores by "label/dataset/split/metric", one row each."""
    import pandas as pd

    rows = [(*key.split("/"), value) for key, value in metrics_dict.items()]
    return pd.DataFrame(rows, columns=["label", "dataset", "split", "metric", "score"])
