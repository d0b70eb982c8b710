"""Losses for hard and for probabilistic labels.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.errors import InvalidInputError

_REDUCTIONS = ("none", "mean", "sum")


def cross_entropy_with_probs(
    input: Tensor,  # noqa: A002  the name is part of the published signature
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the cross entropy between logits and probabilistic labels.

    The loss of example i is ``-sum_y weight[y] * target[i, y] * log_softmax(input[i])[y]``.

    Parameters
    ----------
    input
        Logits `[n, k]`.
    target
        Probabilities of the labels `[n, k]`; any number type, computed in the type of ``input``.
    weight
        Weights of the classes `[k]`.  Default: all one.
    reduction
        "none": losses `[n]`; "sum": their sum; "mean": their sum divided by n, whatever the weights.

    Returns
    -------
    Tensor
        The loss, a scalar unless ``reduction`` is "none".

    Raises
    ------
    InvalidInputError
        The shapes do not fit together, or the reduction is unknown.
    """
    if reduction not in _REDUCTIONS:
        message = f"unknown reduction '{reduction}', expected one of {', '.join(_REDUCTIONS)}"
        raise InvalidInputError(message)
    if input.ndim != 2 or input.shape != target.shape:
        found = f"input {list(input.shape)} and target {list(target.shape)}"
        message = f"cross_entropy_with_probs needs input and target of one shape [n, k], found {found}"
        raise InvalidInputError(message)
    if weight is not None:
        if weight.shape != input.shape[1:]:
            message = f"weight must have shape [{input.shape[1]}], found {list(weight.shape)}"
            raise InvalidInputError(message)
        weight = weight.to(input)
    # For probabilities, torch's own "mean" divides by n as well, not by the sum of weights.
    return F.cross_entropy(input, target.to(input.dtype), weight=weight, reduction=reduction)


def label_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean cross entropy for labels of either kind.

    Parameters
    ----------
    logits
        Logits `[n, k]`.
    labels
        Hard labels `[n]` in 0..k-1, or probabilities `[n, k]`.

    Returns
    -------
    Tensor
        The loss, a scalar.

    Raises
    ------
    InvalidInputError
        Probabilities have another shape than the logits.
    """
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels.long())
    return cross_entropy_with_probs(logits, labels)
