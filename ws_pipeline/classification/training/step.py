"""A training step after the loss: backward, check, clip, update; and the number types of the loss.

A loss or a gradient that is not finite must stop training before it reaches the parameters.  On the
CPU that is a comparison per step.  On a GPU, a comparison would make the processor wait for the GPU
at every step; there, a flag on the GPU holds back this and all later updates, and the processor looks
every :data:`_LOOK_EVERY` steps which batch it was.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from ws_pipeline.classification.data.dict_dataset import Batch
from ws_pipeline.errors import DatasetError, DeviceError, TrainingError
from ws_pipeline.settings.metric_names import LOSS, HistoryRecord, MetricName

_LOOK_EVERY = 64
_CLIP_EPS = 1e-6  # torch's own, in clip_grads_with_norm_
_FEW_NUMBERS = 2**16


class MeanLosses:
    """Means of the losses since the last record, over labelled rows; of their sum, over batches.

    Parameters
    ----------
    total
        Name of the sum.
    """

    def __init__(self, total: MetricName) -> None:
        self.total = str(total)
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, loss: float, count: int) -> None:
        """Take in a mean over ``count`` rows."""
        self.sums[name] = self.sums.get(name, 0.0) + loss * count
        self.counts[name] = self.counts.get(name, 0) + count

    def add_total(self, loss: float) -> None:
        """Take in the sum of a batch's losses."""
        self.add(self.total, loss, 1)

    def means(self) -> HistoryRecord:
        """Means by name, the whole model's first; it is nan when no row was labelled."""
        return {self.total: math.nan} | {name: value / self.counts[name] for name, value in self.sums.items()}

    def reset(self) -> None:
        """Forget everything."""
        self.sums, self.counts = {}, {}


class Batchwise(NamedTuple):
    """Facts about a batch that a step needs beside the losses."""

    epoch: int
    batch: int
    dataset: str
    split: str
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
            self.losses.add(str(MetricName(task, batch.dataset, batch.split, LOSS)), value, count)
        total = sum(weight * value for weight, value in zip(batch.weights, values, strict=True))
        self.losses.add_total(total)

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


class _Update(Protocol):
    def __call__(self, gradients: list[Tensor], *, lr: float, found_inf: Tensor | None) -> None: ...


class FusedStep:
    """Does what ``optimizer.step()`` does, to the byte, in less time; hooks of the optimizer are not called.

    For a small model, torch's optimizers spend more time on finding moments and settings than on the
    update.  Their functional forms take lists of tensors; these lists are made once here.

    Parameters
    ----------
    optimizer
        With one group of parameters.  From the first call on its moments may change, but must stay
        the same tensors.  One without a fused kernel takes its usual steps.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._update: _Update | None = None

    def __call__(self, gradients: list[Tensor]) -> None:
        """Take a step at the learning rate of the group.

        Parameters
        ----------
        gradients
            Those of the parameters, without the missing ones.
        """
        group = self._optimizer.param_groups[0]
        complete = len(gradients) == len(group["params"])
        if self._update is None or not complete:
            self._optimizer.step()  # the first makes the moments
            if complete and group.get("fused"):
                self._update = _bind(self._optimizer)
            return
        found_inf = getattr(self._optimizer, "found_inf", None)
        with torch.no_grad():
            self._update(gradients, lr=group["lr"], found_inf=found_inf)


def _bind(optimizer: torch.optim.Optimizer) -> _Update:
    group = optimizer.param_groups[0]
    parameters: list[Tensor] = group["params"]

    def moments(name: str) -> list[Any]:
        return [optimizer.state[parameter][name] for parameter in parameters]

    if isinstance(optimizer, torch.optim.SGD):
        buffers = moments("momentum_buffer") if group["momentum"] else [None] * len(parameters)
        names = ("weight_decay", "momentum", "dampening", "nesterov", "maximize")
        settings = {name: group[name] for name in names}

        def update_sgd(gradients: list[Tensor], **now: Any) -> None:
            sgd(parameters, gradients, buffers, fused=True, **settings, **now)

        return update_sgd

    function = adamw if isinstance(optimizer, torch.optim.AdamW) else adam
    beta1, beta2 = group["betas"]
    settings = {name: group[name] for name in ("amsgrad", "weight_decay", "eps", "maximize")}
    settings |= {"beta1": beta1, "beta2": beta2, "fused": True}
    first, second, steps = moments("exp_avg"), moments("exp_avg_sq"), moments("step")
    largest = moments("max_exp_avg_sq") if group["amsgrad"] else []

    def update_adam(gradients: list[Tensor], **now: Any) -> None:
        function(parameters, gradients, first, second, largest, steps, **settings, **now)

    return update_adam


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Context in which the forward pass runs; it can be entered again and again.

    Parameters
    ----------
    precision
        "float32" changes nothing; "bf16" computes matrix products in bfloat16.
    device
        Where the model is.

    Raises
    ------
    DeviceError
        The device does not compute in bfloat16.
    """
    if precision == "float32":
        return contextlib.nullcontext()
    if not _has_bf16(device):
        message = (
            f"precision 'bf16': device '{device}' does not compute in bfloat16; set precision to 'float32'"
        )
        raise DeviceError(message)
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.amp.is_autocast_available("cpu")


def n_rows(batch: Batch) -> int:
    """Number of rows of a batch.

    Raises
    ------
    DatasetError
        It has no labels.
    """
    labels = next(iter(batch[1].values()), None)
    if labels is None:
        message = "a batch has no labels at all; the loader's collate function has to keep them"
        raise DatasetError(message)
    return len(labels)
