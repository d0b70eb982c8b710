"""The label model that is chosen by gold labels where there are any, and never silently worse than the vote.

Start reading at :meth:`AutoLabelModel.fit`; :mod:`.kinds` fits the candidates, :mod:`.candidates` measures
them, and :mod:`.choosing` decides.

Legend: n examples, g of them with a gold label and a vote, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import NotFittedError, SettingsError
from ws_pipeline.labeling.models.additive import AdditiveLabeler, given_balance
from ws_pipeline.labeling.models.calibration import MIN_GOLD, Calibration, calibrate, raise_to
from ws_pipeline.labeling.models.candidates import (
    N_FOLDS,
    VOTE,
    Candidate,
    Trial,
    try_kind,
    try_vote,
)
from ws_pipeline.labeling.models.choosing import can_judge, choose, missing_classes, unless_worse
from ws_pipeline.labeling.models.explanation import Explanation
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import (
    LABEL_MODELS,
    SETTINGS,
    TAKES_SYMBOLS,
    TrainingVotes,
    fit_label_model,
)
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.labeler import BaseLabeler, State, as_given
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_forms import covered_rows, read_votes
from ws_pipeline.labeling.votes.vote_symbols import DEFAULT_BINS
from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.label_model import LiftDawidSkeneConfig
from ws_pipeline.storage.files import FileFormat

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CANDIDATES = ("lift_dawid_skene", "dawid_skene", "matrix_completion")
"""Kinds that are compared; the first is taken unless another one is better beyond chance."""


class AutoLabelModel(BaseLabeler):
    """Takes ``LiftDawidSkene``, unless gold labels show that another model, or the plain vote, is better.

    1. Every candidate is fitted; gold labels anchor those that can be anchored.
    2. With gold labels, candidates are compared with each other by cross-fitting in 5 parts: the labels of a
       part come from a model that was anchored on the other parts.  Another candidate takes the place of the
       first one if it wins more examples from it than it loses, beyond chance: a one-sided sign test at 5 %,
       divided by the number of candidates that try.  Gold labels that lack classes which votes are often
       for neither anchor nor choose; if the first one cannot be fitted, the plain vote stands in for it.
    3. If what was chosen is worse than the plain vote beyond chance, the plain vote is published.  The fit
       goes on in every case: ``reason_`` says what was decided and why.
    4. From 200 gold labels on, the probabilities are calibrated, if that lowers the log-loss of examples that
       the calibration has not seen; see :mod:`.calibration`.

    Parameters
    ----------
    cardinality
        Number of classes k.
    candidates
        Kinds to compare, the preferred one first.  Of a single one, the errors of its fit are raised;
        otherwise they are its ``note`` in the comparison.
    settings
        Kind to the settings of its fit, where they are not its defaults.
    calibrated
        Whether to calibrate the probabilities.
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
    calibration_ : Calibration or None
        What calibration does; None where it was not tried.
    seconds_ : dict
        Kind to the seconds of its fits; not in the file of the model.

    Examples
    --------
    >>> votes = [[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]]
    >>> model = AutoLabelModel(2, candidates=["lift_dawid_skene"]).fit(votes)
    >>> model.kind_, model.predict(votes)
    ('lift_dawid_skene', array([0, 1, 1, 0]))
    """

    file_format = FileFormat("ws_pipeline/AutoLabelModel", version=2)

    chosen_: BaseLabeler
    kind_: str
    reason_: str
    comparison_: tuple[Candidate, ...]
    calibration_: Calibration | None
    seconds_: dict[str, float]

    def __init__(
        self,
        cardinality: int = 2,
        candidates: Sequence[str] = CANDIDATES,
        *,
        settings: Mapping[str, Settings] | None = None,
        calibrated: bool = True,
        device: str = "cpu",
    ) -> None:
        super().__init__(cardinality)
        self.candidates = tuple(candidates)
        self.settings = dict(settings or {})
        self.calibrated = calibrated
        self.device = device
        if not self.candidates or not set(self.candidates) <= LABEL_MODELS.keys():
            message = f"candidates must be some of {', '.join(LABEL_MODELS)}, got {list(candidates)}"
            raise SettingsError(message)
        if len(set(self.candidates)) < len(self.candidates) or (VOTE in self.candidates[1:]):
            message = (
                "candidates must be different, and without majority, which is always compared, got "
                f"{list(candidates)}"
            )
            raise SettingsError(message)
        for kind, found in self.settings.items():
            expected = SETTINGS.get(kind)
            if expected is None or not isinstance(found, expected):
                wanted = ", ".join(f"{name}: {cls.__name__}" for name, cls in SETTINGS.items())
                message = f"settings must be some of {wanted}; got {kind}: {type(found).__name__}"
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
            :mod:`ws_pipeline.labeling.votes.vote_forms` reads, or :class:`.VotePatterns`.
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
        GoldClassesWarning
            The gold labels lack classes that votes are often for; the labels are then only compared with the
            plain vote on them.
        """
        votes: Any = L_train
        k = self.cardinality
        balance = given_balance(class_balance, k)
        lift = self.settings.get("lift_dawid_skene", LiftDawidSkeneConfig())
        training = TrainingVotes.of(votes, k, getattr(lift, "n_bins", DEFAULT_BINS))
        rows = GoldRows.none(training.patterns.n_lfs) if gold is None else GoldRows.read(votes, gold, k)
        return self.fit_votes(training, rows, class_balance=balance)

    def fit_votes(
        self,
        training: TrainingVotes,
        rows: GoldRows,
        *,
        class_balance: ArrayLike | Literal["from_gold"] | None = None,
    ) -> Self:
        """Fit the candidates on counted votes, which may be of any number of shards, and keep one.

        The whole of :meth:`fit` once the votes are counted; the same errors and warnings.

        Parameters
        ----------
        training
            Votes of the examples; those without votes count for the coverage only.
        rows
            Examples with a gold label and a vote, which are among them.
        class_balance
            See :meth:`fit`; or "from_gold": that of the gold labels that a model is anchored on, with one
            example more of each class.
        """
        k = self.cardinality
        from_gold = isinstance(class_balance, str) and class_balance == "from_gold"
        balance = None if from_gold else given_balance(class_balance, k)
        votes = training.covered()
        coverage = votes.n_covered / training.patterns.n_examples
        judges = can_judge(votes, rows)
        balance_of = (lambda anchors: anchors.class_balance(k)) if from_gold and judges else lambda _: balance
        tried = [
            self._try(kind, votes, rows, balance_of, coverage=coverage, anchored=judges)
            for kind in self.candidates
        ]
        if len(tried) == 1 and tried[0].error is not None:
            raise tried[0].error
        vote = try_vote(votes, rows, coverage=coverage)
        chosen, reason = choose(tried, vote, rows, judges=judges)
        chosen, reason = unless_worse(chosen, reason, rows, vote)
        for warning in chosen.warned if judges else (*chosen.warned, missing_classes(votes, rows)):
            warnings.warn(warning, stacklevel=3)
        assert chosen.model is not None
        compared = tried if self.candidates == (VOTE,) else [*tried, vote]
        self.chosen_, self.kind_, self.reason_ = chosen.model, chosen.report.kind, reason
        self.comparison_ = tuple(trial.report for trial in compared)
        self.seconds_ = {trial.report.kind: trial.seconds for trial in compared}
        self.calibration_ = self._calibrate(chosen, rows) if judges else None
        return self

    def _try(
        self,
        kind: str,
        votes: TrainingVotes,
        rows: GoldRows,
        balance_of: Callable[[GoldRows], Floats | None],
        *,
        coverage: float,
        anchored: bool,
    ) -> Trial:
        k = self.cardinality
        return try_kind(
            kind,
            lambda anchors: fit_label_model(
                kind,
                votes,
                self.settings.get(kind),
                gold=anchors.count(k, votes.symbols if kind in TAKES_SYMBOLS else None) if anchored else None,
                class_balance=balance_of(anchors),
                device=self.device,
            ),
            votes,
            rows,
            coverage=coverage,
        )

    def _calibrate(self, chosen: Trial, rows: GoldRows) -> Calibration | None:
        """Calibrate on enough gold labels; the plain vote stays as it is."""
        if not self.calibrated or len(rows) < MIN_GOLD or chosen.report.kind == VOTE:
            return None
        return calibrate(chosen.gold_probs, rows.labels, rows.folds(N_FOLDS))

    @property
    def exponent(self) -> float:
        """Power that the probabilities of the chosen model are raised to; 1 leaves them as they are."""
        return 1.0 if self.calibration_ is None else self.calibration_.exponent

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Return the probabilistic labels ``[n, k]`` of the chosen model, calibrated."""
        self._check_fitted()
        if self.exponent == 1:
            return self.chosen_.predict_proba(L)
        form: Any = read_votes(L, self.cardinality)
        probs, covered = self.chosen_.predict_proba(as_given(L, form)), covered_rows(form)
        return np.where(covered[:, None], raise_to(probs, self.exponent), probs)

    def explain(self, L: LabelMatrix | ArrayLike) -> Explanation | None:
        """Take the log-odds of examples apart, as the chosen model does, calibrated.

        Parameters
        ----------
        L
            ``[r, m]`` votes, in any form that :meth:`predict_proba` takes; r*m*k numbers are made of them.

        Returns
        -------
        Explanation or None
            None for the plain vote, which has no log-odds.
        """
        self._check_fitted()
        if not isinstance(self.chosen_, AdditiveLabeler | LabelModel):
            return None
        covered = covered_rows(read_votes(L, self.cardinality))
        return self.chosen_.explain(L).scaled(np.where(covered, self.exponent, 1.0))

    def _state(self) -> State:
        self._check_fitted()
        header, arrays = self.chosen_._state()  # noqa: SLF001  of the same family
        own = {
            "cardinality": self.cardinality,
            "candidates": self.candidates,
            "kind": self.kind_,
            "reason": self.reason_,
            "comparison": [candidate.to_json() for candidate in self.comparison_],
            "calibration": self.calibration_,
        }
        return {**own, "chosen": header}, arrays

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.candidates, self.kind_ = tuple(header["candidates"]), header["kind"]
        self.reason_ = header["reason"]
        self.comparison_ = tuple(Candidate.from_json(entry) for entry in header["comparison"])
        found = header["calibration"]
        self.calibration_ = None if found is None else Calibration(*found)
        self.seconds_ = {}
        self.chosen_ = LABEL_MODELS[self.kind_](self.cardinality)
        self.chosen_._set_state(header["chosen"], arrays)  # noqa: SLF001  of the same family

    def _check_fitted(self) -> None:
        if not hasattr(self, "chosen_"):
            message = "this AutoLabelModel is not fitted yet: call fit or load first"
            raise NotFittedError(message)
