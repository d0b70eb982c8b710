"""Rules about the keys of a multi-label task: what each means for the k tasks that it becomes.

Legend: k classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ws_pipeline.settings.base import nearest

COMPLETE, PARTIAL = "complete", "partial"  # of the key label_lists
NONE_OF_THEM = "none"  # of the key no_votes

Completeness = Literal["complete", "partial"]
LabelListsSpec = Completeness | dict[str, Completeness]
"""Whether lists are whole answers; or LF name to that, where others are."""


def check_label_lists(found: Any) -> Any:
    """Return the value of the key ``label_lists``; refuse all but its words."""
    said = list(found.values()) if isinstance(found, Mapping) else [found]
    wrong = [value for value in said if value not in (COMPLETE, PARTIAL)]
    if wrong:
        message = (
            f"expected '{COMPLETE}' or '{PARTIAL}', or names of LFs to one of them, got {wrong[0]!r}; "
            f"{COMPLETE}: a class that is not in a list is a vote for no, {PARTIAL}: it is an abstain"
        )
        raise ValueError(message)
    return found


def shares_of_labels(found: Any, classes: Sequence[str]) -> list[float]:
    """Share of the examples that have each class ``[k]``, of the key ``class_balance``.

    Parameters
    ----------
    found
        Class name to share; the shares need not sum to 1.
    classes
        Names of the k classes.
    """
    shown = ", ".join(f"{name}: 0.1" for name in classes[:2])
    if not isinstance(found, Mapping):
        message = (
            f"a multi-label task has no balance between its classes, got {found!r}; give the share of the "
            f"examples that have each class, as in {{{shown}}}, or 'from_gold'"
        )
        raise ValueError(message)  # noqa: TRY004  pydantic tells it with the key
    unknown = [name for name in found if name not in classes]
    missing = [name for name in classes if name not in found]
    if unknown or missing:
        what = f"there is no class '{unknown[0]}'" if unknown else f"no share for class '{missing[0]}'"
        message = f"{what}; give the share of the examples that have each class of {list(classes)}"
        raise ValueError(message)
    shares = [found[name] for name in classes]
    for name, share in zip(classes, shares, strict=True):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            message = f"the share of class '{name}' must be a number between 0 and 1, got {share!r}"
            raise ValueError(message)
    return shares


def check_multi_label(
    *,
    multi_label: bool,
    label_lists: LabelListsSpec,
    no_votes: str | None,
    lf_columns: Sequence[str] | None,
    of_one_class: Sequence[str] = (),
) -> None:
    """Refuse keys that would be ignored, or that lists of classes leave no use for.

    Parameters
    ----------
    multi_label, label_lists, lf_columns
        The keys.
    of_one_class
        Keys that are set and need votes for one class each.
    no_votes
        The key; None: examples without votes have no class.
    """
    if not multi_label:
        if label_lists != COMPLETE:
            message = "label_lists is about lists of classes; set multi_label: true, or leave it out"
            raise ValueError(message)
        return
    if of_one_class:
        message = (
            f"{of_one_class[0]}: the lists of a multi-label task have none; leave it out, or make a task of "
            "two classes for each class"
        )
        raise ValueError(message)
    if no_votes not in (None, NONE_OF_THEM):
        message = (
            f"no_votes: expected 'abstain', or '{NONE_OF_THEM}': examples without votes have none of the "
            f"classes; got '{no_votes}'"
        )
        raise ValueError(message)
    if isinstance(label_lists, dict) and lf_columns is not None:
        unknown = [name for name in label_lists if name not in lf_columns]
        if unknown:
            known = nearest(unknown[0], list(lf_columns))
            message = f"label_lists: '{unknown[0]}' is not among the lf_columns, {known}"
            raise ValueError(message)
