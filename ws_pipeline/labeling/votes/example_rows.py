"""Finds the rows of examples among others, by their ids, and names those that are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import ExampleIdError, LabelMatrixError
from ws_pipeline.example_ids import Ids, check_same_spelling


def rows_among(voted: Ids, example_ids: Ids, *, where: str) -> npt.NDArray[np.intp]:
    """Row of each example with votes ``[n]`` among all examples.

    Parameters
    ----------
    voted
        ``[n]`` ids of votes.
    example_ids
        Ids of the examples, unique.
    where
        Name of the votes; opens every message.

    Raises
    ------
    LabelMatrixError
        There are votes for an example that is not among ``example_ids``.
    ExampleIdError
        One has integer ids, the other strings; or an id differs from one of ``example_ids`` only in its
        Unicode form or in blanks around it.
    """
    if len(example_ids) and len(voted) and example_ids.dtype.kind != voted.dtype.kind:
        message = (
            f"{where}: the votes have ids such as {voted[:1].tolist()}, the examples have ids such as "
            f"{example_ids[:1].tolist()}; use integers in both, or strings in both"
        )
        raise ExampleIdError(message)
    order = np.argsort(example_ids, kind="stable")
    rows: Any = np.zeros(len(voted), dtype=np.intp)
    known: Any = np.zeros(len(voted), dtype=np.bool_)
    if len(example_ids):
        slots = np.searchsorted(example_ids, voted, sorter=order)
        rows = order[np.minimum(slots, len(order) - 1)]
        known = example_ids[rows] == voted
    if not known.all():
        check_same_spelling(voted, example_ids, where=where)
        unknown = voted[~known]
        message = (
            f"{where}: {len(unknown)} vote row(s) are for unknown examples, the first: {unknown[0]}; every "
            "example with votes needs a row in the shard's examples file"
        )
        raise LabelMatrixError(message)
    return np.asarray(rows)
