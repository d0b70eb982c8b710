"""The update of a training step: backward, check, clip, step.

A loss or a gradient that is not finite must stop training before it reaches the parameters.  On the
CPU that is a comparison per step.  On a GPU, a comparison would make the processor wait for the GPU
at every step; there, a flag on the GPU holds back this and all later updates, and the processor looks
every :data:`_LOOK_EVERY` steps which batch it was.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ws_pipeline.classification.training.fused_step import FusedStep
from ws_pipeline.classification.training.state import TRAIN_LOSS, MeanLosses
from ws_pipeline.errors import TrainingError

_LOOK_EVERY = 64
_CLIP_EPS = 1e-6  # torch's own, in clip_grads_with_norm_
_FEW_NUMBERS = 2**16


class Batchwise(NamedTuple):
    """What a step needs to know of its batch beside the losses."""

    epoch: int
    batch: int
    where: str
    counts: dict[str, int]
    weights: list[float]


class Updater:
    """Updates parameters once per call, and adds up the losses.

    Parameters
    ----------
    model
        Names the parameters in errors.
    optimizer
        Holds the parameters.
    grad_clip
        Largest norm of the gradient; 0: no limit.
    losses
        Takes in the losses.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, grad_clip: float, losses: MeanLosses
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.grad_clip = grad_clip
        self.losses = losses
        self.parameters: list[nn.Parameter] = optimizer.param_groups[0]["params"]
        n_numbers = sum(parameter.numel() for parameter in self.parameters)
        self._is_small = n_numbers <= _FEW_NUMBERS and all(parameter.is_cpu for parameter in self.parameters)
        self._step = FusedStep(optimizer)

    def update(self, batch: Batchwise, losses: list[Tensor]) -> None:
        """Take a step downhill on the weighted sum of the losses.

        Parameters
        ----------
        batch
            Which batch it is.
        losses
            Losses of its tasks, scalars, in the order of ``batch.counts``.

        Raises
        ------
        TrainingError
            A loss or the gradient is not finite; the parameters are those before the batch.
        """
        values = [loss.item() for loss in losses]
        self._check_losses(batch, values)
        self._add_up(batch, values)
        gradients = self._backward(losses, batch.weights)
        norm = self._norm(gradients)
        value = norm.item()
        if not math.isfinite(value):
            self._refuse_gradient(batch, value, self._where_not_finite())
        if self.grad_clip and value + _CLIP_EPS > self.grad_clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.grad_clip, norm)
        self._step(gradients)

    def flush(self) -> None:
        """Bring ``losses`` up to date."""

    def close(self) -> None:
        """Leave the optimizer as it would be without this object."""

    def _backward(self, losses: list[Tensor], weights: list[float]) -> list[Tensor]:
        """Replace the gradients; none if no loss has any, as in a batch of tasks that are frozen."""
        for parameter in self.parameters:  # what zero_grad does, without its bookkeeping
            parameter.grad = None
        # from every loss at once: their sum would be one more node for torch to go back through
        roots = [(loss, weight) for loss, weight in zip(losses, weights, strict=True) if loss.requires_grad]
        if roots:
            scales = [None if weight == 1 else torch.full_like(loss, weight) for loss, weight in roots]
            torch.autograd.backward([loss for loss, _ in roots], scales)
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def _norm(self, gradients: list[Tensor]) -> Tensor:
        """Norm of all gradients as one vector."""
        dense = [g.coalesce().values() if g.is_sparse else g for g in gradients]
        if self._is_small and dense:  # joining them costs less than a norm for each
            norm: Tensor = torch.linalg.vector_norm(torch.cat([gradient.reshape(-1) for gradient in dense]))
            return norm
        return nn.utils.get_total_norm(dense)

    def _check_losses(self, batch: Batchwise, values: list[float]) -> None:
        for task, value in zip(batch.counts, values, strict=True):
            if not math.isfinite(value):
                self._refuse(batch, f"loss of task '{task}' is {value}")

    def _add_up(self, batch: Batchwise, values: list[float]) -> None:
        for (task, count), value in zip(batch.counts.items(), values, strict=True):
            self.losses.add(f"{task}/{batch.where}", value, count)
        total = sum(weight * value for weight, value in zip(batch.weights, values, strict=True))
        self.losses.add(TRAIN_LOSS, total, 1)

    def _where_not_finite(self) -> str:
        names = [
            name
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
        ]
        return f", from {', '.join(names[:3])}" if names else ""

    def _refuse_gradient(self, batch: Batchwise, norm: float, details: str = "") -> None:
        tasks = ", ".join(f"'{task}'" for task in batch.counts)
        self._refuse(batch, f"norm of the gradient is {norm}{details}, with losses of {tasks}")

    def _refuse(self, batch: Batchwise, what: str) -> None:
        message = (
            f"epoch {batch.epoch}, batch {batch.batch}: the {what}; the parameters are those before this "
            "batch; lower lr, set grad_clip, or look for extreme features"
        )
        raise TrainingError(message)


class DeferredUpdater(Updater):
    """The same without waiting for the GPU, for optimizers with a fused kernel."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, grad_clip: float, losses: MeanLosses
    ) -> None:
        super().__init__(model, optimizer, grad_clip, losses)
        device = self.parameters[0].device
        self._poison = torch.zeros((), device=device)
        self._found = torch.zeros((), device=device)
        self._pending: list[tuple[Batchwise, Tensor, Tensor]] = []
        # The fused kernels skip the update where this is 1; torch's GradScaler uses it the same way.
        optimizer.found_inf = self._found  # type: ignore[attr-defined]

    def update(self, batch: Batchwise, losses: list[Tensor]) -> None:
        """See :meth:`Updater.update`; an error comes up to :data:`_LOOK_EVERY` calls later."""
        values = torch.stack([loss.detach() for loss in losses])
        gradients = self._backward(losses, batch.weights)
        norm = self._norm(gradients)
        if self.grad_clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.grad_clip, norm)
        # 0 times what is not finite is nan, and stays it: no later update passes either.
        self._poison.add_(values.sum(), alpha=0).add_(norm, alpha=0)
        torch.ne(self._poison, 0, out=self._found)
        self._step(gradients)
        self._pending.append((batch, values, norm))
        if len(self._pending) >= _LOOK_EVERY:
            self.flush()

    def flush(self) -> None:
        """See :meth:`Updater.flush`."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        numbers = torch.cat([part.reshape(-1) for _, *parts in pending for part in parts]).tolist()
        position = 0
        for batch, losses, _ in pending:
            end = position + len(losses)
            self._check_losses(batch, numbers[position:end])
            if not math.isfinite(numbers[end]):
                self._refuse_gradient(batch, numbers[end])
            self._add_up(batch, numbers[position:end])
            position = end + 1

    def close(self) -> None:
        """See :meth:`Updater.close`."""
        del self.optimizer.found_inf  # type: ignore[attr-defined]
