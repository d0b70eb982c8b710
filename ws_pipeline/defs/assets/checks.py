"""Bad labels are stopped before anything is trained on them.

The comparison with the plain vote is made twice: in a blocking check when the labels are made, for all to
see, and again where a train dataset is made of them, since a run may leave out the check or the labels.
"""

from collections.abc import Mapping

import dagster as dg
import numpy as np

from ws_pipeline.defs.assets.alignment import check_labels_and_vote, name_of
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.example_index import UNKNOWN, ExampleIndex
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.models.vote_comparison import VoteComparison, compare_with_vote


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
        probabilistic_labels: ProbabilisticLabels,
        majority_vote: ProbabilisticLabels,
        examples: dict[str, ExampleIndex],
    ) -> dg.AssetCheckResult:
        """On the valid split, the labels agree with gold at least as often as the plain vote's."""
        comparison = compare(spec, task, labels=probabilistic_labels, vote=majority_vote, examples=examples)
        result = check_result(comparison)
        if not result.passed:
            name = name_of(spec, task, "probabilistic_labels")
            context.log.warning("%s, not_worse_than_vote: %s", name, result.description)
        return result

    return not_worse_than_vote


def require_good_labels(
    spec: PipelineSpec,
    task: str,
    *,
    labels: ProbabilisticLabels,
    vote: ProbabilisticLabels,
    examples: Mapping[str, ExampleIndex],
) -> None:
    """Refuse to train on labels where the check of them would stop a run.

    Raises
    ------
    dagster.Failure
        The labels are worse than the plain vote, beyond chance.
    ExampleIdError
        See :func:`.check_labels_and_vote`.
    """
    comparison = compare(spec, task, labels=labels, vote=vote, examples=examples)
    if comparison.verdict == "worse":
        result = check_result(comparison)
        message = (
            f"{name_of(spec, task, 'probabilistic_labels')}, compared with "
            f"{name_of(spec, task, 'majority_vote')}: {result.description}"
        )
        raise dg.Failure(message, metadata=result.metadata, allow_retries=False)


def compare(
    spec: PipelineSpec,
    task: str,
    *,
    labels: ProbabilisticLabels,
    vote: ProbabilisticLabels,
    examples: Mapping[str, ExampleIndex],
) -> VoteComparison:
    """Compare a task's labels with its plain vote on the gold labels of the valid split.

    Raises
    ------
    ExampleIdError
        See :func:`.check_labels_and_vote`.
    """
    check_labels_and_vote(spec, task, labels=labels, vote=vote, examples=examples)
    gold = [np.where(s.in_split("valid"), s.gold[task], UNKNOWN) for s in examples.values()]
    return compare_with_vote(labels.probs, vote.probs, np.concatenate(gold), covered=labels.covered)


def check_result(comparison: VoteComparison) -> dg.AssetCheckResult:
    """Show a comparison in the UI: only labels that are worse beyond chance are an error."""
    is_error = comparison.verdict == "worse"
    return dg.AssetCheckResult(
        passed=comparison.verdict == "not worse",
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_describe(comparison),
        metadata={
            "n_gold": comparison.n_compared,
            "n_won": comparison.n_won,
            "n_lost": comparison.n_lost,
            "agreement_with_vote": comparison.agreement,
            "p_value": comparison.p_value,
        },
    )


def _describe(comparison: VoteComparison) -> str:
    if comparison.verdict == "unknown":
        return (
            "no gold label in the valid split on an example with votes, so it is not known whether the "
            f"labels are worse than the plain vote; the two agree on {comparison.agreement:.1%} of the "
            "examples with votes; add some gold to the valid split"
        )
    text = (
        f"accuracy on {comparison.n_compared} valid examples with gold: label model "
        f"{comparison.accuracy:.3f}, plain vote {comparison.vote_accuracy:.3f}"
    )
    if comparison.accuracy < comparison.vote_accuracy:
        text += "; look for weak LFs in lf_summary, or give class_balance in the pipeline.yaml"
    return text
