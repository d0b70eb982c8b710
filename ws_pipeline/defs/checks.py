"""Bad labels are stopped before anything is trained on them.

The comparison with the plain vote is made twice: in a blocking check when the labels are made, for all to
see, and again where a train dataset is made of them, since a run may leave out the check or the labels.
"""

from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.classification.examples import UNKNOWN, Examples
from ws_pipeline.defs.joins import name_of, read_labels_and_vote
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
        context: dg.AssetCheckExecutionContext,
        probabilistic_labels: pa.Table,
        majority_vote: pa.Table,
        examples: dict[str, Examples],
    ) -> dg.AssetCheckResult:
        """On the valid split, the labels agree with gold at least as often as the plain vote's."""
        labels, vote = read_labels_and_vote(
            spec, task, labels=probabilistic_labels, vote=majority_vote, examples=examples
        )
        result = compare_with_vote(labels, vote, _valid_gold(examples, task))
        if not result.passed:
            name = name_of(spec, task, "probabilistic_labels")
            context.log.warning("%s, not_worse_than_vote: %s", name, result.description)
        return result

    return not_worse_than_vote


def read_good_labels(
    spec: PipelineSpec, task: str, *, labels: pa.Table, vote: pa.Table, examples: dict[str, Examples]
) -> ProbabilisticLabels:
    """A task's probabilistic labels to train on, refused where the check of them would stop a run.

    Raises
    ------
    dagster.Failure
        The labels are worse than the plain vote, beyond chance.
    ExampleIdError
        See :func:`.read_labels_and_vote`.
    """
    found, baseline = read_labels_and_vote(spec, task, labels=labels, vote=vote, examples=examples)
    result = compare_with_vote(found, baseline, _valid_gold(examples, task))
    if not result.passed and result.severity == dg.AssetCheckSeverity.ERROR:
        message = (
            f"{name_of(spec, task, 'probabilistic_labels')}, compared with "
            f"{name_of(spec, task, 'majority_vote')}: {result.description}"
        )
        raise dg.Failure(message, metadata=result.metadata, allow_retries=False)
    return found


def _valid_gold(examples: dict[str, Examples], task: str) -> npt.NDArray[Any]:
    """Gold labels ``[n]`` of the valid split, unknown elsewhere."""
    shards = examples.values()
    return np.concatenate([np.where(s.in_split("valid"), s.gold[task], UNKNOWN) for s in shards])


def compare_with_vote(
    labels: ProbabilisticLabels, vote: ProbabilisticLabels, gold: npt.NDArray[Any]
) -> dg.AssetCheckResult:
    """Compare labels with those of the plain vote, row by row, where gold ``[n]`` is known (>= 0).

    A lower accuracy fails (a tie counts as the share of its classes that is right): as an error,
    which stops the run, when a sign test over the rows that only one of the two gets right puts the
    difference beyond chance, else as a warning.  Where nothing can be compared, that is a warning too.
    """
    from scipy.stats import binomtest

    known = (gold >= 0) & labels.covered
    label_hits = _right_share(labels.probs, gold, known)
    vote_hits = _right_share(vote.probs, gold, known)
    won, lost = int((label_hits > vote_hits).sum()), int((label_hits < vote_hits).sum())
    beyond_chance = lost > won and binomtest(lost, won + lost, alternative="greater").pvalue < SIGNIFICANCE
    agree = labels.probs.argmax(axis=1) == vote.probs.argmax(axis=1)
    agreement = float(agree[labels.covered].mean())
    worse = bool(label_hits.sum() < vote_hits.sum())
    return dg.AssetCheckResult(
        passed=bool(known.any()) and not worse and not beyond_chance,
        severity=dg.AssetCheckSeverity.ERROR if beyond_chance else dg.AssetCheckSeverity.WARN,
        description=_verdict(label_hits, vote_hits) if known.any() else _nothing_known(agreement),
        metadata={
            "n_gold": int(known.sum()),
            "n_won": won,
            "n_lost": lost,
            "agreement_with_vote": agreement,
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
    verdict = (
        f"accuracy on {len(label_hits)} valid examples with gold: label model {label_hits.mean():.3f}, "
        f"plain vote {vote_hits.mean():.3f}"
    )
    if label_hits.sum() < vote_hits.sum():
        verdict += "; look for weak LFs in lf_summary, or give class_balance in the pipeline.yaml"
    return verdict


def _nothing_known(agreement: float) -> str:
    return (
        "no gold label in the valid split on an example with votes, so it is not known whether the labels "
        f"are worse than the plain vote; the two agree on {agreement:.1%} of the examples with votes; add "
        "some gold to the valid split"
    )
