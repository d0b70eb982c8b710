"""Votes on examples with gold labels, which a label model is anchored on or judged by.

Legend: n examples, g of them with a gold label and a vote, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.models.lift_em import GoldVotes
from ws_pipeline.labeling.votes.gold_counts import check_gold, count_joint
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN
from ws_pipeline.labeling.votes.vote_details import VoteDetails
from ws_pipeline.labeling.votes.vote_forms import VoteForm, covered_rows, read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_storage import KeptVotes, as_kept, keep_votes, stack_rows
from ws_pipeline.labeling.votes.vote_symbols import VoteSymbols


@dataclass(frozen=True, eq=False)
class GoldRows:
    """Examples with a gold label and a vote.

    Parameters
    ----------
    votes
        ``[g, m]``, each row with a vote; a dense array, or beyond 256 LFs a sparse one.
    labels
        ``[g]`` in 0..k-1.
    details
        What the votes say beyond their classes.
    lf_names
        Names of the m labeling functions, where there are details.
    """

    votes: KeptVotes
    labels: npt.NDArray[np.int64]
    details: VoteDetails | None = None
    lf_names: tuple[str, ...] = ()

    @classmethod
    def read(cls, votes: Any, gold: Any, cardinality: int) -> GoldRows:
        """Find the examples with a gold label and a vote.

        Parameters
        ----------
        votes
            ``[n, m]`` votes in any form.
        gold
            ``[n]`` gold labels, -1 where unknown, or a dict of them by example id.
        cardinality
            Number of classes k.

        Raises
        ------
        LabelMatrixError
            Votes are patterns, whose examples are not known; not one gold label per row; or one that is no
            class.
        """
        if isinstance(votes, VotePatterns):
            message = (
                "gold labels belong to examples, which vote patterns do not know; pass votes, or GoldVotes"
            )
            raise LabelMatrixError(message)
        form = read_votes(votes, cardinality)
        labels = check_gold(gold, form.votes.shape[0], form.example_ids)
        if labels.max(initial=ABSTAIN) >= cardinality:
            message = (
                f"k={cardinality}, but there is a gold label {labels.max()} in row {int(labels.argmax())}; "
                "classes are 0..k-1"
            )
            raise LabelMatrixError(message)
        known = np.flatnonzero((labels != ABSTAIN) & covered_rows(form))
        rows = form.votes[known]
        rows = as_kept(rows) if form.is_checked_for(cardinality) else keep_votes(rows, cardinality)
        details = None if form.details is None else form.details.take(known)
        return cls(rows, labels[known], details, form.lf_names)

    @classmethod
    def none(cls, n_lfs: int) -> GoldRows:
        """No gold labels."""
        return cls(as_kept(np.empty((0, n_lfs), dtype=np.int8)), np.empty(0, dtype=np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[GoldRows]) -> GoldRows:
        """Stack the rows of at least one part, of the same LFs, one after the other."""
        votes = stack_rows([part.votes for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        details = VoteDetails.concatenate(
            [part.details for part in parts], [part.votes.shape for part in parts]
        )
        return cls(votes, labels, details, parts[0].lf_names)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Mask) -> GoldRows:
        """The rows of a mask ``[g]``."""
        details = None if self.details is None else self.details.take(rows)
        return GoldRows(self.votes[rows], self.labels[rows], details, self.lf_names)

    @property
    def given(self) -> Any:
        """The votes as a label model takes them."""
        if self.details is None:
            return self.votes
        return VoteForm(self.votes, self.lf_names, details=self.details)

    def count(self, cardinality: int, symbols: VoteSymbols | None = None) -> GoldVotes:
        """Count the votes, or the symbols that they are brought to, together with the gold labels."""
        if symbols is None:
            joint, class_counts = count_joint(self.votes, self.labels, cardinality)
        else:
            said: Any = symbols.encode(self.given).votes
            joint, class_counts = count_joint(said, self.labels, cardinality, symbols.alphabet.n_symbols)
        return GoldVotes(joint[:, 1:].astype(np.float64), class_counts.astype(np.float64))

    def class_balance(self, cardinality: int) -> Floats | None:
        """Share of each class ``[k]``, with one example more of each; None without any gold label."""
        counts = np.bincount(self.labels, minlength=cardinality) + 1.0
        return np.asarray(counts / counts.sum()) if len(self) else None

    def folds(self, n_folds: int) -> Iterator[Mask]:
        """Masks ``[g]`` of disjoint parts that make up all rows; each class is dealt out evenly, in order."""
        order = np.argsort(self.labels, kind="stable")
        fold_of = np.empty(len(self.labels), dtype=np.intp)
        fold_of[order] = np.arange(len(order)) % n_folds
        for fold in range(n_folds):
            yield fold_of == fold
