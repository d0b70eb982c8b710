"""The command ``python -m ws_pipeline import``, which makes a folder that the pipeline runs on."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ws_pipeline.errors import WsPipelineError
from ws_pipeline.importing.examples_file import with_examples
from ws_pipeline.importing.folder import check_folder, check_task, write_folder
from ws_pipeline.importing.formats import FORMATS, read_export
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.importing.report_text import report_text
from ws_pipeline.importing.splits import parse_shares

IMPORT = "import"


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments behind ``import``, read, write, print; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        check_task(given.task)
        check_folder(given.out)
        shares = None if given.splits is None else parse_shares(given.splits)
        options = options_of(given)
        export = with_examples(read_export(given.format, given.path, options), options, given.task)
        made_by = command_line(IMPORT, arguments)
        written = write_folder(export, given.out, given.task, shares=shares, made_by=made_by)
    except (WsPipelineError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(report_text(export.report, written, given.out))
    return 0


def command_line(command: str, arguments: Sequence[str]) -> str:
    """A command of this project as one line, to type or to keep in a comment."""
    return shlex.join(["python", "-m", "ws_pipeline", command, *arguments]).replace("\n", " ")


def options_of(given: argparse.Namespace) -> ImportOptions:
    """What was said with the options of :func:`add_options`, but for the splits."""
    return ImportOptions(
        questions=tuple(dict.fromkeys(given.question)),
        classes=() if given.classes is None else tuple(given.classes.split(",")),
        gold=given.gold,
        gold_sources=tuple(dict.fromkeys(given.gold_source)),
        source=given.source,
        example_column=given.example_column,
        source_column=given.source_column,
        label_column=given.label_column,
        time_column=given.time_column,
        score_column=given.score_column,
        examples=given.examples,
        number_columns=tuple(dict.fromkeys(given.number_column)),
        level=given.level,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m ws_pipeline {IMPORT}",
        description="Make a folder that the pipeline runs on from an export of a labelling tool or a table "
        "of answers; docs/formats.md says what is read of each format.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=formats_text(),
    )
    parser.add_argument("format", metavar="FORMAT", help="one of the formats below")
    parser.add_argument("path", metavar="PATH", type=Path, help="file or folder of the export")
    parser.add_argument("--task", required=True, help="name of the task")
    parser.add_argument(
        "--out", required=True, type=Path, help="folder to write, which must not hold anything"
    )
    add_options(parser)
    return parser


def formats_text() -> str:
    """The formats, one a line, for the help."""
    return "formats:\n" + "\n".join(f"  {name:<14}{each.what}" for name, each in FORMATS.items())


def add_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that say how an export is read."""
    parser.add_argument(
        "--question", action="append", default=[], help="which question is read, where there are several"
    )
    parser.add_argument("--classes", help="names of all classes in their order, separated by commas")
    parser.add_argument("--splits", metavar="TRAIN,VALID,TEST", help="shares such as 0.8,0.1,0.1")
    parser.add_argument("--gold", type=Path, help="table of gold labels: the example and its label")
    parser.add_argument(
        "--gold-source", action="append", default=[], help="a source whose answers are gold labels, not votes"
    )
    parser.add_argument("--source", help="name of the source, where the export has none")
    for role in ("example", "source", "label", "time", "score"):
        parser.add_argument(f"--{role}-column", metavar="COLUMN", help=f"column of the {role}")
    parser.add_argument(
        "--examples", type=Path, help="table with the examples' own columns, such as text, split and features"
    )
    parser.add_argument(
        "--number-column",
        metavar="COLUMN",
        action="append",
        default=[],
        help="a column of numbers in a CSV file of examples, where all is text; may be repeated",
    )
    parser.add_argument("--level", choices=["trace", "observation"], help="what an example is (langfuse)")
