"""Which examples a person should label next: those that a label model would learn most from.

Legend: n examples, k classes, r rows of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.labeling.votes.distinct_rows import number_rows
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix


def label_next(
    matrix: LabelMatrix,
    probs: Floats,
    classes: Sequence[str],
    *,
    askable: Mask,
    end_model_probs: Floats | None = None,
    max_rows: int = 100,
) -> pa.Table:
    """The examples whose gold label would help most; of those with the same votes, one.

    The score is the entropy of P(class), in nats, times the number of examples with the same votes, times
    the distance between the label model and the end model, where there is one: half the sum of the absolute
    differences of their probabilities.

    Parameters
    ----------
    matrix
        Votes ``[n, m]``.
    probs
        ``[n, k]`` labels of the label model.
    classes
        Names of the k classes.
    askable
        ``[n]`` mask of the examples that may be asked for; those without votes never are.
    end_model_probs
        ``[n, k]``.  Default: there is no end model.
    max_rows
        Number of examples.

    Returns
    -------
    pyarrow.Table
        Examples with a score above 0, the highest first; columns example_id, score, entropy, n_same_votes,
        label, confidence and, with an end model, end_model_label and disagreement.
    """
    rows = np.flatnonzero(askable & matrix.covered)
    numbers = number_rows(matrix.votes[matrix.covered], matrix.cardinality)
    sizes = np.bincount(numbers) if len(numbers) else np.zeros(0, dtype=np.int64)
    of_row = np.full(len(matrix), -1)
    of_row[matrix.covered] = numbers
    own = probs[rows]
    entropy = -(own * np.log(np.where(own > 0, own, 1.0))).sum(axis=1)
    score = entropy * sizes[of_row[rows]]
    distance = None
    if end_model_probs is not None:
        distance = np.abs(own - end_model_probs[rows]).sum(axis=1) / 2
        score = score * distance
    order = np.argsort(-score, kind="stable")
    order = order[score[order] > 0]
    order = order[_first_of_each(of_row[rows][order])][:max_rows]
    taken = rows[order]
    columns: dict[str, Any] = {
        "example_id": pa.array(matrix.example_ids[taken]),
        "score": pa.array(score[order]),
        "entropy": pa.array(entropy[order]),
        "n_same_votes": pa.array(sizes[of_row[taken]]),
        "label": _names(probs[taken], classes),
        "confidence": pa.array(probs[taken].max(axis=1)),
    }
    if end_model_probs is not None and distance is not None:
        columns["end_model_label"] = _names(end_model_probs[taken], classes)
        columns["disagreement"] = pa.array(distance[order])
    return pa.table(columns)


def _first_of_each(numbers: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Places at which a number occurs for the first time, in order."""
    _, firsts = np.unique(numbers, return_index=True)
    return np.sort(firsts)


def _names(probs: Floats, classes: Sequence[str]) -> pa.Array:
    return pa.array([classes[label] for label in probs.argmax(axis=1)], pa.string())
