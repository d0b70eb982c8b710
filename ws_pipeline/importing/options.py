"""What a person may say about an import, and which question is read where an export has several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ws_pipeline.errors import ExportError
from ws_pipeline.settings.base import nearest


@dataclass(frozen=True)
class ImportOptions:
    """Options of the command that decide what is read of an export; a format uses some of them.

    Parameters
    ----------
    questions
        Names of the questions, or of the scores, whose answers are read.  Default: the only one there is.
    classes
        Names of the classes in their order.  Default: those that occur, sorted.
    gold
        Table with a gold label per example.
    gold_sources
        Sources whose answers are gold labels, not votes.
    source
        Name of the source of an export that does not say who answered.
    example_column, source_column, label_column, time_column, score_column
        Names of columns of a table.
    examples
        File with the examples' own columns.
    number_columns
        Columns of a CSV file of examples that hold numbers.
    level
        What the examples are where answers are about two kinds of things: "trace" or "observation".
    """

    questions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    gold: Path | None = None
    gold_sources: tuple[str, ...] = ()
    source: str | None = None
    example_column: str | None = None
    source_column: str | None = None
    label_column: str | None = None
    time_column: str | None = None
    score_column: str | None = None
    examples: Path | None = None
    number_columns: tuple[str, ...] = ()
    level: str | None = None

    def given(self) -> set[str]:
        """Names of the fields that are set."""
        return {name for name, value in vars(self).items() if value not in {None, ()}}


def choose_questions(
    counts: Mapping[str, int], options: ImportOptions, *, where: str, several: bool = False
) -> tuple[str, ...]:
    """The questions whose answers are read.

    Parameters
    ----------
    counts
        Question to number of answers.
    options
        What the person said.
    where
        Name of the export; opens the messages.
    several
        Whether answers to several questions may be read as those of several sources.

    Raises
    ------
    ExportError
        There is no answer; or several questions, and none is chosen; or one is chosen that is not there.
    """
    if not counts:
        message = (
            f"{where}: no answer that chooses a class was found; is the format right, are there answers?"
        )
        raise ExportError(message)
    listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
    for name in options.questions:
        if name not in counts:
            known = nearest(name, list(counts))
            message = f"{where}: no answer to the question '{name}', {known}; there are (answers): {listed}"
            raise ExportError(message)
    if len(options.questions) > 1 and not several:
        message = (
            f"{where}: this format takes one --question, got {list(options.questions)}; import each apart"
        )
        raise ExportError(message)
    if options.questions:
        return options.questions
    if len(counts) > 1:
        message = f"{where}: there are several questions (answers): {listed}; choose one with --question"
        raise ExportError(message)
    return tuple(counts)
