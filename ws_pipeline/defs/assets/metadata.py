"""Metadata of the assets for the UI (numbers over time, tables, a picture), and warnings of the log."""

import base64
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.analysis.scores_table import GOLD
from ws_pipeline.errors import WsPipelineWarning
from ws_pipeline.settings.metric_names import POSITION

if TYPE_CHECKING:
    from ws_pipeline.classification.end_model import EndModel

T = TypeVar("T")

_DIGITS = 5
_CELL_DIGITS = 4
_MAX_LFS = 256  # of a table with a row per LF
_MAX_ROWS = 200  # of the history's table: each materialization keeps one in the database of runs


def table_metadata(table: pa.Table) -> dg.TableMetadataValue:
    """Every row and column of a small table; lists as text, numbers rounded."""
    columns = [dg.TableColumn(field.name, _kind_of(field.type)) for field in table.schema]
    records = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in table.to_pylist()
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def lf_table_metadata(name: str, table: pa.Table, n_votes: npt.NDArray[Any]) -> dict[str, Any]:
    """A table with one row per LF ``[m]``, as metadata of this name; of many, those that vote most.

    ``<name>_rows`` then says how many of how many there are, since each materialization keeps its table in
    the database of runs.
    """
    if table.num_rows <= _MAX_LFS:
        return {name: table_metadata(table)}
    shown = np.sort(np.argsort(-n_votes, kind="stable")[:_MAX_LFS])
    said = f"{_MAX_LFS} of {table.num_rows}, those with the most votes; the file has all"
    return {name: table_metadata(table.take(shown)), f"{name}_rows": said}


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "int"
    return "float" if pa.types.is_floating(kind) else "string"


def _cell(value: Any) -> str | int | float | None:
    """A value as the UI's tables can hold it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return round(value, _CELL_DIGITS) if isinstance(value, float) else value


@contextmanager
def warnings_to_log(log: dg.DagsterLogManager) -> Iterator[list[str]]:
    """Log the library's own warnings that are raised in the block; let all others pass.

    Yields
    ------
    list of str
        Filled with what was logged, once the block has ended.
    """
    told: list[str] = []
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield told
    finally:
        # also when the block raises: what was warned of may be why
        for warning in caught:
            if issubclass(warning.category, WsPipelineWarning):
                told.append(f"{warning.category.__name__}: {warning.message}")
                log.warning("%s", told[-1])
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def describe_epoch(record: Mapping[str, float]) -> str:
    """One line for the log: the epoch, then its losses and scores by name."""
    values = [f"{name} {value:.4g}" for name, value in record.items() if name not in POSITION]
    return f"epoch {record['epoch']}: " + ", ".join(values)


def training_metadata(end_model: "EndModel") -> dict[str, Any]:
    """Metadata of a training: history as a table and a plot, best epoch, speed, checkpoint, resumption.

    Of a long history the table has about 200 records; ``history_records`` says how many of how many.  The
    losses and scores of the best epoch are also there one by one, so that the UI plots them over time,
    with "_" for the "/" in their names.
    """
    from ws_pipeline.classification.history_plot import plot_history

    training = end_model.training
    assert training is not None
    history = end_model.history
    best = next(row for row, record in enumerate(history) if record["step"] == training.best_step)
    shown = thin(history, best)
    found = {
        name: value for name, value in history[best].items() if name not in POSITION and math.isfinite(value)
    }
    picture = plot_history(history, best_step=training.best_step)
    return {
        "device": training.device,
        "n_parameters": end_model.n_parameters,
        "n_epochs": int(history[-1]["epoch"]),
        "best_epoch": training.best_epoch,
        "examples_per_second": training.examples_per_second,
        "resumed_from_step": training.resumed_from_step,
        "stopped_early": training.stopped_early,
        "checkpoint_path": dg.MetadataValue.path(training.checkpoint_path or "none"),
        "history": history_table(shown),
        "history_records": _how_many(len(shown), len(history)),
        "history_plot": markdown_picture(picture, "losses and scores over the epochs"),
        **{name.replace("/", "_"): value for name, value in found.items()},
    }


def thin(history: Sequence[T], best: int, max_rows: int = _MAX_ROWS) -> list[T]:
    """At most about so many records: the first, the one at ``best``, the last, and others evenly between."""
    if len(history) <= max_rows:
        return list(history)
    rows = {*np.linspace(0, len(history) - 1, max_rows).round().astype(int).tolist(), best}
    return [history[row] for row in sorted(rows)]


def _how_many(shown: int, total: int) -> str:
    if shown == total:
        return f"all {total}"
    return (
        f"{shown} of {total}: the first, the best, the last and others evenly between; the model file has all"
    )


def history_table(history: Sequence[Mapping[str, float]]) -> dg.TableMetadataValue:
    """One row per record, with every column that any record has."""
    names = list(dict.fromkeys(name for record in history for name in record))
    columns = [dg.TableColumn(name, "float") for name in names]
    rows = [{name: _number(record.get(name)) for name in names} for record in history]
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in rows], schema=dg.TableSchema(columns=columns)
    )


def _number(value: float | None) -> float | None:
    """A number as JSON can hold it."""
    return round(value, _DIGITS) if value is not None and math.isfinite(value) else None


def markdown_picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """A PNG file inside the metadata itself; the UI has no other way to show a picture."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def score_metadata(table: pa.Table) -> dict[str, Any]:
    """The whole table, and the test scores one by one, so that the UI plots them over time.

    Agreement with the label model, where there is no gold, is called so in the name.
    """
    rows = table.to_pylist()
    single = {
        f"{row['task']}_{row['model']}_{row['metric']}" + _suffix(row["reference"]): row["value"]
        for row in rows
        if row["split"] == "test" and row["dataset"] == "covered"
    }
    without_gold = {f"{row['task']}/{row['split']}": None for row in rows if row["reference"] != GOLD}
    records = [dg.TableRecord({**row, "value": round(row["value"], 4)}) for row in rows]
    return {"scores": dg.MetadataValue.table(records), "without_gold": list(without_gold), **single}


def _suffix(reference: str) -> str:
    return "" if reference == GOLD else f"_against_{reference}"
