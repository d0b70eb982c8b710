"""Labels that nothing can repair are stopped before anything is trained on them.

A label model that is worse than the plain vote is replaced by it where it is fitted.  What is left to stop
is looked for twice: in blocking checks when the labels are made, for all to see, and again where a train
dataset is made of them, since a run may leave out the checks or the labels.
"""

from collections.abc import Mapping

import dagster as dg
import numpy as np

from ws_pipeline.array_types import Labels
from ws_pipeline.defs.assets.alignment import check_labels_and_vote, name_of
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.example_index import UNKNOWN, ExampleIndex
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.models.vote_comparison import VoteComparison, compare_with_vote
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN

_FEW_GOLD = 20  # gold labels that do not tell whether a class is missing
_RARE = 0.05  # share of gold labels in other classes that may be missed


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
        """Where gold is known, the labels agree with it at least as often as the plain vote's."""
        comparison = compare(spec, task, labels=probabilistic_labels, vote=majority_vote, examples=examples)
        splits = spec.tasks[task].gold_splits
        result = check_result(comparison, splits=splits, replaced=probabilistic_labels.replaced)
        if not result.passed:
            name = name_of(spec, task, "probabilistic_labels")
            context.log.warning("%s, not_worse_than_vote: %s", name, result.description)
        return result

    return not_worse_than_vote


def build_usable_check(spec: PipelineSpec, task: str) -> dg.AssetChecksDefinition:
    """Check that something can be learned from a task's probabilistic labels; blocks training."""

    @dg.asset_check(
        name="usable",
        asset=spec.key(task, "probabilistic_labels"),
        additional_ins={"examples": dg.AssetIn(key=spec.key("examples"))},
        blocking=True,
    )
    def usable(
        probabilistic_labels: ProbabilisticLabels, examples: dict[str, ExampleIndex]
    ) -> dg.AssetCheckResult:
        """The labels are finite, not all ties, and not all of one class where gold has others."""
        fault = find_fault(spec.tasks[task], probabilistic_labels, known_gold(spec, task, examples))
        return dg.AssetCheckResult(passed=not fault, description=fault or "the labels can be learned from")

    return usable


def require_good_labels(
    spec: PipelineSpec,
    task: str,
    *,
    labels: ProbabilisticLabels,
    vote: ProbabilisticLabels,
    examples: Mapping[str, ExampleIndex],
) -> None:
    """Refuse to train on labels where the checks of them would stop a run.

    Raises
    ------
    dagster.Failure
        The labels are worse than the plain vote, beyond chance, or nothing can be learned from them.
    ExampleIdError
        See :func:`.check_labels_and_vote`.
    """
    name = name_of(spec, task, "probabilistic_labels")
    comparison = compare(spec, task, labels=labels, vote=vote, examples=examples)
    if comparison.verdict == "worse":
        result = check_result(comparison, splits=spec.tasks[task].gold_splits)
        vote_name = name_of(spec, task, "majority_vote")
        message = f"{name}, compared with {vote_name}: {result.description}"
        raise dg.Failure(message, metadata=result.metadata, allow_retries=False)
    fault = find_fault(spec.tasks[task], labels, known_gold(spec, task, examples))
    if fault:
        message = f"{name}: {fault}"
        raise dg.Failure(message, allow_retries=False)


def compare(
    spec: PipelineSpec,
    task: str,
    *,
    labels: ProbabilisticLabels,
    vote: ProbabilisticLabels,
    examples: Mapping[str, ExampleIndex],
) -> VoteComparison:
    """Compare a task's labels with its plain vote on the gold labels that its label model may use.

    Raises
    ------
    ExampleIdError
        See :func:`.check_labels_and_vote`.
    """
    check_labels_and_vote(spec, task, labels=labels, vote=vote, examples=examples)
    gold = known_gold(spec, task, examples)
    return compare_with_vote(labels.probs, vote.probs, gold, covered=labels.covered)


def known_gold(spec: PipelineSpec, task: str, examples: Mapping[str, ExampleIndex]) -> Labels:
    """Gold labels ``[n]`` of the splits whose gold the label model may use, -1 for all other examples."""
    splits = spec.tasks[task].gold_splits
    parts = [
        np.where(np.isin(s.splits.astype(str), splits), s.gold[task], UNKNOWN) for s in examples.values()
    ]
    return np.concatenate(parts)


