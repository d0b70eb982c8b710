"""Bins of scores as a table: where they end, how many votes are in each, and how reliable these are.

Bins are fixed once: votes of later shards fall into the bins of the first fit, so that counts add up.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import FileFormatError, ScoreScaleWarning
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.votes.vote_storage import columns_of
from ws_pipeline.labeling.votes.vote_symbols import VoteSymbols

_BINS_KEY = b"ws_pipeline.score_bins"
_ENOUGH = 20  # votes with scores that are in one bin by chance hardly ever
_SHOWN = 10  # names in a message
_SCHEMA = pa.schema(
    {
        "lf": pa.string(),
        "bin": pa.int64(),
        "above": pa.float32(),
        "up_to": pa.float32(),
        "n_votes": pa.int64(),
        "n_judged": pa.int64(),
        "accuracy": pa.float64(),
    }
)


@dataclass(frozen=True, eq=False)
class ScoreBins:
    """The bins that the scores of each LF fall into.

    Parameters
    ----------
    n_bins
        Number B of bins that were asked for.
    table
        One row per LF with scores and bin: lf; bin, from 1, 0 for votes without a score; above and up_to, the
        ends of the bin, null where it has none; n_votes; n_judged, those on examples with gold labels; and
        accuracy, the share of these that is right, null if there are none.
    """

    n_bins: int
    table: pa.Table

    @classmethod
    def of(
        cls,
        shards: Mapping[str, LabelMatrix],
        n_bins: int,
        *,
        before: ScoreBins | None = None,
        gold: npt.NDArray[Any] | None = None,
    ) -> ScoreBins:
        """Fix the bins of each LF, and see how reliable its votes are in each.

        Parameters
        ----------
        shards
            Shard name to its votes, of the same LFs.
        n_bins
            Number B of bins.
        before
            Bins that stay as they are, if they are as many; LFs that are not there get some.
        gold
            ``[n]`` gold labels of the examples of all shards, -1 = unknown.

        Warns
        -----
        ScoreScaleWarning
            All scores of an LF fall into one of several bins that were kept.
        """
        known = before.edges if before is not None and before.n_bins == n_bins else {}
        symbols = VoteSymbols.of(shards, n_bins, edges=known)
        edges = {} if symbols is None else dict(symbols.edges)
        kept = {name: found for name, found in known.items() if name not in edges}
        matrix = LabelMatrix.concatenate(shards)
        truth = np.full(len(matrix), ABSTAIN) if gold is None else gold
        rows = [row for name, ends in (edges | kept).items() for row in _rows(matrix, name, ends, truth)]
        _warn_of_other_scale(rows, known)
        return cls(n_bins, pa.Table.from_pylist(rows, _SCHEMA))

    @property
    def edges(self) -> dict[str, npt.NDArray[np.float32]]:
        """Name of each LF to the upper ends of its bins but the last one, ascending."""
        found: dict[str, list[float]] = {}
        columns = (self.table.column(name).to_pylist() for name in ("lf", "bin", "up_to"))
        for lf, place, end in zip(*columns, strict=True):
            ends = found.setdefault(lf, [])
            if place > 0 and end is not None:
                ends.append(end)
        return {lf: np.array(ends, dtype=np.float32) for lf, ends in found.items()}

    def to_table(self) -> pa.Table:
        """The table, with the number of bins in the metadata of its schema."""
        return self.table.replace_schema_metadata({_BINS_KEY: str(self.n_bins)})

    @classmethod
    def from_table(cls, table: pa.Table) -> ScoreBins:
        """Decode the table of :meth:`to_table`.

        Raises
        ------
        FileFormatError
            It is another table.
        """
        stored = (table.schema.metadata or {}).get(_BINS_KEY)
        if stored is None:
            message = f"not a table of bins of scores, it has the columns {table.column_names}"
            raise FileFormatError(message)
        return cls(int(stored), table)


def _warn_of_other_scale(rows: Sequence[Mapping[str, Any]], known: Collection[str]) -> None:
    """Warn of LFs with bins that are kept, of which one has all votes."""
    moved = []
    for name in known:
        votes = [row["n_votes"] for row in rows if row["lf"] == name and row["bin"]]
        if len(votes) > 1 and sum(votes) >= _ENOUGH and max(votes) == sum(votes):
            moved.append(name)
    if moved:
        shown = ", ".join(f"'{name}'" for name in moved[:_SHOWN])
        shown += f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        message = (
            f"all scores fall into one of the bins that were fixed before: {shown}; if they have another "
            "scale now, fix the bins again (fix_again of the asset score_bins)"
        )
        warnings.warn(ScoreScaleWarning(message), stacklevel=3)


def _rows(
    matrix: LabelMatrix, name: str, ends: npt.NDArray[np.float32], gold: npt.NDArray[Any]
) -> list[dict[str, Any]]:
    """One row for each bin of an LF, those without votes too; and one for its votes without a score."""
    bins, right = _bins_of(matrix, name, ends), np.zeros(len(matrix), dtype=np.bool_)
    if name in matrix.lf_names:
        right = _is_right(matrix, matrix.lf_names.index(name), gold)
    size = len(ends) + 2
    voted = bins >= 0
    judged = voted & (gold != ABSTAIN)
    n_votes, n_judged, n_right = (
        np.bincount(bins[mask], minlength=size).tolist() for mask in (voted, judged, judged & right)
    )
    borders = [None, *ends.tolist(), None]
    return [
        {
            "lf": name,
            "bin": place,
            "above": borders[place - 1] if place else None,
            "up_to": borders[place] if place else None,
            "n_votes": n_votes[place],
            "n_judged": n_judged[place],
            "accuracy": n_right[place] / n_judged[place] if n_judged[place] else None,
        }
        for place in range(0 if n_votes[0] else 1, size)
    ]


def _bins_of(matrix: LabelMatrix, name: str, ends: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Bin ``[n]`` of the votes of an LF, 0 for votes without a score, -1 for abstains."""
    if name not in matrix.lf_names:
        return np.full(len(matrix), ABSTAIN)
    one = matrix.with_lfs([name])
    k, superclasses = matrix.cardinality, () if one.details is None else one.details.superclasses
    symbols = VoteSymbols(k, superclasses, {name: ends}, n_bins=len(ends) + 1)
    codes = np.asarray(symbols.encode(one).votes)[:, 0].astype(np.intp)
    return np.where(codes == ABSTAIN, ABSTAIN, codes % symbols.alphabet.n_levels)


def _is_right(matrix: LabelMatrix, lf: int, gold: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Mask ``[n]`` of the votes of an LF for the gold label, or for a superclass that it belongs to."""
    votes = next(iter(columns_of(matrix.votes[:, [lf]])))
    right = np.asarray(votes == gold)
    if matrix.details is None or matrix.details.sets is None:
        return right
    sets = matrix.details.sets[:, lf]
    for place, (_, classes) in enumerate(matrix.details.superclasses):
        right = right | ((sets == place) & np.isin(gold, classes))
    return right
