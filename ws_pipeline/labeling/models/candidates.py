"""Label models that are compared before one is taken: each is fitted, and measured beside the plain vote.

Start reading at :func:`try_kind`.

Legend: n examples, g of them with a gold label and a vote, m labeling functions (LFs), k classes, u patterns.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import SettingsError, WsPipelineError, WsPipelineWarning
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import ANCHORED, TrainingVotes, fit_label_model
from ws_pipeline.labeling.models.label_quality import measure_quality
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.models.vote_comparison import VoteComparison, compare_with_vote
from ws_pipeline.labeling.votes.vote_details import details_of
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

VOTE = "majority"
N_FOLDS = 5

Fit = Callable[[GoldRows], BaseLabeler]
"""Fits a label model that is anchored on these gold labels."""

_NAN = float("nan")


@dataclass(frozen=True)
class Candidate:
    """A label model beside the plain vote: without gold labels, and on examples with gold labels.

    On examples with gold labels, no example judges a model that was anchored on it.

    Parameters
    ----------
    kind
        One of :data:`.LABEL_MODELS`.
    coverage
        Share of the examples that have a vote, and so a label.
    agreement
        Share of the examples with votes whose label is a class with the most votes.
    unanimous_contradicted
        Number of examples on which all votes are for one class and the label is another.
    mean_confidence
        Mean over the examples with votes of the largest probability.
    weight_spread
        Standard deviation over the LFs of how often each is right, as the model sees it; 0 if all votes count
        the same.
    n_gold
        Number g of examples with a gold label and a vote.
    accuracy, macro_f1, log_loss, ece
        See :class:`.Quality`; NaN without gold.
    accuracy_low, accuracy_high, macro_f1_low, macro_f1_high, log_loss_low, log_loss_high, ece_low, ece_high
        95 % bootstrap intervals of these.
    n_won, n_lost, p_value
        Comparison with the plain vote, see :class:`.VoteComparison`.
    note
        Why it could not be fitted, or what its fit warned of.
    """

    kind: str
    coverage: float = _NAN
    agreement: float = _NAN
    unanimous_contradicted: int = 0
    mean_confidence: float = _NAN
    weight_spread: float = _NAN
    n_gold: int = 0
    accuracy: float = _NAN
    accuracy_low: float = _NAN
    accuracy_high: float = _NAN
    macro_f1: float = _NAN
    macro_f1_low: float = _NAN
    macro_f1_high: float = _NAN
    log_loss: float = _NAN
    log_loss_low: float = _NAN
    log_loss_high: float = _NAN
    ece: float = _NAN
    ece_low: float = _NAN
    ece_high: float = _NAN
    n_won: int = 0
    n_lost: int = 0
    p_value: float = 1.0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON can hold them: null for what is not known."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Candidate:
        """Decode what :meth:`to_json` gave."""
        fields: dict[str, Any] = {name: _NAN if value is None else value for name, value in entry.items()}
        return cls(**fields)


@dataclass(frozen=True)
class Trial:
    """A candidate with its model, if it could be fitted.

    Parameters
    ----------
    report
        What was measured.
    model
        Fitted on all votes and all gold labels; None if that failed.
    gold_probs
        ``[g, k]`` labels of the examples with gold labels, by models that have not seen these.
    warned
        What the fit warned of.
    seconds
        Time of all its fits.
    error
        Why it could not be fitted.
    """

    report: Candidate
    model: BaseLabeler | None
    gold_probs: Floats
    warned: tuple[Warning, ...] = ()
    seconds: float = 0.0
    error: WsPipelineError | None = None


def try_kind(kind: str, fit: Fit, training: TrainingVotes, rows: GoldRows, *, coverage: float) -> Trial:
    """Fit a label model on all gold labels, and judge it by models that were fitted on others.

    Parameters
    ----------
    kind
        One of :data:`.LABEL_MODELS`.
    fit
        Fits it.
    training
        Votes of the examples that have any.
    rows
        Those with gold labels.
    coverage
        Share of all examples that have votes.

    Raises
    ------
    SettingsError
        A setting of the fit is wrong; any other error is the note of the candidate.
    """
    k, begun = training.patterns.cardinality, time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WsPipelineWarning)
        try:
            model = fit(rows)
            gold_probs = _cross_fitted(model, fit, rows) if kind in ANCHORED else label(model, rows)
            report = _report(kind, model, training, rows, gold_probs, coverage=coverage)
        except SettingsError:
            raise
        except WsPipelineError as error:
            note = f"{type(error).__name__}: {error}"
            return Trial(Candidate(kind, coverage, note=note), None, np.empty((0, k)), error=error)
    warned = {str(w.message): w.message for w in caught if isinstance(w.message, WsPipelineWarning)}
    report = replace(report, note="; ".join(f"{type(w).__name__}: {w}" for w in warned.values()))
    return Trial(report, model, gold_probs, tuple(warned.values()), time.perf_counter() - begun)


def try_vote(training: TrainingVotes, rows: GoldRows, *, coverage: float) -> Trial:
    """Measure the plain vote."""
    return try_kind(VOTE, lambda _rows: fit_label_model(VOTE, training), training, rows, coverage=coverage)


def label(model: BaseLabeler, rows: GoldRows) -> Floats:
    """Labels ``[g, k]`` of the examples with gold labels."""
    return model.predict_proba(rows.given) if len(rows) else np.empty((0, model.cardinality))


def against_vote(gold_probs: Floats, rows: GoldRows) -> VoteComparison:
    """Compare labels ``[g, k]`` of the examples with gold labels with the plain vote."""
    return duel(gold_probs, majority_probs(rows.votes, gold_probs.shape[1], details=rows.details), rows)


def duel(gold_probs: Floats, other_probs: Floats, rows: GoldRows) -> VoteComparison:
    """Compare two labellings ``[g, k]`` of the examples with gold labels."""
    everywhere = np.ones(len(rows), dtype=np.bool_)
    return compare_with_vote(gold_probs, other_probs, rows.labels, covered=everywhere)


def is_unanimous(patterns: VotePatterns) -> npt.NDArray[np.bool_]:
    """Mask ``[u]`` of the patterns whose votes are all for one class; each has a vote."""
    votes = patterns.votes
    if isinstance(votes, np.ndarray):  # without a vote for a class, the lowest is above the highest
        lowest = np.where(votes < 0, patterns.cardinality, votes).min(axis=1)
        return np.asarray(votes.max(axis=1) == lowest)
    firsts = np.repeat(votes.data[votes.indptr[:-1]], patterns.n_votes)
    return np.logical_and.reduceat(votes.data == firsts, votes.indptr[:-1])


def _cross_fitted(model: BaseLabeler, fit: Fit, rows: GoldRows) -> Floats:
    """Labels ``[g, k]`` of the gold rows, each by a model that was anchored on other ones."""
    probs = np.empty((len(rows), model.cardinality))
    for fold in rows.folds(min(N_FOLDS, len(rows))):
        probs[fold] = fit(rows.take(~fold)).predict_proba(rows.take(fold).given)
    return probs


def _report(
    kind: str,
    model: BaseLabeler,
    training: TrainingVotes,
    rows: GoldRows,
    gold_probs: Floats,
    *,
    coverage: float,
) -> Candidate:
    given, patterns = training.distinct
    probs = model.predict_proba(given)
    if not np.isfinite(probs).all():
        message = f"the probabilities of {kind} are not finite"
        raise WsPipelineError(message)
    winners = majority_probs(patterns.votes, patterns.cardinality, trusted=True, details=details_of(given))
    agrees = winners[np.arange(len(probs)), probs.argmax(axis=1)] > 0
    shares = patterns.counts / patterns.counts.sum()
    quality, compared = measure_quality(gold_probs, rows.labels), against_vote(gold_probs, rows)
    intervals = {
        f"{name}_{border}": getattr(values, name)
        for border, values in (("low", quality.low), ("high", quality.high))
        for name in values._fields
    }
    return Candidate(
        kind,
        coverage,
        agreement=float(patterns.counts[agrees].sum() / patterns.counts.sum()),
        unanimous_contradicted=int(patterns.counts[is_unanimous(patterns) & ~agrees].sum()),
        mean_confidence=float(shares @ probs.max(axis=1)),
        weight_spread=_weight_spread(model, patterns),
        n_gold=len(rows),
        **quality.value._asdict(),
        **intervals,
        n_won=compared.n_won,
        n_lost=compared.n_lost,
        p_value=compared.p_value,
    )


def _weight_spread(model: BaseLabeler, patterns: VotePatterns) -> float:
    """Standard deviation over the LFs that vote of how often each is right, as the model sees it."""
    if not hasattr(model, "get_weights"):
        return 0.0
    votes = patterns.class_counts.sum(axis=1) > 0
    return float(np.std(model.get_weights()[votes])) if votes.any() else 0.0
