"""The label model that is chosen by gold labels where there are any, and never silently worse than the vote.

Start reading at :meth:`AutoLabelModel.fit`; :mod:`.kinds` fits the candidates, :mod:`.label_quality` measures
them.

Legend: n examples, g of them with a gold label and a vote, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import NotFittedError, SettingsError, WsPipelineError, WsPipelineWarning
from ws_pipeline.labeling.models.additive import given_balance, patterns_of
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import ANCHORED, LABEL_MODELS, TrainingVotes, fit_label_model
from ws_pipeline.labeling.models.label_quality import measure_quality
from ws_pipeline.labeling.models.labeler import BaseLabeler, Floats, State
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.models.vote_comparison import SIGNIFICANCE, VoteComparison, compare_with_vote
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.storage.files import FileFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

CANDIDATES = ("lift_dawid_skene", "dawid_skene", "matrix_completion")
"""Kinds that are compared; the first is taken unless another one is better beyond chance."""

_FOLDS = 5
_VOTE = "majority"
_NAN = float("nan")


@dataclass(frozen=True)
class Candidate:
    """A label model beside the plain vote: without gold labels, and on examples with gold labels.

    On examples with gold labels, no example judges a model that was anchored on it.

    Parameters
    ----------
    kind
        One of :data:`.LABEL_MODELS`.
    agreement
        Share of the examples with votes whose label is a class with the most votes.
    unanimous_contradicted
        Number of examples on which all votes are for one class and the label is another.
    mean_confidence
        Mean over the examples with votes of the largest probability.
    n_gold
        Number g of examples with a gold label and a vote.
    accuracy, macro_f1, log_loss, ece
        See :class:`.Quality`; NaN without gold.
    accuracy_low, accuracy_high
        95 % bootstrap interval of the accuracy.
    n_won, n_lost, p_value
        Comparison with the plain vote, see :class:`.VoteComparison`.
    note
        Why it could not be fitted or used; empty if it could.
    """

    kind: str
    agreement: float = _NAN
    unanimous_contradicted: int = 0
    mean_confidence: float = _NAN
    n_gold: int = 0
    accuracy: float = _NAN
    macro_f1: float = _NAN
    log_loss: float = _NAN
    ece: float = _NAN
    accuracy_low: float = _NAN
    accuracy_high: float = _NAN
    n_won: int = 0
    n_lost: int = 0
    p_value: float = 1.0
    note: str = ""


class AutoLabelModel(BaseLabeler):
    """Takes ``LiftDawidSkene``, unless gold labels show that another model, or the plain vote, is better.

    1. Every candidate is fitted; gold labels anchor those that can be anchored.
    2. With gold labels, candidates are compared with each other by cross-fitting in 5 parts: the labels of a
       part come from a model that was anchored on the other parts.  Another candidate takes the place of the
       first one if it wins more examples from it than it loses, beyond chance: a one-sided sign test at 5 %,
       divided by the number of candidates that try.
    3. If what was chosen is worse than the plain vote beyond chance, the plain vote is published.  The fit
       goes on in every case: ``reason_`` says what was decided and why.

    Parameters
    ----------
    cardinality
        Number of classes k.
    candidates
        Kinds to compare, the preferred one first.
    device
        Torch device that matrix completion computes on.

    Attributes
    ----------
    chosen_ : BaseLabeler
        The model that labels.
    kind_ : str
        Its kind, "majority" for the plain vote.
    reason_ : str
        Why it was chosen.
    comparison_ : tuple of Candidate
        The candidates in their order, then the plain vote.

    Examples
    --------
    >>> votes = [[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]]
    >>> model = AutoLabelModel(2, candidates=["lift_dawid_skene"]).fit(votes)
    >>> model.kind_, model.predict(votes)
    ('lift_dawid_skene', array([0, 1, 1, 0]))
    """

    file_format = FileFormat("ws_pipeline/AutoLabelModel", version=1)

    chosen_: BaseLabeler
    kind_: str
    reason_: str
    comparison_: tuple[Candidate, ...]

    def __init__(
        self, cardinality: int = 2, candidates: Sequence[str] = CANDIDATES, *, device: str = "cpu"
    ) -> None:
        super().__init__(cardinality)
        self.candidates = tuple(candidates)
        self.device = device
        unknown = [kind for kind in self.candidates if kind not in LABEL_MODELS]
        if unknown or not self.candidates:
            message = f"candidates must be some of {', '.join(LABEL_MODELS)}, got {list(candidates)}"
            raise SettingsError(message)

    def fit(
        self,
        L_train: LabelMatrix | ArrayLike,
        gold: ArrayLike | None = None,
        class_balance: ArrayLike | None = None,
    ) -> Self:
        """Fit the candidates, compare them and keep one.

        Parameters
        ----------
        L_train
            ``[n, m]`` votes in {-1, 0, .., k-1}, in any form that
            :mod:`ws_pipeline.labeling.votes.vote_forms` reads.
        gold
            Gold labels of some of the examples: ``[n]``, -1 where unknown, or a dict of them by example id.
        class_balance
            P(class) of the examples with votes, k positive numbers that sum to 1.  Default: estimated by the
            models that can.

        Returns
        -------
        AutoLabelModel
            self.

        Raises
        ------
        LabelMatrixError
            Votes out of range, no vote at all, or gold labels that do not belong to the votes.
        ClassBalanceError
            A class balance that is not a positive distribution over the k classes.

        Warns
        -----
        WsPipelineWarning
            What the fit of the chosen model warned of.
        """
        votes: Any = L_train
        k = self.cardinality
        balance = given_balance(class_balance, k)
        patterns = patterns_of(votes, k)
        rows = GoldRows.none(patterns.n_lfs) if gold is None else GoldRows.read(votes, gold, k)
        training = TrainingVotes(patterns, lambda: VoteCounts.from_votes(votes, k))
        return self.fit_votes(training, rows, class_balance=balance)

    def fit_votes(
        self, training: TrainingVotes, rows: GoldRows, *, class_balance: ArrayLike | None = None
    ) -> Self:
        """Fit the candidates on counted votes, which may be of any number of shards, and keep one.

        The whole of :meth:`fit` once the votes are counted; the same errors and warnings.

        Parameters
        ----------
        training
            Votes of the examples; those without votes are left out.
        rows
            Examples with a gold label and a vote, which are among them.
        class_balance
            See :meth:`fit`.
        """
        k = self.cardinality
        balance = given_balance(class_balance, k)
        patterns = patterns_of(training.patterns, k)
        training = TrainingVotes(patterns, training.count_pairs)
        tried = [_try(kind, training, rows, balance, self.device) for kind in self.candidates]
        vote = _vote(training, rows)
        fitted = [trial for trial in tried if trial.model is not None]
        chosen, reason = _choose(fitted, rows) if fitted else (vote, "no candidate could be fitted")
        chosen, reason = _unless_worse(chosen, reason, rows)
        for warning in chosen.warned:
            warnings.warn(warning, stacklevel=3)
        assert chosen.model is not None
        self.chosen_, self.kind_, self.reason_ = chosen.model, chosen.report.kind, reason
        self.comparison_ = tuple(trial.report for trial in [*tried, vote])
        return self

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Return the probabilistic labels ``[n, k]`` of the chosen model."""
        self._check_fitted()
        return self.chosen_.predict_proba(L)

    def _state(self) -> State:
        self._check_fitted()
        header, arrays = self.chosen_._state()  # noqa: SLF001  of the same family
        own = {
            "cardinality": self.cardinality,
            "candidates": self.candidates,
            "kind": self.kind_,
            "reason": self.reason_,
            "comparison": [_to_json(candidate) for candidate in self.comparison_],
        }
        return {**own, "chosen": header}, arrays

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.candidates, self.kind_ = tuple(header["candidates"]), header["kind"]
        self.reason_ = header["reason"]
        self.comparison_ = tuple(_from_json(entry) for entry in header["comparison"])
        self.chosen_ = LABEL_MODELS[self.kind_](self.cardinality)
        self.chosen_._set_state(header["chosen"], arrays)  # noqa: SLF001  of the same family

    def _check_fitted(self) -> None:
        if not hasattr(self, "chosen_"):
            message = "this AutoLabelModel is not fitted yet: call fit or load first"
            raise NotFittedError(message)


