"""Checks that stop bad labels before anything is trained on them."""

from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt

from ws_pipeline.classification.examples import UNKNOWN, Examples
from ws_pipeline.defs.spec import PipelineSpec
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels

#: Below this probability of so many lost rows by chance, the labels are called worse than the vote.
SIGNIFICANCE = 0.05


def build_vote_check(spec: PipelineSpec, task: str) -> dg.AssetChecksDefinition:
    """Check that a task's probabilistic labels are no worse than the plain vote; blocks training."""

    @dg.asset_check(
        name="not_worse_than_vote",
        asset=spec.key(task, "probabilistic_labels"),
        additional_ins={
            "majority_vote": dg.AssetIn(key=spec.key(task, "majority_vote")),
            "examples": dg.AssetIn(key=spec.key("examples")),
        },
        blocking=True,
    )
    def not_worse_than_vote(
        probabilistic_labels: ProbabilisticLabels,
        majority_vote: ProbabilisticLabels,
        examples: dict[str, Examples],
    ) -> dg.AssetCheckResult:
        """On the valid split, the labels agree with gold at least as often as the plain vote's."""
        everything = Examples.concatenate(examples)
        gold = np.where(everything.in_split("valid"), everything.gold[task], UNKNOWN)
        return compare_with_vote(probabilistic_labels, majority_vote, gold)

    return not_worse_than_vote


def compare_with_vote(
    labels: ProbabilisticLabels, vote: ProbabilisticLabels, gold: npt.NDArray[Any]
) -> dg.AssetCheckResult:
    """Compare labels with those of the plain vote, row by row, where gold ``[n]`` is known (>= 0).

    A lower accuracy fails (a tie counts as the share of its classes that is right): as an error,
    which stops the run, when a sign test over the rows that only one of the two gets right puts the
    difference beyond chance, else as a warning.
    """
    from scipy.stats import binomtest

    known = (gold >= 0) & labels.covered
    label_hits = _right_share(labels.probs, gold, known)
    vote_hits = _right_share(vote.probs, gold, known)
    won, lost = int((label_hits > vote_hits).sum()), int((label_hits < vote_hits).sum())
    beyond_chance = lost > won and binomtest(lost, won + lost, alternative="greater").pvalue < SIGNIFICANCE
    agree = labels.probs.argmax(axis=1) == vote.probs.argmax(axis=1)
    return dg.AssetCheckResult(
        passed=bool(label_hits.sum() >= vote_hits.sum()) and not beyond_chance,
        severity=dg.AssetCheckSeverity.ERROR if beyond_chance else dg.AssetCheckSeverity.WARN,
        description=_verdict(label_hits, vote_hits),
        metadata={
            "n_gold": int(known.sum()),
            "n_won": won,
            "n_lost": lost,
            "agreement_with_vote": float(agree[labels.covered].mean()),
        },
    )


def _right_share(
    probs: npt.NDArray[np.float64], gold: npt.NDArray[Any], rows: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Chance of being right on each of ``rows``, ties broken evenly."""
    best = np.isclose(probs[rows], probs[rows].max(axis=1, keepdims=True), rtol=0, atol=1e-5)
    hits: npt.NDArray[np.float64] = best[np.arange(len(best)), gold[rows]] / best.sum(axis=1)
    return hits


def _verdict(label_hits: npt.NDArray[np.float64], vote_hits: npt.NDArray[np.float64]) -> str:
    if not len(label_hits):
        return "no gold label in the valid split: the labels could not be compared with the vote"
    verdict = (
        f"accuracy on {len(label_hits)} valid examples with gold: label model {label_hits.mean():.3f}, "
        f"plain vote {vote_hits.mean():.3f}"
    )
    if label_hits.sum() < vote_hits.sum():
        verdict += "; look for weak LFs in lf_summary, or give class_balance in the pipeline.yaml"
    return verdict
