"""The command ``python -m ws_pipeline new``, which makes a folder to start from, empty or from an export."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ws_pipeline.commands.check import CHECK
from ws_pipeline.commands.new_files import (
    CLASSES,
    keys_text,
    lfs_text,
    readme_of_import,
    readme_text,
    spec_text,
)
from ws_pipeline.errors import SettingsError, WsPipelineError
from ws_pipeline.importing.command import add_options, command_line, formats_text, options_of
from ws_pipeline.importing.examples_file import with_examples
from ws_pipeline.importing.folder import (
    SPEC,
    check_folder,
    check_task,
    complete_folder,
    pipeline_name,
    write_folder,
)
from ws_pipeline.importing.formats import read_export
from ws_pipeline.importing.report_text import report_text
from ws_pipeline.importing.splits import parse_shares

NEW = "new"
_LFS, _README = "lfs.py", "README.md"


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments behind ``new``, write the folder, say what is next; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.folder.name in {"", ".."}:
            message = f"NAME: '{given.folder}' has no name, expected a new folder such as data/mail"
            raise SettingsError(message)
        check_task(given.task)
        check_folder(given.folder, argument="NAME")
        said = _write_import(given, command_line(NEW, arguments)) if given.export else _write_new(given)
    except (WsPipelineError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(said)
    return 0


def _write_new(given: argparse.Namespace) -> str:
    """Write the files to start from; what was written and what is next, as text."""
    ignored = [f"--{name}" for name in (*options_of(given).given(), *(["splits"] if given.splits else ()))]
    if ignored:
        message = f"{', '.join(sorted(ignored))} would be ignored without --from FORMAT PATH; leave it out"
        raise SettingsError(message)
    folder, name = given.folder, _name(given.folder)
    texts = {
        SPEC: spec_text(name, given.task),
        _LFS: lfs_text(CLASSES),
        _README: readme_text(folder, name, given.task),
    }
    with complete_folder(folder) as unfinished:
        (unfinished / "examples").mkdir()
        for file, text in texts.items():
            (unfinished / file).write_text(text, encoding="utf-8")
    lines = [
        f"written:  {folder} ({', '.join(texts)})",
        f"next:     put examples into {folder / 'examples'}/<any name>.parquet, see {folder / _README}",
        f"then:     {command_line(CHECK, [str(folder)])}",
    ]
    return "\n".join(lines)


def _write_import(given: argparse.Namespace, made_by: str) -> str:
    """Write what an export holds, with examples of labeling functions; the report of the import."""
    kind, path = given.export
    shares = None if given.splits is None else parse_shares(given.splits)
    options = options_of(given)
    export = with_examples(read_export(kind, Path(path), options), options, given.task)
    more = {
        _LFS: lfs_text(export.classes),
        _README: readme_of_import(given.folder, _name(given.folder), given.task),
    }
    written = write_folder(
        export,
        given.folder,
        given.task,
        shares=shares,
        made_by=made_by,
        more_files=more,
        more_spec=keys_text(),
    )
    return report_text(export.report, written, given.folder)


def _name(folder: Path) -> str:
    return pipeline_name(folder.resolve().name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m ws_pipeline {NEW}",
        description="Make the folder of a pipeline: a commented pipeline.yaml, examples of labeling "
        "functions, and a README.md that says what to bring; with --from, also the examples and votes of an "
        "export.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=formats_text(),
    )
    parser.add_argument(
        "folder", metavar="NAME", type=Path, help="folder to write; its last part names the pipeline"
    )
    parser.add_argument("--task", default="label", help="name of the task (default: label)")
    parser.add_argument(
        "--from",
        dest="export",
        nargs=2,
        metavar=("FORMAT", "PATH"),
        help="an export of a labelling tool or a table of answers; the options below say how it is read",
    )
    add_options(parser.add_argument_group("with --from"))
    return parser
