"""Probabilistic labels as a value: what the labeling half publishes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.analysis import probs_to_preds
from ws_pipeline.array_types import Floats
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table, ids_to_array
from ws_pipeline.labeling.models.labeler import BaseLabeler, as_given
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.votes.vote_forms import covered_rows, read_votes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_VOTES_KEY = b"ws_pipeline.votes"
_REPLACED_KEY = b"ws_pipeline.replaced"


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
    replaced
        Why they are the plain vote's in place of a label model's; empty if they are not.
    labelled
        ``[n]`` mask of the examples whose labels are to be trained on.  Default: ``covered``.
    """

    example_ids: npt.NDArray[Any]
    probs: Floats
    covered: npt.NDArray[np.bool_]
    votes_digest: str | None = None
    replaced: str = ""
    labelled: npt.NDArray[np.bool_] = None  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        if self.labelled is None:
            object.__setattr__(self, "labelled", self.covered)

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

    def for_training(
        self, *, min_confidence: float = 0.0, no_votes: int | None = None
    ) -> ProbabilisticLabels:
        """Choose the labels to train on.

        Parameters
        ----------
        min_confidence
            Examples with votes whose largest probability is below are not to be trained on.
        no_votes
            Class of the examples without votes, which then are to be trained on.  Default: they have none.
        """
        probs, labelled = self.probs, self.covered & (self.probs.max(axis=1) >= min_confidence)
        if no_votes is not None:
            probs = np.where(self.covered[:, None], probs, np.eye(probs.shape[1])[no_votes])
            labelled = labelled | ~self.covered
        return replace(self, probs=probs, labelled=labelled)

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """``[n]`` most probable class, -1 for ties and for examples without a label."""
        labels = probs_to_preds(self.probs, tie_break_policy="abstain")
        return np.where(self.covered | self.labelled, labels, ABSTAIN)

    def to_table(self) -> pa.Table:
        """Encode as an Arrow table: example_id, p_0 .. p_{k-1}, prediction, covered, labelled.

        The digest of the votes, and why the labels are the plain vote's, are in the metadata of its schema.
        """
        columns = {ID_COLUMN: ids_to_array(self.example_ids)}
        columns |= {f"p_{label}": pa.array(column) for label, column in enumerate(self.probs.T.copy())}
        columns |= {"prediction": pa.array(self.predictions), "covered": pa.array(self.covered)}
        columns["labelled"] = pa.array(self.labelled)
        metadata = {_VOTES_KEY: self.votes_digest, _REPLACED_KEY: self.replaced}
        said = {key: value for key, value in metadata.items() if value}
        return pa.table(columns).replace_schema_metadata(said or None)

    @classmethod
    def from_table(cls, table: pa.Table) -> ProbabilisticLabels:
        """Decode the table of :meth:`to_table`."""
        names = [name for name in table.column_names if name.startswith("p_")]
        metadata = table.schema.metadata or {}
        digest = metadata.get(_VOTES_KEY)
        covered = table.column("covered").to_numpy()
        has_labelled = "labelled" in table.column_names  # tables of older versions have not
        return cls(
            example_ids=ids_from_table(table, where="probabilistic labels"),
            probs=np.stack([table.column(name).to_numpy() for name in names], axis=1),
            covered=covered,
            votes_digest=None if digest is None else digest.decode(),
            replaced=replaced_in(table.schema),
            labelled=table.column("labelled").to_numpy() if has_labelled else covered,
        )


def replaced_in(schema: pa.Schema) -> str:
    """Why stored labels are the plain vote's in place of a label model's; empty if they are not."""
    return bytes((schema.metadata or {}).get(_REPLACED_KEY, b"")).decode()
