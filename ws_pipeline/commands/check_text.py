"""The report of a check as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ws_pipeline.commands.across_shards import TaskSummary, gold_counts
from ws_pipeline.commands.findings import Findings
from ws_pipeline.commands.shard_files import ShardFiles
from ws_pipeline.defs.spec.multi_label_tasks import tasks_as_written
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.example_index import SPLITS
from ws_pipeline.labeling.votes.lf_analysis import LFAnalysis

_NONE = "-"
_FEW = 3  # classes that are named where an LF votes for all of them


def findings_text(findings: Findings) -> str:
    """What is wrong: warnings, what could not be checked, and the problems last, where they are read."""
    parts = [
        (_how_many(len(findings.warnings), "warning"), findings.warnings),
        ("not checked, because of the problems below", findings.unchecked),
        (_how_many(len(findings.problems), "problem"), findings.problems),
    ]
    lines = [line for title, said in parts if said for line in ("", title, *(f"  - {one}" for one in said))]
    if not findings.problems:
        lines += ["", "no problem found"]
    return "\n".join(lines)


def shards_text(spec: PipelineSpec, files: ShardFiles) -> str:
    """Examples per shard and split, and gold labels per task in train/valid/test."""
    tasks = tasks_as_written(spec.tasks)  # all tasks of a multi-label one have gold on the same examples
    header = ["shard", "examples", *SPLITS, *(f"gold {name}" for name in tasks)]
    rows: list[list[object]] = []
    for shard in files.shards:
        if shard not in files.examples:
            rows.append([shard, *[_NONE] * (len(header) - 1)])
            continue
        index = files.examples[shard].index
        gold = [gold_counts(index, task).values() for task in tasks.values()]
        rows.append(
            [shard, len(index), *index.split_counts().values(), *(_slashed(counts) for counts in gold)]
        )
    indexes = [found.index for found in files.examples.values()]
    if len(indexes) > 1:
        splits = [sum(index.split_counts()[split] for index in indexes) for split in SPLITS]
        gold_of = {task: [gold_counts(index, task) for index in indexes] for task in tasks.values()}
        totals = [[sum(of[split] for of in counts) for split in SPLITS] for counts in gold_of.values()]
        all_of_them = "all" if len(indexes) == len(files.shards) else "all readable"
        rows.append([all_of_them, sum(map(len, indexes)), *splits, *map(_slashed, totals)])
    lines = _aligned([header, *rows])
    n_shards = _how_many(len(files.shards), "shard")
    return "\n".join([f"pipeline {spec.name}: {n_shards}; gold labels of {'/'.join(SPLITS)}", *lines])


def task_text(spec: PipelineSpec, task: str, summary: TaskSummary) -> str:
    """The LF summary of a task, and the shares of the classes among its votes."""
    counts, classes = summary.counts, spec.tasks[task].classes
    analysis = LFAnalysis.from_counts(counts.rows)
    of_classes = counts.class_counts.sum(axis=0)
    n_votes = int(of_classes.sum())
    shares = ", ".join(
        f"{name} {count / max(1, n_votes):.1%}" for name, count in zip(classes, of_classes, strict=True)
    )
    header = ["LF", "votes", "coverage", "overlaps", "conflicts", "accuracy", "on gold", "votes for"]
    rows = [_lf_row(row, classes) for row in summary.lfs.to_pylist()]
    title = (
        f"task {task}: {counts.n_lfs} LFs on {counts.n_examples} examples, {analysis.label_coverage():.1%} "
        f"with a vote, {analysis.label_conflict():.1%} with different votes"
    )
    lines = [title, *_aligned([header, *rows], last_is_text=True), f"  {n_votes} votes: {shares}"]
    return "\n".join(lines)


def _lf_row(row: Mapping[str, object], classes: Sequence[str]) -> list[object]:
    shares = [f"{row[name]:.3f}" for name in ("coverage", "overlaps", "conflicts")]
    judged = int(str(row["n_correct"])) + int(str(row["n_incorrect"]))
    accuracy = _NONE if row["accuracy"] is None else f"{row['accuracy']:.3f}"
    polarity = row["polarity"]
    assert isinstance(polarity, list)
    n_superclasses = int(str(row.get("n_superclass_votes", 0)))
    of_classes = [classes[label] for label in polarity]
    of_superclasses = [f"superclasses ({n_superclasses})"] if n_superclasses else []
    named = ", ".join([*of_classes, *of_superclasses]) or "never votes"
    is_long = len(polarity) == len(classes) > _FEW
    return [row["lf"], row["n_votes"], *shares, accuracy, judged, "all classes" if is_long else named]


def _aligned(rows: Sequence[Sequence[object]], *, last_is_text: bool = False) -> list[str]:
    """Rows as lines, two blanks before each; the first column, and the last if it is text, to the left."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    left = {0, len(widths) - 1} if last_is_text else {0}
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]


def _slashed(counts: Iterable[int]) -> str:
    return "/".join(map(str, counts))


def _how_many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
