"""The tables of a shard as they are read: Parquet, CSV, TSV or JSON Lines, typed by the pipeline.yaml.

Parquet and JSON Lines have types of their own.  What a file of separated values holds is text, until the
pipeline.yaml says what it is; no column's type is guessed.  Start reading at :func:`examples_file` and
:func:`read_votes_table`.

Legend: n rows, k classes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import pyarrow as pa
from upath import UPath

from ws_pipeline.class_names import kind_of_classes
from ws_pipeline.defs.spec.multi_label_tasks import multi_label_tasks
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec, ShardPath
from ws_pipeline.defs.spec.sql_source import QueryRows
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.errors import FileFormatError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.labeling.votes.long_votes import SCORE_NAMES
from ws_pipeline.labeling.votes.vote_columns import find_lf_columns
from ws_pipeline.labeling.votes.vote_tables import TRIPLE_NAMES
from ws_pipeline.storage.column_kinds import ColumnKind, ColumnType, check_known, kind_of, typed_table
from ws_pipeline.storage.delimited import TextRows, read_delimited
from ws_pipeline.storage.file_stamps import stamp_of
from ws_pipeline.storage.files import ParquetSource, one_table, parts_of, read_parquet
from ws_pipeline.storage.json_files import read_json_lines
from ws_pipeline.storage.table_endings import DELIMITERS, JSON_LINES, PARQUET, ending_of, format_of

Typed = Callable[[TextRows], pa.Table]


@dataclass(frozen=True)
class TableSource:
    """A table that is no Parquet file, with the interface of :class:`.ParquetSource`; it is read once.

    Parameters
    ----------
    path
        A file, a folder of files, or rows of a database.
    typed
        What makes a table of the texts of a file.
    """

    path: ShardPath
    typed: Typed

    @cached_property
    def _table(self) -> pa.Table:
        return read_table_file(self.path, self.typed)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self._table.schema

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """All columns, or the named ones."""
        return self._table if columns is None else self._table.select(columns)


def stamp_of_shard(path: ShardPath) -> str:
    """What changes when a file does, or the rows of a database.

    Raises
    ------
    FileNotFoundError
        There is no such file, or no such row.
    """
    return path.stamp() if isinstance(path, QueryRows) else stamp_of(path)


def read_table_file(path: ShardPath, typed: Typed) -> pa.Table:
    """Read a file of any of the endings, a folder of such files as one table, or rows of a database.

    Parameters
    ----------
    path
        Local path or any fsspec URL, whose ending says what it is; or rows.
    typed
        What makes a table of the texts of a file of separated values.

    Raises
    ------
    FileAccessError
        The file or the database cannot be read.
    FileFormatError
        The file is damaged, or a value is not what its column is declared as.
    """
    if isinstance(path, QueryRows):
        return path.read()
    ending = format_of(ending_of(path.name) or "")
    if ending in DELIMITERS:
        return _each_part(path, lambda part: typed(read_delimited(part, DELIMITERS[ending])))
    return _each_part(path, read_json_lines) if ending in JSON_LINES else read_parquet(path)


def _each_part(path: UPath, read: Callable[[UPath], pa.Table]) -> pa.Table:
    parts = parts_of(path) if path.is_dir() else [path]
    return one_table(path, {part: read(part) for part in parts})


def examples_file(spec: PipelineSpec, shard: str) -> ParquetSource | TableSource:
    """A shard's examples, which are read when asked."""
    path = spec.examples_path(shard)
    if not isinstance(path, QueryRows) and ending_of(path.name) in {None, PARQUET}:
        return ParquetSource(path)
    return TableSource(path, partial(_typed_examples, spec))


