"""Checks that warn: what a person should look at, although labels are published.

Each check is on the asset that shows the cause, reads only what that asset was made of, and blocks nothing.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from ws_pipeline.array_types import Labels
from ws_pipeline.defs.assets.alignment import with_same_lfs
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.label_metadata import CLASS_SHARE, CONFLICTS, COVERAGE, class_shares
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.models.vote_comparison import SIGNIFICANCE
from ws_pipeline.labeling.votes.gold_counts import chance_accuracies
from ws_pipeline.labeling.votes.lf_analysis import n_covered_of
from ws_pipeline.labeling.votes.vote_counts import VoteCounts

Check = Callable[..., Iterator[dg.AssetCheckResult]]
Decorator = Callable[[Check], dg.AssetChecksDefinition]

_SHOWN = 10  # names in a description
_FEW_JUDGED = 20  # votes on examples with gold labels that do not tell
_SWALLOWS = 0.95  # share of all labels from which a class may have swallowed the others ...
_MORE = 0.10  # ... if it is so much above the class's share in the plain vote
_OCCURS = 0.01  # share in the plain vote of a class that should not be without labels


def build_warning_checks(spec: PipelineSpec, task: str) -> list[dg.AssetChecksDefinition]:
    """Checks of one task that warn."""
    of_task, task_spec = AssetMaker(spec, task), spec.tasks[task]
    return [
        _check_lfs(of_task, task, task_spec),
        _check_families(of_task),
        _check_labels(of_task, task_spec),
    ]


def _check_lfs(of_task: AssetMaker, task: str, task_spec: TaskSpec) -> dg.AssetChecksDefinition:
    of_summary = _checks_of(of_task, "lf_summary")

    @of_summary(
        also=["vote_counts", "examples"],
        lfs_vote="Every labeling function votes.",
        lfs_above_chance="Where gold is known, every labeling function is right more often than by chance.",
        coverage=f"At least {task_spec.min_coverage:.4g} of the examples have a vote.",
        votes_steady="Coverage and conflicts are about those of the materialization before.",
    )
    def check_lfs(
        context: dg.AssetCheckExecutionContext,
        lf_summary: pa.Table,
        vote_counts: dict[str, VoteCounts],
        examples: dict[str, ExampleIndex],
    ) -> Iterator[dg.AssetCheckResult]:
        counts = VoteCounts.total(with_same_lfs(task_spec, vote_counts))
        key = of_task.key("lf_summary")
        said = never_vote(lf_summary)
        yield _result(key, "lfs_vote", said, passed=not said)
        gold = np.concatenate([shard.gold[task] for shard in examples.values()])
        said, n_judged = below_chance(lf_summary, counts, gold)
        yield _result(key, "lfs_above_chance", said, passed=not said, metadata={"n_judged": n_judged})
        said = low_coverage(lf_summary, counts, task_spec)
        yield _result(key, "coverage", said, passed=not said)
        yield _steady(context, key, "votes_steady", [COVERAGE, CONFLICTS], task_spec.max_drift)

    return check_lfs


def _check_families(of_task: AssetMaker) -> dg.AssetChecksDefinition:
    of_families = _checks_of(of_task, "lf_families")

    @of_families(no_near_copies="No two labeling functions say nearly the same.")
    def check_families(
        _context: dg.AssetCheckExecutionContext, lf_families: pa.Table
    ) -> Iterator[dg.AssetCheckResult]:
        pairs = [
            f"{row['lf']} = {', '.join(row['near_copies'])}"
            for row in lf_families.to_pylist()
            if row["near_copies"]
        ]
        said = (
            f"these say nearly the same: {_some(pairs)}; keep one of each; together they count for more than "
            "one LF, unless they hold much of all votes"
        )
        yield _result(of_task.key("lf_families"), "no_near_copies", said, passed=not pairs)

    return check_families


def _check_labels(of_task: AssetMaker, task_spec: TaskSpec) -> dg.AssetChecksDefinition:
    of_labels = _checks_of(of_task, "probabilistic_labels")

    @of_labels(
        also=["majority_vote"],
        no_class_swallows_all="No class has nearly all labels, or none, unlike in the plain vote.",
        labels_steady="Coverage and the shares of the classes are about those of the materialization before.",
    )
    def check_labels(
        context: dg.AssetCheckExecutionContext,
        probabilistic_labels: ProbabilisticLabels,
        majority_vote: ProbabilisticLabels,
    ) -> Iterator[dg.AssetCheckResult]:
        key, classes = of_task.key("probabilistic_labels"), task_spec.classes
        shares, of_vote = class_shares(probabilistic_labels), class_shares(majority_vote)
        said = swallowed(shares, of_vote, classes)
        yield _result(key, "no_class_swallows_all", said, passed=not said)
        names = [COVERAGE, *(f"{CLASS_SHARE}{name}" for name in classes)]
        yield _steady(context, key, "labels_steady", names, task_spec.max_drift)

    return check_labels


def _checks_of(of_task: AssetMaker, asset: str) -> Callable[..., Decorator]:
    """Decorator of a function that yields the results of several checks of an asset, none of which blocks."""
    key = of_task.key(asset)

    def decorator(*, also: Sequence[str] = (), **descriptions: str) -> Decorator:
        make = dg.multi_asset_check(
            name=f"{key.to_python_identifier()}_warnings",
            specs=[
                dg.AssetCheckSpec(
                    name,
                    asset=key,
                    description=description,
                    additional_deps=[of_task.key(read) for read in also],
                )
                for name, description in descriptions.items()
            ],
            ins={read: dg.AssetIn(key=of_task.key(read)) for read in (asset, *also)},
        )
        return lambda check: make(_logged(check))

    return decorator


def _logged(check: Check) -> Check:
    """Let a check say in the run's log what it warns of."""

    @functools.wraps(check)
    def run(context: dg.AssetCheckExecutionContext, **inputs: Any) -> Iterator[dg.AssetCheckResult]:
        for result in check(context, **inputs):
            if not result.passed and result.asset_key is not None:
                asset = result.asset_key.to_user_string()
                context.log.warning("%s, %s: %s", asset, result.check_name, result.description)
            yield result

    return run


