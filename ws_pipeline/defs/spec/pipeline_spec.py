"""The content of a pipeline.yaml: tasks, the place of the data, and the settings of each step.

To run on your own data, write a pipeline.yaml and put Parquet, CSV or JSON Lines files beside it;
data/README.md in the project's repository documents both.  Start reading at :class:`PipelineSpec`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import dagster as dg
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from upath import UPath

from ws_pipeline.defs.spec.column_rules import check_column_types
from ws_pipeline.defs.spec.data_folder import (
    Listing,
    check_folder,
    check_shard,
    complete_shards,
    file_of_shard,
    visible_files,
)
from ws_pipeline.defs.spec.multi_label_tasks import (
    gold_columns,
    on_one_label,
    tasks_as_written,
    with_task_per_label,
    written_as,
)
from ws_pipeline.defs.spec.sql_source import QueryRows, SourceSpec, check_source, list_rows
from ws_pipeline.defs.spec.task_spec import Columns, TaskSpec
from ws_pipeline.defs.spec.trainer_rules import check_trainer
from ws_pipeline.errors import FileAccessError, LabelingFunctionError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.example_index import SPLIT_COLUMN
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.functions.lf_modules import load_labeling_functions, take_by_name
from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.end_model import EndModelConfig, ModelConfig
from ws_pipeline.settings.text_features import TextFeature
from ws_pipeline.storage.column_kinds import ColumnType

ShardPath = UPath | QueryRows
"""Where a part of a shard is: a file, a folder that counts as one, or rows of a database."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"'{name}' is not a name: use letters, digits and underscores, a letter first"
        raise ValueError(message)
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class AutomationSpec(Settings):
    """Schedule and sensor of the pipeline."""

    schedule: str = Field("0 3 * * 1", description="Cron expression of the scheduled retraining.")
    timezone: str = Field("UTC", description="Time zone of the schedule.")
    enabled: bool = Field(
        default=False, description="Start the schedule and the retraining sensor with the code location."
    )
    interval_seconds: int = Field(30, ge=5, description="Time between two looks for new shards.")


