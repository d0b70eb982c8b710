"""Scores of predictions that are sets of classes: of each class, and of the sets as a whole.

Of each class: precision, recall and F1 of "has it", and its support, the number of examples that have it.
Of the whole: F1 of all decisions together (micro) and as the mean over the classes (macro), the share of the
examples whose set is exactly right (subset accuracy), and the share of decisions that are wrong (Hamming
loss).

A class that no gold set has has no recall and no F1, and is left out of the mean, as in the macro-F1 of
:mod:`.metrics`.  Start reading at :func:`score_sets`.

Legend: n examples, k classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.errors import MetricError

OF_CLASS = ("precision", "recall", "f1", "support")
OF_WHOLE = ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss")
ALL, COVERED = "all", "covered"

SCHEMA = pa.schema(
    {
        "split": pa.string(),
        "dataset": pa.string(),
        "model": pa.string(),
        "class": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "n_examples": pa.int64(),
    }
)


class SetScores(NamedTuple):
    """Scores of n predicted sets; NaN where a score is not defined.

    Parameters
    ----------
    of_class
        Name of each of :data:`OF_CLASS` to ``[k]`` values.
    of_whole
        Name of each of :data:`OF_WHOLE` to its value.
    """

    of_class: dict[str, Floats]
    of_whole: dict[str, float]


def score_sets(gold: Mask, predicted: Mask) -> SetScores:
    """Score predicted sets of classes.

    Parameters
    ----------
    gold
        ``[n, k]``: whether an example has a class.
    predicted
        ``[n, k]``: whether it is predicted to have it.

    Raises
    ------
    MetricError
        The shapes differ, or there is no example.
    """
    if gold.shape != predicted.shape or gold.ndim != 2 or not gold.size:
        message = (
            "sets of classes are scored as two arrays [n, k] of one shape with at least one example, got "
            f"gold of shape {list(gold.shape)} and predictions of shape {list(predicted.shape)}"
        )
        raise MetricError(message)
    hits, said, support = (mask.sum(axis=0) for mask in (gold & predicted, predicted, gold))
    f1 = _ratio(2 * hits, said + support, where=support > 0)
    of_class = {
        # without any prediction, precision is 0 by convention, unless there was nothing to find
        "precision": np.where((said == 0) & (support > 0), 0.0, _ratio(hits, said, where=said > 0)),
        "recall": _ratio(hits, support, where=support > 0),
        "f1": f1,
        "support": support.astype(np.float64),
    }
    total = int(said.sum() + support.sum())
    of_whole = {
        "f1_micro": 2 * int(hits.sum()) / total if total else math.nan,
        "f1_macro": float(f1[support > 0].mean()) if (support > 0).any() else math.nan,
        "subset_accuracy": float((gold == predicted).all(axis=1).mean()),
        "hamming_loss": float((gold != predicted).mean()),
    }
    return SetScores(of_class, of_whole)


def multi_label_table(
    predicted: Mapping[str, Mask],
    *,
    gold: Mask,
    known: Mask,
    covered: Mask,
    splits: npt.NDArray[Any],
    classes: Sequence[str],
) -> pa.Table:
    """Score the sets of several models side by side, in every split that has gold sets.

    Parameters
    ----------
    predicted
        Model name to ``[n, k]``: whether an example is predicted to have a class.
    gold
        ``[n, k]``: whether it has it.
    known
        ``[n]`` mask of the examples with gold.
    covered
        ``[n]`` mask of the examples with at least one vote on a class.
    splits
        ``[n]`` split names.
    classes
        Names of the k classes.

    Returns
    -------
    pyarrow.Table
        split, dataset ("all" examples, or the "covered" ones), model, class (null: of the whole), metric,
        value (null where it is not defined), n_examples.
    """
    rows = []
    for split, dataset, judged in _datasets(known, covered, splits):
        for model, sets in predicted.items():
            scores = score_sets(gold[judged], sets[judged])
            cells: list[tuple[str | None, str, float]] = []
            cells += [(None, metric, value) for metric, value in scores.of_whole.items()]
            for place, name in enumerate(classes):
                cells += [
                    (name, metric, float(of_class[place])) for metric, of_class in scores.of_class.items()
                ]
            rows += [(split, dataset, model, *cell, int(judged.sum())) for cell in cells]
    columns = zip(*rows, strict=True) if rows else [[] for _ in SCHEMA]
    arrays = [
        pa.array(column, field.type, from_pandas=True) for column, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any], *, where: Mask) -> Floats:
    """Quotients ``[k]``, NaN elsewhere."""
    quotients: Floats = np.full(len(part), np.nan)
    np.divide(part, whole, out=quotients, where=where)
    return quotients


def _datasets(known: Mask, covered: Mask, splits: npt.NDArray[Any]) -> Iterator[tuple[str, str, Mask]]:
    """Split, dataset and mask ``[n]`` of its examples with gold, where there are any."""
    for split in dict.fromkeys(splits.tolist()):
        members = known & (splits == split)
        for dataset, judged in ((ALL, members), (COVERED, members & covered)):
            if judged.any():
                yield split, dataset, judged
