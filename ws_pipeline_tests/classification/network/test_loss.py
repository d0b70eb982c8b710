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


@pytest.mark.parametrize("weighted", [False, True])
def test_a_thousand_classes_in_single_precision(weighted):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 1000, generator=generator)
    target = torch.softmax(3 * torch.randn(50, 1000, generator=generator), dim=1)
    weight = torch.rand(1000, generator=generator) + 0.5 if weighted else None
    naive = loop_over_classes(
        logits.double(), target.double(), None if weight is None else weight.double(), "mean"
    )
    torch.testing.assert_close(
        cross_entropy_with_probs(logits, target, weight).double(), naive, rtol=1e-6, atol=0
    )


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
        ((torch.ones(3, 2), torch.ones(3, 2), torch.ones(3)), r"weight must have shape \[2\], got \[3\]"),
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


def test_hard_labels_are_probabilities_of_one():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 1, 2], dtype=torch.int32)
    weight = torch.tensor([1.0, 2.0, 5.0])
    expected = cross_entropy_with_probs(logits, F.one_hot(labels.long(), 3).float(), weight)
    torch.testing.assert_close(cross_entropy_with_probs(logits, labels, weight), expected)
    torch.testing.assert_close(
        cross_entropy_with_probs(logits, labels), F.cross_entropy(logits, labels.long())
    )


def test_class_weights_of_label_cross_entropy_are_torchs():
    generator = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(4, 3, generator=generator), torch.tensor([0, 1, 1, 2])
    probs = torch.softmax(torch.randn(4, 3, generator=generator), dim=1)
    weight = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    each = -F.log_softmax(logits, dim=1)
    hard = (each[range(4), labels] * weight[labels]).sum() / (1 + 2 + 2 + 5)
    torch.testing.assert_close(label_cross_entropy(logits, labels, weight).double(), hard.double())
    soft = (each * probs * weight).sum() / 4
    torch.testing.assert_close(label_cross_entropy(logits, probs, weight=weight).double(), soft.double())
    for kind in (labels, probs):
        with pytest.raises(InvalidInputError, match=r"weight must have shape \[3\], got \[2\]"):
            label_cross_entropy(logits, kind, torch.ones(2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_labels_and_weights_are_not_rounded_in_mixed_precision(dtype):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(64, 3, generator=generator).to(dtype).requires_grad_()
    probs = torch.softmax(torch.randn(64, 3, generator=generator), dim=1)
    weight = torch.tensor([1.001, 2.003, 0.507])
    for labels in (probs, probs.argmax(dim=1)):
        exact = label_cross_entropy(logits.double(), labels.double() if labels.ndim > 1 else labels, weight)
        loss = label_cross_entropy(logits, labels, weight)
        torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.dtype == dtype


@pytest.mark.parametrize("n_classes", [2, 15, 16])
@pytest.mark.parametrize("kind", ["hard", "probabilities"])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_classes_on_many_rows_are_those_of_torch(n_classes, kind, weighted):
    generator = torch.Generator().manual_seed(0)
    n_rows = 1500
    weight = torch.rand(n_classes, generator=generator) if weighted else None
    labels = torch.randint(n_classes, (n_rows,), generator=generator)
    if kind == "probabilities":
        labels = torch.rand(n_rows, n_classes, generator=generator).softmax(dim=1)
    logits = [torch.randn(n_rows, n_classes, generator=generator).requires_grad_()]
    logits.append(logits[0].detach().clone().requires_grad_())
    losses = [
        label_cross_entropy(logits[0], labels, weight),
        F.cross_entropy(logits[1], labels, weight),
    ]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(logits[0].grad, logits[1].grad)
    if kind == "probabilities":
        rows = cross_entropy_with_probs(logits[0], labels, weight, reduction="none")
        assert rows.shape == (n_rows,)
        torch.testing.assert_close(rows, F.cross_entropy(logits[1], labels, weight, reduction="none"))


@pytest.mark.parametrize("n_classes", [3, 20])
def test_no_rows_have_no_mean(n_classes):
    nothing = torch.empty(0, n_classes)
    assert torch.isnan(cross_entropy_with_probs(nothing, nothing))
    assert cross_entropy_with_probs(nothing, nothing, reduction="sum") == 0
    assert cross_entropy_with_probs(nothing, nothing, reduction="none").shape == (0,)


@pytest.mark.parametrize("n_classes", [3, 20])
def test_probabilities_can_be_trained_too(n_classes):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, n_classes, generator=generator)
    probs = torch.rand(5, n_classes, generator=generator).requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy_with_probs(logits, probs), probs)
    torch.testing.assert_close(gradient, -F.log_softmax(logits, dim=1) / 5)
