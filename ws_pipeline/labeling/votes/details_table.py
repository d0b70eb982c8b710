"""Scores and votes for superclasses as columns of an Arrow table, beside those of the votes.

Legend: n examples, m labeling functions (LFs).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.labeling.votes.vote_checks import ABSTAIN
from ws_pipeline.labeling.votes.vote_details import Superclass, VoteDetails

DETAILS_KEY = b"ws_pipeline.vote_details"
"""Metadata of the schema: superclasses, and LF name to the column of its scores, and of its superclasses."""

_OPENINGS = {"scores": "score of", "sets": "superclass of"}


def add_details(table: pa.Table, details: VoteDetails, lf_names: Sequence[str]) -> pa.Table:
    """Add a column for each LF that gives scores, and one for each that votes for superclasses."""
    header: dict[str, Any] = {"superclasses": details.superclasses}
    for kind, opening in _OPENINGS.items():
        array = getattr(details, kind)
        header[kind] = None if array is None else {}
        for lf, name in enumerate(lf_names if array is not None else ()):
            column = np.ascontiguousarray(array[:, lf])
            nothing = np.isnan(column) if kind == "scores" else column == ABSTAIN
            if not nothing.all():
                place = _free_name(f"{opening} {name}", table.column_names)
                header[kind][name] = place
                table = table.append_column(place, pa.array(column, mask=nothing))
    metadata = {**(table.schema.metadata or {}), DETAILS_KEY: json.dumps(header, ensure_ascii=False)}
    return table.replace_schema_metadata(metadata)


def _free_name(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += " "
    return name


def take_details(table: pa.Table) -> tuple[pa.Table, dict[str, Any] | None]:
    """Take the columns of :func:`add_details` out of a table; what it said of them, and their values."""
    stored = (table.schema.metadata or {}).get(DETAILS_KEY)
    if stored is None:
        return table, None
    header = json.loads(stored)
    columns = {
        kind: None
        if header[kind] is None
        else {lf: table.column(place) for lf, place in header[kind].items()}
        for kind in _OPENINGS
    }
    own = [place for kind in _OPENINGS for place in (header[kind] or {}).values()]
    return table.drop_columns(own), {**columns, "superclasses": header["superclasses"]}


def details_of(taken: dict[str, Any] | None, lf_names: Sequence[str], n_examples: int) -> VoteDetails | None:
    """Details of these LFs, of what :func:`take_details` took out; None if it took nothing."""
    if taken is None:
        return None
    superclasses = tuple(Superclass(name, tuple(classes)) for name, classes in taken["superclasses"])
    shape = (n_examples, len(lf_names))
    return VoteDetails(
        _stacked(taken["scores"], lf_names, np.full(shape, np.nan, dtype=np.float32)),
        _stacked(taken["sets"], lf_names, np.full(shape, ABSTAIN, dtype=np.int16)),
        superclasses,
    )


def _stacked(
    columns: dict[str, pa.ChunkedArray] | None, lf_names: Sequence[str], nothing: npt.NDArray[Any]
) -> npt.NDArray[Any] | None:
    if columns is None:
        return None
    for lf, name in enumerate(lf_names):
        if name in columns:
            column = columns[name]
            known = column.is_valid().to_numpy()
            nothing[known, lf] = column.drop_null().to_numpy()
    return nothing
