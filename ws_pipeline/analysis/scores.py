"""The scores table: several models of one task, on the same examples, against gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.analysis.predictions import probs_to_preds
from ws_pipeline.analysis.scorer import Scorer

SCHEMA = pa.schema(
    {
        "task": pa.string(),
        "model": pa.string(),
        "dataset": pa.string(),
        "split": pa.string(),
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
    gold: npt.NDArray[np.int64],
    covered: npt.NDArray[np.bool_],
    splits: npt.NDArray[Any],
    metrics: Sequence[str] = ("accuracy", "f1_macro"),
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
        ``[n]`` gold labels, -1 where unknown; those examples are left out.
    covered
        ``[n]`` mask of the examples with at least one vote.
    splits
        ``[n]`` split names.
    metrics
        Names of metrics.

    Returns
    -------
    pyarrow.Table
        task, model, dataset ("all" examples, or the "covered" ones), split, metric, value,
        n_examples.  A split without gold labels has no rows.
    """
    scorer = Scorer(metrics=list(metrics))
    datasets = {"all": np.ones(len(gold), dtype=bool), "covered": covered}
    rows = []
    for model, probs in probs_by_model.items():
        predictions = probs_to_preds(probs, tie_break_policy="random", keys=example_ids)
        for dataset, members in datasets.items():
            for split in dict.fromkeys(splits.tolist()):
                judged = members & (splits == split) & (gold >= 0)
                if not judged.any():
                    continue
                scores = scorer.score(gold[judged], predictions[judged], probs[judged])
                rows += [
                    (task, model, dataset, split, metric, value, int(judged.sum()))
                    for metric, value in scores.items()
                ]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)
