"""IO managers: tables are kept as Parquet, models and datasets as safetensors, never as pickle.

An IO manager owns paths and atomicity, a value owns its encoding (``to_table``/``from_table``,
``save``/``load``).  A file is written beside its target and renamed over it, so that a run that dies
leaves the last good file.  The folder is a local path or any fsspec URL.

Legend: an unpartitioned asset ``a/b`` is kept at ``<base_path>/a/b.parquet``, partition ``p`` of it at
``<base_path>/a/b/p.parquet``.
"""

import re
import typing
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from shlex import quote as quote_word
from typing import Any
from urllib.parse import quote

import dagster as dg
import pyarrow as pa
from pydantic import Field
from upath import UPath

from ws_pipeline.defs.spec.data_folder import check_folder
from ws_pipeline.errors import FileFormatError, InvalidInputError
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import ParquetSource, read_parquet, read_tensors_format, write_parquet


class FolderIOManager(dg.IOManager):
    """One file per asset, or per partition of it, below a folder.

    Parameters
    ----------
    base_path
        Local path or fsspec URL of the folder.
    """

    extension = ""

    def __init__(self, base_path: UPath) -> None:
        self.base_path = base_path

    @abstractmethod
    def write(self, value: Any, path: UPath) -> Mapping[str, Any]:
        """Write a value atomically; return metadata that describes it."""

    @abstractmethod
    def read(self, path: UPath, annotation: Any) -> Any:
        """Read a value as the type that the consuming asset asks for."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write what an asset returned."""
        partition = context.partition_key if context.has_partition_key else None
        path = self.path_of(context.asset_key, partition)
        metadata = self.write(obj, path)
        context.add_output_metadata({**metadata, "path": dg.MetadataValue.path(str(path))})

    def load_input(self, context: dg.InputContext) -> Any:
        """Read an upstream asset.

        An input annotated ``dict[str, T]`` gets all its partitions by key, in the order of the keys,
        also when there is one or none; any other annotation gets one value.
        """
        annotation = context.dagster_type.typing_type
        if not context.has_asset_partitions:
            return self._read_one(context.asset_key, None, annotation)
        keys = sorted(context.asset_partition_keys)
        if typing.get_origin(annotation) is dict:
            item_type = typing.get_args(annotation)[1]
            return {key: self._read_one(context.asset_key, key, item_type) for key in keys}
        if len(keys) == 1:
            return self._read_one(context.asset_key, keys[0], annotation)
        message = (
            f"asset {context.asset_key.to_user_string()} has {len(keys)} partitions to read, but the input "
            f"is annotated {annotation}; annotate it dict[str, ...]"
        )
        raise InvalidInputError(message)

    def path_of(self, asset_key: dg.AssetKey, partition: str | None = None) -> UPath:
        """Path of an asset, or of one partition of it; no key can point outside the folder."""
        parts = [_safe_name(part) for part in asset_key.path]
        if partition is not None:
            parts.append(_safe_name(partition))
        return self.base_path.joinpath(*parts[:-1], parts[-1] + self.extension)

    def _read_one(self, asset_key: dg.AssetKey, partition: str | None, annotation: Any) -> Any:
        path = self.path_of(asset_key, partition)
        with telling_file_errors(path, "read"):
            is_there = path.exists()
        if not is_there:
            name = asset_key.to_user_string() + (f", partition '{partition}'," if partition else "")
            step = _how_to_ingest(partition) if partition else "materialize it first"
            message = f"{name} has not been materialized yet: there is no {path}; {step}"
            raise dg.Failure(message, allow_retries=False)
        return self.read(path, annotation)


class ParquetFiles(FolderIOManager):
    """Tables: Arrow, pandas, or any value with ``to_table`` and ``from_table``."""

    extension = ".parquet"

    def write(self, value: Any, path: UPath) -> Mapping[str, Any]:
        """Write a table; its row count and columns are the metadata."""
        table = _as_table(value)
        write_parquet(table, path)
        columns = [dg.TableColumn(field.name, str(field.type)) for field in table.schema]
        return {
            "dagster/row_count": table.num_rows,
            "dagster/column_schema": dg.TableSchema(columns=columns),
        }

    def read(self, path: UPath, annotation: Any) -> Any:
        """Read as the annotated type, Arrow by default.

        A ParquetSource is not read yet; a type with ``from_source`` decides itself which columns it needs.
        """
        if annotation is ParquetSource:
            return ParquetSource(path)
        if hasattr(annotation, "from_source"):
            return annotation.from_source(ParquetSource(path))
        table = read_parquet(path)
        if hasattr(annotation, "from_table"):
            return annotation.from_table(table)
        if getattr(annotation, "__module__", "").startswith("pandas"):
            return table.to_pandas()
        return table


@dataclass(frozen=True)
class TensorSource:
    """A safetensors file that an asset loads itself: its class needs torch, or more than the file knows."""

    path: UPath


