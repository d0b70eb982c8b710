"""Losses for hard and for probabilistic labels.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.errors import InvalidInputError

_REDUCTIONS = ("none", "mean", "sum")
_FEW_CLASSES, _MANY_LOGITS = 16, 1024


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
        Logits ``[n, k]``.
    target
        Probabilities of the labels ``[n, k]``; any number type, computed in the type of ``input``, or
        in single precision if that is shorter.  Integers ``[n]`` are hard labels in 0..k-1, and mean
        a probability of 1.
    weight
        Weights of the classes ``[k]``.  Default: all one.
    reduction
        "none": losses ``[n]``; "sum": their sum; "mean": their sum divided by n, whatever the weights.

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
    if target.ndim == 1 and input.ndim == 2 and not target.is_floating_point():
        target = F.one_hot(target.long(), input.shape[1])
    if input.ndim != 2 or input.shape != target.shape:
        found = f"input {list(input.shape)} and target {list(target.shape)}"
        message = f"cross_entropy_with_probs needs input and target of one shape [n, k], got {found}"
        raise InvalidInputError(message)
    input = _at_least_single(input)  # noqa: A001  as above
    weight = _check_weight(input, weight)
    # For probabilities, torch's own "mean" divides by n as well, not by the sum of weights.
    return _cross_entropy(input, target.to(input.dtype), weight, reduction)


def label_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the mean cross entropy for labels of either kind.

    Parameters
    ----------
    logits
        Logits ``[n, k]``.
    labels
        Hard labels ``[n]`` in 0..k-1, or probabilities ``[n, k]``.
    weight
        Weights of the classes ``[k]``.  Default: all one.  The mean is torch's own: with hard labels
        the weighted losses are divided by the sum of the weights of these rows, with probabilities
        by n.

    Returns
    -------
    Tensor
        The loss, a scalar.

    Raises
    ------
    InvalidInputError
        Probabilities have another shape than the logits, or there is not one weight per class.
    """
    if labels.ndim != 1:
        return cross_entropy_with_probs(logits, labels, weight)
    logits = _at_least_single(logits)
    return _cross_entropy(logits, labels.long(), _check_weight(logits, weight))


def _cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None, reduction: str = "mean") -> Tensor:
    """Torch's cross entropy, several times faster on a CPU with few classes.

    There, torch's softmax goes number by number along a row shorter than a vector register.  Seen as
    one example with n places, the same logits have n numbers in a row.
    """
    few = logits.shape[1] < _FEW_CLASSES and logits.device.type == "cpu"
    if few and labels.ndim == 2 and len(labels):
        return _soft_cross_entropy(logits.t(), labels.t(), weight, reduction)
    if few and labels.ndim == 1 and logits.numel() >= _MANY_LOGITS:
        losses = F.cross_entropy(logits.t()[None], labels[None], weight=weight, reduction=reduction)
        return losses[0] if reduction == "none" else losses
    return F.cross_entropy(logits, labels, weight=weight, reduction=reduction)


def _soft_cross_entropy(logits: Tensor, probs: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The same for ``[k, n]``, with as little as possible to go back through."""
    scale = -1 / probs.shape[1] if reduction == "mean" else -1.0
    factors = probs * scale if weight is None else probs * (weight * scale)[:, None]
    losses = F.log_softmax(logits, dim=0) * factors
    return losses.sum(dim=0) if reduction == "none" else losses.sum()


def _at_least_single(logits: Tensor) -> Tensor:
    """In mixed precision logits are short, and labels and weights must not be rounded to that."""
    return logits.float() if logits.dtype in {torch.bfloat16, torch.float16} else logits


def _check_weight(logits: Tensor, weight: Tensor | None) -> Tensor | None:
    if weight is None:
        return None
    if weight.shape != logits.shape[1:]:
        message = f"weight must have shape [{logits.shape[1]}], got {list(weight.shape)}"
        raise InvalidInputError(message)
    return weight.to(logits)
