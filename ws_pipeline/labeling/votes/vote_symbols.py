"""What a source can say, as symbols: a class or one of several classes, and how sure the source is.

A label matrix holds the class of each vote.  What a source says beyond that, in :mod:`.vote_details`, is a
score of the vote, or a vote for a superclass, that is for any of several classes.  Both are brought to one
number: a *symbol* is a group (a class, or a superclass) and a level (the bin that the score of the vote falls
into).  Symbols are counted as votes are, so that patterns of them are additive over shards.

Start reading at :class:`VoteSymbols`.

Legend: n examples, m labeling functions (LFs), k classes, G groups, B bins, L levels, S = G * L symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN, votes_dtype
from ws_pipeline.labeling.votes.vote_details import Superclass, VoteDetails
from ws_pipeline.labeling.votes.vote_forms import VoteForm, dense_votes, read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

_EDGES = "score_edges_"
DEFAULT_BINS = 5
"""Bins of the scores of a source."""


@dataclass(frozen=True, eq=False)
class Alphabet:
    """The symbols that sources can say, without what tells them apart.

    Symbol g * L + l is group g at level l; the first k groups are the classes.

    Parameters
    ----------
    members
        ``[G, k]``: whether a class belongs to a group.
    n_levels
        Number L of levels of each group.
    """

    members: Mask
    n_levels: int = 1

    @classmethod
    def of_classes(cls, cardinality: int) -> Alphabet:
        """Symbols that are the classes and nothing else."""
        return cls(np.eye(cardinality, dtype=np.bool_))

    @property
    def cardinality(self) -> int:
        """Number of classes k."""
        return int(self.members.shape[1])

    @property
    def n_groups(self) -> int:
        """Number of groups G."""
        return int(self.members.shape[0])

    @property
    def n_symbols(self) -> int:
        """Number of symbols S."""
        return self.n_groups * self.n_levels

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """``[S]``: group of each symbol."""
        return np.repeat(np.arange(self.n_groups), self.n_levels)

    @property
    def symbol_members(self) -> Mask:
        """``[S, k]``: whether a class belongs to the group of a symbol."""
        return np.repeat(self.members, self.n_levels, axis=0)

    @property
    def shares(self) -> Floats:
        """``[S, k]``: a vote for several classes is an equal part of a vote for each of them."""
        members = self.symbol_members
        return np.asarray(members / members.sum(axis=1, keepdims=True))

    def by_group(self, of_symbols: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sums over the levels of each group: ``[m, S, ...]`` to ``[m, G, ...]``."""
        if self.n_levels == 1:
            return of_symbols
        return np.asarray(self.by_level(of_symbols).sum(axis=2))

    def by_level(self, of_symbols: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same numbers by group and level: ``[m, S, ...]`` to ``[m, G, L, ...]``."""
        m, _, *rest = of_symbols.shape
        return of_symbols.reshape(m, self.n_groups, self.n_levels, *rest)


@dataclass(frozen=True, eq=False)
class VoteSymbols:
    """Brings votes with scores, and votes for superclasses, to symbols.

    Where there are scores, a group has a level for votes without a score, and one for each bin.  The bins
    belong to the source: they hold about the same number of its votes.

    Parameters
    ----------
    cardinality
        Number of classes k.
    superclasses
        The superclasses; superclass t is group k + t.
    edges
        Name of an LF to the upper ends of its bins but the last one, ascending, at most B - 1 of them.
    n_bins
        Number B of bins; 0 where no vote has a score.

    Examples
    --------
    >>> from ws_pipeline.labeling import LabelMatrix
    >>> scores = [[0.1], [0.2], [0.8], [0.9]]
    >>> matrix = LabelMatrix([[0], [1], [1], [1]], 2, scores=scores, lf_names=["judge"])
    >>> symbols = VoteSymbols.of({"shard": matrix}, n_bins=2)
    >>> symbols.edges["judge"]
    array([0.2], dtype=float32)
    >>> symbols.encode(matrix).votes.ravel()  # class * 3 + bin, of which 0 is for votes without a score
    array([1, 4, 5, 5], dtype=int8)
    """

    cardinality: int
    superclasses: tuple[Superclass, ...]
    edges: Mapping[str, npt.NDArray[np.float32]]
    n_bins: int

    @classmethod
    def of(
        cls,
        votes: Mapping[str, Any],
        n_bins: int = DEFAULT_BINS,
        *,
        edges: Mapping[str, npt.NDArray[np.float32]] | None = None,
    ) -> VoteSymbols | None:
        """Fix the bins of each LF by the quantiles of its scores.

        Parameters
        ----------
        votes
            Shard name to its label matrix, of the same LFs; the order of the shards changes nothing.
        n_bins
            Number B of bins, at least 1.  An LF whose scores have fewer different values has fewer.
        edges
            Bins of LFs that are kept as they are.

        Returns
        -------
        VoteSymbols or None
            None where no vote has a score and there is no superclass: the symbols are the classes.
        """
        details = [shard.details for shard in votes.values() if shard.details is not None]
        if not details:
            return None
        first = next(iter(votes.values()))
        has_scores = any(found.scores is not None for found in details)
        found_edges = _find_edges(votes, n_bins, dict(edges or {})) if has_scores else {}
        superclasses = next((found.superclasses for found in details if found.superclasses), ())
        return cls(first.cardinality, superclasses, found_edges, n_bins if has_scores else 0)

    @cached_property
    def alphabet(self) -> Alphabet:
        """The symbols."""
        members = np.zeros((self.cardinality + len(self.superclasses), self.cardinality), dtype=np.bool_)
        np.fill_diagonal(members, val=True)
        for place, superclass in enumerate(self.superclasses):
            members[self.cardinality + place, list(superclass.classes)] = True
        return Alphabet(members, self.n_bins + 1 if self.n_bins else 1)

    def encode(self, votes: Any) -> VoteForm:
        """Bring votes to symbols.

        Parameters
        ----------
        votes
            A label matrix, or a :class:`.VoteForm`, of n examples and m LFs.  A score of an LF that has no
            bins is left out of account.

        Returns
        -------
        VoteForm
            ``[n, m]`` symbols in {-1, 0, .., S-1}; -1 abstains.

        Raises
        ------
        LabelMatrixError
            The votes have other superclasses.
        """
        form = read_votes(votes, self.cardinality)
        self._check(form)
        n_levels, n_symbols = self.alphabet.n_levels, self.alphabet.n_symbols
        if form.details is None and n_levels == 1:
            return form._replace(cardinality=n_symbols if form.is_checked_for(self.cardinality) else None)
        dense = dense_votes(form)
        symbols: Any = np.empty(dense.shape, dtype=votes_dtype(n_symbols), order="F")
        for lf, name in enumerate(form.lf_names):
            groups = _groups(dense[:, lf], form.details, lf, self.cardinality)
            levels = self._levels(name, form.details, lf)
            symbols[:, lf] = np.where(groups == ABSTAIN, ABSTAIN, groups * n_levels + levels)
        return form._replace(votes=np.ascontiguousarray(symbols), cardinality=n_symbols, details=None)

    def patterns(self, votes: Any) -> VotePatterns:
        """Find the patterns of the symbols of votes ``[n, m]``; see :meth:`encode`."""
        return VotePatterns.from_votes(self.encode(votes), self.alphabet.n_symbols)

    def decode(self, symbols: npt.NDArray[Any], lf_names: Sequence[str]) -> VoteForm:
        """Votes that :meth:`encode` brings to these symbols ``[r, m]``: their scores stand for their bins."""
        n_levels, k = self.alphabet.n_levels, self.cardinality
        voted = symbols != ABSTAIN
        groups, levels = np.divmod(np.where(voted, symbols, 0).astype(np.intp), n_levels)
        of_class = voted & (groups < k)
        votes: Any = np.where(of_class, groups, ABSTAIN).astype(votes_dtype(k))
        sets = np.where(voted & ~of_class, groups - k, ABSTAIN).astype(np.int16)
        scores = np.full(symbols.shape, np.nan, dtype=np.float32)
        for lf, name in enumerate(lf_names):
            ends = np.append(self.edges.get(name, np.empty(0, dtype=np.float32)), np.float32(np.inf))
            binned = voted[:, lf] & (levels[:, lf] > 0)
            scores[binned, lf] = ends[levels[binned, lf] - 1]
        details = VoteDetails(
            scores if self.n_bins else None, sets if self.superclasses else None, self.superclasses
        )
        return VoteForm(votes, tuple(lf_names), cardinality=k, details=details)

    def to_state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
        """What a file keeps: a header of JSON values, and the edges by the names of arrays."""
        header = {
            "cardinality": self.cardinality,
            "superclasses": self.superclasses,
            "n_bins": self.n_bins,
            "binned": list(self.edges),
        }
        return header, {f"{_EDGES}{place}": edges for place, edges in enumerate(self.edges.values())}

    @classmethod
    def from_state(cls, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> VoteSymbols:
        """Become what :meth:`to_state` described."""
        superclasses = tuple(Superclass(name, tuple(classes)) for name, classes in header["superclasses"])
        edges = {name: arrays[f"{_EDGES}{place}"] for place, name in enumerate(header["binned"])}
        return cls(int(header["cardinality"]), superclasses, edges, int(header["n_bins"]))

    def _levels(self, name: str, details: VoteDetails | None, lf: int) -> npt.NDArray[Any] | int:
        """Level ``[n]`` of each vote of an LF."""
        if details is None or details.scores is None or name not in self.edges:
            return 0
        scores = details.scores[:, lf]
        return np.where(np.isnan(scores), 0, np.searchsorted(self.edges[name], scores) + 1)

    def _check(self, form: VoteForm) -> None:
        """Refuse votes for superclasses that mean something else here."""
        found = () if form.details is None else form.details.superclasses
        if found and found != self.superclasses:
            message = (
                f"the votes have the superclasses {_said(found)}, the label model was fitted with "
                f"{_said(self.superclasses)}; use the same, or fit it again"
            )
            raise LabelMatrixError(message)


def symbols_of(votes: Any, cardinality: int, n_bins: int = DEFAULT_BINS) -> VoteSymbols | None:
    """Symbols of votes in any form; None where they are the classes, as they are without scores."""
    if isinstance(votes, VotePatterns):
        return None
    form = read_votes(votes, cardinality)
    return None if form.details is None else VoteSymbols.of({"votes": form}, n_bins)


def _said(superclasses: Sequence[Superclass]) -> str:
    return ", ".join(f"{name} {list(classes)}" for name, classes in superclasses) or "none"


def _groups(votes: npt.NDArray[Any], details: VoteDetails | None, lf: int, k: int) -> npt.NDArray[np.intp]:
    """Group ``[n]`` of each vote of an LF, -1 where it abstains."""
    groups = votes.astype(np.intp)
    if details is None or details.sets is None:
        return groups
    sets = details.sets[:, lf].astype(np.intp)
    return np.where(sets == ABSTAIN, groups, k + sets)


def _find_edges(
    votes: Mapping[str, Any], n_bins: int, known: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, npt.NDArray[np.float32]]:
    """Edges of each LF that has a score, in the order of the LFs."""
    names = next(iter(votes.values())).lf_names
    edges = {}
    for lf, name in enumerate(names):
        if name in known:
            edges[name] = known[name]
            continue
        parts = [shard.details.scores_of(lf) for shard in votes.values() if shard.details is not None]
        scores = np.concatenate([*parts, np.empty(0, dtype=np.float32)])
        if len(scores):
            edges[name] = quantile_edges(scores, n_bins)
    return edges


def quantile_edges(scores: npt.NDArray[np.float32], n_bins: int) -> npt.NDArray[np.float32]:
    """Upper ends of all bins but the last: each bin holds about the same number of the scores ``[v]``.

    A bin ends with a score that occurs, and equal scores share a bin; so there are fewer than B - 1 ends
    where scores repeat much.  A score belongs to the first bin whose end is not below it.
    """
    shares = np.arange(1, n_bins) / n_bins
    ends = np.unique(np.quantile(scores, shares, method="inverted_cdf")) if n_bins > 1 else scores[:0]
    return np.asarray(ends[ends < scores.max()], dtype=np.float32)
