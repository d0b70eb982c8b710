"""Slices as tasks: heads that learn who is in a slice, and heads that are experts for one.

Slice-based learning (Chen et al., "Slice-based Learning: A Programming Model for Residual Learning in
Critical Data Slices", 2019).  For each slice, an indicator head learns whether an example is in it, and an
expert makes a representation of its own from which a shared head predicts the label, trained on the slice's
examples only.  The final head reads the experts' representations, weighted by how sure indicator and expert
are.  A slice "base", all examples, is always among them.

Legend: n examples, s slices (with "base"), h features of the representation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import DictDataLoader, Operation, Task
from ws_pipeline.errors import DatasetError, TaskGraphError

BASE = "base"
INDICATOR, EXPERT = "ind", "pred"


class SliceCombinerModule(nn.Module):
    """Joins the experts' representations to one, weighted by attention.

    The weight of a slice is the softmax, over the slices, of (probability that the example is in the slice) x
    (probability of class 1 by the expert) / temperature.  It is for two classes.

    Parameters
    ----------
    slice_ind_key, slice_pred_key, slice_pred_feat_key
        Ends of the names of the operations that give indicator logits ``[n, 2]``, expert logits ``[n, 2]``
        and expert representations ``[n, h]``; what comes before is the slice.
    temperature
        The higher, the more alike the weights.
    prefix
        Beginning of these names; other operations are not looked at.
    """

    def __init__(
        self,
        slice_ind_key: str = "_ind_head",
        slice_pred_key: str = "_pred_head",
        slice_pred_feat_key: str = "_pred_transform",
        temperature: float = 1.0,
        *,
        prefix: str = "",
    ) -> None:
        super().__init__()
        self.slice_ind_key = slice_ind_key
        self.slice_pred_key = slice_pred_key
        self.slice_pred_feat_key = slice_pred_feat_key
        self.temperature = temperature
        self.prefix = prefix

    def forward(self, output_dict: Mapping[str, Any]) -> Tensor:
        """Join the representations of the slices.

        Parameters
        ----------
        output_dict
            Outputs by operation name, three for each slice.

        Returns
        -------
        Tensor
            ``[n, h]``.

        Raises
        ------
        TaskGraphError
            There is no slice, or one lacks an output.
        NotImplementedError
            An expert has another number of classes than 2.
        """
        ends = (self.slice_ind_key, self.slice_pred_key, self.slice_pred_feat_key)
        slices = self._slice_names(output_dict)
        rows = [[output_dict[name + end] for end in ends] for name in slices]
        for name, (_, expert, _) in zip(slices, rows, strict=True):
            _check_two_classes(name + self.slice_pred_key, expert)
        indicators, experts, features = (torch.stack(column, dim=1) for column in zip(*rows, strict=True))
        scores = F.softmax(indicators, dim=-1)[..., 1] * F.softmax(experts, dim=-1)[..., 1]  # [n, s]
        attention = F.softmax(scores / self.temperature, dim=1)
        return (attention[..., None] * features).sum(dim=1)

    def _slice_names(self, output_dict: Mapping[str, Any]) -> list[str]:
        """Names of the operations of each slice, without their ends, in alphabetical order.

        Snorkel sorts each kind of output by itself, which pairs slices wrongly where one name begins
        another ("a" and "a_k").
        """
        names = sorted(
            name.removesuffix(self.slice_ind_key)
            for name in output_dict
            if name.startswith(self.prefix) and name.endswith(self.slice_ind_key)
        )
        if not names:
            message = f"there is no operation '{self.prefix}...{self.slice_ind_key}': no slice to combine"
            raise TaskGraphError(message)
        for name in names:
            for end in (self.slice_pred_key, self.slice_pred_feat_key):
                if name + end not in output_dict:
                    message = (
                        f"slice '{name}' has an operation '{name}{self.slice_ind_key}', but no '{name}{end}'"
                    )
                    raise TaskGraphError(message)
        return names


def convert_to_slice_tasks(base_task: Task, slice_names: Sequence[str]) -> list[Task]:
    """Make the tasks of slice-based learning from one task.

    Parameters
    ----------
    base_task
        The task; its last operation calls a ``torch.nn.Linear``, the head.  It stays as it is.
    slice_names
        The slices; "base" is added where it is missing.

    Returns
    -------
    list of Task
        The indicators' tasks "<task>_slice:<slice>_ind", the experts' "<task>_slice:<slice>_pred", and the
        task itself, whose head now reads the joined representation.  They share their modules.

    Raises
    ------
    TaskGraphError
        The head is no Linear, or two slices have one name.
    """
    names = _with_base(slice_names)
    *body, head_operation = base_task.op_sequence
    head = _head_of(base_task)
    pool = {
        name: module for name, module in base_task.module_pool.items() if name != head_operation.module_name
    }
    if any(operation.module_name == head_operation.module_name for operation in body):
        pool[head_operation.module_name] = base_task.module_pool[head_operation.module_name]
    pool |= {
        f"{slice_task_name(base_task, name, INDICATOR)}_head": nn.Linear(head.in_features, 2)
        for name in names
    }
    expert_head = nn.Linear(head.in_features, head.out_features)
    for name in names:
        expert = slice_task_name(base_task, name, EXPERT)
        pool[f"{expert}_transform"] = nn.Linear(head.in_features, head.in_features)
        pool[f"{expert}_head"] = expert_head
    pool[f"{base_task.name}_master_combiner"] = SliceCombinerModule(prefix=f"{base_task.name}_slice:")
    pool[f"{base_task.name}_master_head"] = head
    return _tasks(base_task, names, pool)


def _tasks(base_task: Task, names: Sequence[str], pool: Mapping[str, nn.Module]) -> list[Task]:
    """Make the tasks over one pool of modules."""
    *body, head_operation = base_task.op_sequence
    tasks: list[Task] = []
    slice_operations: list[Operation] = []
    of_label = {"loss_func": base_task.loss_func, "output_func": base_task.output_func}

    def add(name: str, operations: Sequence[Operation], scorer: Scorer, **functions: Any) -> None:
        weight = base_task.loss_weight
        tasks.append(Task(name, pool, operations, scorer, loss_weight=weight, **functions))

    for name in names:
        task_name = slice_task_name(base_task, name, INDICATOR)
        operations = [Operation(f"{task_name}_head", head_operation.inputs)]
        slice_operations += operations
        add(task_name, [*body, *operations], Scorer(metrics=["f1"]))  # slices are often rare
    for name in names:
        task_name = slice_task_name(base_task, name, EXPERT)
        transform = f"{task_name}_transform"
        operations = [
            Operation(transform, head_operation.inputs),
            Operation(f"{task_name}_head", [transform]),
        ]
        slice_operations += operations
        add(task_name, [*body, *operations], base_task.scorer, **of_label)
    combiner = f"{base_task.name}_master_combiner"
    final = [Operation(combiner, []), Operation(f"{base_task.name}_master_head", [combiner])]
    add(base_task.name, [*body, *slice_operations, *final], base_task.scorer, **of_label)
    return tasks


def add_slice_labels(dataloader: DictDataLoader, base_task: Task, S: Any) -> None:
    """Add the labels of the slices' tasks to a loader's dataset.

    Parameters
    ----------
    dataloader
        Its dataset has labels of the base task; those of the slices are added to its ``Y_dict``.
    base_task
        The task.
    S
        Which examples are in which slice: a record array ``[n]`` with one field of 0 and 1 per slice, as
        :class:`~ws_pipeline.compat.slicing.SFApplier` gives it.

    Raises
    ------
    DatasetError
        The base task has no labels, ``S`` has another number of rows, or something else than 0 and 1.
    """
    dataset = dataloader.dataset
    if base_task.name not in dataset.Y_dict:
        found = ", ".join(dataset.Y_dict) or "none"
        message = f"{dataset!r}: labels missing of task '{base_task.name}', got labels of: {found}"
        raise DatasetError(message)
    labels = dataset.Y_dict[base_task.name]
    for name, members in _members(S, len(labels)).items():
        expert_labels = labels.clone()
        expert_labels[~members] = -1
        dataset.Y_dict[slice_task_name(base_task, name, INDICATOR)] = members.long()
        dataset.Y_dict[slice_task_name(base_task, name, EXPERT)] = expert_labels


def _members(S: Any, n: int) -> dict[str, Tensor]:
    """Membership of n examples in the slices, with the slice "base"."""
    names = getattr(getattr(S, "dtype", None), "names", None)
    if names is None:
        message = (
            "S must be a record array with one field per slice, as SFApplier gives it, got "
            f"{type(S).__name__}"
        )
        raise DatasetError(message)
    if len(S) != n:
        message = f"S must have one row per example: expected {n}, got {len(S)}"
        raise DatasetError(message)
    members = {}
    for name in names:
        strange = np.flatnonzero(~np.isin(S[name], (0, 1)))
        if len(strange):
            message = f"slice '{name}' must say 0 or 1, got {S[name][strange[0]]} in row {strange[0]}"
            raise DatasetError(message)
        members[name] = torch.from_numpy(np.asarray(S[name]) == 1)
    return {**members, BASE: members.get(BASE, torch.ones(n, dtype=torch.bool))}


def _with_base(slice_names: Sequence[str]) -> list[str]:
    names = [*slice_names, *([] if BASE in slice_names else [BASE])]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        message = f"two slices are called '{twice[0]}'; give one another name"
        raise TaskGraphError(message)
    return names


def _head_of(task: Task) -> nn.Linear:
    name = task.op_sequence[-1].module_name
    head = task.module_pool[name]
    head = head.module if isinstance(head, nn.DataParallel) else head
    if not isinstance(head, nn.Linear):
        message = (
            f"task '{task.name}': the last operation must call a torch.nn.Linear, the head that slices are "
            f"added to; module '{name}' is a {type(head).__name__}"
        )
        raise TaskGraphError(message)
    return head


def slice_task_name(base_task: Task, slice_name: str, kind: str) -> str:
    """Name the task of a slice; ``kind`` is :data:`INDICATOR` or :data:`EXPERT`."""
    return f"{base_task.name}_slice:{slice_name}_{kind}"


def _check_two_classes(name: str, logits: Tensor) -> None:
    k = logits.shape[1]
    if k != 2:
        problem = "more than 2 classes" if k > 2 else "fewer than 2"
        message = (
            f"operation '{name}' gives shape {list(logits.shape)}, {problem}; combining slices requires "
            "output shape [n, 2] of each expert"
        )
        raise NotImplementedError(message)
