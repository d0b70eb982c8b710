"""Statistics of each labeling function: votes, coverage, overlaps, conflicts, accuracy.

Everything but the accuracy comes from :class:`.RowCounts`, so it adds up over
 shards exactly.  Start reading at :class:`LFAnalysis`; :func:`lf_summary` is its summary as an Arrow
table.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.array_types import Floats
from ws_pipeline.arrays import as_array, in_order
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.votes.counting import count_rows
from ws_pipeline.labeling.votes.gold_counts import check_gold, count_correct, count_joint, warn_of_gold_votes
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.row_counts import Counts, RowCounts, shares
from ws_pipeline.labeling.votes.vote_checks import (
    ABSTAIN,
    MAX_CARDINALITY,
    Votes,
    default_lf_names,
)
from ws_pipeline.labeling.votes.vote_forms import VoteForm, align_lfs, read_votes
from ws_pipeline.labeling.votes.vote_storage import KeptVotes, keep_votes, to_dense

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from ws_pipeline.example_ids import Ids
    from ws_pipeline.labeling.votes.vote_counts import VoteCounts


_COVERED_KEY = b"ws_pipeline.n_covered"  # of a summary, where votes are for superclasses too


class _Named(Protocol):
    """A labeling function, of which only the name is used."""

    @property
    def name(self) -> str: ...


class LFAnalysis:
    """Statistics of labeling functions, with or without gold labels.

    Shares of nothing (0/0: no examples, an LF that never votes) are 0.

    Parameters
    ----------
    L
        ``[n, m]`` votes, -1 = abstain, a :class:`LabelMatrix`, or any other form that
        :mod:`ws_pipeline.labeling.votes.vote_forms` reads.
    lfs
        The m labeling functions, for their names; votes that have names are matched to them.  Default: the
        names that the votes have; an array has none.

    Raises
    ------
    LabelMatrixError
        Votes that are no integers from -1 on, or another number of LFs than of columns.

    Attributes
    ----------
    counts
        The :class:`RowCounts` that everything is computed from, except what needs gold labels.
    lf_names
        m names, or None.

    Examples
    --------
    >>> analysis = LFAnalysis([[-1, 0, 0], [-1, -1, -1], [1, 0, -1], [-1, 0, -1], [0, 0, 0]])
    >>> analysis.label_coverage(), analysis.label_overlap(), analysis.label_conflict()
    (0.8, 0.6, 0.2)
    >>> analysis.lf_polarities()
    [[0, 1], [0], [0]]
    >>> analysis.lf_overlaps(normalize_by_coverage=True)
    array([1.  , 0.75, 1.  ])
    """

    counts: RowCounts
    lf_names: tuple[str, ...] | None
    _votes: KeptVotes | None
    _example_ids: Ids | None

    def __init__(self, L: LabelMatrix | ArrayLike, lfs: Sequence[_Named] | None = None) -> None:
        given = None if lfs is None else tuple(lf.name for lf in lfs)
        form, cardinality = checked_votes(L, given)
        has_names = isinstance(L, LabelMatrix) or form.lf_names != default_lf_names(len(form.lf_names))
        votes: Any = form.votes
        names = given if given is not None else form.lf_names if has_names else None
        self._set(count_rows(votes, cardinality, trusted=True), names, votes, form.example_ids)

    @classmethod
    def from_counts(cls, counts: RowCounts, lf_names: Sequence[str] | None = None) -> LFAnalysis:
        """Analyse counts, for example the sum of the counts of all shards.

        Parameters
        ----------
        counts
            Counts of n examples by m LFs.
        lf_names
            m names.

        Returns
        -------
        LFAnalysis
            Without votes: what takes gold labels raises an error.
        """
        analysis = cls.__new__(cls)
        names = None if lf_names is None else tuple(lf_names)
        analysis._set(counts, names, None, None)  # noqa: SLF001  its own
        return analysis

    def _set(
        self,
        counts: RowCounts,
        names: tuple[str, ...] | None,
        votes: KeptVotes | None,
        example_ids: Ids | None,
    ) -> None:
        n_lfs = len(counts.class_counts)
        if names is not None and len(names) != n_lfs:
            message = (
                f"L has {n_lfs} columns, one per LF, but lfs has {len(names)} LFs; pass those that voted"
            )
            raise LabelMatrixError(message)
        self.counts, self.lf_names, self._votes, self._example_ids = counts, names, votes, example_ids

    @property
    def L(self) -> Votes:  # noqa: N802
        """Votes ``[n, m]``, as a dense array; of more than 256 LFs one is made at each call."""
        votes: Votes = to_dense(self._cast)
        return votes

    @property
    def _cast(self) -> KeptVotes:
        if self._votes is None:
            message = (
                "this analysis was made from counts and has no votes; use LFAnalysis(L) with gold labels"
            )
            raise LabelMatrixError(message)
        return self._votes

    def label_coverage(self) -> float:
        """Share of examples with at least one vote."""
        return self.counts.n_covered / max(self.counts.n_examples, 1)

    def label_overlap(self) -> float:
        """Share of examples with at least two votes."""
        return self.counts.n_overlapping / max(self.counts.n_examples, 1)

    def label_conflict(self) -> float:
        """Share of examples with at least two different votes."""
        return self.counts.n_conflicting / max(self.counts.n_examples, 1)

    def lf_polarities(self) -> list[list[int]]:
        """Classes that each LF votes for, ascending: m lists."""
        return [np.flatnonzero(counts).tolist() for counts in self.counts.class_counts]

    def lf_coverages(self) -> Floats:
        """Share of examples that each LF votes on, ``[m]`` in [0, 1]."""
        return shares(self._n_votes, self.counts.n_examples)

    def lf_overlaps(self, normalize_by_coverage: bool = False) -> Floats:
        """Share of examples that each LF and another one vote on.

        Parameters
        ----------
        normalize_by_coverage
            Share of the LF's votes instead.

        Returns
        -------
        numpy.ndarray
            ``[m]`` in [0, 1].
        """
        total = self._n_votes if normalize_by_coverage else self.counts.n_examples
        return shares(self.counts.overlap_counts, total)

    def lf_conflicts(self, normalize_by_overlaps: bool = False) -> Floats:
        """Share of examples on which each LF votes and another one votes something else.

        Parameters
        ----------
        normalize_by_overlaps
            Share of the LF's overlaps instead.

        Returns
        -------
        numpy.ndarray
            ``[m]`` in [0, 1].
        """
        total = self.counts.overlap_counts if normalize_by_overlaps else self.counts.n_examples
        return shares(self.counts.conflict_counts, total)

    def lf_empirical_accuracies(self, Y: ArrayLike) -> Floats:
        """Share of right votes among the votes on examples with a gold label.

        Parameters
        ----------
        Y
            Gold labels ``[n]`` or ``[n, 1]``, -1 = unknown.

        Returns
        -------
        numpy.ndarray
            ``[m]`` in [0, 1], 0 for an LF that meets no gold label.

        Raises
        ------
        InvalidInputError
            Gold labels that are no integers from -1 on, or not n.
        """
        n_correct, n_incorrect = count_correct(self._cast, self._gold(Y))
        return shares(n_correct, n_correct + n_incorrect)

    def lf_empirical_probs(self, Y: ArrayLike, k: int) -> Floats:
        """Conditional probability table of each LF, P(vote | gold label).

        Parameters
        ----------
        Y
            Gold labels ``[n]`` or ``[n, 1]`` in 0..k-1, -1 = unknown.
        k
            Number of classes.

        Returns
        -------
        numpy.ndarray
            ``[m, k+1, k]``: share of vote l-1 (0 is abstain) among the examples with gold label y, at
            ``[j, l, y]``; NaN for a class without gold labels.

        Raises
        ------
        InvalidInputError
            Gold labels as above, or a vote or gold label that is not below k.
        """
        joint, n_gold = count_joint(self._cast, self._gold(Y), k)
        tables: Floats = np.full(joint.shape, np.nan)
        np.divide(joint, n_gold, out=tables, where=n_gold > 0)
        return tables

    def lf_summary(self, Y: ArrayLike | None = None, est_weights: ArrayLike | None = None) -> pd.DataFrame:
        """Per-LF statistics as a table.

        Parameters
        ----------
        Y
            Gold labels ``[n]`` or ``[n, 1]``, -1 = unknown; for the columns Correct, Incorrect, Emp. Acc.
        est_weights
            ``[m]`` learned weights, for the column Learned Weight; a Series or a dict with the LFs' names is
            matched by name.

        Returns
        -------
        pandas.DataFrame
            One row per LF, its name as index, or its number when there are no names: j (with names
            only), Polarity, Coverage, Overlaps, Conflicts, and the columns above.

        Raises
        ------
        InvalidInputError
            Gold labels or weights that do not fit.

        Warns
        -----
        GoldVotesWarning
            An LF equals the gold labels wherever both are known.
        """
        import pandas as pd

        m = len(self.counts.class_counts)
        index: list[Any] = list(range(m)) if self.lf_names is None else list(self.lf_names)
        columns: dict[str, Any] = {} if self.lf_names is None else {"j": list(range(m))}
        columns["Polarity"] = pd.Series(self.lf_polarities(), index=index, dtype=object)
        columns["Coverage"] = self.lf_coverages()
        columns["Overlaps"] = self.lf_overlaps()
        columns["Conflicts"] = self.lf_conflicts()
        if Y is not None:
            gold = self._gold(Y)
            correct, incorrect = count_correct(self._cast, gold)
            warn_of_gold_votes(list(map(str, index)), self._cast, gold, correct, incorrect)
            columns["Correct"], columns["Incorrect"] = correct, incorrect
            columns["Emp. Acc."] = shares(correct, correct + incorrect)
        if est_weights is not None:
            by_lf = in_order(est_weights, index, "est_weights", of="LF", error=LabelMatrixError)
            weights = as_array(by_lf, "est_weights", error=LabelMatrixError)
            if weights.shape != (m,):
                message = f"est_weights must have shape [{m}], got {list(weights.shape)}"
                raise LabelMatrixError(message)
            columns["Learned Weight"] = pd.Series(weights, index=index)
        return pd.DataFrame(columns, index=index)

    def _gold(self, gold: ArrayLike) -> npt.NDArray[np.int64]:
        return check_gold(gold, self._cast.shape[0], self._example_ids)

    @property
    def _n_votes(self) -> Counts:
        return np.asarray(self.counts.class_counts.sum(axis=1))


def lf_summary(
    counts: VoteCounts, *, matrix: LabelMatrix | None = None, gold: npt.NDArray[Any] | None = None
) -> pa.Table:
    """Summarise the labeling functions as an Arrow table.

    Parameters
    ----------
    counts
        Counts of n examples by m LFs.
    matrix, gold
        The votes and gold labels ``[n]`` (-1 = unknown) of the same or of other examples, for the
        accuracy columns.

    Returns
    -------
    pyarrow.Table
        One row per LF: lf, polarity (classes it votes), n_votes, coverage, overlaps, conflicts
        (shares of all examples) and, with gold, n_correct, n_incorrect, accuracy (null where the
        LF meets no gold label); n_superclass_votes, where there are superclasses, which all other
        columns leave out of account.

    Warns
    -----
    GoldVotesWarning
        An LF equals the gold labels.
    """
    analysis = LFAnalysis.from_counts(counts.rows, counts.lf_names)
    columns = {
        "lf": pa.array(counts.lf_names, pa.string()),
        "polarity": pa.array(analysis.lf_polarities(), pa.list_(pa.int64())),
        "n_votes": pa.array(counts.rows.class_counts.sum(axis=1)),
        "coverage": pa.array(analysis.lf_coverages()),
        "overlaps": pa.array(analysis.lf_overlaps()),
        "conflicts": pa.array(analysis.lf_conflicts()),
    }
    if matrix is not None and gold is not None:
        n_correct, n_incorrect = count_correct(matrix.votes, gold)
        warn_of_gold_votes(matrix.lf_names, matrix.votes, gold, n_correct, n_incorrect)
        judged = n_correct + n_incorrect
        columns |= {
            "n_correct": pa.array(n_correct),
            "n_incorrect": pa.array(n_incorrect),
            "accuracy": pa.array(shares(n_correct, judged), mask=judged == 0),
        }
    sets = None if matrix is None or matrix.details is None else matrix.details.sets
    if sets is not None:
        columns["n_superclass_votes"] = pa.array((sets != ABSTAIN).sum(axis=0))
        metadata = {_COVERED_KEY: str(np.count_nonzero(matrix.covered))} if matrix is not None else None
        return pa.table(columns).replace_schema_metadata(metadata)
    return pa.table(columns)


def n_covered_of(summary: pa.Table, counts: VoteCounts) -> int:
    """Number of examples with a vote, for a class or a superclass, by an LF summary and its counts."""
    stored = (summary.schema.metadata or {}).get(_COVERED_KEY)
    return counts.n_covered if stored is None else int(stored)


def checked_votes(L: Any, lf_names: tuple[str, ...] | None = None) -> tuple[VoteForm, int]:
    """Validate votes whose number of classes may not be known.

    Parameters
    ----------
    L
        ``[n, m]`` votes of any form.
    lf_names
        m names that the LFs are to have.  Default: their own.

    Returns
    -------
    (VoteForm, int)
        Votes as a label matrix keeps them, and the number of classes, or the least that it can be.

    Raises
    ------
    LabelMatrixError
        Not two-dimensional, a vote that is no integer from -1 on, or votes of other LFs.
    """
    form = read_votes(L)
    if lf_names is not None and (form.partial or len(lf_names) == len(form.lf_names)):
        form = align_lfs(form, lf_names, whose="lfs")._replace(lf_names=lf_names)
    if isinstance(L, LabelMatrix):
        return form, L.cardinality
    cast = form.votes if isinstance(form.votes, np.ndarray) else form.votes.data
    highest = cast.max() if cast.size else ABSTAIN
    cardinality = min(max(int(highest) + 1, 2), MAX_CARDINALITY) if np.isfinite(highest) else MAX_CARDINALITY
    return form._replace(votes=keep_votes(form.votes, cardinality, lf_names=form.lf_names)), cardinality
