"""What the columns of files of text may be declared as: the rules of the key ``column_types``."""

from collections.abc import Mapping
from typing import Any

from ws_pipeline.defs.spec.multi_label_tasks import gold_columns
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.example_index import SPLIT_COLUMN


def check_column_types(types: Mapping[str, str], spec: Mapping[str, Any]) -> None:
    """Refuse types that columns of a known meaning cannot have.

    Parameters
    ----------
    types
        Column to type.
    spec
        The other keys of the pipeline.yaml by name, as far as they are valid.

    Raises
    ------
    ValueError
        The message names the column.
    """
    of_gold = gold_columns(spec.get("tasks") or {})
    for column, kind in types.items():
        if column == SPLIT_COLUMN or column in of_gold:
            message = (
                f"column '{column}' holds the splits or the gold labels of a task, whose values are known; "
                "leave it out"
            )
            raise ValueError(message)
        if column == ID_COLUMN and kind not in {"text", "integer"}:
            message = f"column '{column}' holds the ids, which are text or integer, got '{kind}'"
            raise ValueError(message)
        if column in (spec.get("features") or {}) and kind != "text":
            message = f"column '{column}' is among the features as text, got '{kind}'; leave one of them out"
            raise ValueError(message)
        if kind == "text" and column in _listed(spec.get("feature_columns")):
            message = f"column '{column}' is listed in feature_columns, so it holds numbers, got 'text'"
            raise ValueError(message)


def _listed(columns: Any) -> list[str]:
    if isinstance(columns, Mapping):
        return [name for field in columns.values() for name in field]
    return list(columns or [])
