"""Features as the asset of the examples shows them, and what the end model needs of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from ws_pipeline.defs.assets.metadata import table_metadata
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import ExamplesError
from ws_pipeline.examples import Examples
from ws_pipeline.feature_columns import LeftOut


def check_has_features(spec: PipelineSpec, shard: Examples, *, where: str) -> None:
    """Refuse examples without any feature, if there is an end model to feed.

    Raises
    ------
    ExamplesError
        The message names the file, the columns that are no features with type and reason, and what to do.
    """
    if spec.model is None or shard.features or shard.texts or not len(shard):
        return
    found = "; ".join(map(str, shard.left_out)) or "there is no column beside ids, splits and gold labels"
    message = (
        f"{where}: no column can feed the end model: {found}; write the features as numbers, or as lists of "
        f"numbers of one length, name columns of text under 'features' in {spec.where}, or set 'model: null' "
        "there to stop at the labels"
    )
    raise ExamplesError(message)


def features_metadata(shard: Examples) -> Mapping[str, Any]:
    """The columns that feed the model, with their numbers of values, and those that do not."""
    return {
        "feature_columns": dg.MetadataValue.json(shard.feature_widths),
        "n_features": sum(shard.feature_widths.values()),
        "left_out_columns": table_metadata(_as_table(shard.left_out)),
        **{f"n_without_{name}": texts.null_count for name, texts in shard.texts.items()},
    }


def _as_table(left_out: Sequence[LeftOut]) -> pa.Table:
    schema = pa.schema([("column", pa.string()), ("type", pa.string()), ("reason", pa.string())])
    rows = [{"column": found.column, "type": found.kind, "reason": found.reason} for found in left_out]
    return pa.Table.from_pylist(rows, schema)
