"""Which labeling functions belong together, how many independent ones they are worth, and which carry them.

What two LFs have in common although their classes are known is no agreement about the examples: near copies,
the same prompt, the same source of errors.  Start reading at :func:`find_families`.

Legend: n examples, m labeling functions (LFs), k classes, u patterns.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.models.additive import AdditiveLabeler
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.families import shared_votes, similarities
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.pattern_passes import passes_over
from ws_pipeline.labeling.models.vote_moments import variance_inflation
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

NEAR_COPY = 0.9
"""Similarity from which two LFs are near copies."""

_FAMILY = 0.4  # mean strength between the members of a family, at least
_BEYOND_CHANCE = 5.0  # standard deviations
_LEAST_INFORMATION = 1e-12


@dataclass(frozen=True, eq=False)
class Families:
    """Families of labeling functions.

    Parameters
    ----------
    table
        One row per LF: lf, family (a number from 1 on, null if it has none), n_members, strength (mean over
        the other members of the share of votes in common beyond what the classes explain, 1 for copies; null
        without a family), information (nats that one example's vote tells of the class), carries (whether it
        is one of the few that carry the panel), near_copies (LFs after it that say nearly the same).
    n_voting
        Number of LFs that vote.
    effective_number
        Number of independent LFs that they are worth: ``n_voting`` over the variance inflation.
    """

    table: pa.Table
    n_voting: int
    effective_number: float

    @property
    def carriers(self) -> list[str]:
        """Names of the LFs that carry the panel, the most telling first."""
        rows = [row for row in self.table.to_pylist() if row["carries"]]
        return [row["lf"] for row in sorted(rows, key=lambda row: -row["information"])]


def find_families(model: BaseLabeler, patterns: VotePatterns) -> Families:
    """Find families of LFs from what they have in common given the classes of a label model.

    The strength between two LFs is (A - E) / (M - E): A the examples on which they vote for the same class, E
    what it would be if they were independent given the class, M the most that it can be.  Families are the
    clusters of average linkage with a mean strength of at least 0.4; pairs within 5 standard deviations of
    chance have none.

    Parameters
    ----------
    model
        Fitted on the votes.
    patterns
        Votes of the examples.
    """
    patterns = patterns.covered()
    if not patterns.n_patterns:
        return _no_families(patterns.lf_names)
    probs = _untempered(model).predict_proba(patterns.votes)
    joint, inflation = _moments(patterns, probs)
    class_totals = patterns.counts @ probs
    strength = _strengths(patterns, joint, class_totals)
    families = _clusters(strength)
    information = _information(joint, class_totals)
    voting = patterns.class_counts.sum(axis=1) > 0
    effective = float(voting.sum()) / inflation
    alike = similarities(patterns)
    carries = _carriers(information, np.maximum(strength, alike), effective)
    table = _table(patterns.lf_names, families, strength, information, carries)
    copies = [np.flatnonzero(row).tolist() for row in np.triu(alike >= NEAR_COPY)]
    names = [[patterns.lf_names[other] for other in others] for others in copies]
    table = table.append_column("near_copies", pa.array(names, pa.list_(pa.string())))
    return Families(table, int(voting.sum()), effective)


def _no_families(lf_names: tuple[str, ...]) -> Families:
    """What is found where no LF votes for a class, as all may for superclasses."""
    m = len(lf_names)
    alone, nothing = np.zeros((m, m)), np.zeros(m)
    table = _table(lf_names, _clusters(alone), alone, nothing, nothing.astype(np.bool_))
    near_copies = pa.array([[] for _ in lf_names], pa.list_(pa.string()))
    return Families(table.append_column("near_copies", near_copies), 0, 0.0)


def _untempered(model: BaseLabeler) -> BaseLabeler:
    """The model as sure of the classes as it was fitted, without temperature and calibration."""
    chosen = model.chosen_ if isinstance(model, AutoLabelModel) else model
    if isinstance(chosen, AdditiveLabeler):
        chosen = copy.copy(chosen)
        chosen.has_temperature = False
    return chosen


def _moments(patterns: VotePatterns, probs: Floats) -> tuple[Floats, float]:
    """Votes by class ``[m, k, k]`` at ``[j, s, y]``, and the variance inflation of the vote totals."""
    m, k = patterns.n_lfs, patterns.cardinality
    masses = probs * patterns.counts[:, None]
    joint = np.zeros((m, k, k))
    if isinstance(patterns.votes, np.ndarray):
        for lf in range(m):
            votes = patterns.votes[:, lf].astype(np.int64) + 1
            for label in range(k):
                found = np.bincount(votes, weights=masses[:, label], minlength=k + 1)
                joint[lf, :, label] = found[1:]
    else:
        codes = patterns.votes.indices.astype(np.int64) * k + patterns.votes.data
        rows = np.repeat(np.arange(patterns.n_patterns), patterns.n_votes)
        for label in range(k):
            found = np.bincount(codes, weights=masses[rows, label], minlength=m * k)
            joint[:, :, label] = found.reshape(m, k)
    sums, squares = np.zeros((k, k)), np.zeros((k, k))
    for block, tallies in passes_over(patterns).tallies():
        sums += tallies @ masses[block]
        squares += tallies**2 @ masses[block]
    return joint, variance_inflation(joint, masses.sum(axis=0), sums, squares)


def _strengths(patterns: VotePatterns, joint: Floats, class_totals: Floats) -> Floats:
    """Votes in common beyond what the classes explain ``[m, m]``, as a share of the most that could be."""
    shared, _ = shared_votes(patterns)
    sizes = np.where(class_totals > 0, class_totals, 1.0)
    m = len(joint)
    flat = (joint / np.sqrt(sizes)).reshape(m, -1)
    explained = flat @ flat.T
    totals = joint.sum(axis=2)
    most = np.zeros((m, m))
    for votes in totals.T:
        most += np.minimum(votes[:, None], votes)
    beyond = shared - explained
    room = most - explained
    strength = np.divide(beyond, room, out=np.zeros((m, m)), where=room > 0)
    is_chance = beyond < _BEYOND_CHANCE * np.sqrt(explained + 1)
    strength = np.where(is_chance, 0, np.clip(strength, 0, 1))
    np.fill_diagonal(strength, 0)
    return np.asarray(strength)


def _clusters(strength: Floats) -> npt.NDArray[np.intp]:
    """Number of the family of each LF ``[m]``, from 1 on; 0 for LFs without one."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    m = len(strength)
    if m == 1:
        return np.zeros(m, dtype=np.intp)
    distances = squareform(1 - strength - np.eye(m), checks=False)
    found = fcluster(linkage(distances, method="average"), t=1 - _FAMILY, criterion="distance")
    sizes = np.bincount(found)
    numbers: dict[int, int] = {}
    families = np.zeros(m, dtype=np.intp)
    for lf in np.flatnonzero(sizes[found] > 1).tolist():
        families[lf] = numbers.setdefault(int(found[lf]), len(numbers) + 1)
    return families