def _to_json(candidate: Candidate) -> dict[str, Any]:
    """Fields of a candidate as JSON can hold them: null for what is not known."""
    fields = asdict(candidate)
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in fields.items()
    }


def _from_json(entry: dict[str, Any]) -> Candidate:
    fields: dict[str, Any] = {name: _NAN if value is None else value for name, value in entry.items()}
    return Candidate(**fields)


@dataclass(frozen=True)
class _Trial:
    """A candidate with its model, if it could be fitted, and its labels ``[g, k]`` of the gold rows."""

    report: Candidate
    model: BaseLabeler | None
    gold_probs: Floats
    warned: tuple[Warning, ...] = ()


def _try(kind: str, training: TrainingVotes, rows: GoldRows, balance: Floats | None, device: str) -> _Trial:
    """Fit a candidate on all gold labels, and judge it by models that were fitted on others."""
    k = training.patterns.cardinality

    def fit(anchors: GoldRows) -> BaseLabeler:
        return fit_label_model(kind, training, gold=anchors.count(k), class_balance=balance, device=device)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WsPipelineWarning)
        try:
            model = fit(rows)
            gold_probs = _cross_fitted(model, fit, rows) if kind in ANCHORED else _label(model, rows)
            report = _report(kind, model, training.patterns, rows, gold_probs)
        except WsPipelineError as error:
            return _Trial(Candidate(kind, note=f"{type(error).__name__}: {error}"), None, np.empty((0, k)))
    warned = {str(w.message): w.message for w in caught if isinstance(w.message, WsPipelineWarning)}
    return _Trial(report, model, gold_probs, tuple(warned.values()))


