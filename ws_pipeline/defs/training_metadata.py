"""What the UI shows of a training and of scores: numbers to plot over time, tables, a picture."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from ws_pipeline.analysis.scores import GOLD
from ws_pipeline.classification.history import POSITION

if TYPE_CHECKING:
    from ws_pipeline.classification.end_model import EndModel

_DIGITS = 5


def describe_epoch(record: Mapping[str, float]) -> str:
    """One line for the log: the epoch, then its losses and scores by name."""
    values = [f"{name} {value:.4g}" for name, value in record.items() if name not in POSITION]
    return f"epoch {record['epoch']}: " + ", ".join(values)


def training_metadata(end_model: "EndModel") -> dict[str, Any]:
    """How a training went: history as a table and a plot, best epoch, speed, checkpoint, resumption.

    The losses and scores of the best epoch are also there one by one, so that the UI plots them over
    time, with "_" for the "/" in their names.
    """
    from ws_pipeline.classification.history_plot import plot_history

    training = end_model.training
    assert training is not None
    best = next(record for record in end_model.history if record["step"] == training.best_step)
    found = {name: value for name, value in best.items() if name not in POSITION and math.isfinite(value)}
    picture = plot_history(end_model.history, best_step=training.best_step)
    return {
        "device": training.device,
        "n_parameters": end_model.n_parameters,
        "n_epochs": int(end_model.history[-1]["epoch"]),
        "best_epoch": training.best_epoch,
        "examples_per_second": training.examples_per_second,
        "resumed_from_step": training.resumed_from_step,
        "stopped_early": training.stopped_early,
        "checkpoint_path": dg.MetadataValue.path(training.checkpoint_path or "none"),
        "history": history_table(end_model.history),
        "history_plot": markdown_picture(picture, "losses and scores over the epochs"),
        **{name.replace("/", "_"): value for name, value in found.items()},
    }


def history_table(history: Sequence[Mapping[str, float]]) -> dg.TableMetadataValue:
    """One row per record, with every column that any record has."""
    names = list(dict.fromkeys(name for record in history for name in record))
    columns = [dg.TableColumn(name, "float") for name in names]
    rows = [{name: _cell(record.get(name)) for name in names} for record in history]
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in rows], schema=dg.TableSchema(columns=columns)
    )


def _cell(value: float | None) -> float | None:
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
