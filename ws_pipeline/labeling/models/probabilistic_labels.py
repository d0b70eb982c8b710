"""Probabilistic labels as a value: what the labeling half publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table, ids_to_array
from ws_pipeline.labeling.models.labeler import BaseLabeler, Floats, as_given
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.votes.vote_forms import covered_rows, read_votes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_VOTES_KEY = b"ws_pipeline.votes"


@dataclass(frozen=True, eq=False)
class ProbabilisticLabels:
    """P(class) of n examples.

    Parameters
    ----------
    example_ids
        ``[n]`` int64, or str objects.
    probs
        ``[n, k]`` float64, rows sum to 1; the class balance where there are no votes.
    covered
        ``[n]`` mask of the examples that have at least one vote.
    votes_digest
        :attr:`.LabelMatrix.digest` of the votes that they were made of; None: not known.
    """

    example_ids: npt.NDArray[Any]
    probs: Floats
    covered: npt.NDArray[np.bool_]
    votes_digest: str | None = None

    @classmethod
    def from_votes(cls, model: BaseLabeler, L: LabelMatrix | ArrayLike) -> ProbabilisticLabels:
        """Label examples with a fitted label model, or with the plain vote.

        Parameters
        ----------
        model
            The label model.
        L
            ``[n, m]`` votes in any form that :mod:`.vote_forms` reads.  Triples have a row for each example,
            in the order of their first triples.

        Returns
        -------
        ProbabilisticLabels
            In the order of the votes, with their example ids; 0..n-1 if they have none.
        """
        form: Any = read_votes(L, model.cardinality)
        ids = np.arange(form.votes.shape[0]) if form.example_ids is None else form.example_ids
        digest = L.digest if isinstance(L, LabelMatrix) else None
        return cls(ids, model.predict_proba(as_given(L, form)), covered_rows(form), digest)

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """``[n]`` most probable class, -1 for ties and for examples without votes."""
        labels = probs_to_preds(self.probs, tie_break_policy="abstain")
        return np.where(self.covered, labels, ABSTAIN)

    def to_table(self) -> pa.Table:
        """Encode as an Arrow table: example_id, p_0 .. p_{k-1}, prediction, covered.

        The digest of the votes is in the metadata of its schema.
        """
        columns = {ID_COLUMN: ids_to_array(self.example_ids)}
        columns |= {f"p_{label}": pa.array(column) for label, column in enumerate(self.probs.T.copy())}
        columns |= {"prediction": pa.array(self.predictions), "covered": pa.array(self.covered)}
        table = pa.table(columns)
        if self.votes_digest is None:
            return table
        return table.replace_schema_metadata({_VOTES_KEY: self.votes_digest})

    @classmethod
    def from_table(cls, table: pa.Table) -> ProbabilisticLabels:
        """Decode the table of :meth:`to_table`."""
        names = [name for name in table.column_names if name.startswith("p_")]
        digest = (table.schema.metadata or {}).get(_VOTES_KEY)
        return cls(
            example_ids=ids_from_table(table, where="probabilistic labels"),
            probs=np.stack([table.column(name).to_numpy() for name in names], axis=1),
            covered=table.column("covered").to_numpy(),
            votes_digest=None if digest is None else digest.decode(),
        )
