"""Stop the combination of rows of different examples: their ids are compared first.

Labels, votes and predictions lie in files of their own, each in the order that the examples had when it was
made.  A shard that was ingested again since then, wholly or only in part, may hold other examples, or the
same in another order; its rows would then be taken for those of others.

Legend: n examples, m labeling functions.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.errors import ExampleIdError
from ws_pipeline.example_ids import ID_COLUMN, Ids, concatenate_ids, ids_from_table
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.storage.files import ParquetSource

V = TypeVar("V", LabelMatrix, VoteCounts)

Shards = Mapping[str, ExampleIndex] | Mapping[str, LabelMatrix] | Mapping[str, ParquetSource]
"""Examples or votes by shard; of those that are not read yet, only the ids are."""


def with_same_lfs(task_spec: TaskSpec, shards: Mapping[str, V]) -> Mapping[str, V]:
    """Votes, or counts of them, of all shards with the same LFs.

    In long tables sources come and go: one that is not in a shard abstains there.  Shards of wide tables are
    returned as they are; if their LFs differ, whatever puts them together says so.
    """
    if task_spec.votes.format == "wide":
        return shards
    names = sorted({name for shard in shards.values() for name in shard.lf_names})
    numbered = all(re.fullmatch(r"-?\d+", name) for name in names)
    ordered = tuple(sorted(names, key=int) if numbered else names)
    if task_spec.lf_columns is not None:
        ordered = tuple(task_spec.lf_columns)
    return {
        shard: votes if votes.lf_names == ordered else votes.with_lfs(ordered)
        for shard, votes in shards.items()
    }


def check_votes_fit(label_matrix: Shards, examples: Shards, *, what: str) -> None:
    """Refuse a shard whose votes are on other examples than it has, or on the same in another order.

    Parameters
    ----------
    label_matrix
        Shard name to its votes.
    examples
        Shard name to its examples.
    what
        What the label matrices are called; opens the error message.

    Raises
    ------
    ExampleIdError
        Names the shard, the first id that differs, and what to do.
    """
    for shard in label_matrix:
        voted, ids = _ids_of(label_matrix, shard), _ids_of(examples, shard)
        row = _first_difference(voted, ids)
        if row is not None:
            message = (
                f"{what} of shard '{shard}' does not fit the shard's examples: in row {row} it has "
                f"{_name(voted, row)}, the examples have {_name(ids, row)}; the shard was ingested only in "
                f"part: ingest shard '{shard}' again, then retrain"
            )
            raise ExampleIdError(message)


def check_same_examples(found: Ids, examples: Shards, *, what: str) -> None:
    """Refuse what was made of other examples than those of the shards, or of another order of them.

    Parameters
    ----------
    found
        ``[n]`` ids of its rows.
    examples
        Shard name to its examples.
    what
        What it is called; opens the error message.

    Raises
    ------
    ExampleIdError
        Names the first id that differs, the shard that is in its place now, and what to do.
    """
    ids_by_shard = {shard: _ids_of(examples, shard) for shard in examples}
    expected = concatenate_ids(list(ids_by_shard.values()))
    row = _first_difference(found, expected)
    if row is not None:
        ends = np.cumsum([len(ids) for ids in ids_by_shard.values()])
        shard = list(ids_by_shard)[min(int(np.searchsorted(ends, row, side="right")), len(ends) - 1)]
        message = (
            f"{what} was made of other examples than those that are ingested now: in row {row} it has "
            f"{_name(found, row)}, the examples have {_name(expected, row)} (shard '{shard}'); retrain, "
            "which names the shard if one has to be ingested again"
        )
        raise ExampleIdError(message)


def check_labels_and_vote(
    spec: PipelineSpec,
    task: str,
    *,
    labels: ProbabilisticLabels,
    vote: ProbabilisticLabels,
    examples: Shards,
) -> None:
    """Refuse to compare a task's labels with a plain vote on other examples, or of other votes.

    Raises
    ------
    ExampleIdError
        One of them is of other examples than the shards have, or of other votes than the other one.
    """
    labels_name, vote_name = name_of(spec, task, "probabilistic_labels"), name_of(spec, task, "majority_vote")
    check_same_examples(labels.example_ids, examples, what=labels_name)
    check_same_examples(vote.example_ids, examples, what=vote_name)
    if labels.votes_digest != vote.votes_digest:
        message = (
            f"{labels_name} and {vote_name} were made of different votes, so that they cannot be compared: "
            "one of them is older than the votes that are ingested now; retrain"
        )
        raise ExampleIdError(message)


def name_of(spec: PipelineSpec, *parts: str) -> str:
    """An asset as the UI names it."""
    return spec.key(*parts).to_user_string()


def _ids_of(shards: Shards, shard: str) -> Ids:
    rows = shards[shard]
    if isinstance(rows, ParquetSource):
        return ids_from_table(rows.read(columns=[ID_COLUMN]), where=f"shard '{shard}'")
    return rows.example_ids


def _first_difference(left: Ids, right: Ids) -> int | None:
    """The first row in which the ids differ, or that only one of them has."""
    n = min(len(left), len(right))
    different = np.flatnonzero(left[:n] != right[:n])
    if len(different):
        return int(different[0])
    return None if len(left) == len(right) else n


def _name(ids: Ids, row: int) -> str:
    return f"example {ids[row]}" if row < len(ids) else "no more examples"
