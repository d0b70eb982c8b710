"""Cross entropy with probabilities against a loop over classes, value and gradient."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.classification import cross_entropy_with_probs, label_cross_entropy
from ws_pipeline.errors import InvalidInputError


def loop_over_classes(logits, target, weight, reduction):
    """One plain cross entropy per class, weighted by that class's probabilities."""
    n, k = logits.shape
    losses = torch.zeros(n, dtype=logits.dtype)
    for y in range(k):
        loss = F.cross_entropy(logits, torch.full((n,), y), reduction="none")
        losses = losses + target[:, y] * loss * (1 if weight is None else weight[y])
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / n}[reduction]


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 7])
def test_against_a_class_loop(reduction, weighted, k):
    generator = torch.Generator().manual_seed(k)
    logits = torch.randn(30, k, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.softmax(torch.randn(30, k, generator=generator, dtype=torch.float64), dim=1)
    target[0] = torch.zeros(k)  # rows need not sum to one
    weight = torch.rand(k, generator=generator, dtype=torch.float64) + 0.5 if weighted else None
    ours = cross_entropy_with_probs(logits, target, weight, reduction)
    naive = loop_over_classes(logits, target, weight, reduction)
    torch.testing.assert_close(ours, naive, rtol=1e-12, atol=1e-12)
    (ours_grad,) = torch.autograd.grad(ours.sum(), logits, retain_graph=True)
    (naive_grad,) = torch.autograd.grad(naive.sum(), logits)
    torch.testing.assert_close(ours_grad, naive_grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_against_snorkel(reduction):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snorkel = pytest.importorskip("snorkel.classification")
    generator = torch.Generator().manual_seed(5)
    logits, target = torch.randn(20, 4, generator=generator), torch.rand(20, 4, generator=generator)
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0])
    expected = snorkel.cross_entropy_with_probs(logits, target, weight, reduction)
    ours = cross_entropy_with_probs(logits, target, weight, reduction)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_one_hot_targets_are_hard_labels():
    logits, labels = (
        torch.randn(8, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 2, 1, 0, 0, 1]),
    )
    torch.testing.assert_close(
        cross_entropy_with_probs(logits, F.one_hot(labels, 3)), F.cross_entropy(logits, labels)
    )


def test_target_and_weight_of_another_number_type():
    logits, target = torch.randn(4, 2), torch.full((4, 2), 0.5, dtype=torch.float64)
    loss = cross_entropy_with_probs(logits, target, torch.ones(2, dtype=torch.float64))
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(3, 2), torch.ones(3, 3)), r"input \[3, 2\] and target \[3, 3\]"),
        ((torch.ones(3, 2), torch.ones(3)), r"input \[3, 2\] and target \[3\]"),
        ((torch.ones(3), torch.ones(3)), r"input \[3\]"),
        ((torch.ones(3, 2), torch.ones(3, 2), torch.ones(3)), r"weight must have shape \[2\], found \[3\]"),
        (
            (torch.ones(3, 2), torch.ones(3, 2), None, "avg"),
            "unknown reduction 'avg', expected one of none, mean",
        ),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        cross_entropy_with_probs(*arguments)


def test_label_cross_entropy_takes_both_kinds():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 1, 2], dtype=torch.int32)
    expected = F.cross_entropy(logits, labels.long())
    torch.testing.assert_close(label_cross_entropy(logits, labels), expected)
    torch.testing.assert_close(label_cross_entropy(logits, F.one_hot(labels.long(), 3).double()), expected)
