"""doccano: JSON Lines or JSON of text and image classification, one file per annotator."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.choices import one_class
from ws_pipeline.importing.collector import Collector
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.json_files import Record, read_records, records_of_text
from ws_pipeline.storage.text_files import decoded

_SUFFIXES = {".jsonl", ".json"}
_LABEL = "label"
_OTHERS = {"id", _LABEL, "Comments"}
_SAME = ("text", "filename")


def read_doccano(path: Path, options: ImportOptions) -> Export:
    """Read a folder or a zip with a file per annotator, whose name it has, or one file of the source named.

    Raises
    ------
    ExportError
        The source of a file is not known, a record has no label list, several labels are chosen, or the files
        are of different projects.
    FileFormatError
        A file is not JSON.
    """
    collector = Collector(f"{path}")
    if zipfile.is_zipfile(path):
        _refuse_source(path, options)
        records = _records_of_zip(path)
    else:
        records = {source: read_records(file) for file, source in _files(path, options).items()}
    for source, of_source in records.items():
        for record in of_source:
            _read_record(record, source, collector)
    return collector.finish(options)


def _read_record(record: Record, source: str, collector: Collector) -> None:
    values, where = record
    if not isinstance(values.get(_LABEL), list):
        message = (
            f"{where}: expected a list of labels under '{_LABEL}', got the keys {list(values)}; export the "
            "project as JSONL (text or image classification)"
        )
        raise ExportError(message)
    columns = {name: value for name, value in values.items() if name not in _OTHERS}
    example = collector.example(values.get("id"), columns, where, same=_SAME)
    collector.answer(example, source, one_class(values[_LABEL], where, f"'{_LABEL}'"))


def _files(path: Path, options: ImportOptions) -> dict[Path, str]:
    """Files and their sources."""
    if not path.is_dir():
        if options.source is None:
            message = (
                f"{path}: a file of doccano does not say who labelled; name the source with --source, or "
                "give the folder with a file per annotator"
            )
            raise ExportError(message)
        return {path: options.source}
    _refuse_source(path, options)
    with telling_file_errors(path, "list"):
        files = sorted(file for file in path.iterdir() if file.suffix.casefold() in _SUFFIXES)
    _check_names(path, [file.stem for file in files])
    return {file: file.stem for file in files}


def _records_of_zip(path: Path) -> dict[str, list[Record]]:
    """Source to the records of its file in a zip, as doccano hands one out."""
    with telling_file_errors(path, "read"), zipfile.ZipFile(path) as packed:
        names = sorted(name for name in packed.namelist() if _is_export(PurePosixPath(name)))
        texts = {name: decoded(packed.read(name), path / name) for name in names}
    _check_names(path, [PurePosixPath(name).stem for name in names])
    return {PurePosixPath(name).stem: records_of_text(text, path / name) for name, text in texts.items()}


def _is_export(name: PurePosixPath) -> bool:
    """Whether a file in a zip is one of doccano, and not of the system that packed it."""
    return name.suffix.casefold() in _SUFFIXES and not any(
        part.startswith((".", "__")) for part in name.parts
    )


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not names:
        message = (
            f"{path}: no file that ends in .jsonl or .json; give the export of doccano, as zip or unpacked"
        )
        raise ExportError(message)
    if len(set(names)) < len(names):
        message = f"{path}: two files have one name, {list(names)}; every annotator has one file"
        raise ExportError(message)


def _refuse_source(path: Path, options: ImportOptions) -> None:
    if options.source is not None:
        message = f"{path}: the sources are the names of the files in it; leave out --source"
        raise ExportError(message)
