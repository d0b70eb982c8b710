"""Passes over vote patterns: scores of the classes, and the votes that fall to each class.

The patterns are cut into blocks of fixed size, and the blocks' sums are added in their order, so that the
same patterns give the same bytes.  Dense patterns are looked up in tables of the joint votes of neighbouring
labeling functions (LFs), as :mod:`.posterior` does; where most LFs abstain, a sparse product is faster.

What LFs say are symbols, which are the classes if votes have no scores; see
:mod:`ws_pipeline.labeling.votes.vote_symbols`.

Legend: u distinct vote patterns, m LFs, S symbols, k classes, d = m*S, r patterns of a block, g LFs of a
group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.models.posterior import group_size, group_tables
from ws_pipeline.labeling.votes.counting import joint_codes
from ws_pipeline.labeling.votes.sparse_counting import one_hot_rows, sparse_parts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_BLOCK = 2**16
_VOTES_PER_LOOK_UP = 2.0  # a look-up in a table costs about as much as so many votes of a sparse product


class Expectations(NamedTuple):
    """Sums over all examples, each shared out to the classes by its probabilities.

    Parameters
    ----------
    joint
        ``[m, S, k]``: at ``[j, s, y]`` the examples of class y on which LF j says symbol s.
    class_totals
        ``[k]``: the examples of each class.
    """

    joint: Floats
    class_totals: Floats


class PatternPasses(ABC):
    """Passes over the patterns with votes; make one with :func:`passes_over`.

    Parameters
    ----------
    patterns
        Patterns with at least one vote each, of S symbols.
    cardinality
        Number of classes k.
    """

    def __init__(self, patterns: VotePatterns, cardinality: int) -> None:
        self.cardinality = cardinality
        self.n_symbols = patterns.cardinality
        self.n_lfs = patterns.n_lfs
        self.counts = patterns.counts.astype(np.float64)

    @abstractmethod
    def prepare(self, weights: Floats) -> Any:
        """Bring weights ``[m, S, k]``, by LF, symbol and class, to the form that :meth:`scores` takes."""

    @abstractmethod
    def scores(self, block: slice, prepared: Any) -> Floats:
        """Sums of the weights of each pattern's votes, ``[k, r]``."""

    @abstractmethod
    def joint(self, masses: Iterator[tuple[slice, Floats]]) -> Floats:
        """Symbols by class ``[m, S, k]``, of blocks of masses ``[k, r]``."""

    def blocks(self) -> Iterator[slice]:
        """Cut the patterns into blocks, in order."""
        for start in range(0, len(self.counts), _BLOCK):
            yield slice(start, min(start + _BLOCK, len(self.counts)))

    def posteriors(self, intercept: Floats, weights: Floats) -> Iterator[tuple[slice, Floats]]:
        """Probabilities ``[k, r]`` of each block: the softmax of the intercept and the votes' weights.

        Parameters
        ----------
        intercept
            ``[k]``.
        weights
            ``[m, S, k]``, by LF, symbol and class.
        """
        prepared = self.prepare(weights)
        for block in self.blocks():
            scores = self.scores(block, prepared)
            scores += intercept[:, None]
            scores -= scores.max(axis=0)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=0)
            yield block, scores

    def expect(self, intercept: Floats, weights: Floats) -> Expectations:
        """Share the examples out to the classes, by the probabilities of :meth:`posteriors`."""
        class_totals = np.zeros(self.cardinality)

        def masses() -> Iterator[tuple[slice, Floats]]:
            nonlocal class_totals
            for block, probs in self.posteriors(intercept, weights):
                mass = probs * self.counts[block]
                class_totals += mass.sum(axis=1)
                yield block, mass

        joint = self.joint(masses())
        return Expectations(joint, class_totals)

    def tallies(self, shares: Floats | None = None) -> Iterator[tuple[slice, Floats]]:
        """Number of votes for each class ``[k, r]``, block by block.

        Parameters
        ----------
        shares
            ``[S, k]``: what a symbol counts for each class.  Default: the symbols are the classes.
        """
        shares = np.eye(self.cardinality) if shares is None else shares
        prepared = self.prepare(np.tile(shares, (self.n_lfs, 1, 1)))
        for block in self.blocks():
            yield block, self.scores(block, prepared)


