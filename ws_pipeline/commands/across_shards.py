"""Compares the shards with each other as the asset ``shards`` does, and summarises the votes of each task.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ws_pipeline.array_types import Labels
from ws_pipeline.commands.findings import Findings
from ws_pipeline.commands.shard_files import ShardFiles
from ws_pipeline.defs.assets.alignment import with_same_lfs
from ws_pipeline.defs.assets.warning_checks import below_chance, low_coverage, never_vote
from ws_pipeline.defs.spec.multi_label_tasks import NO_YES, LabelTaskSpec, tasks_as_written
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.example_ids import check_disjoint
from ws_pipeline.example_index import SPLITS, ExampleIndex
from ws_pipeline.examples import check_splits
from ws_pipeline.feature_columns import check_same_features
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.lf_analysis import lf_summary, n_covered_of
from ws_pipeline.labeling.votes.vote_checks import check_same_lfs
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_details import VoteDetails
from ws_pipeline.labeling.votes.vote_storage import stack_rows


class TaskSummary(NamedTuple):
    """The votes of a task: shards that they are of, the LF summary ``[m]``, and counts."""

    shards: tuple[str, ...]
    lfs: pa.Table
    counts: VoteCounts


def compare_shards(spec: PipelineSpec, files: ShardFiles, findings: Findings) -> None:
    """Refuse an id in two shards, differing features, and a missing split; warn where gold is missing."""
    index = {shard: of_shard.index for shard, of_shard in files.examples.items()}
    filled = {shard: found.features for shard, found in files.examples.items() if len(found.index)}
    together = Findings()
    for shard in list(filled)[1:]:
        first = next(iter(filled))
        together.attempt(check_same_features, {first: filled[first], shard: filled[shard]})
    together.attempt(check_disjoint, {shard: found.example_ids for shard, found in index.items()})
    counts = {split: sum(found.split_counts()[split] for found in index.values()) for split in SPLITS}
    is_complete = len(index) == len(files.shards)
    if is_complete:
        # without an end model there is nothing to validate or test
        together.attempt(check_splits, counts, SPLITS if spec.model else ())
    findings.add(together, opening=f"{spec.origin}/examples: ")
    if not is_complete:
        said = "whether all splits and gold labels are there, and whether an example is in two shards"
        findings.unchecked.append(f"{said}, in shards whose examples could not be read")
        return
    for name, task in tasks_as_written(spec.tasks).items():
        _warn_of_missing_gold(spec, name, task, index, findings)


def gold_counts(index: ExampleIndex, task: str) -> dict[str, int]:
    """Number of gold labels of a task in each split."""
    known = index.gold[task] >= 0
    return {split: int((known & index.in_split(split)).sum()) for split in SPLITS}


def summarise_votes(
    spec: PipelineSpec, task: str, files: ShardFiles, findings: Findings
) -> TaskSummary | None:
    """Summarise the votes of a task, of all shards whose LFs are those of the first one; None without any."""
    task_spec, read = spec.tasks[task], _of_lfs_that_voted(spec, task, files)
    if len(read) < len(files.shards):
        missing = ", ".join(shard for shard in files.shards if shard not in read)
        findings.unchecked.append(f"the votes of task '{task}' in shards that could not be read: {missing}")
    if not read:
        return None
    matrices = dict(with_same_lfs(task_spec, read))
    first, where = next(iter(matrices)), f"{spec.origin}/{spec.place_of_votes(task)}"
    alike = {
        shard: matrix
        for shard, matrix in matrices.items()
        if _has_lfs_of(findings, where, first, matrices[first], shard, matrix)
    }
    gold: Labels = np.concatenate([files.examples[shard].index.gold[task] for shard in alike])
    counts = VoteCounts.total({shard: VoteCounts.from_label_matrix(votes) for shard, votes in alike.items()})
    of_task = Findings()
    with of_task.warnings_kept():
        votes = stack_rows([matrix.votes for matrix in alike.values()])
        ids = np.arange(votes.shape[0])  # those of the examples may be in two shards, which is told elsewhere
        details = VoteDetails.concatenate(
            [matrix.details for matrix in alike.values()], [matrix.votes.shape for matrix in alike.values()]
        )
        matrix = LabelMatrix.trusted(votes, task_spec.cardinality, ids, counts.lf_names, details)
        summary = lf_summary(counts, matrix=matrix, gold=gold)
    if not n_covered_of(summary, counts):
        of_task.problem("there is no vote on any example, so that nothing can be learned; see the LF summary")
    of_task.warn(never_vote(summary))
    of_task.warn(below_chance(summary, counts, gold)[0])
    of_task.warn(low_coverage(summary, counts, task_spec))
    unvoted = np.flatnonzero(counts.class_counts.sum(axis=0) == 0)
    if len(unvoted) and counts.n_covered:
        names = ", ".join(task_spec.classes[label] for label in unvoted)
        of_task.warn(f"no vote is for {names}; {_remedy_for_unvoted(task_spec, names)}")
    findings.add(of_task, opening=f"task '{task}': ")
    return TaskSummary(tuple(alike), summary, counts)


def _remedy_for_unvoted(task_spec: TaskSpec, names: str) -> str:
    """What to do about classes that no vote is for."""
    if isinstance(task_spec, LabelTaskSpec) and names == NO_YES[0]:
        return (
            "partial lists are never votes for it; set label_lists: complete for LFs that give whole "
            "answers, or no_votes: none if an example has no class that no LF found"
        )
    return "add LFs that vote for each class, or remove it from classes"


def _of_lfs_that_voted(spec: PipelineSpec, task: str, files: ShardFiles) -> dict[str, LabelMatrix]:
    """Votes of a task; where functions make them, of those functions that failed in no shard."""
    votes = files.votes[task]
    if spec.tasks[task].labeling_functions is None or not votes:
        return votes
    everywhere = set.intersection(*(set(matrix.lf_names) for matrix in votes.values()))
    names = [name for name in next(iter(votes.values())).lf_names if name in everywhere]
    return {shard: matrix.with_lfs(names) for shard, matrix in votes.items()}


def _has_lfs_of(
    findings: Findings, where: str, first: str, of_first: LabelMatrix, shard: str, found: LabelMatrix
) -> bool:
    alone = Findings()
    alone.attempt(check_same_lfs, first, of_first.lf_names, shard, found.lf_names)
    findings.add(alone, opening=f"{where}: ")
    return not alone.problems


def _warn_of_missing_gold(
    spec: PipelineSpec, name: str, task: str, index: dict[str, ExampleIndex], findings: Findings
) -> None:
    """Warn of a task without gold labels; all tasks of a multi-label one have theirs in one column."""
    counts = [gold_counts(found, task) for found in index.values()]
    used = spec.tasks[task].gold_splits
    remedy = f"add some in a column '{name}' of the examples files"
    if not any(of_shard[split] for of_shard in counts for split in used):
        findings.warn(
            f"task '{name}': no gold label in the {' or '.join(used)} split, so that it is not known whether "
            f"the labels are worse than the plain vote; {remedy}"
        )
    if not any(of_shard["test"] for of_shard in counts):
        findings.warn(
            f"task '{name}': no gold label in the test split, so that scores are agreement with the label "
            f"model, no accuracy; {remedy}"
        )
