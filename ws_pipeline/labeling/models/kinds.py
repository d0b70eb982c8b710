"""The label models that a pipeline can be told to fit, behind one function.

Few and good: the plain vote, matrix completion (the predecessor's numbers), Dawid-Skene (crowds), and
LiftDawidSkene (everything else).  Start reading at :func:`fit_label_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ws_pipeline.labeling.models.baselines import MajorityLabelVoter
from ws_pipeline.labeling.models.dawid_skene import DawidSkene
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.lift_dawid_skene import LiftDawidSkene
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.label_model import DawidSkeneConfig, FitConfig, LiftDawidSkeneConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from ws_pipeline.labeling.models.lift_em import GoldVotes

LABEL_MODELS: dict[str, type[BaseLabeler]] = {
    "majority": MajorityLabelVoter,
    "matrix_completion": LabelModel,
    "dawid_skene": DawidSkene,
    "lift_dawid_skene": LiftDawidSkene,
}
"""Kind of label model to its class."""

SETTINGS: dict[str, type[Settings]] = {
    "matrix_completion": FitConfig,
    "dawid_skene": DawidSkeneConfig,
    "lift_dawid_skene": LiftDawidSkeneConfig,
}
"""Kind of label model to the class of the settings of its fit; the plain vote has none."""

ANCHORED = ("dawid_skene", "lift_dawid_skene")
"""Kinds that gold labels can anchor."""


@dataclass(frozen=True)
class TrainingVotes:
    """Votes as the label models need them.

    Parameters
    ----------
    patterns
        Distinct votes of whole examples.
    count_pairs
        Called for the counts of pairs of votes, once and only if a label model needs them.
    """

    patterns: VotePatterns
    count_pairs: Callable[[], VoteCounts]

    @cached_property
    def counts(self) -> VoteCounts:
        """Counts of pairs of votes."""
        return self.count_pairs()


def fit_label_model(
    kind: str,
    votes: TrainingVotes,
    settings: Settings | None = None,
    *,
    gold: GoldVotes | None = None,
    class_balance: ArrayLike | None = None,
    device: str = "cpu",
) -> BaseLabeler:
    """Fit a label model of a kind.

    Parameters
    ----------
    kind
        One of ``LABEL_MODELS``.
    votes
        Votes of all shards.
    settings
        Settings of its fit, of the class that belongs to the kind.  Default: its defaults.
    gold
        Votes on examples with gold labels; only the kinds that are ``ANCHORED`` use them.
    class_balance
        ``[k]``; default as the kind decides.
    device
        Torch device that matrix completion computes on.

    Returns
    -------
    BaseLabeler
        Fitted.
    """
    k = votes.patterns.cardinality
    if kind == "matrix_completion":
        config = settings if isinstance(settings, FitConfig) else FitConfig()
        model = LabelModel(k, verbose=False, device=device)
        return model.fit_counts(votes.counts, config, class_balance=class_balance)
    if kind == "dawid_skene":
        dawid_skene = settings if isinstance(settings, DawidSkeneConfig) else DawidSkeneConfig()
        return DawidSkene(k).fit_patterns(votes.patterns, dawid_skene, gold=gold, class_balance=class_balance)
    if kind == "lift_dawid_skene":
        lift = settings if isinstance(settings, LiftDawidSkeneConfig) else LiftDawidSkeneConfig()
        return LiftDawidSkene(k).fit_patterns(votes.patterns, lift, gold=gold, class_balance=class_balance)
    return MajorityLabelVoter(k)
