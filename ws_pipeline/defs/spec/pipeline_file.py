"""Reads a pipeline.yaml into a :class:`.PipelineSpec`; refuses what YAML would take for something else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ws_pipeline.defs.spec.multi_label_tasks import tasks_as_written
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.strict_yaml import YamlPath, parse_yaml, words_for_values
from ws_pipeline.errors import PipelineSpecError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.storage.file_errors import telling_file_errors


def load_spec(path: str | Path) -> PipelineSpec:
    """Read and validate a pipeline.yaml.

    Raises
    ------
    PipelineSpecError
        The file is not YAML, or a key is unknown (the nearest known one is named), repeated, missing
        or out of range, or its value would be ignored.
    """
    file = Path(path)
    text = _read_text(file)
    try:
        content = parse_yaml(text)
    except PipelineSpecError as broken:
        message = f"{file}: {broken}"
        raise PipelineSpecError(message) from broken.__cause__
    if not isinstance(content, dict):
        message = f"{file}: expected keys such as 'tasks', got {type(content).__name__}"
        raise PipelineSpecError(message)
    if content.get("source") is not None and "data" in content:
        message = (
            f"{file}: data is the folder of files, but source has the rows of a database; give one of them"
        )
        raise PipelineSpecError(message)
    values: dict[str, Any] = {"name": file.parent.name} | content
    values["data"] = _resolve_folder(values.get("data"), file.parent)
    words = words_for_values(text)
    spec = parse_settings(PipelineSpec, values, where=str(file), error=PipelineSpecError, words=words)
    _refuse_booleans_for_numbers(spec, content, words, where=str(file))
    spec._file = str(file)  # noqa: SLF001  no key of the file
    return spec


def _read_text(file: Path) -> str:
    with telling_file_errors(file, "read"):
        if file.is_dir():
            message = f"{file}: this is a folder, expected a pipeline.yaml"
            inside = sorted(path.name for path in file.iterdir() if path.suffix in {".yaml", ".yml"})
            raise PipelineSpecError(message + (f"; did you mean {file / inside[0]}?" if inside else ""))
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as broken:
            message = f"{file}: expected YAML in UTF-8, got other bytes ({broken}); save it in UTF-8"
            raise PipelineSpecError(message) from broken


def _refuse_booleans_for_numbers(
    spec: PipelineSpec, content: Any, words: Mapping[YamlPath, str], *, where: str
) -> None:
    """Refuse words such as yes where a number is expected; they would count as 1 and 0."""
    written = {name: spec.tasks[first] for name, first in tasks_as_written(spec.tasks).items()}
    for path, said in words.items():
        given, value = content, spec.__dict__ | {"tasks": written}
        for key in path:
            given, value = _at(given, key), _at(value, key)
        if isinstance(given, bool) and isinstance(value, int | float) and not isinstance(value, bool):
            message = f"{where}: {'.'.join(map(str, path))}: expected a number, {said}"
            raise PipelineSpecError(message)


def _at(values: Any, key: str | int) -> Any:
    """An item of a dict or list, or a field of settings; None where there is none."""
    if isinstance(values, list):
        return values[key] if isinstance(key, int) and key < len(values) else None
    fields = values.__dict__ if isinstance(values, BaseModel) else values
    return fields.get(str(key)) if isinstance(fields, dict) else None


def _resolve_folder(data: Any, beside: Path) -> Any:
    """The data folder: as given when absolute or a URL, else relative to the pipeline.yaml."""
    if data is None:
        return str(beside.resolve())
    if not isinstance(data, str):
        return data  # refused with all else that is no text
    return data if "://" in data or Path(data).is_absolute() else str((beside / data).resolve())
