"""The formats of exports that can be imported, with their readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ws_pipeline.errors import SettingsError
from ws_pipeline.importing.argilla import read_argilla
from ws_pipeline.importing.doccano import read_doccano
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.label_studio import read_label_studio
from ws_pipeline.importing.langfuse import read_langfuse
from ws_pipeline.importing.long_table import read_cleanlab, read_crowd_kit, read_long
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.importing.phoenix import read_phoenix
from ws_pipeline.importing.prodigy import read_prodigy
from ws_pipeline.importing.wrench import read_wrench
from ws_pipeline.settings.base import nearest

_ALWAYS = frozenset({"classes", "gold_sources", "examples", "number_columns"})


class Format(NamedTuple):
    """A format: its reader, what it is, and which options it uses beside those that all do."""

    read: Callable[[Path, ImportOptions], Export]
    what: str
    options: frozenset[str]


FORMATS = {
    "long": Format(
        read_long,
        "a table with a row per answer (CSV, TSV, JSON Lines, Parquet)",
        frozenset({"gold", "example_column", "source_column", "label_column", "time_column", "score_column"}),
    ),
    "crowd-kit": Format(
        read_crowd_kit,
        "a table with the columns task, worker, label",
        frozenset({"gold", "time_column", "score_column"}),
    ),
    "cleanlab": Format(
        read_cleanlab,
        "a table with a column per annotator, or with task, annotator, label",
        frozenset({"gold", "example_column"}),
    ),
    "label-studio": Format(
        read_label_studio, "JSON, JSON-MIN or CSV of Label Studio", frozenset({"questions"})
    ),
    "argilla": Format(read_argilla, "records of Argilla 2 as JSON", frozenset({"questions"})),
    "prodigy": Format(read_prodigy, "JSON Lines of prodigy db-out", frozenset({"source"})),
    "doccano": Format(read_doccano, "a folder of JSON Lines, one file per annotator", frozenset({"source"})),
    "phoenix": Format(
        read_phoenix, "annotations of Phoenix (CSV, JSON Lines, Parquet)", frozenset({"questions"})
    ),
    "langfuse": Format(
        read_langfuse, "the table of scores of Langfuse (CSV, JSON)", frozenset({"questions", "level"})
    ),
    "wrench": Format(read_wrench, "a folder of WRENCH: train, valid, test and label.json", frozenset()),
}


def read_export(name: str, path: Path, options: ImportOptions) -> Export:
    """Read an export in the named format.

    Raises
    ------
    SettingsError
        The format is unknown, or does not use an option that is given.
    ExportError
        The export cannot be imported as it is.
    FileFormatError
        A file is damaged or of another kind.
    FileAccessError
        A file cannot be read.
    """
    if name not in FORMATS:
        message = f"unknown format '{name}', {nearest(name, list(FORMATS))}"
        raise SettingsError(message)
    unused = sorted(options.given() - FORMATS[name].options - _ALWAYS)
    if unused:
        flags = ", ".join(_FLAGS.get(field, f"--{field.replace('_', '-')}") for field in unused)
        message = f"{flags}: the format '{name}' does not use it; leave it out"
        raise SettingsError(message)
    return FORMATS[name].read(path, options)


_FLAGS = {"questions": "--question"}
