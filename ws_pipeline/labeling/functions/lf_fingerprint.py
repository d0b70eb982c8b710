"""Fingerprints of labeling functions: they change when what a function does may have changed."""

from __future__ import annotations

from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.functions.mapping import BaseMapper
from ws_pipeline.object_digest import ObjectDigest, sorted_items

_LENGTH = 16


def lf_fingerprint(lf: LabelingFunction) -> str:
    """Fingerprint of all that decides how an LF votes.

    It is made of the source text of the function, and of all functions and classes of one's own code that it
    reaches by name; of the global variables that these read, by value; of the resources, the preprocessors
    and the ``version`` of the LF.  Of installed packages, and of this one, only the names count; of objects
    other than numbers, texts, arrays and containers of these, only what their public attributes hold.  Where
    something else changes, such as a model that is loaded from a file, change ``version``.

    Parameters
    ----------
    lf
        The labeling function.

    Returns
    -------
    str
        16 hexadecimal digits, the same in every process.
    """
    return _DIGEST(lf)[:_LENGTH]


_DIGEST = ObjectDigest(
    parts_of={
        LabelingFunction: lambda lf: lf.parts(),
        BaseMapper: lambda mapper: [type(mapper), sorted_items(mapper.__getstate__())],
    },
    follow_globals=True,
    by_name=("ws_pipeline",),
)
