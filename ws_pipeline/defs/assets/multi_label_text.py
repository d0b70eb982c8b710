"""The scores of a multi-label task for people: Markdown for the UI, and lines for a terminal."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from ws_pipeline.analysis.multi_label_scores import ALL, OF_WHOLE
from ws_pipeline.example_index import SPLITS

MODEL_NAMES = {"vote": "plain vote", "label_model": "label model", "end_model": "end model"}
TITLES = {
    "f1_micro": "micro-F1",
    "f1_macro": "macro-F1",
    "subset_accuracy": "exactly right",
    "hamming_loss": "Hamming loss",
}
Values = Mapping[tuple[str, str | None, str], float | None]
"""Model, class (None: the whole) and metric to a score."""
_SHOWN = ("precision", "recall", "f1")  # of a class
_NOT_DEFINED = "-"
_NO_GOLD = "There are no gold lists, so that nothing can be scored; add some in the examples files."


def scores_text(table: pa.Table, classes: Sequence[str]) -> str:
    """Two tables for each split with gold: of the whole, and of each class.

    Parameters
    ----------
    table
        Of :func:`.multi_label_table`.
    classes
        Names of the classes.
    """
    rows = table.to_pylist()
    models = list(dict.fromkeys(row["model"] for row in rows))
    counts = {(row["split"], row["dataset"]): row["n_examples"] for row in rows}
    parts = []
    for split, dataset in sorted(counts, key=lambda found: SPLITS.index(found[0])):
        n_examples = counts[split, dataset]
        if dataset != ALL and n_examples == counts[split, ALL]:
            continue  # all examples have votes
        values = {
            (row["model"], row["class"], row["metric"]): row["value"]
            for row in rows
            if (row["split"], row["dataset"]) == (split, dataset)
        }
        with_votes = "" if dataset == ALL else " with votes"
        parts.append(f"### {split}: {n_examples} examples{with_votes}")
        parts += [_of_whole(values, models), _of_classes(values, models, classes)]
    return "\n\n".join(parts) or _NO_GOLD


def whole_lines(name: str, table: pa.Table) -> list[str]:
    """Lines for a terminal: the scores of the whole on test, or on the last split with gold lists.

    Parameters
    ----------
    name
        Name of the multi-label task.
    table
        Of :func:`.multi_label_table`.
    """
    rows = [row for row in table.to_pylist() if row["dataset"] == ALL and row["class"] is None]
    counts = {row["split"]: row["n_examples"] for row in rows}
    split = next((split for split in reversed(SPLITS) if split in counts), None)
    values = {(row["model"], row["metric"]): row["value"] for row in rows if row["split"] == split}
    lines: list[str] = []
    for model in dict.fromkeys(model for model, _ in values):
        label = "" if lines else f"  {name} ({counts[str(split)]})"
        scores = " ".join(f"{_shown(values[model, metric]):>13}" for metric in OF_WHOLE)
        lines.append(f"{label:<26} {MODEL_NAMES[model]:<12} {scores}")
    titles = " ".join(f"{TITLES[metric]:>13}" for metric in OF_WHOLE)
    return ["", f"{f'all {split} examples, as lists':<39} {titles}", *lines] if lines else []


def _of_whole(values: Values, models: Sequence[str]) -> str:
    scores = [[_shown(values[model, None, name]) for name in OF_WHOLE] for model in models]
    rows = [[MODEL_NAMES[model], *of_model] for model, of_model in zip(models, scores, strict=True)]
    return _table(["", *(TITLES[name] for name in OF_WHOLE)], rows)


def _of_classes(values: Values, models: Sequence[str], classes: Sequence[str]) -> str:
    rows = []
    for name in classes:
        scores = [[_shown(values[model, name, metric]) for metric in _SHOWN] for model in models]
        support = f"{values[models[0], name, 'support']:.0f}"
        rows.append([name, support, *(" / ".join(of_model) for of_model in scores)])
    header = ["class", "support", *(f"{MODEL_NAMES[model]}: precision / recall / F1" for model in models)]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _shown(value: float | None) -> str:
    """A score in three digits, or a dash where it is not defined."""
    return _NOT_DEFINED if value is None else f"{value:.3f}"