class _TablePasses(PatternPasses):
    """Passes by look-ups in tables of joint votes."""

    def __init__(self, patterns: VotePatterns, cardinality: int, size: int) -> None:
        super().__init__(patterns, cardinality)
        m = self.n_lfs
        votes = np.ascontiguousarray(patterns.votes.T)
        self._groups = [range(first, min(first + size, m)) for first in range(0, m, size)]
        self._codes = np.stack(
            [joint_codes(votes[g.start : g.stop], self.n_symbols).astype(np.int16) for g in self._groups]
        )
        self._size = size
        self._totals = [
            self._count(row, self.counts, group) for row, group in zip(self._codes, self._groups, strict=True)
        ]

    def prepare(self, weights: Floats) -> list[Floats]:
        terms = np.zeros((self.n_lfs, self.n_symbols + 1, self.cardinality))
        terms[:, 1:] = weights
        return [table for _, _, table in group_tables(terms, self._size)]

    def scores(self, block: slice, prepared: list[Floats]) -> Floats:
        scores = np.zeros((self.cardinality, block.stop - block.start))
        term = np.empty(scores.shape[1])
        for row, table in zip(self._codes, prepared, strict=True):
            codes = row[block].astype(np.intp)
            for label, line in enumerate(table):
                scores[label] += np.take(line, codes, out=term, mode="clip")
        return scores

    def joint(self, masses: Iterator[tuple[slice, Floats]]) -> Floats:
        k, base = self.cardinality, self.n_symbols + 1
        tables = [np.zeros((k, base ** len(group))) for group in self._groups]
        for block, mass in masses:
            for row, group, table in zip(self._codes, self._groups, tables, strict=True):
                codes = row[block].astype(np.intp)
                for label in range(k - 1):
                    table[label] += self._count(codes, mass[label], group)
        joint = np.zeros((self.n_lfs, self.n_symbols, k))
        for group, table, total in zip(self._groups, tables, self._totals, strict=True):
            # the last class has what is left; rounding may leave a little less than nothing
            table[k - 1] = np.maximum(total - table[: k - 1].sum(axis=0), 0)
            cube = table.reshape((k,) + (base,) * len(group))
            for place, lf in enumerate(group):
                others = tuple(1 + other for other in range(len(group)) if other != place)
                joint[lf] = cube.sum(axis=others)[:, 1:].T
        return joint

    def _count(self, codes: npt.NDArray[Any], weights: Floats, group: range) -> Floats:
        """Sum the weights of each joint vote of a group."""
        counted = np.bincount(codes, weights=weights, minlength=(self.n_symbols + 1) ** len(group))
        return np.asarray(counted)


class _SparsePasses(PatternPasses):
    """Passes by products with the one-hot form of the votes."""

    def __init__(self, patterns: VotePatterns, cardinality: int) -> None:
        super().__init__(patterns, cardinality)
        self._parts: dict[int, csr_array] = {}  # by the first pattern of each
        start = 0
        for part in sparse_parts(patterns.votes, self.n_symbols, max_rows=_BLOCK, trusted=True):
            self._parts[start] = one_hot_rows(part, self.n_symbols, np.float64)
            start += part.shape[0]

    def blocks(self) -> Iterator[slice]:
        for start, part in self._parts.items():
            yield slice(start, start + part.shape[0])

    def prepare(self, weights: Floats) -> Floats:
        return np.ascontiguousarray(weights.reshape(-1, self.cardinality))

    def scores(self, block: slice, prepared: Floats) -> Floats:
        return np.ascontiguousarray((self._parts[block.start] @ prepared).T)

    def joint(self, masses: Iterator[tuple[slice, Floats]]) -> Floats:
        k = self.cardinality
        total = np.zeros((self.n_lfs * self.n_symbols, k))
        for block, mass in masses:
            total += self._parts[block.start].T @ np.ascontiguousarray(mass.T)
        return total.reshape(self.n_lfs, self.n_symbols, k)


def passes_over(patterns: VotePatterns, cardinality: int | None = None) -> PatternPasses:
    """Prepare the passes over patterns of which each has a vote, in the way that should be fastest.

    What is chosen depends on the patterns alone.

    Parameters
    ----------
    patterns
        Patterns of symbols.
    cardinality
        Number of classes k.  Default: that of the patterns, whose symbols are the classes.
    """
    k = patterns.cardinality if cardinality is None else cardinality
    if not patterns.is_dense:
        return _SparsePasses(patterns, k)
    size = group_size(patterns.cardinality)
    while size > 1 and (patterns.cardinality + 1) ** size > max(patterns.n_patterns, 2):
        size -= 1
    n_look_ups = -(-patterns.n_lfs // size)
    votes_per_pattern = float(patterns.n_votes.mean()) if patterns.n_patterns else 0.0
    if votes_per_pattern < n_look_ups / _VOTES_PER_LOOK_UP:
        return _SparsePasses(patterns, k)
    return _TablePasses(patterns, k, size)