def _typed_examples(spec: PipelineSpec, rows: TextRows) -> pa.Table:
    """Examples of a file of separated values: types of ``column_types``, numbers where features are listed.

    Raises
    ------
    FileFormatError
        A declared column is not there, a value of it is something else, or a column should hold lists.
    """
    declared = [name for name in spec.column_types if name != ID_COLUMN]
    check_known(declared, rows.table.column_names, where=rows.where, by="column_types")
    lists = [name for name in multi_label_tasks(spec.tasks) if name in rows.table.column_names]
    if lists:
        message = (
            f"{rows.where}: column '{lists[0]}' holds gold labels of a multi-label task, which are lists, "
            "and a file of separated values cannot hold any; write Parquet or JSON Lines"
        )
        raise FileFormatError(message)
    kinds = dict.fromkeys(spec.columns or (), kind_of("number"))
    kinds |= {name: kind_of(kind) for name, kind in spec.column_types.items()}
    kinds |= {task: kind_of_classes(names) for task, names in spec.classes.items()}
    return typed_table(rows, kinds)


def read_votes_table(
    path: ShardPath, task_spec: TaskSpec, *, tasks: Collection[str], types: Mapping[str, ColumnType]
) -> pa.Table:
    """Read the file of a shard's votes, whose columns of text hold names of classes.

    Parameters
    ----------
    path
        The file.
    task_spec
        The task.
    tasks
        Names of all tasks; columns of these names hold no votes.
    types
        The key ``column_types``, which says whether the ids are integers.

    Raises
    ------
    FileAccessError, FileFormatError
        See :func:`read_table_file`.
    LabelMatrixError
        A column of a file of separated values is no LF by its name.
    """
    typed = _typed_wide if task_spec.votes.format == "wide" else _typed_long
    ids = kind_of(types.get(ID_COLUMN, "text"))
    return read_table_file(path, lambda rows: typed(rows, task_spec, ids, tasks))


def _typed_wide(rows: TextRows, task_spec: TaskSpec, ids: ColumnKind, tasks: Collection[str]) -> pa.Table:
    """The ids and the columns of the LFs; others hold no votes, and are left out here."""
    votes, columns = task_spec.votes, rows.table.column_names
    if votes.scores == "class" or task_spec.holds_lists:
        what = "a score for each class" if votes.scores == "class" else "a vote of a multi-label task"
        message = (
            f"{rows.where}: {what} is a list, which a file of separated values cannot hold; write Parquet or "
            "JSON Lines, or a row for each class and votes: {format: long}"
        )
        raise FileFormatError(message)
    scores = [name + votes.score_suffix for name in columns] if votes.scores == "vote" else []
    scores = [name for name in scores if name in columns]
    of_votes = rows.table.drop_columns(scores)
    lfs = find_lf_columns(of_votes, listed=task_spec.lf_columns, tasks=tasks, where=rows.where)
    kinds = dict.fromkeys(lfs, kind_of_classes(task_spec.names_in_votes, if_other=_IF_NO_LF)) | {
        ID_COLUMN: ids
    }
    kinds |= dict.fromkeys(scores, kind_of("number"))
    kept = [name for name in rows.table.column_names if name in kinds]
    return typed_table(rows, kinds).select(kept)


def _typed_long(rows: TextRows, task_spec: TaskSpec, ids: ColumnKind, tasks: Collection[str]) -> pa.Table:
    del tasks  # names of sources are looked at when the votes are
    examples, _, labels = TRIPLE_NAMES
    names, columns = rows.table.column_names, task_spec.votes.columns
    of_ids, of_labels = _fitting(names, columns.example, examples), _fitting(names, columns.label, labels)
    of_scores = _fitting(names, columns.score, SCORE_NAMES) if task_spec.votes.has_scores else []
    kinds = dict.fromkeys(of_scores, kind_of("number")) | dict.fromkeys(of_ids, ids)
    return typed_table(rows, kinds | dict.fromkeys(of_labels, kind_of_classes(task_spec.names_in_votes)))


def _fitting(names: Sequence[str], given: str | None, known: Collection[str]) -> list[str]:
    """The column of a long table by its given name, or its usual one; [] if it is not clear which it is."""
    fitting = [name for name in names if name == given or (given is None and name.casefold() in known)]
    return fitting if len(fitting) == 1 else []


_IF_NO_LF = "; or list the LF columns with lf_columns, if the column is no LF"
