"""A multi-label task becomes a task for each of its classes, with the classes no and yes.

All that follows sees ordinary tasks of two classes; only what reads files, and the summary of the task as a
whole, know that they belong together.  Start reading at :func:`with_task_per_label`.

Legend: k classes.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from ws_pipeline.defs.spec.multi_label_rules import COMPLETE, NONE_OF_THEM, PARTIAL
from ws_pipeline.defs.spec.task_spec import FROM_GOLD, TaskSpec
from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.functions.list_lfs import on_label
from ws_pipeline.settings.base import nearest

NO_YES = ["no", "yes"]
_OTHERS = re.compile(r"[^A-Za-z0-9_]+")


class LabelTaskSpec(TaskSpec):
    """The task of one class of a multi-label task: whether an example has it."""

    whole: str
    """Name of the multi-label task."""
    label: int
    """Place of the class among its classes."""
    labels: list[str]
    """Names of its k classes."""

    @property
    def holds_lists(self) -> bool:
        """Whether votes are lists of classes."""
        return True

    @property
    def names_in_votes(self) -> list[str]:
        """What votes may be for: the classes of the multi-label task."""
        return self.labels

    def is_complete(self, lf: str) -> bool:
        """Whether a class that is not in a list of an LF is a vote for no."""
        said = self.label_lists
        return (said.get(lf, COMPLETE) if isinstance(said, dict) else said) != PARTIAL

    def unknown_lf(self, lfs: Sequence[str]) -> str | None:
        """Say which LF that ``label_lists`` names is not among these; None if all are."""
        named = self.label_lists if isinstance(self.label_lists, dict) else {}
        unknown = [name for name in named if name not in lfs]
        if not unknown:
            return None
        return f"there is no LF '{unknown[0]}', which label_lists names, {nearest(unknown[0], list(lfs))}"


def with_task_per_label(tasks: Mapping[str, TaskSpec]) -> dict[str, TaskSpec]:
    """The tasks, with the k tasks of its classes in place of each multi-label one.

    They are called ``<task>_<class>``, in letters, digits and underscores; see :func:`name_of_label`.

    Raises
    ------
    ValueError
        Two tasks would have one name.
    """
    found: dict[str, TaskSpec] = {}
    from_label: dict[str, str] = {}
    for name, task in tasks.items():
        if not task.multi_label:
            found[name] = task
            continue
        for label, class_name in enumerate(task.classes):
            of_label = name_of_label(name, label, class_name)
            other = from_label.get(of_label) or (f"the task '{of_label}'" if of_label in tasks else None)
            said = f"class '{class_name}' of task '{name}'"
            if other:
                message = (
                    f"{said} becomes a task '{of_label}', but {other} has that name; give one of them "
                    "another name that differs in letters or digits"
                )
                raise ValueError(message)
            from_label[of_label] = said
            found[of_label] = _task_of_label(name, task, label)
    return found


def name_of_label(task: str, label: int, class_name: str) -> str:
    """Name of the task of a class: accents are left out, all else that no name has becomes underscores.

    A class without any letter or digit that a name may have is called by its place.
    """
    plain = unicodedata.normalize("NFKD", class_name).encode("ascii", "ignore").decode()
    return f"{task}_{_OTHERS.sub('_', plain).strip('_') or label}"


def written_as(task: str, task_spec: TaskSpec) -> str:
    """What a task is called in the pipeline.yaml, in the folder of its votes and by its column of gold."""
    return task_spec.whole if isinstance(task_spec, LabelTaskSpec) else task


def tasks_as_written(tasks: Mapping[str, TaskSpec]) -> dict[str, str]:
    """Name of each task of the pipeline.yaml to the task, or to the first of the k tasks, that it became."""
    first: dict[str, str] = {}
    for name, task in tasks.items():
        first.setdefault(written_as(name, task), name)
    return first


def multi_label_tasks(tasks: Mapping[str, TaskSpec]) -> dict[str, dict[str, LabelTaskSpec]]:
    """Name of each multi-label task to its k tasks by name, in the order of its classes."""
    found: dict[str, dict[str, LabelTaskSpec]] = {}
    for name, task in tasks.items():
        if isinstance(task, LabelTaskSpec):
            found.setdefault(task.whole, {})[name] = task
    return found


def gold_columns(tasks: Mapping[str, TaskSpec]) -> set[str]:
    """Names of the columns that hold gold labels, or would by their name."""
    return {*tasks, *tasks_as_written(tasks)}


def classes_as_written(tasks: Mapping[str, TaskSpec]) -> dict[str, list[str]]:
    """Names of the classes of each task of the pipeline.yaml, in their order."""
    return {name: classes_in_files(tasks[first]) for name, first in tasks_as_written(tasks).items()}


def classes_in_files(task_spec: TaskSpec) -> list[str]:
    """Names of the classes that the files of a task hold, in their order."""
    return task_spec.labels if isinstance(task_spec, LabelTaskSpec) else task_spec.classes


def on_one_label(lfs: list[LabelingFunction], task_spec: TaskSpec) -> list[LabelingFunction]:
    """Labeling functions as they vote on a task: those of a multi-label one return lists of its classes.

    Raises
    ------
    LabelingFunctionError
        ``label_lists`` names a function that is not there.
    """
    if not isinstance(task_spec, LabelTaskSpec):
        return lfs
    unknown = task_spec.unknown_lf([lf.name for lf in lfs])
    if unknown:
        raise LabelingFunctionError(unknown)
    return [
        on_label(lf, task_spec.label, classes=task_spec.labels, is_complete=task_spec.is_complete(lf.name))
        for lf in lfs
    ]


def _task_of_label(name: str, task: TaskSpec, label: int) -> LabelTaskSpec:
    """The task of one class, with all other settings of the whole."""
    balance: Any = task.class_balance
    if balance is not None and balance != FROM_GOLD:
        balance = [1 - balance[label], balance[label]]
    own = {
        "classes": list(NO_YES),
        "multi_label": False,
        "class_balance": balance,
        "no_votes": NO_YES[0] if task.no_votes == NONE_OF_THEM else task.no_votes,
        "whole": name,
        "label": label,
        "labels": task.classes,
    }
    # the values were checked as those of the whole
    return LabelTaskSpec.model_construct(**(dict(task) | own))