def find_fault(task_spec: TaskSpec, labels: ProbabilisticLabels, gold: Labels) -> str:
    """What makes labels unfit to learn from, with what to do; empty if nothing does.

    Parameters
    ----------
    task_spec
        The task.
    labels
        Its labels, of n examples.
    gold
        ``[n]``, -1 where unknown.
    """
    if not np.isfinite(labels.probs).all():
        row = int(np.flatnonzero(~np.isfinite(labels.probs).all(axis=1))[0])
        return (
            f"the probabilities of example {labels.example_ids[row]} are not finite; materialize label_model "
            "again, and if that does not help, set label_model: {kind: majority} in the pipeline.yaml"
        )
    predictions, trained_on = labels.predictions, labels.labelled
    if not trained_on.any():
        return (
            f"no example has a label with a confidence of at least {task_spec.min_confidence}; lower "
            "min_confidence in the pipeline.yaml"
        )
    if (predictions[trained_on] < 0).all():
        return (
            "every label is a tie, so that nothing can be learned; add LFs that overlap with the others, or "
            "set label_model: {kind: auto} in the pipeline.yaml"
        )
    return _only_class(task_spec, labels, gold[labels.covered & (gold >= 0)])


def _only_class(task_spec: TaskSpec, labels: ProbabilisticLabels, gold: Labels) -> str:
    """Fault of labels that are all of one class, where gold labels have others."""
    named = np.unique(labels.predictions[labels.labelled & (labels.predictions >= 0)])
    others = gold[gold != named[0]]
    if len(named) > 1 or len(gold) < _FEW_GOLD or len(others) < _RARE * len(gold):
        return ""
    classes = task_spec.classes
    fault = (
        f"all labels are {classes[named[0]]}, but {len(others)} of {len(gold)} examples with gold labels "
        "are not"
    )
    unsure = np.unique(labels.predictions[labels.covered & ~labels.labelled])
    if set(unsure.tolist()) - {ABSTAIN, int(named[0])}:
        return f"{fault}; labels of other classes are below min_confidence, lower it in the pipeline.yaml"
    missing = ", ".join(classes[label] for label in np.unique(others))
    return f"{fault}; add LFs that vote for {missing}, or give class_balance in the pipeline.yaml"


def check_result(
    comparison: VoteComparison, *, splits: list[str] | None = None, replaced: str = ""
) -> dg.AssetCheckResult:
    """Show a comparison in the UI: only labels that are worse beyond chance are an error.

    Parameters
    ----------
    comparison
        Of the labels with the plain vote.
    splits
        Splits that it was made on.  Default: valid.
    replaced
        Why the labels are those of the plain vote; empty if they are not.
    """
    is_error = comparison.verdict == "worse"
    return dg.AssetCheckResult(
        passed=comparison.verdict == "not worse" and not replaced,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_describe(comparison, " and ".join(splits or ["valid"]), replaced),
        metadata={
            "n_gold": comparison.n_compared,
            "n_won": comparison.n_won,
            "n_lost": comparison.n_lost,
            "agreement_with_vote": comparison.agreement,
            "p_value": comparison.p_value,
        },
    )


def _describe(comparison: VoteComparison, splits: str, replaced: str) -> str:
    if replaced:
        return (
            f"the plain vote is published in place of the label model: {replaced}; look for weak LFs in "
            "lf_summary"
        )
    if comparison.verdict == "unknown":
        return (
            f"no gold label in the {splits} split on an example with votes, so it is not known whether the "
            f"labels are worse than the plain vote; the two agree on {comparison.agreement:.1%} of the "
            f"examples with votes; add some gold to the {splits} split"
        )
    text = (
        f"accuracy on {comparison.n_compared} {splits} examples with gold: label model "
        f"{comparison.accuracy:.3f}, plain vote {comparison.vote_accuracy:.3f}"
    )
    if comparison.verdict == "worse":
        return (
            text + "; the labels are older than the gold labels: materialize label_model and its labels again"
        )
    if comparison.accuracy < comparison.vote_accuracy:
        text += "; look for weak LFs in lf_summary, or give class_balance in the pipeline.yaml"
    return text
