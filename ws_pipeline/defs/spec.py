"""What a pipeline.yaml says: tasks, where the data is, and the settings of each step.

To run on your own data, write a pipeline.yaml and put Parquet files beside it; data/README.md in the
project's repository documents both.  Start reading at :class:`PipelineSpec`.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import yaml
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from upath import UPath

from ws_pipeline.classification.settings import EndModelConfig, ModelConfig
from ws_pipeline.defs.config import DECIDED
from ws_pipeline.errors import PipelineSpecError
from ws_pipeline.labeling.matrix_completion import FitConfig
from ws_pipeline.settings import Settings, nearest, parse_settings

SUFFIX = ".parquet"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]*")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"'{name}' is not a name: use letters, digits and underscores, a letter first"
        raise ValueError(message)
    return name


Name = Annotated[str, AfterValidator(_check_name)]
Columns = Annotated[list[str], Field(min_length=1)]


class TaskSpec(Settings):
    """One task: its classes, and how its label model is fitted."""

    classes: list[str] = Field(min_length=2, description="Names of the k classes; votes are positions in it.")
    class_balance: list[float] | None = Field(
        None, description="P(class), k positive numbers that sum to 1; default uniform."
    )
    label_model: FitConfig = Field(FitConfig(), description="Settings of the label model.")

    @property
    def cardinality(self) -> int:
        """Number of classes k."""
        return len(self.classes)

    @model_validator(mode="after")
    def _check(self) -> "TaskSpec":
        if len(set(self.classes)) < len(self.classes):
            message = f"class names must be unique, got {self.classes}"
            raise ValueError(message)
        if self.class_balance is not None:
            from ws_pipeline.labeling.class_balance import validate_class_balance

            validate_class_balance(self.class_balance, self.cardinality)
        return self


class AutomationSpec(Settings):
    """When the pipeline retrains by itself."""

    schedule: str = Field("0 3 * * 1", description="Cron expression of the scheduled retraining.")
    timezone: str = Field("UTC", description="Time zone of the schedule.")
    enabled: bool = Field(
        default=False, description="Start the schedule and the retraining sensor with the code location."
    )
    interval_seconds: int = Field(30, ge=5, description="Time between two looks for new shards.")


class PipelineSpec(Settings):
    """A pipeline.yaml, validated."""

    name: Name = Field(description="Name of the pipeline: its asset group and its shards' partitions.")
    prefix: Name | None = Field(
        None, description="Put before all asset keys and job names; needed when pipelines share task names."
    )
    tasks: dict[Name, TaskSpec] = Field(min_length=1, description="Task name to task.")
    data: str = Field(description="Folder or fsspec URL of votes/ and examples/; default beside the file.")
    feature_columns: Columns | dict[Name, Columns] | None = Field(
        None,
        description="Feature columns that feed the end model, side by side; default all. Or, for "
        "model.build_tasks, field name to columns.",
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

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: ModelConfig | None, info: ValidationInfo) -> ModelConfig | None:
        """Refuse heads without a task, and fields that no function of one's own reads."""
        tasks = list(info.data.get("tasks", model.heads if model else {}))
        unknown = [name for name in (model.heads if model else {}) if name not in tasks]
        if unknown:
            message = f"heads: there is no task '{unknown[0]}', {nearest(unknown[0], tasks)}"
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
    def _check_trainer(cls, trainer: EndModelConfig) -> EndModelConfig:
        """Refuse settings that would be overruled."""
        for name in sorted(trainer.model_fields_set & DECIDED.keys()):
            message = f"'{name}' is decided by the pipeline ({DECIDED[name]}); leave it out"
            raise ValueError(message)
        if not trainer.evaluation_freq:
            message = "evaluation_freq is 0, but checkpoints are written at evaluations; set it above 0"
            raise ValueError(message)
        return trainer

    @property
    def fields(self) -> dict[str, list[str]] | None:
        """Feature columns of every field of the datasets; None: all columns, in one field."""
        if isinstance(self.feature_columns, list):
            return {"features": self.feature_columns}
        return self.feature_columns

    @property
    def columns(self) -> list[str] | None:
        """Feature columns to read, each once; None: all."""
        if self.fields is None:
            return None
        return list(dict.fromkeys(column for columns in self.fields.values() for column in columns))

    @property
    def cardinalities(self) -> dict[str, int]:
        """Task name to number of classes."""
        return {task: spec.cardinality for task, spec in self.tasks.items()}

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

    def job_name(self, name: str) -> str:
        """Name of one of the pipeline's jobs, schedules or sensors."""
        return f"{self.prefix}_{name}" if self.prefix else name

    @property
    def folder(self) -> UPath:
        """Where the pipeline's files are."""
        return UPath(self.data)

    def votes_path(self, task: str, shard: str) -> UPath:
        """File of one shard's votes on one task."""
        return self.folder / "votes" / task / (_check_shard(shard) + SUFFIX)

    def examples_path(self, shard: str) -> UPath:
        """File of one shard's examples."""
        return self.folder / "examples" / (_check_shard(shard) + SUFFIX)

    def shard_files(self, shard: str) -> list[UPath]:
        """All files that make up one shard."""
        return [self.examples_path(shard), *(self.votes_path(task, shard) for task in self.tasks)]

    def find_shards(self) -> list[str]:
        """Names of the shards whose files are all there, sorted."""
        names = {path.name.removesuffix(SUFFIX) for path in _parquet_files(self.folder / "examples")}
        for task in self.tasks:
            names &= {path.name.removesuffix(SUFFIX) for path in _parquet_files(self.folder / "votes" / task)}
        return sorted(name for name in names if _SHARD.fullmatch(name))


def load_spec(path: str | Path) -> PipelineSpec:
    """Read and validate a pipeline.yaml.

    Raises
    ------
    PipelineSpecError
        The file is not YAML, or a key is unknown (the nearest known one is named), missing or out
        of range.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as broken:
        message = f"{file}: not valid YAML ({' '.join(str(broken).split())})"
        raise PipelineSpecError(message) from broken
    if not isinstance(content, dict):
        message = f"{file}: expected keys such as 'tasks', found {type(content).__name__}"
        raise PipelineSpecError(message)
    values: dict[str, Any] = {"name": file.parent.name} | content
    values["data"] = _resolve_folder(values.get("data"), file.parent)
    return parse_settings(PipelineSpec, values, where=str(file), error=PipelineSpecError)


def _resolve_folder(data: Any, beside: Path) -> str:
    """The data folder: as given when absolute or a URL, else relative to the pipeline.yaml."""
    if data is None:
        return str(beside.resolve())
    text = str(data)
    return text if "://" in text or Path(text).is_absolute() else str((beside / text).resolve())


def _parquet_files(folder: UPath) -> list[UPath]:
    """Parquet files in a folder, without the temporary ones of a writer at work."""
    if not folder.exists():
        return []
    return [path for path in folder.iterdir() if path.name.endswith(SUFFIX) and not path.name.startswith(".")]


def _check_shard(shard: str) -> str:
    """Refuse a shard name that could leave the data folder."""
    if not _SHARD.fullmatch(shard):
        message = (
            f"'{shard}' is not a shard name: use letters, digits, '_', '-', '=' and '.', not a dot first; "
            "shards are named after their files in examples/"
        )
        raise PipelineSpecError(message)
    return shard