def _information(joint: Floats, class_totals: Floats) -> Floats:
    """Mutual information of each LF's vote, an abstain included, and the class ``[m]``, in nats."""
    n = class_totals.sum()
    silent = np.maximum(class_totals - joint.sum(axis=1), 0)
    both = np.concatenate([joint, silent[:, None]], axis=1) / n
    apart = both.sum(axis=2, keepdims=True) * (class_totals / n)
    logs = np.log(np.divide(both, apart, out=np.ones_like(both), where=both > 0))
    return np.asarray(np.maximum((both * logs).sum(axis=(1, 2)), 0))


def _carriers(information: Floats, likeness: Floats, effective: float) -> npt.NDArray[np.bool_]:
    """The few LFs that carry the panel: one after the other, the most telling that is unlike those before."""
    carries = np.zeros(len(information), dtype=np.bool_)
    left = information.copy()
    for _ in range(max(1, round(effective))):
        best = int(left.argmax())
        if left[best] <= _LEAST_INFORMATION:
            break
        carries[best] = True
        left = left * (1 - likeness[best])
        left[best] = 0
    return carries


def _table(
    names: tuple[str, ...],
    families: npt.NDArray[np.intp],
    strength: Floats,
    information: Floats,
    carries: npt.NDArray[np.bool_],
) -> pa.Table:
    same = (families[:, None] == families) & (families[:, None] > 0)
    same &= ~np.eye(len(names), dtype=np.bool_)
    others = same.sum(axis=1)
    mean = np.divide((strength * same).sum(axis=1), others, out=np.zeros(len(names)), where=others > 0)
    alone = families == 0
    return pa.table(
        {
            "lf": pa.array(names, pa.string()),
            "family": pa.array(families, mask=alone),
            "n_members": pa.array(others + 1),
            "strength": pa.array(mean, mask=alone),
            "information": pa.array(information),
            "carries": pa.array(carries),
        }
    )
