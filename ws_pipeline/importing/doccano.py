"""doccano: JSON Lines or JSON of text and image classification, one file per annotator."""

from __future__ import annotations

from pathlib import Path

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.choices import one_class
from ws_pipeline.importing.collector import Collector
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.json_files import Record, read_records

_SUFFIXES = {".jsonl", ".json"}
_LABEL = "label"
_OTHERS = {"id", _LABEL, "Comments"}
_SAME = ("text", "filename")


def read_doccano(path: Path, options: ImportOptions) -> Export:
    """Read a folder with a file per annotator, whose name it has, or one file of the source that is named.

    Raises
    ------
    ExportError
        The source of a file is not known, a record has no label list, several labels are chosen, or the files
        are of different projects.
    FileFormatError
        A file is not JSON.
    """
    collector = Collector(f"{path}")
    for file, source in _files(path, options).items():
        for record in read_records(file):
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
    if options.source is not None:
        message = f"{path}: the sources of a folder are the names of its files; leave out --source"
        raise ExportError(message)
    with telling_file_errors(path, "list"):
        files = sorted(file for file in path.iterdir() if file.suffix.casefold() in _SUFFIXES)
    if not files:
        message = (
            f"{path}: no file that ends in .jsonl or .json; unpack the export of doccano into the folder"
        )
        raise ExportError(message)
    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        message = f"{path}: two files have one name, {names}; every annotator has one file"
        raise ExportError(message)
    return dict(zip(files, names, strict=True))