@typing.runtime_checkable
class SavesItself(typing.Protocol):
    """A model or dataset that an asset makes, without the import of its class where assets are defined."""

    def save(self, path: Any) -> None:
        """Write one safetensors file."""


class TensorFiles(FolderIOManager):
    """Models and datasets: any value with ``save(path)``, one safetensors file each.

    Parameters
    ----------
    base_path
        Local path or fsspec URL of the folder.
    loaders
        Name of a file format to the ``package.module:Class.method`` that loads it.  The list is
        closed: a file cannot name code to run.
    """

    extension = ".safetensors"

    def __init__(self, base_path: UPath, loaders: Mapping[str, str]) -> None:
        super().__init__(base_path)
        self.loaders = loaders

    def write(self, value: Any, path: UPath) -> Mapping[str, Any]:
        """Save a value; its size is the metadata."""
        value.save(path)
        return {"bytes": path.stat().st_size}

    def read(self, path: UPath, annotation: Any) -> Any:
        """Load a value with the loader of the format that its file states; a TensorSource is not read yet."""
        if annotation is TensorSource:
            return TensorSource(path)
        file_format = read_tensors_format(path)
        if file_format is None or file_format not in self.loaders:
            found = file_format or "an unknown format"
            message = f"{path}: holds {found}, expected one of {', '.join(sorted(self.loaders))}"
            raise FileFormatError(message)
        return resolve_name(self.loaders[file_format])(path)


class ParquetIOManager(dg.ConfigurableIOManagerFactory[ParquetFiles]):
    """Keeps tables as Parquet files, written atomically."""

    base_path: str = Field(description="Folder, or any fsspec URL, that the files are kept in.")
    storage_options: dict[str, Any] = Field(
        default={}, description="Options of the file system (credentials, endpoint), as fsspec takes them."
    )

    def create_io_manager(self, context: dg.InitResourceContext) -> ParquetFiles:
        """Build the manager that a run uses; refuse a folder that there is no file system for."""
        return ParquetFiles(UPath(check_folder(self.base_path), **self.storage_options))


#: Formats that the model IO manager can load, and what loads them.
LOADERS = {
    "ws_pipeline/LabelModel": "ws_pipeline.labeling.models.label_model:LabelModel.from_file",
    "ws_pipeline/AutoLabelModel": "ws_pipeline.labeling.models.auto:AutoLabelModel.from_file",
    "ws_pipeline/DawidSkene": "ws_pipeline.labeling.models.dawid_skene:DawidSkene.from_file",
    "ws_pipeline/LiftDawidSkene": "ws_pipeline.labeling.models.lift_dawid_skene:LiftDawidSkene.from_file",
    "ws_pipeline/MajorityLabelVoter": "ws_pipeline.labeling.models.baselines:MajorityLabelVoter.from_file",
    "ws_pipeline/TextModels": "ws_pipeline.text.text_models:TextModels.load",
    "ws_pipeline/DictDataset": "ws_pipeline.classification.data.dict_dataset:DictDataset.load",
    "ws_pipeline/EndModel": "ws_pipeline.classification.end_model:EndModel.load",
}


class ModelIOManager(dg.ConfigurableIOManagerFactory[TensorFiles]):
    """Keeps models and datasets as safetensors files with JSON headers, written atomically."""

    base_path: str = Field(description="Folder, or any fsspec URL, that the files are kept in.")
    storage_options: dict[str, Any] = Field(
        default={}, description="Options of the file system (credentials, endpoint), as fsspec takes them."
    )

    def create_io_manager(self, context: dg.InitResourceContext) -> TensorFiles:
        """Build the manager that a run uses; refuse a folder that there is no file system for."""
        return TensorFiles(UPath(check_folder(self.base_path), **self.storage_options), LOADERS)


def _safe_name(key: str) -> str:
    """A key as one path segment: percent-encoded, and never only dots."""
    name = quote(key, safe=" +=@,;()[]{}")
    return name.replace(".", "%2E") if re.fullmatch(r"\.+", name) else name


def _how_to_ingest(shard: str) -> str:
    """Say how to ingest a partition that is known, but of which nothing is stored."""
    return (
        f"ingest the shard (in the UI: Jobs > ingest > Materialize all, partition {shard}; or by the command "
        f"dg launch --job ingest --partition {quote_word(shard)}; the job's name begins with the pipeline's "
        "prefix, if it has one), or delete its files, and the sensor shard_registry removes the partition"
    )


def _as_table(value: Any) -> pa.Table:
    if isinstance(value, pa.Table):
        return value
    if hasattr(value, "to_table"):
        return value.to_table()
    if type(value).__module__.startswith("pandas"):
        return pa.Table.from_pandas(value, preserve_index=False)
    message = f"a table is expected (Arrow, pandas or a value with to_table), got {type(value).__name__}"
    raise InvalidInputError(message)
