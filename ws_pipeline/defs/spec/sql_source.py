"""Shards that are rows of a database instead of files: the key ``source`` of a pipeline.yaml.

A query gives the rows of all shards, and the values of one of its columns are the names of the shards.  Start
reading at :class:`SourceSpec`; :class:`QueryRows` is what stands where a pipeline of files has a path.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from ws_pipeline.defs.spec.data_folder import check_shard
from ws_pipeline.errors import FileFormatError, MissingFileError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.settings.base import Settings
from ws_pipeline.storage.sql_tables import Column, Database, as_select, check_url
from ws_pipeline.storage.table_endings import ROWS

ALL_ROWS = "all"  # the name of the shard, where there is no column of shards
Query = Annotated[str, AfterValidator(as_select)]


class SourceSpec(Settings):
    """Tables of a database that hold the examples and votes of a pipeline."""

    url: Annotated[str, AfterValidator(check_url)] = Field(
        description="URL of SQLAlchemy; ${NAME} in it is an environment variable, env:NAME all of it."
    )
    examples: Query = Field(description="Table or SELECT of the examples.")
    votes: dict[str, Query] = Field({}, description="Task to the table or SELECT of its votes.")
    shard_column: str | None = Field(
        None, description="Column of all of them whose values are the shards; default one shard, 'all'."
    )
    version_column: str | None = Field(
        None,
        description="Column of all of them that grows with every change, such as updated_at; without, only "
        "another number of rows is seen as a change.",
    )


@dataclass(frozen=True)
class QueryRows:
    """The rows of a shard, in the place of a path.

    Parameters
    ----------
    source
        The database and its queries.
    place
        "examples" or "votes/<task>".
    shard
        Name of the shard.
    folder
        What the path of a database in a file is relative to.
    """

    source: SourceSpec
    place: str
    shard: str
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.source.url}: {self.place}, shard '{self.shard}'"

    @property
    def name(self) -> str:
        """The last part of what stands for a path."""
        return self.shard + ROWS

    def stamp(self) -> str:
        """What changes when the rows do: their number, the greatest version, the query.

        Raises
        ------
        MissingFileError
            There are no rows.
        """
        return self._found[1]

    def read(self) -> pa.Table:
        """The rows, in an order that depends on their values alone, without the columns of shard and version.

        Votes are ordered by version, so that the last of repeated votes is the newest.
        """
        source, query = self.source, _query_of(self.source, self.place)
        database = Database(source.url, self.folder)
        if source.shard_column is None:
            table = database.read(query)
        else:
            values = {"ws_shard": Column(source.shard_column), "ws_value": self._found[0]}
            # the query is the person's own, as all of the pipeline.yaml is; the value is a parameter
            of_shard = f"SELECT * FROM ({query}) AS ws_rows WHERE {{ws_shard}} = {{ws_value}}"  # noqa: S608
            table = database.read(of_shard, values)
        first = ID_COLUMN if self.place == "examples" else source.version_column
        extra = {source.shard_column, source.version_column}
        return _sorted(table, first).drop_columns([name for name in table.column_names if name in extra])

    @cached_property
    def _found(self) -> tuple[Any, str]:
        """The value of the shard's column, and the stamp."""
        shards = _shards_of(self.source, self.place, self.folder)
        if self.shard not in shards:
            message = f"{self}: there are no such rows; check the query, and that they were not deleted"
            raise MissingFileError(message)
        return shards[self.shard]


def list_rows(source: SourceSpec, place: str, folder: Path | None) -> dict[str, str]:
    """Names of the shards of a query, each with the ending that stands for rows, and their stamps.

    Raises
    ------
    FileAccessError
        The database cannot be reached, or refuses the query.
    FileFormatError
        A row has no shard, or two shards have one name.
    """
    return {shard + ROWS: stamp for shard, (_, stamp) in _shards_of(source, place, folder).items()}


def _shards_of(source: SourceSpec, place: str, folder: Path | None) -> dict[str, tuple[Any, str]]:
    """Shard to the value of its column, and its stamp."""
    query, database = _query_of(source, place), Database(source.url, folder)
    names = {"ws_shard": source.shard_column, "ws_version": source.version_column}
    columns = {name: Column(column) for name, column in names.items() if column is not None}
    asked = [
        "{ws_shard} AS ws_value" if source.shard_column else "NULL AS ws_value",
        "COUNT(*) AS ws_count",
        "MAX({ws_version}) AS ws_latest" if source.version_column else "NULL AS ws_latest",
    ]
    grouped = " GROUP BY {ws_shard}" if source.shard_column else ""
    counts = f"SELECT {', '.join(asked)} FROM ({query}) AS ws_rows{grouped}"  # noqa: S608  as above
    found = database.read(counts, columns).to_pylist()
    shards: dict[str, tuple[Any, str]] = {}
    for row in found:
        if not row["ws_count"]:
            continue
        if source.shard_column and row["ws_value"] is None:
            message = (
                f"{source.url}: {place}: {row['ws_count']} row(s) have no value in the column "
                f"'{source.shard_column}', which names their shards; leave them out of the query, or fill it"
            )
            raise FileFormatError(message)
        shard = check_shard(str(row["ws_value"])) if source.shard_column else ALL_ROWS
        if shard in shards:
            message = (
                f"{source.url}: {place}: two values of the column '{source.shard_column}' are written as "
                f"'{shard}'; cast the column in the query, so that there is one of each"
            )
            raise FileFormatError(message)
        text = f"{row['ws_count']} {row['ws_latest']} {source.shard_column} {source.version_column} {query}"
        shards[shard] = (row["ws_value"], hashlib.sha256(text.encode()).hexdigest()[:32])
    return shards


def _query_of(source: SourceSpec, place: str) -> str:
    return source.examples if place == "examples" else source.votes[place.removeprefix("votes/")]


def _sorted(table: pa.Table, first: str | None) -> pa.Table:
    """The rows ordered by this column, then by all others that have an order."""
    flat = [
        field.name
        for field in table.schema
        if not pa.types.is_nested(field.type) and not pa.types.is_null(field.type)
    ]
    names = sorted(flat, key=lambda name: name != first)
    if not names or not table.num_rows:
        return table
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names]))


def check_source(source: SourceSpec, of_files: list[str], of_functions: list[str]) -> None:
    """Refuse votes of a source that are not those of the tasks.

    Parameters
    ----------
    source
        The database and its queries.
    of_files
        Tasks whose votes are read.
    of_functions
        Tasks whose votes are made by labeling functions.

    Raises
    ------
    ValueError
        The message names the task.
    """
    missing = [task for task in of_files if task not in source.votes]
    if missing:
        message = (
            f"votes: task '{missing[0]}' has neither a query here nor labeling_functions; give one of them"
        )
        raise ValueError(message)
    for task in source.votes:
        if task not in of_files:
            why = "has labeling_functions, which make its votes" if task in of_functions else "is no task"
            message = f"votes: '{task}' {why}; leave its query out"
            raise ValueError(message)
