"""The step of a fused optimizer, without looking everything up anew.

For a small model, torch's optimizers spend more time on finding moments and settings than on the
update.  Their functional forms take lists of tensors; these lists are made once here.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class _Update(Protocol):
    def __call__(self, gradients: list[Tensor], *, lr: float, found_inf: Tensor | None) -> None: ...


class FusedStep:
    """Does what ``optimizer.step()`` does, to the byte; hooks of the optimizer are not called.

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
