"""Base of all models of votes that give probabilities: predict, score, save and load."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from ws_pipeline.analysis import Scorer, probs_to_preds
from ws_pipeline.analysis.predictions import TieBreakPolicy
from ws_pipeline.array_types import Floats
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.models.vote_comparison import VoteComparison, compare_with_vote
from ws_pipeline.labeling.votes.gold_counts import read_gold
from ws_pipeline.labeling.votes.label_matrix import (
    ABSTAIN,
    LabelMatrix,
    check_cardinality,
)
from ws_pipeline.labeling.votes.vote_forms import VoteForm, covered_rows, read_votes
from ws_pipeline.storage.files import FileFormat, PathLike, atomic_write, read_stamped, stamp

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

State = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]
"""What a model keeps in its file: a header of JSON values, and arrays by name."""


class BaseLabeler(ABC):
    """Turns votes into labels.

    Parameters
    ----------
    cardinality
        Number of classes k.
    """

    file_format: ClassVar[FileFormat]

    def __init__(self, cardinality: int = 2) -> None:
        check_cardinality(cardinality)
        self.cardinality = operator.index(cardinality)

    @abstractmethod
    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Return the probabilistic labels ``[n, k]`` of a label matrix ``[n, m]``; rows sum to 1."""

    @overload
    def predict(
        self,
        L: LabelMatrix | ArrayLike,
        return_probs: Literal[False] = False,
        tie_break_policy: TieBreakPolicy = ...,
    ) -> npt.NDArray[np.int64]: ...

    @overload
    def predict(
        self, L: LabelMatrix | ArrayLike, return_probs: Literal[True], tie_break_policy: TieBreakPolicy = ...
    ) -> tuple[npt.NDArray[np.int64], Floats]: ...

    def predict(
        self,
        L: LabelMatrix | ArrayLike,
        return_probs: bool = False,
        tie_break_policy: TieBreakPolicy = "abstain",
    ) -> npt.NDArray[np.int64] | tuple[npt.NDArray[np.int64], Floats]:
        """Return the most probable class of each example.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}, in any form that ``fit`` takes.  Triples give a label for
            each example, in the order of their first triples; ``ProbabilisticLabels.from_votes`` gives the
            ids too.
        return_probs
            Return the probabilistic labels too.
        tie_break_policy
            Among equally probable classes: "abstain" gives -1, "random" takes one by a hash of the
            row number (the same every time), "true-random" draws one.  Under "abstain", examples
            without any vote get -1 as well.

        Returns
        -------
        numpy.ndarray or (numpy.ndarray, numpy.ndarray)
            Labels ``[n]``, and with ``return_probs`` the probabilities ``[n, k]``.
        """
        form: Any = read_votes(L, self.cardinality)  # once, not for each of the two
        probs = self.predict_proba(as_given(L, form))
        labels = probs_to_preds(probs, tie_break_policy)
        if tie_break_policy == "abstain":
            labels[~self._covered(form)] = ABSTAIN
        return (labels, probs) if return_probs else labels

    def score(
        self,
        L: LabelMatrix | ArrayLike,
        Y: ArrayLike,
        metrics: Sequence[str] = ("accuracy",),
        tie_break_policy: TieBreakPolicy = "abstain",
    ) -> dict[str, float]:
        """Score the predictions against gold labels.

        Examples whose gold label or prediction is -1 are left out of every metric but coverage.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}.
        Y
            ``[n]`` gold labels, -1 where unknown, in the order of the examples of ``L``; or a dict of them
            by example id, if ``L`` has ids.
        metrics
            Names of metrics, see :func:`ws_pipeline.analysis.metric_score`.
        tie_break_policy
            See :meth:`predict`.

        Returns
        -------
        dict
            Metric name to value.
        """
        form: Any = read_votes(L, self.cardinality)
        golds = _gold_of(form, Y)
        labels, probs = self.predict(form, return_probs=True, tie_break_policy=tie_break_policy)
        return Scorer(metrics=list(metrics)).score(golds, labels, probs)

    def compare_with_vote(self, L: LabelMatrix | ArrayLike, Y: ArrayLike) -> VoteComparison:
        """Compare the labels of examples with those of the plain vote, where gold labels are known.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}, in any form that :meth:`predict` takes.
        Y
            ``[n]`` gold labels, as in :meth:`score`.

        Returns
        -------
        VoteComparison
            Rows won and lost, both accuracies, and a verdict; its ``require()`` raises an error if the
            labels are worse beyond chance.
        """
        form: Any = read_votes(L, self.cardinality)
        return compare_with_vote(
            self.predict_proba(as_given(L, form)),
            majority_probs(
                form.votes,
                self.cardinality,
                trusted=form.is_checked_for(self.cardinality),
                details=form.details,
            ),
            _gold_of(form, Y),
            covered=covered_rows(form),
        )

    def save(self, destination: PathLike) -> None:
        """Save to one file (safetensors, the rest as JSON inside), atomically.

        Parameters
        ----------
        destination
            Local path or any fsspec URL.

        Raises
        ------
        NotFittedError
            There is nothing to save yet.
        """
        from safetensors.numpy import save

        header, arrays = self._state()
        # safetensors writes the memory as it lies, whatever the strides say
        in_order = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        content = save(in_order, metadata=stamp(self.file_format, header))
        with atomic_write(destination) as stream:
            stream.write(content)

    def load(self, source: PathLike) -> Self:
        """Read what :meth:`save` wrote into this one.

        Parameters
        ----------
        source
            Local path or any fsspec URL.

        Returns
        -------
        BaseLabeler
            self.

        Raises
        ------
        FileFormatError
            The file is damaged, not of this class, or of another format version.
        """
        from safetensors.numpy import load

        self._set_state(*read_stamped(source, load, file_format=self.file_format))
        return self

    @classmethod
    def from_file(cls, source: PathLike) -> Self:
        """Load what :meth:`save` wrote as a new one; see :meth:`load`."""
        return cls().load(source)

    def _state(self) -> State:
        """State of the model for its file."""
        return {"cardinality": self.cardinality}, {}

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:  # noqa: ARG002
        """Become what :meth:`_state` described."""
        self.cardinality = int(header["cardinality"])

    def _covered(self, form: VoteForm) -> npt.NDArray[np.bool_]:
        """``[n]`` mask of the examples with at least one vote."""
        return covered_rows(form)


def _gold_of(form: VoteForm, Y: ArrayLike) -> npt.NDArray[np.int64]:
    """Gold labels ``[n]`` in the order of the votes."""
    golds = read_gold(Y, form.example_ids, name="Y")
    expected = (form.votes.shape[0],)
    if golds.shape != expected:
        message = f"Y must have shape {expected}, one gold label per row of L, got {golds.shape}"
        raise LabelMatrixError(message)
    return golds


def as_given(L: Any, form: VoteForm) -> Any:
    """Votes for a ``predict_proba`` of a user's own class: arrays and LabelMatrix as given, others read."""
    return L if isinstance(L, LabelMatrix | np.ndarray) else form
