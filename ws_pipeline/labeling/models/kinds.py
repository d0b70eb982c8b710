"""The label models that a pipeline can be told to fit, behind one function.

Few and good: the plain vote, matrix completion (the predecessor's numbers), Dawid-Skene (crowds), and
LiftDawidSkene (everything else).  Start reading at :func:`fit_label_model`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.models.additive import patterns_of
from ws_pipeline.labeling.models.baselines import MajorityLabelVoter
from ws_pipeline.labeling.models.dawid_skene import DawidSkene
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.lift_dawid_skene import LiftDawidSkene, find_discounts
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_forms import VoteForm, dense_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_symbols import Alphabet, VoteSymbols, symbols_of
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

TAKES_SYMBOLS = ("lift_dawid_skene",)
"""Kinds that use what votes say beyond their class."""


@dataclass(frozen=True)
class TrainingVotes:
    """Votes as the label models need them.

    Parameters
    ----------
    patterns
        Distinct votes of whole examples.
    count_pairs
        Called for the counts of pairs of votes, once and only if a label model needs them.
    symbols
        What brings votes with scores, and for superclasses, to symbols; None: there are no such votes.
    said
        Distinct symbols of whole examples, where there are ``symbols``.
    """

    patterns: VotePatterns
    count_pairs: Callable[[], VoteCounts]
    symbols: VoteSymbols | None = None
    said: VotePatterns | None = None

    @classmethod
    def of(cls, votes: Any, cardinality: int, n_bins: int) -> TrainingVotes:
        """Count votes ``[n, m]`` in any form, or take patterns as they are."""
        symbols = symbols_of(votes, cardinality, n_bins)
        given = isinstance(votes, VotePatterns)
        patterns = votes if given else VotePatterns.from_votes(votes, cardinality)

        def count_pairs() -> VoteCounts:
            return VoteCounts.from_patterns(votes) if given else VoteCounts.from_votes(votes, cardinality)

        return cls(patterns, count_pairs, symbols, None if symbols is None else symbols.patterns(votes))

    def covered(self) -> TrainingVotes:
        """Those with at least one vote.

        Raises
        ------
        LabelMatrixError
            There is no vote at all.
        """
        if self.said is None or self.symbols is None:
            patterns = patterns_of(self.patterns, self.patterns.cardinality)
            return TrainingVotes(patterns, self.count_pairs)
        said = patterns_of(self.said, self.symbols.alphabet.n_symbols)
        return TrainingVotes(self.patterns.covered(), self.count_pairs, self.symbols, said)

    @property
    def n_covered(self) -> int:
        """Number of examples with a vote; all of them where those without were left out."""
        return (self.patterns if self.said is None else self.said).covered().n_examples

    @cached_property
    def distinct(self) -> tuple[Any, VotePatterns]:
        """Distinct votes ``[u, m]`` as label models take them; and their classes, with how often they are."""
        if self.symbols is None or self.said is None:
            return self.patterns.votes, self.patterns
        said = dense_votes(VoteForm(self.said.votes, self.said.lf_names))
        form: Any = self.symbols.decode(said, self.said.lf_names)
        return form, replace(self.patterns, votes=form.votes, counts=self.said.counts)

    @cached_property
    def discounts(self) -> Floats:
        """What the votes of each LF count ``[m]``; once for all fits of the same votes."""
        if self.symbols is None or self.said is None:
            return find_discounts(self.patterns.covered(), Alphabet.of_classes(self.patterns.cardinality))
        return find_discounts(self.said.covered(), self.symbols.alphabet)

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
        patterns = votes.patterns if votes.said is None else votes.said
        return LiftDawidSkene(k).fit_patterns(
            patterns,
            lift,
            gold=gold,
            class_balance=class_balance,
            symbols=votes.symbols,
            discounts_of=lambda: votes.discounts,
        )
    return MajorityLabelVoter(k)
