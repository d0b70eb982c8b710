"""Batches of one row, on which batch norm cannot train: the variance of one value is nothing to divide by."""

from __future__ import annotations

from torch import nn

from ws_pipeline.classification.data.dict_data_loader import DictDataLoader
from ws_pipeline.errors import DatasetError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

_TORCH_SAYS = "Expected more than 1 value per channel"


def refuse_single_row(error: ValueError, loader: DictDataLoader, *, epoch: int, batch: int) -> None:
    """Tell torch's error about batch norm with the batch, and what to do; leave other errors alone.

    Parameters
    ----------
    error
        What the forward pass raised.
    loader
        Where the batch is from.
    epoch, batch
        Which one it is, from 1 on.

    Raises
    ------
    DatasetError
        The batch has one value per channel, and the model batch norm.
    """
    if _TORCH_SAYS not in str(error):
        return
    n, size = len(loader.dataset), loader.batch_size
    if n == 1:
        remedy = "train on more rows"
    elif size == 1:
        remedy = "set batch_size to 2 or more"
    else:
        remedy = "set drop_last, which leaves such a batch out, or choose another batch_size"
    message = (
        f"{loader.dataset!r}: epoch {epoch}, batch {batch} has one row, on which batch norm cannot train; "
        f"{remedy} (there are {n} rows, batch_size is {size})"
    )
    raise DatasetError(message) from error
