"""Where the examples that votes are on have their places among the examples of a shard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import ExampleIdError, LabelMatrixError
from ws_pipeline.example_ids import Ids, check_same_spelling


def places_among(voted: Ids, example_ids: Ids, *, where: str) -> npt.NDArray[Any]:
    """Row of each voted example ``[n]`` among ``example_ids`` ``[n']``.

    Raises
    ------
    LabelMatrixError
        An example is not among them.
    ExampleIdError
        One has integer ids, the other strings; or an id differs from one of ``example_ids`` only in its
        Unicode form or in blanks around it.
    """
    if len(example_ids) and len(voted) and example_ids.dtype.kind != voted.dtype.kind:
        message = (
            f"{where}: the votes have ids such as {voted[:1].tolist()}, the examples have ids "
            f"such as {example_ids[:1].tolist()}; use integers in both, or strings in both"
        )
        raise ExampleIdError(message)
    order = np.argsort(example_ids, kind="stable")
    if len(example_ids):
        slots = np.searchsorted(example_ids, voted, sorter=order)
        rows = order[np.minimum(slots, len(order) - 1)]
        known = example_ids[rows] == voted
    else:
        rows, known = np.zeros(len(voted), dtype=np.intp), np.zeros(len(voted), dtype=bool)
    if not known.all():
        check_same_spelling(voted, example_ids, where=where)
        unknown = voted[~known]
        message = (
            f"{where}: {len(unknown)} vote row(s) are for unknown examples, the first: {unknown[0]}; "
            "every example with votes needs a row in the shard's examples file"
        )
        raise LabelMatrixError(message)
    return rows
