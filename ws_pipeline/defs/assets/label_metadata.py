"""What the UI shows of a label model and of its labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.defs.assets.metadata import lf_table_metadata, table_metadata
from ws_pipeline.labeling.models.additive import AdditiveLabeler
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.candidates import VOTE
from ws_pipeline.labeling.models.kinds import TrainingVotes
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.models.reasons import contradicted_votes
from ws_pipeline.labeling.votes.vote_counts import VoteCounts

_CALIBRATED = ("calibrated_log_loss", "calibrated_ece")

COVERAGE = "coverage"
CONFLICTS = "conflicts"
CLASS_SHARE = "share_"
"""Metadata of the labels that are compared from one materialization to the next; a class follows the last."""


def label_model_metadata(
    model: AutoLabelModel, votes: TrainingVotes, *, classes: Sequence[str]
) -> dict[str, Any]:
    """Metadata of a fit: which label model it is and why, what it is compared with, and its weights."""
    chosen, report, covered = model.chosen_, _report(model), votes.covered()
    given, distinct = covered.distinct
    contradicted = contradicted_votes(model, distinct, classes, given=given)
    metadata: dict[str, Any] = {
        "kind": model.kind_,
        "reason": model.reason_,
        "n_examples": votes.patterns.n_examples,
        "n_covered": covered.n_covered,
        "n_patterns": distinct.n_patterns,
        "agreement_with_vote": report.agreement,
        "n_unanimous_contradicted": report.unanimous_contradicted,
        "unanimous_contradicted": table_metadata(contradicted),
        "candidates": table_metadata(comparison_table(model, seconds=True)),
        **_calibration_metadata(model),
    }
    if isinstance(chosen, AdditiveLabeler):
        metadata["variance_inflation"] = chosen.inflation
    if isinstance(chosen, LabelModel):
        metadata |= _matrix_completion_metadata(chosen, votes)
    if isinstance(chosen, AdditiveLabeler | LabelModel):
        weights = {"lf": chosen.lf_names, "weight": chosen.get_weights()}
        n_votes = votes.patterns.class_counts.sum(axis=1)
        metadata |= lf_table_metadata("weights", pa.table(weights), n_votes)
    return metadata


def comparison_table(model: AutoLabelModel, *, seconds: bool = False) -> pa.Table:
    """One row per candidate and one for the plain vote; the published one is marked, with its calibration.

    Parameters
    ----------
    model
        The fitted label model.
    seconds
        Whether to tell the time of the fits, which is not kept in files.
    """
    rows = []
    for candidate in model.comparison_:
        row = {"kind": candidate.kind, "published": candidate.kind == model.kind_, **candidate.to_json()}
        found = model.calibration_ if row["published"] else None
        row |= {name: None if found is None else getattr(found, name) for name in _CALIBRATED}
        if seconds:
            row["seconds"] = round(model.seconds_[candidate.kind], 3)
        rows.append(row)
    table = pa.Table.from_pylist(rows)
    unknown = [i for i, field in enumerate(table.schema) if pa.types.is_null(field.type)]
    for place in unknown:  # a column without any value has numbers, as it has where gold labels are known
        column = table.column(place).cast(pa.float64())
        table = table.set_column(place, table.schema.field(place).name, column)
    return table


def why_replaced(model: BaseLabeler) -> str:
    """Why the plain vote takes the place of a label model; empty if it does not, or was asked for."""
    if not isinstance(model, AutoLabelModel) or model.kind_ != VOTE or model.candidates == (VOTE,):
        return ""
    return model.reason_


def labels_metadata(labels: ProbabilisticLabels, classes: Sequence[str]) -> dict[str, Any]:
    """Metadata of probabilistic labels: how many there are, how sure, and the share of each class."""
    covered, shares = labels.covered, class_shares(labels)
    return {
        "n_covered": int(covered.sum()),
        "n_without_votes": int((~covered).sum()),
        "n_labelled": int(labels.labelled.sum()),
        "mean_confidence": float(labels.probs[covered].max(axis=1).mean()) if covered.any() else 0.0,
        COVERAGE: float(covered.mean()),
        **{f"{CLASS_SHARE}{name}": float(share) for name, share in zip(classes, shares, strict=True)},
        **({"replaced_by_vote": labels.replaced} if labels.replaced else {}),
    }


def class_shares(labels: ProbabilisticLabels) -> npt.NDArray[np.float64]:
    """Share of each class among the labels of examples with votes ``[k]``, ties left out."""
    predictions = labels.predictions[labels.covered]
    found = np.bincount(predictions[predictions >= 0], minlength=labels.probs.shape[1])
    return np.asarray(found / max(1, found.sum()))


def vote_metadata(counts: VoteCounts) -> dict[str, float]:
    """Share of the examples with a vote, and of those with votes for different classes."""
    n = max(1, counts.n_examples)
    return {COVERAGE: counts.n_covered / n, CONFLICTS: counts.rows.n_conflicting / n}


def _report(model: AutoLabelModel) -> Any:
    return next(candidate for candidate in model.comparison_ if candidate.kind == model.kind_)


def _calibration_metadata(model: AutoLabelModel) -> dict[str, Any]:
    found = model.calibration_
    if found is None:
        return {}
    return {
        "calibration_exponent": found.exponent,
        "log_loss_before_calibration": found.log_loss,
        "log_loss_after_calibration": found.calibrated_log_loss,
        "ece_before_calibration": found.ece,
        "ece_after_calibration": found.calibrated_ece,
    }


def _matrix_completion_metadata(model: LabelModel, votes: TrainingVotes) -> Mapping[str, Any]:
    # without a step there is no loss: the votes tell nothing that could be learned
    loss = {"loss": model.history_[-1].loss} if model.history_ else {}
    return {"n_epochs": model.n_epochs_, **loss, "silent_lfs": list(votes.counts.silent_lfs)}
