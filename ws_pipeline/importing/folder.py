"""Writes an import as a folder of the pipeline: examples, votes, and a pipeline.yaml that runs as it is."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from ws_pipeline.errors import ExportError, FileAccessError, SettingsError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.example_index import SPLIT_COLUMN, SPLITS
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.splits import assign_splits
from ws_pipeline.labeling.votes.vote_columns import LIST_THEM, check_lf_names
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import write_parquet

SHARD = "part-0.parquet"
SPEC = "pipeline.yaml"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Written(NamedTuple):
    """What was decided when a folder was written: split to number of examples, and notes."""

    splits: Mapping[str, int]
    notes: tuple[str, ...]


def check_task(task: str) -> None:
    """Refuse what is no name of a task.

    Raises
    ------
    SettingsError
        The name has other characters than letters, digits and underscores, or is that of a column.
    """
    if not _NAME.fullmatch(task) or task in {ID_COLUMN, SPLIT_COLUMN}:
        message = (
            f"--task: '{task}' is not the name of a task; use letters, digits and underscores, a letter "
            f"first, but not {ID_COLUMN} or {SPLIT_COLUMN}"
        )
        raise SettingsError(message)


def check_folder(folder: Path, *, argument: str = "--out") -> None:
    """Refuse a folder that holds something, or a file.

    Parameters
    ----------
    folder
        The folder that is to be written.
    argument
        What the command calls it.

    Raises
    ------
    FileAccessError
        There is a file, or a folder that is not empty.
    """
    if "://" in str(folder) or ":/" in str(folder)[2:]:
        message = (
            f"{argument}: '{folder}' is a URL, expected a folder on this machine; copy it there afterwards"
        )
        raise SettingsError(message)
    if folder.is_dir() and any(folder.iterdir()):
        message = (
            f"{folder}: the folder is not empty, and nothing is overwritten; choose another {argument}, or "
            "empty it"
        )
        raise FileAccessError(message)
    if folder.exists() and not folder.is_dir():
        message = f"{folder}: this is a file, expected a new folder; choose another {argument}"
        raise FileAccessError(message)


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder that is empty or not there: it is there, complete, if the block succeeds, or not at all.

    Yields
    ------
    pathlib.Path
        The folder to write to.

    Raises
    ------
    FileAccessError
        The folder cannot be written.
    """
    with telling_file_errors(folder, "write"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            unfinished.chmod(0o755)
            yield unfinished
            if folder.is_dir():
                folder.rmdir()
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def write_folder(
    export: Export,
    folder: Path,
    task: str,
    *,
    shares: Sequence[float] | None = None,
    made_by: str,
    more_files: Mapping[str, str] | None = None,
    more_spec: str = "",
) -> Written:
    """Write the files; the folder is there, complete, or not at all.

    Parameters
    ----------
    export
        What was read.
    folder
        A folder that is empty or not there.
    task
        Name of the task.
    shares
        Shares of the splits of examples that have none; see :func:`.assign_splits`.
    made_by
        The command, for a comment in the pipeline.yaml.
    more_files
        Names of further files to their texts.
    more_spec
        Further lines of the pipeline.yaml.

    Returns
    -------
    Written
        What was decided.

    Raises
    ------
    FileAccessError
        The folder holds something, or cannot be written.
    """
    check_task(task)
    check_folder(folder)
    examples, notes = examples_table(export, task, shares)
    text = spec_text(export, examples, folder.name, task, made_by) + more_spec
    with complete_folder(folder) as unfinished:
        write_parquet(_with_ids(examples, export), unfinished / "examples" / SHARD)
        write_parquet(_with_ids(export.votes, export), unfinished / "votes" / task / SHARD)
        for name, content in {SPEC: text, **(more_files or {})}.items():
            (unfinished / name).write_text(content, encoding="utf-8")
    splits = {split: pc.sum(pc.equal(examples[SPLIT_COLUMN], split)).as_py() or 0 for split in SPLITS}
    return Written(splits, tuple(notes))


def _with_ids(table: pa.Table, export: Export) -> pa.Table:
    """The table with ids of the type that they have in the export: integers, or text."""
    if not export.integer_ids:
        return table
    place = table.column_names.index(ID_COLUMN)
    return table.set_column(place, ID_COLUMN, table.column(ID_COLUMN).cast(pa.int64()))


def examples_table(export: Export, task: str, shares: Sequence[float] | None) -> tuple[pa.Table, list[str]]:
    """The examples with splits and gold labels, and what was decided in words."""
    ids = export.examples[ID_COLUMN].to_pylist()
    others = {name: export.examples[name] for name in export.examples.column_names if name != ID_COLUMN}
    said = []
    if export.has_splits:
        if shares is not None:
            message = "--splits would be ignored: the export has splits of its own; leave it out"
            raise ExportError(message)
        splits = others.pop(SPLIT_COLUMN)
        how = "those of the files"
    else:
        splits, how = assign_splits(ids, export.gold, shares)
    said.append(f"splits: {how}")
    columns = {ID_COLUMN: export.examples[ID_COLUMN], SPLIT_COLUMN: splits}
    for name, values in others.items():
        free = name
        while free in {*columns, task} or (free != name and free in others):
            free = f"{free}_column"
        if free != name:
            said.append(f"column '{name}' is called '{free}', since '{name}' has another meaning here")
        columns[free] = values
    if export.gold:
        columns[task] = pa.array([export.gold.get(name) for name in ids], pa.string())
    return pa.table(columns), said


def pipeline_name(folder: str) -> str:
    """The name of the pipeline in a folder: letters, digits and underscores, no digit first."""
    return re.sub("[^A-Za-z0-9_]", "_", f"_{folder}" if folder[:1].isdigit() else folder)


def spec_text(export: Export, examples: pa.Table, name: str, task: str, made_by: str) -> str:
    """The pipeline.yaml; it has an end model where there are features, and splits for it."""
    roles = ("example", "source", "label", "score")
    columns = ", ".join(
        f"{role}: {name}" for role, name in zip(roles, export.votes.column_names, strict=False)
    )
    lines = [
        f"# Made by: {made_by}",
        "# data/README.md describes every key.",
        f"name: {in_yaml(pipeline_name(name))}",
        "tasks:",
        f"  {in_yaml(task)}:",
        f"    classes: {in_yaml(list(export.classes))}",
        f"    votes: {{format: long, columns: {{{columns}}}}}",
    ]
    listed = _listed_sources(export, task)
    if listed:
        lines += ["    # listed, since one has a name that columns of other meaning often have", listed]
    return "\n".join([*lines, *_model_lines(export, examples)]) + "\n"


def _model_lines(export: Export, examples: pa.Table) -> list[str]:
    splits = set(examples[SPLIT_COLUMN].unique().to_pylist())
    if not export.features:
        return [
            "# There are no features, so that the pipeline ends at the labels.  To train an end model,",
            f"# add columns of numbers (such as an embedding of the text) to examples/{SHARD}, see that",
            "# there are examples in each of the splits train, valid and test, and delete this line.",
            "model: null",
        ]
    listed = f"feature_columns: {in_yaml(list(export.features))}"
    missing = [split for split in SPLITS if split not in splits]
    if missing:
        return [
            listed,
            f"# No example is in {' or in '.join(missing)}, which an end model needs.  To train one,",
            "# import again with --splits 0.8,0.1,0.1.",
            "model: null",
        ]
    return [listed]


def _listed_sources(export: Export, task: str) -> str | None:
    """The sources as LFs, if the pipeline would refuse one of them by its name; None otherwise."""
    sources = sorted(export.report.sources)
    try:
        check_lf_names(sources, tasks=[task], where="sources", if_votes=LIST_THEM)
    except ValueError:
        return f"    lf_columns: {in_yaml(sources)}"
    return None


def in_yaml(value: object) -> str:
    """A value as YAML on one line, quoted where YAML would read something else."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9).strip()
    return text.removesuffix("...").strip()