def _label(model: BaseLabeler, rows: GoldRows) -> Floats:
    return model.predict_proba(rows.votes) if len(rows) else np.empty((0, model.cardinality))


def _cross_fitted(model: BaseLabeler, fit: Any, rows: GoldRows) -> Floats:
    """Labels ``[g, k]`` of the gold rows, each by a model that was anchored on other ones."""
    probs = np.empty((len(rows), model.cardinality))
    for fold in rows.folds(min(_FOLDS, len(rows))):
        probs[fold] = fit(rows.take(~fold)).predict_proba(rows.votes[fold])
    return probs


def _vote(training: TrainingVotes, rows: GoldRows) -> _Trial:
    model = fit_label_model(_VOTE, training)
    gold_probs = _label(model, rows)
    return _Trial(_report(_VOTE, model, training.patterns, rows, gold_probs), model, gold_probs)


def _report(
    kind: str, model: BaseLabeler, patterns: VotePatterns, rows: GoldRows, gold_probs: Floats
) -> Candidate:
    probs = model.predict_proba(patterns.votes)
    if not np.isfinite(probs).all():
        message = f"the probabilities of {kind} are not finite"
        raise WsPipelineError(message)
    winners = majority_probs(patterns.votes, patterns.cardinality, trusted=True)
    agrees = winners[np.arange(len(probs)), probs.argmax(axis=1)] > 0
    shares = patterns.counts / patterns.counts.sum()
    unanimous = _unanimous(patterns)
    quality = measure_quality(gold_probs, rows.labels)
    compared = _against_vote(gold_probs, rows)
    return Candidate(
        kind,
        agreement=float(shares @ agrees),
        unanimous_contradicted=int(patterns.counts[unanimous & ~agrees].sum()),
        mean_confidence=float(shares @ probs.max(axis=1)),
        n_gold=len(rows),
        **quality.value._asdict(),
        accuracy_low=quality.low.accuracy,
        accuracy_high=quality.high.accuracy,
        n_won=compared.n_won,
        n_lost=compared.n_lost,
        p_value=compared.p_value,
    )


def _unanimous(patterns: VotePatterns) -> npt.NDArray[np.bool_]:
    """Mask ``[u]`` of the patterns whose votes are all for one class."""
    votes = patterns.votes
    if isinstance(votes, np.ndarray):
        lowest = np.where(votes < 0, patterns.cardinality, votes).min(axis=1)
        return np.asarray(votes.max(axis=1) == lowest)
    firsts = np.repeat(votes.data[votes.indptr[:-1]], patterns.n_votes)
    return np.logical_and.reduceat(votes.data == firsts, votes.indptr[:-1])


def _against_vote(gold_probs: Floats, rows: GoldRows) -> VoteComparison:
    vote = majority_probs(rows.votes, gold_probs.shape[1])
    everywhere = np.ones(len(rows), dtype=np.bool_)
    return compare_with_vote(gold_probs, vote, rows.labels, covered=everywhere)


def _choose(fitted: list[_Trial], rows: GoldRows) -> tuple[_Trial, str]:
    """The first candidate, unless others are better beyond chance; then the most accurate of these."""
    first, *others = fitted
    everywhere = np.ones(len(rows), dtype=np.bool_)
    better = []
    for other in others:
        duel = compare_with_vote(first.gold_probs, other.gold_probs, rows.labels, covered=everywhere)
        if duel.n_lost > duel.n_won and duel.p_value < SIGNIFICANCE / len(others):
            better.append((other.report.accuracy, other, duel))
    if not better:
        known = f"no other candidate is better beyond chance on {len(rows)} examples with gold labels"
        return first, known if len(rows) else "there are no gold labels to choose by"
    _, best, duel = max(better, key=lambda entry: entry[0])
    return best, (
        f"right on {duel.n_lost} examples with gold labels on which {first.report.kind} is wrong, wrong on "
        f"{duel.n_won} on which it is right (p = {duel.p_value:.2g})"
    )


def _unless_worse(chosen: _Trial, reason: str, rows: GoldRows) -> tuple[_Trial, str]:
    """What was chosen, or the plain vote if that is better beyond chance, whichever way it is measured."""
    if chosen.model is None or chosen.report.kind == _VOTE:
        return chosen, reason
    for probs in (chosen.gold_probs, _label(chosen.model, rows)):
        compared = _against_vote(probs, rows)
        if compared.verdict == "worse":
            vote = LABEL_MODELS[_VOTE](chosen.model.cardinality)
            why = (
                f"{chosen.report.kind} is worse than the plain vote on examples with gold labels: "
                f"{compared.n_won} won, {compared.n_lost} lost (p = {compared.p_value:.2g})"
            )
            return _Trial(Candidate(_VOTE), vote, probs), why
    return chosen, reason
