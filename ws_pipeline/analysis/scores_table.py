"""The scores table: several models of one task, on the same examples, against one reference.

The reference is gold where a split has any.  Where it has none, the label model's labels stand in, and
the column "reference" says so: such a value is an agreement with the label model, not an accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.analysis.predictions import probs_to_preds
from ws_pipeline.analysis.scorer import Scorer
from ws_pipeline.array_types import Labels

GOLD = "gold"
SCHEMA = pa.schema(
    {
        "task": pa.string(),
        "model": pa.string(),
        "dataset": pa.string(),
        "split": pa.string(),
        "reference": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "n_examples": pa.int64(),
    }
)


def score_models(
    task: str,
    probs_by_model: Mapping[str, npt.NDArray[Any]],
    *,
    example_ids: npt.NDArray[Any],
    gold: Labels,
    covered: npt.NDArray[np.bool_],
    splits: npt.NDArray[Any],
    metrics: Sequence[str] = ("accuracy", "f1_macro"),
    stand_in: str = "label_model",
) -> pa.Table:
    """Score models side by side.

    Parameters
    ----------
    task
        Name of the task.
    probs_by_model
        Model name to its probabilities ``[n, k]``.
    example_ids
        ``[n]``; ties are broken by their hash, so that every model answers on every row, and the same
        whatever order the rows come in.
    gold
        ``[n]`` gold labels, -1 where unknown; those examples are left out of a split that has others.
    covered
        ``[n]`` mask of the examples with at least one vote.
    splits
        ``[n]`` split names.
    metrics
        Names of metrics.
    stand_in
        The model whose most probable classes are the reference of a split without any gold label, on
        its covered examples; ties are left out.  It is not scored against itself.

    Returns
    -------
    pyarrow.Table
        task, model, dataset ("all" examples, or the "covered" ones), split, reference ("gold", or
        the name of the model that stands in), metric, value, n_examples.
    """
    scorer = Scorer(metrics=list(metrics))
    predictions = {
        model: probs_to_preds(probs, tie_break_policy="random", keys=example_ids)
        for model, probs in probs_by_model.items()
    }
    rows = []
    for dataset, split, reference, truth in _comparisons(gold, probs_by_model, covered, splits, stand_in):
        judged = truth >= 0
        for model, probs in probs_by_model.items():
            if model != reference and judged.any():
                scores = scorer.score(truth[judged], predictions[model][judged], probs[judged])
                rows += [
                    (task, model, dataset, split, reference, metric, value, int(judged.sum()))
                    for metric, value in scores.items()
                ]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)


def _comparisons(
    gold: Labels,
    probs_by_model: Mapping[str, npt.NDArray[Any]],
    covered: npt.NDArray[np.bool_],
    splits: npt.NDArray[Any],
    stand_in: str,
) -> Iterator[tuple[str, str, str, Labels]]:
    """Dataset, split, name of the reference and its classes ``[n]``, -1 on rows that do not count."""
    for split in dict.fromkeys(splits.tolist()):
        members = splits == split
        if (gold[members] >= 0).any():
            yield "all", split, GOLD, np.where(members, gold, -1)
            yield "covered", split, GOLD, np.where(members & covered, gold, -1)
        elif stand_in in probs_by_model:
            agreed = probs_to_preds(probs_by_model[stand_in], tie_break_policy="abstain")
            yield "covered", split, stand_in, np.where(members & covered, agreed, -1)