def never_vote(summary: pa.Table) -> str:
    """Which LFs of the LF summary never vote, for a superclass neither; empty if all do."""
    silent = [
        row["lf"] for row in summary.to_pylist() if not row["n_votes"] + row.get("n_superclass_votes", 0)
    ]
    return f"these never vote: {_some(silent)}; mend or remove them" if silent else ""


def low_coverage(summary: pa.Table, counts: VoteCounts, task_spec: TaskSpec) -> str:
    """How few of the examples have a vote; empty if enough have one."""
    share = n_covered_of(summary, counts) / max(1, counts.n_examples)
    if share >= task_spec.min_coverage:
        return ""
    return f"{share:.1%} of the examples have a vote; add LFs for the others, or lower min_coverage"


def below_chance(summary: pa.Table, counts: VoteCounts, gold: Labels) -> tuple[str, int]:
    """Which LFs are right less often than their votes would be if they were dealt out at random.

    Parameters
    ----------
    summary
        The LF summary, with accuracies.
    counts
        Counts of the same votes.
    gold
        ``[n]`` gold labels, -1 where unknown.

    Returns
    -------
    (str, int)
        The LFs, empty if there is none; and how many LFs meet enough gold labels to be judged.
    """
    from scipy.stats import binomtest

    chances = chance_accuracies(counts.class_counts, gold)
    rows = [(row, chance) for row, chance in zip(summary.to_pylist(), chances, strict=True) if _judged(row)]
    below = []
    for row, chance in rows:
        test = binomtest(row["n_correct"], row["n_correct"] + row["n_incorrect"], chance, alternative="less")
        if test.pvalue < SIGNIFICANCE / len(rows):
            below.append(f"{row['lf']} ({row['accuracy']:.2f}, chance {chance:.2f})")
    said = f"below chance on gold labels: {_some(below)}; mend, turn around or remove them"
    return said if below else "", len(rows)


def _judged(row: Mapping[str, Any]) -> bool:
    return bool(row["n_correct"] + row["n_incorrect"] >= _FEW_JUDGED)


def swallowed(shares: Any, of_vote: Any, classes: Sequence[str]) -> str:
    """Which class has nearly all labels, or none, unlike in the plain vote; empty if none.

    Parameters
    ----------
    shares, of_vote
        ``[k]``: share of each class among the labels, and among those of the plain vote.
    classes
        Names of the k classes.
    """
    largest = int(np.argmax(shares))
    if shares[largest] >= _SWALLOWS and shares[largest] >= of_vote[largest] + _MORE:
        return (
            f"{shares[largest]:.1%} of the labels are {classes[largest]}, of those of the plain vote "
            f"{of_vote[largest]:.1%}; give class_balance, or gold labels of all classes"
        )
    gone = [
        name
        for name, share, vote in zip(classes, shares, of_vote, strict=True)
        if not share and vote >= _OCCURS
    ]
    if gone:
        said = f"no label is {_some(gone)}, although votes are"
        return f"{said}; give class_balance, or gold labels of all classes"
    return ""


def _steady(
    context: dg.AssetCheckExecutionContext,
    key: dg.AssetKey,
    check: str,
    names: Sequence[str],
    max_drift: float,
) -> dg.AssetCheckResult:
    """Compare numbers in the metadata of the last materialization with those of the one before."""
    records = context.instance.fetch_materializations(key, limit=2).records
    if len(records) <= 1:
        return _result(key, check, passed=True, metadata={"n_compared": 0})
    now, before = (_numbers(record, names) for record in records)
    drifts = {name: now[name] - before[name] for name in names if name in now and name in before}
    large = {name: drift for name, drift in drifts.items() if abs(drift) > max_drift}
    said = ", ".join(f"{name} {before[name]:.3f} -> {now[name]:.3f}" for name in large)
    said = f"changed by more than {max_drift}: {said}; look at the new shards and LFs, or raise max_drift"
    return _result(key, check, said, passed=not large, metadata={"n_compared": len(drifts), **drifts})


def _numbers(record: dg.EventLogRecord, names: Sequence[str]) -> dict[str, float]:
    materialization = record.asset_materialization
    metadata = materialization.metadata if materialization else {}
    return {name: float(metadata[name].value) for name in names if name in metadata}  # type: ignore[arg-type]


def _result(
    key: dg.AssetKey,
    check: str,
    said: str = "",
    *,
    passed: bool,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check,
        passed=bool(passed),
        severity=dg.AssetCheckSeverity.WARN,
        description=None if passed else said,
        metadata=metadata or {},
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
