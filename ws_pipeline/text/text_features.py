"""Features of text as a table, beside the examples that they are of.

Legend: n examples, d features of a text column.  Start reading at :meth:`TextFeatures.added_to`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from ws_pipeline.errors import TextError
from ws_pipeline.example_ids import ID_COLUMN, Ids, ids_from_table, ids_to_array
from ws_pipeline.examples import Examples
from ws_pipeline.feature_columns import read_feature
from ws_pipeline.text.tfidf_svd import Floats

_DIGEST_KEY = b"ws_pipeline.text_models"


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """Features that were made of the texts of examples.

    Parameters
    ----------
    example_ids
        ``[n]`` int64, or str objects.
    features
        Text column name to ``[n, d]`` float32.
    digest
        Of the models that made them, see :class:`~ws_pipeline.text.text_models.TextModels`.
    """

    example_ids: Ids
    features: Mapping[str, Floats]
    digest: str

    def added_to(self, examples: Examples, *, columns: Collection[str], where: str) -> Examples:
        """The examples with these features behind their own.

        Parameters
        ----------
        examples
            The same n examples.
        columns
            Text columns whose features are wanted.
        where
            What these features are called; opens the message.

        Raises
        ------
        TextError
            These are features of other columns.
        """
        if set(self.features) != set(columns):
            message = (
                f"{where} has features of the text columns {list(self.features)}, but the key 'features' "
                f"names {list(columns)}; make it again: retrain"
            )
            raise TextError(message)
        return examples.with_text_features({name: self.features[name] for name in columns}, self.digest)

    def without_terms(self) -> dict[str, int]:
        """Text column name to the number of examples whose features are all 0."""
        return {name: int((~values.any(axis=1)).sum()) for name, values in self.features.items()}

    def to_table(self) -> pa.Table:
        """Encode as a table: example_id, and a list of numbers per text column."""
        columns = {ID_COLUMN: ids_to_array(self.example_ids)}
        for name, values in self.features.items():
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        return pa.table(columns).replace_schema_metadata({_DIGEST_KEY: self.digest})

    @classmethod
    def from_table(cls, table: pa.Table, *, where: str = "text features") -> Self:
        """Decode what :meth:`to_table` made."""
        names = [name for name in table.column_names if name != ID_COLUMN]
        features = {name: read_feature(table.column(name)) for name in names}
        digest = (table.schema.metadata or {}).get(_DIGEST_KEY, b"").decode()
        return cls(ids_from_table(table, where=where), features, digest)
