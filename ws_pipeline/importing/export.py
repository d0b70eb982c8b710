"""What is read of an export: examples, votes and gold labels as tables, and a report of what was found.

Every reader of a format ends in :func:`make_export`, so that repeated answers, gold labels and classes are
treated in one way, whatever the format.

Legend: n examples, a answers, v votes, k classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExportError
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table
from ws_pipeline.importing.answers import ANSWER, SCORE, keep_last
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.settings.base import nearest

VOTE_COLUMNS = (ID_COLUMN, "source", "label")
_MOST_CLASSES = 1000
_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """What was found in an export.

    Parameters
    ----------
    n_examples
        Number of examples n.
    sources
        Source to number of votes, the most frequent first.
    labels
        Class to number of votes, in the order of the classes.
    n_gold
        Number of examples with a gold label.
    n_repeated, n_different
        Answers that a later one of the same source on the same example replaced, and how many of them had
        another label.
    skipped
        Reason to number of records that were not read.
    notes
        What else a person should know.
    """

    n_examples: int
    sources: Mapping[str, int]
    labels: Mapping[str, int]
    n_gold: int
    n_repeated: int = 0
    n_different: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """What every format is read into.

    Parameters
    ----------
    examples
        ``[n]`` rows: ``example_id``, text columns of the export, features where it has any (lists of
        numbers), and ``split`` where it has splits.
    votes
        ``[v]`` rows of text: ``example_id``, ``source``, ``label``; one per source and example.
    gold
        Example id to name of a class.
    classes
        Names of the k classes.
    features
        Columns of ``examples`` that are features.
    report
        What was found.
    has_splits
        Whether ``split`` of ``examples`` is the split; else it is a column like any other.
    integer_ids
        Whether the ids are whole numbers in the export, here their texts.
    """

    examples: pa.Table
    votes: pa.Table
    gold: Mapping[str, str]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    report: Report
    has_splits: bool = False
    integer_ids: bool = False


class Found(NamedTuple):
    """What a reader found, before repeated answers and gold labels are told apart.

    Parameters
    ----------
    where
        Name of the export; opens the messages.
    examples
        ``[n]`` rows, ``example_id`` as text, each once.
    answers
        ``[a]`` rows of text ``example_id``, ``source`` and ``label``, no nulls, and perhaps ``time``.
    gold
        Example id to name of a class.
    skipped
        Reason to number of records.
    notes
        What else a person should know.
    classes
        Names of the classes, where the format has them.
    features
        Columns of ``examples`` that are features.
    has_splits
        Whether ``split`` of ``examples`` is the split.
    integer_ids
        Whether the ids are whole numbers of at most 64 bits in the export.
    """

    where: str
    examples: pa.Table
    answers: pa.Table
    gold: Mapping[str, str]
    skipped: Mapping[str, int]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    has_splits: bool = False
    integer_ids: bool = False


def make_export(found: Found, options: ImportOptions) -> Export:
    """Keep one answer per source and example, take gold labels out of the votes, find the classes.

    Raises
    ------
    ExportError
        There is no vote, two gold labels of an example differ, or a label is none of the given classes.
    ExampleIdError
        Ids of two examples differ only in blanks or in their Unicode form.
    """
    ids_from_table(found.examples, where=found.where)
    kept = keep_last(found.answers, found.where)
    votes, gold = _move_gold(kept, found, options.gold_sources)
    if not votes.num_rows:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in found.skipped.items()) or "nothing"
        message = f"{found.where}: no vote was found; skipped were: {reasons}; is the format right?"
        raise ExportError(message)
    _refuse_two_spellings(votes["source"], found.where)
    labels = counts_of(votes["label"])
    classes = _classes(labels, gold, options.classes or found.classes, found.where)
    known = set(found.examples[ID_COLUMN].to_pylist())
    kept_gold = {example: label for example, label in gold.items() if example in known}
    skipped = dict(found.skipped)
    if len(kept_gold) < len(gold):
        skipped["gold label of an example that is not in the export"] = len(gold) - len(kept_gold)
    report = Report(
        n_examples=found.examples.num_rows,
        sources=counts_of(votes["source"]),
        labels={name: labels.get(name, 0) for name in classes},
        n_gold=len(kept_gold),
        n_repeated=found.answers.num_rows - kept.num_rows,
        n_different=len(found.answers.group_by(list(ANSWER)).aggregate([])) - kept.num_rows,
        skipped=skipped,
        notes=(*found.notes, *_scored(votes), *_alike(classes)),
    )
    return Export(
        examples=found.examples,
        votes=votes,
        gold=kept_gold,
        classes=classes,
        features=found.features,
        report=report,
        has_splits=found.has_splits,
        integer_ids=found.integer_ids,
    )


def _move_gold(
    answers: pa.Table, found: Found, gold_sources: Sequence[str]
) -> tuple[pa.Table, dict[str, str]]:
    """The votes, and the gold labels with the answers of gold sources."""
    there = set(answers["source"].unique().to_pylist())
    for name in gold_sources:
        if name not in there:
            message = f"{found.where}: no answer of the gold source '{name}', {nearest(name, sorted(there))}"
            raise ExportError(message)
    is_gold = pc.is_in(answers["source"], value_set=pa.array(gold_sources, pa.large_string()))
    gold = dict(found.gold)
    for row in answers.filter(is_gold).to_pylist():
        add_gold(gold, row[ID_COLUMN], row["label"], found.where)
    votes = answers.filter(pc.invert(is_gold))
    has_scores = SCORE in votes.column_names and votes.column(SCORE).null_count < votes.num_rows
    return votes.select([*VOTE_COLUMNS, *([SCORE] if has_scores else [])]), gold


def add_gold(gold: dict[str, str], example: str, label: str, where: str) -> None:
    """Put a gold label to the others; refuse another one of the same example."""
    other = gold.setdefault(example, label)
    if other != label:
        message = (
            f"{where}: example '{example}' has two gold labels, '{other}' and '{label}'; an example has one; "
            "remove the wrong one"
        )
        raise ExportError(message)


def _classes(
    labels: Mapping[str, int], gold: Mapping[str, str], given: Sequence[str], where: str
) -> tuple[str, ...]:
    found = set(labels) | set(gold.values())
    unknown = sorted(found - set(given)) if given else []
    if unknown:
        shown = ", ".join(f"'{name}' ({labels.get(name, 0)} votes)" for name in unknown[:_SHOWN])
        message = (
            f"{where}: labels that are none of the classes {list(given)}: {shown}; name all with --classes"
        )
        raise ExportError(message)
    classes = tuple(given) or tuple(sorted(found, key=_order))
    if len(classes) < 2:
        message = (
            f"{where}: a task needs two classes, found only {list(classes)}; name all with --classes, the "
            "missing ones too"
        )
        raise ExportError(message)
    if len(classes) > _MOST_CLASSES:
        shown = ", ".join(map(repr, classes[:3]))
        message = (
            f"{where}: {len(classes)} different labels, such as {shown}; this looks like free text, "
            f"expected at most {_MOST_CLASSES} classes; choose another question or column"
        )
        raise ExportError(message)
    return classes


def _order(name: str) -> tuple[int, float, str]:
    """Numbers in their order, then all other names in theirs."""
    return (0, float(name), name) if re.fullmatch(r"-?\d+(\.\d+)?", name) else (1, 0.0, name)


def _scored(votes: pa.Table) -> list[str]:
    """Note how many votes have a score."""
    if SCORE not in votes.column_names:
        return []
    n_scored = votes.num_rows - votes.column(SCORE).null_count
    return [f"{n_scored} of {votes.num_rows} votes have a score, by which the label model weighs them"]


def _alike(classes: Sequence[str]) -> list[str]:
    """Note classes that differ only in blanks or in upper and lower case."""
    first: dict[str, str] = {}
    notes = []
    for name in classes:
        other = first.setdefault(" ".join(name.split()).casefold(), name)
        if other != name:
            notes.append(f"classes {other!r} and {name!r} differ only in blanks or case: are they one?")
    return notes


def _refuse_two_spellings(sources: pa.ChunkedArray, where: str) -> None:
    """Refuse names of sources that differ only in blanks around them, as the pipeline would."""
    first: dict[str, str] = {}
    for name in sources.unique().to_pylist():
        other = first.setdefault(name.strip(), name)
        if other != name:
            message = (
                f"{where}: the sources {other!r} and {name!r} differ only in blanks; write them in one way"
            )
            raise ExportError(message)


def counts_of(column: pa.ChunkedArray) -> dict[str, int]:
    """Value to how often it occurs, the most frequent first."""
    pairs = [(row["values"], row["counts"]) for row in column.value_counts().to_pylist()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