class PipelineSpec(Settings):
    """A pipeline.yaml, validated."""

    name: Name = Field(
        description="Name of the pipeline, of its shards' partitions and of its asset groups: <name> for "
        "what is read, <name>_<task> for a task, <name>_end_model for what follows."
    )
    prefix: Name | None = Field(
        None,
        description="Put before asset keys and job names; of pipelines loaded together one may have none.",
    )
    owners: list[str] = Field(
        [], description="Who answers for the assets: e-mail addresses, or teams as 'team:<name>'."
    )
    tags: dict[str, str] = Field({}, description="Tags of the assets and jobs, to find them by in the UI.")
    tasks: dict[Name, TaskSpec] = Field(min_length=1, description="Task name to task.")
    data: str = Field(description="Folder or fsspec URL of votes/ and examples/; default beside the file.")
    source: SourceSpec | None = Field(
        None, description="Tables of a database that hold examples and votes, instead of files."
    )
    feature_columns: Columns | dict[Name, Columns] | None = Field(
        None,
        description="Feature columns that feed the end model, side by side; default all. Or, for "
        "model.build_tasks, field name to columns.",
    )
    features: dict[str, TextFeature] = Field(
        {}, description="Column of text of the examples files to what makes features of it."
    )
    column_types: dict[str, ColumnType] = Field(
        {},
        description="Column of CSV and TSV files of the examples to its type: text, integer, number or "
        "boolean. Default: text; number for those listed in feature_columns.",
    )
    filter_uncovered: bool = Field(
        default=True,
        description="Train on the examples that at least one task's votes cover, each task on those that its "
        "own votes cover. If false, train on all of the train split, with the class balance as the label of "
        "every task and example without votes.",
    )
    model: ModelConfig | None = Field(
        ModelConfig(),
        validate_default=True,
        description="Architecture of the end model; null ends the pipeline at the labels.",
    )
    trainer: EndModelConfig = Field(EndModelConfig(), description="Settings of the end model's training.")
    automation: AutomationSpec = AutomationSpec()

    _file: str | None = PrivateAttr(None)

    @field_validator("tasks")
    @classmethod
    def _check_tasks(cls, tasks: dict[str, TaskSpec]) -> dict[str, TaskSpec]:
        """Refuse tasks whose gold labels would be in a column that means something else.

        A multi-label task becomes a task for each of its classes.
        """
        tasks = with_task_per_label(tasks)
        for name in (ID_COLUMN, SPLIT_COLUMN):
            if name in gold_columns(tasks):
                message = f"'{name}' is a column of every examples file; give the task another name"
                raise ValueError(message)
        return tasks

    @field_validator("owners")
    @classmethod
    def _check_owners(cls, owners: list[str]) -> list[str]:
        """Refuse an owner that Dagster would refuse."""
        for owner in owners:
            try:
                dg.AssetSpec("asset", owners=[owner])
            except dg.DagsterError as refused:
                message = f"'{owner}' is no owner; give an e-mail address, or a team as 'team:<name>'"
                raise ValueError(message) from refused
        return owners

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        """Refuse a tag that Dagster would refuse."""
        try:
            dg.AssetSpec("asset", tags=tags)
        except dg.DagsterError as refused:
            raise ValueError(str(refused)) from refused
        return tags

    @field_validator("data")
    @classmethod
    def _check_data(cls, data: str) -> str:
        return check_folder(data)

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: SourceSpec | None, info: ValidationInfo) -> SourceSpec | None:
        """Refuse queries of votes that are not those of the tasks."""
        if source is not None and "tasks" in info.data:
            tasks, written = info.data["tasks"], tasks_as_written(info.data["tasks"])
            made = {name: tasks[first].labeling_functions is not None for name, first in written.items()}
            of_files = [name for name, by_functions in made.items() if not by_functions]
            check_source(source, of_files, [name for name in made if name not in of_files])
        return source

    @field_validator("feature_columns")
    @classmethod
    def _check_columns(
        cls, columns: list[str] | dict[str, list[str]] | None, info: ValidationInfo
    ) -> list[str] | dict[str, list[str]] | None:
        """Refuse columns that hold no features."""
        _check_are_features(_distinct(columns or []), info)
        return columns

    @field_validator("features")
    @classmethod
    def _check_features(
        cls, features: dict[str, TextFeature], info: ValidationInfo
    ) -> dict[str, TextFeature]:
        """Refuse columns that hold no text to learn from, or that no field takes."""
        _check_are_features(features, info)
        fields = info.data.get("feature_columns")
        unused = set(features) - set(_distinct(fields)) if isinstance(fields, dict) else set()
        if isinstance(fields, dict) and unused:
            message = (
                f"column '{min(unused)}' is in none of the fields {list(fields)} of feature_columns; list it "
                "in one of them"
            )
            raise ValueError(message)
        return features

    @field_validator("column_types")
    @classmethod
    def _check_column_types(cls, types: dict[str, ColumnType], info: ValidationInfo) -> dict[str, ColumnType]:
        """Refuse types that columns of a known meaning cannot have."""
        check_column_types(types, info.data)
        return types

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: ModelConfig | None, info: ValidationInfo) -> ModelConfig | None:
        """Refuse heads without a task, and what no end model reads."""
        unknown = model.unknown_head(info.data.get("tasks", model.heads)) if model else None
        if unknown:
            raise ValueError(unknown)
        if model is None and not info.data.get("filter_uncovered", True):
            message = (
                "filter_uncovered says what the end model is trained on, but model is null; leave it out"
            )
            raise ValueError(message)
        if model is None and info.data.get("features"):
            message = "features are made for the end model, but model is null; leave features out"
            raise ValueError(message)
        fields = info.data.get("feature_columns")
        if isinstance(fields, dict) and (model is None or model.build_tasks is None):
            message = (
                f"feature_columns names the fields {list(fields)}, but a multilayer perceptron reads one; "
                "list the columns, or give build_tasks"
            )
            raise ValueError(message)
        return model

    @field_validator("trainer")
    @classmethod
    def _check_trainer(cls, trainer: EndModelConfig, info: ValidationInfo) -> EndModelConfig:
        """Refuse settings that would be overruled or ignored, or that no training could use."""
        model, tasks = info.data.get("model"), info.data.get("tasks")
        if "model" in info.data and model is None and trainer.model_fields_set:
            message = "there is no end model to train, model is null; leave trainer out"
            raise ValueError(message)
        if model is not None and tasks is not None:
            check_trainer(trainer, {name: task.cardinality for name, task in tasks.items()}, model)
        return trainer

    @model_validator(mode="after")
    def _check_left_out(self) -> "PipelineSpec":
        """Refuse to leave examples out and to keep all of them."""
        picky = [name for name, task in self.tasks.items() if task.min_confidence]
        if picky and not self.filter_uncovered:
            message = (
                f"tasks.{picky[0]}.min_confidence leaves examples out of the training, but filter_uncovered "
                "is false, which keeps all; give one of them"
            )
            raise ValueError(message)
        return self

    @property
    def where(self) -> str:
        """The file that describes the pipeline, for messages."""
        return self._file or f"pipeline '{self.name}'"

    @property
    def fields(self) -> dict[str, list[str]] | None:
        """Feature columns of every field of the datasets; None: all columns, in one field."""
        if isinstance(self.feature_columns, list):
            return {"features": list(dict.fromkeys([*self.feature_columns, *self.features]))}
        return self.feature_columns

    @property
    def columns(self) -> list[str] | None:
        """Columns of numbers to read, each once; None: all."""
        if self.feature_columns is None:
            return None
        return [column for column in _distinct(self.feature_columns) if column not in self.features]

    @property
    def cardinalities(self) -> dict[str, int]:
        """Task name to number of classes."""
        return {task: spec.cardinality for task, spec in self.tasks.items()}

    @property
    def classes(self) -> dict[str, list[str]]:
        """Task name to the names of its classes."""
        return {task: spec.classes for task, spec in self.tasks.items()}

    @property
    def shards_name(self) -> str:
        """Name of the dynamic partitions."""
        return f"{self.name}_shards"

    @property
    def shards(self) -> dg.DynamicPartitionsDefinition:
        """The shards as partitions."""
        return dg.DynamicPartitionsDefinition(name=self.shards_name)

    def key(self, *parts: str) -> dg.AssetKey:
        """Key of one of the pipeline's assets."""
        return dg.AssetKey([*([self.prefix] if self.prefix else []), *parts])

    def group(self, part: str | None = None) -> str:
        """Name of the group in which the UI shows a part of the pipeline, such as a task."""
        return self.name if part is None else f"{self.name}_{part}"

    def job_name(self, name: str) -> str:
        """Name of one of the pipeline's jobs, schedules or sensors."""
        return f"{self.prefix}_{name}" if self.prefix else name

    @property
    def folder(self) -> UPath:
        """Folder of the pipeline's files."""
        return UPath(self.data)

    @property
    def origin(self) -> str:
        """Where the data is, for messages: the folder, or the URL of the database."""
        return str(self.folder) if self.source is None else self.source.url

    @property
    def _own_folder(self) -> Path | None:
        return Path(self._file).parent if self._file else None

    def votes_path(self, task: str, shard: str) -> ShardPath:
        """File, or rows of a database, that one shard's votes on one task are made of."""
        return self._path_of(self.place_of_votes(task), shard)

    def _path_of(self, place: str, shard: str) -> ShardPath:
        if self.source is not None:
            return QueryRows(self.source, place, check_shard(shard), self._own_folder)
        return file_of_shard(self.folder / place, shard)

    def functions_of(self, task: str) -> list[LabelingFunction]:
        """The labeling functions that vote on a task.

        Raises
        ------
        LabelingFunctionError
            Their module cannot be imported, has none, or lacks one of the ``lf_columns``.
        """
        functions, listed = self.tasks[task].labeling_functions, self.tasks[task].lf_columns
        if functions is None:
            return []
        where = f"{self.where}: tasks.{written_as(task, self.tasks[task])}.labeling_functions"
        try:
            found = load_labeling_functions(functions.module, folder=self._own_folder)
            return on_one_label(take_by_name(found, listed, where=functions.module), self.tasks[task])
        except (LabelingFunctionError, FileAccessError) as problem:
            raise type(problem)(f"{where}: {problem}") from problem

    def examples_path(self, shard: str) -> ShardPath:
        """File, or rows of a database, of one shard's examples."""
        return self._path_of("examples", shard)

    def place_of_votes(self, task: str) -> str:
        """Folder of the files that the votes of a task are made of, below ``folder``."""
        task_spec = self.tasks[task]
        return "examples" if task_spec.labeling_functions else f"votes/{written_as(task, task_spec)}"

    @property
    def places(self) -> list[str]:
        """The folders that hold one file of every shard, below ``folder``."""
        return list(dict.fromkeys(["examples", *map(self.place_of_votes, self.tasks)]))

    def list_files(self) -> Listing:
        """The files that are there now: each of ``places`` to its files' names, and these to their stamps."""
        if self.source is not None:
            return {place: list_rows(self.source, place, self._own_folder) for place in self.places}
        return {place: visible_files(self.folder / place) for place in self.places}

    def find_shards(self, files: Listing | None = None) -> list[str]:
        """Names of the shards whose files are all there, sorted; from a listing, by default a new one."""
        files = self.list_files() if files is None else files
        return complete_shards(files)


def _check_are_features(columns: Iterable[str], info: ValidationInfo) -> None:
    """Refuse a column that means something else."""
    meaning = {ID_COLUMN: "the ids", SPLIT_COLUMN: "the splits"}
    meaning |= dict.fromkeys(gold_columns(info.data.get("tasks", {})), "the gold labels of a task")
    for column in columns:
        if column in meaning:
            message = f"column '{column}' holds {meaning[column]}, it is no feature; leave it out"
            raise ValueError(message)


def _distinct(columns: list[str] | dict[str, list[str]]) -> list[str]:
    """The columns, or those of all fields, each once."""
    fields = [columns] if isinstance(columns, list) else columns.values()
    return list(dict.fromkeys(column for field in fields for column in field))
