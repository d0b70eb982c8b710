"""Votes that labeling functions made, each column with the fingerprint of its function.

An LF whose fingerprint has not changed does not run again on examples that have not changed: its column is
taken from the votes before.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.labeling.functions.apply_by_lf import AppliedLFs, VotesOfLF
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.votes.detailed_votes import said_by_lf
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix

if TYPE_CHECKING:
    from ws_pipeline.storage.files import ParquetSource

_FUNCTIONS_KEY = b"ws_pipeline.labeling_functions"


@dataclass(frozen=True, eq=False)
class FunctionVotes:
    """A label matrix and what its columns were made of.

    Parameters
    ----------
    matrix
        Votes of the m LFs on n examples.
    fingerprints
        LF name to the fingerprint of its function.
    examples_stamp
        Text that changes when the examples do that the LFs voted on.
    faults
        LF name to the number of examples that it failed on, and abstains on, for the LFs that failed.
    """

    matrix: LabelMatrix
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    examples_stamp: str = ""
    faults: Mapping[str, int] = field(default_factory=dict)

    def unchanged(
        self,
        fingerprints: Mapping[str, str],
        ids: npt.NDArray[Any],
        examples_stamp: str,
        *,
        fault_tolerant: bool = False,
    ) -> dict[str, VotesOfLF]:
        """Votes ``[n]`` of those LFs that would vote the same again on these examples.

        Parameters
        ----------
        fingerprints
            LF name to the fingerprint of its function as it is now.
        ids
            ``[n]`` ids of the examples.
        examples_stamp
            Stamp of the examples as they are now.
        fault_tolerant
            Whether LFs that failed on an example count too.
        """
        if examples_stamp != self.examples_stamp or not np.array_equal(ids, self.matrix.example_ids):
            return {}
        columns = dict(zip(self.matrix.lf_names, said_by_lf(self.matrix), strict=True))
        return {
            name: columns[name].astype(np.int16)
            for name, now in fingerprints.items()
            if name in columns
            and self.fingerprints.get(name) == now
            and (fault_tolerant or name not in self.faults)
        }

    def to_table(self) -> pa.Table:
        """Encode as the table of the label matrix, with the fingerprints beside it."""
        table = self.matrix.to_table()
        made_of = {
            "fingerprints": dict(self.fingerprints),
            "examples_stamp": self.examples_stamp,
            "faults": dict(self.faults),
        }
        return table.replace_schema_metadata(
            {**(table.schema.metadata or {}), _FUNCTIONS_KEY: json.dumps(made_of)}
        )

    @classmethod
    def from_source(cls, source: ParquetSource) -> FunctionVotes | None:
        """Read what :meth:`to_table` stored; None if the votes in the file were not made by functions."""
        stored = (source.schema.metadata or {}).get(_FUNCTIONS_KEY)
        if stored is None:
            return None
        made_of = json.loads(stored)
        return cls(LabelMatrix.from_table(source.read()), **made_of)


NO_VOTES = FunctionVotes(LabelMatrix(np.empty((0, 0), dtype=np.int8), 2))
"""What there is before functions have voted."""


def side_by_side(
    columns: Mapping[str, VotesOfLF],
    cardinality: int,
    ids: npt.NDArray[Any],
    superclasses: Mapping[str, Sequence[int]] | None = None,
) -> LabelMatrix:
    """Votes ``[n]`` by LF name as one label matrix, in the order of the mapping.

    With superclasses, name to the numbers of their classes, a vote of k + t is for superclass t.

    Raises
    ------
    LabelMatrixError
        A vote is neither a class nor a superclass; names the LF and the example.
    """
    nothing = np.empty((len(ids), 0), dtype=np.int16)
    votes = np.column_stack([nothing, *columns.values()])
    return LabelMatrix(votes, cardinality, ids, list(columns), superclasses=superclasses)


def report_table(lfs: Sequence[LabelingFunction], applied: AppliedLFs, faults: Mapping[str, int]) -> pa.Table:
    """One row per LF: whether it ran, its seconds, and on how many examples it failed, now or before."""
    rows = [
        {
            "lf": lf.name,
            "applied": "yes" if lf.name in applied.votes else "no, unchanged",
            "seconds": round(applied.seconds.get(lf.name, 0.0), 3),
            "n_faults": faults.get(lf.name, 0),
        }
        for lf in lfs
    ]
    schema = pa.schema(
        {"lf": pa.string(), "applied": pa.string(), "seconds": pa.float64(), "n_faults": pa.int64()}
    )
    return pa.Table.from_pylist(rows, schema)
