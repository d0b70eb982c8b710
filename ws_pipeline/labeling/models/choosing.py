"""How a label model is chosen among candidates: by gold labels that may judge, never below the plain vote.

Legend: g examples with a gold label and a vote, k classes.
"""

from __future__ import annotations

import numpy as np

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import GoldClassesWarning
from ws_pipeline.labeling.models.candidates import VOTE, Trial, against_vote, duel, label
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import TrainingVotes
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.models.vote_comparison import SIGNIFICANCE
from ws_pipeline.labeling.votes.vote_details import details_of

_BY_CHANCE = 0.01  # probability that classes are missing by chance
_N_SAMPLES = 1000
_ROUNDING = 1e-9


def can_judge(training: TrainingVotes, rows: GoldRows) -> bool:
    """Whether gold labels may choose between models: not if they lack classes that votes are often for.

    Gold labels of one class only would prefer a model that names that class everywhere.  Classes may be
    missing by chance, above all rare ones: the gold labels are taken for no sample of the examples if fewer
    than 1 % of the samples of their number, drawn with the shares of the plain vote, lack as much.
    """
    if not len(rows):
        return True
    shares = _vote_shares(training)
    drawn = np.random.default_rng(0).multinomial(len(rows), shares, size=_N_SAMPLES)
    lacking = (drawn == 0) @ shares
    return bool(np.mean(lacking >= _missing_share(training, rows) - _ROUNDING) >= _BY_CHANCE)


def _vote_shares(training: TrainingVotes) -> Floats:
    """Share of each class among the labels of the plain vote ``[k]``."""
    given, patterns = training.distinct
    probs = majority_probs(patterns.votes, patterns.cardinality, trusted=True, details=details_of(given))
    votes = patterns.counts @ probs
    return np.asarray(votes / votes.sum())


def _missing_share(training: TrainingVotes, rows: GoldRows) -> float:
    """Share of the plain vote's labels that are of classes without any gold label."""
    is_missing = np.bincount(rows.labels, minlength=training.patterns.cardinality) == 0
    return float(_vote_shares(training)[is_missing].sum())


def missing_classes(training: TrainingVotes, rows: GoldRows) -> GoldClassesWarning:
    """Say which classes the gold labels lack."""
    k = training.patterns.cardinality
    missing = np.flatnonzero(np.bincount(rows.labels, minlength=k) == 0).tolist()
    return GoldClassesWarning(
        f"none of the {len(rows)} gold labels is of the classes {missing}, which "
        f"{_missing_share(training, rows):.1%} of the plain vote's labels are of; such gold labels "
        "cannot anchor, choose or calibrate a label model; add gold labels of all classes"
    )


def choose(tried: list[Trial], vote: Trial, rows: GoldRows, *, judges: bool) -> tuple[Trial, str]:
    """The first candidate, unless others are better beyond chance; then the most accurate of these.

    The plain vote stands in for a first candidate that could not be fitted.
    """
    first, *others = tried
    why = ""
    if first.model is None:
        why = f"{first.report.kind} could not be fitted ({first.report.note}); "
        first = vote
    others = [other for other in others if other.model is not None]
    better = []
    for other in others if judges else []:
        against = duel(first.gold_probs, other.gold_probs, rows)
        if against.n_lost > against.n_won and against.p_value < SIGNIFICANCE / len(others):
            better.append((other.report.accuracy, other, against))
    if better:
        _, best, against = max(better, key=lambda entry: entry[0])
        return best, (
            f"{why}right on {against.n_lost} examples with gold labels on which {first.report.kind} is "
            f"wrong, wrong on {against.n_won} on which it is right (p = {against.p_value:.2g})"
        )
    if len(tried) == 1:
        return first, "it is the only candidate"
    if not len(rows):
        return first, f"{why}there are no gold labels to choose by"
    if not judges:
        return first, f"{why}the gold labels lack classes that are voted for, so that they cannot choose"
    return first, f"{why}no other candidate is better beyond chance on {len(rows)} examples with gold labels"


def unless_worse(chosen: Trial, reason: str, rows: GoldRows, vote: Trial) -> tuple[Trial, str]:
    """What was chosen, or the plain vote if that is better beyond chance, whichever way it is measured."""
    if chosen.model is None or chosen.report.kind == VOTE:
        return chosen, reason
    for probs in (chosen.gold_probs, label(chosen.model, rows)):
        compared = against_vote(probs, rows)
        if compared.verdict == "worse":
            why = (
                f"{chosen.report.kind} is worse than the plain vote on examples with gold labels: "
                f"{compared.n_won} won, {compared.n_lost} lost (p = {compared.p_value:.2g})"
            )
            return vote, why
    return chosen, reason
