"""Applies a task's labeling functions to a shard's examples as the ingestion does, and names all that fail.

Legend: n examples, m labeling functions (LFs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ws_pipeline.commands.findings import Findings
from ws_pipeline.defs.assets.function_votes import columns_to_vote_on
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import WsPipelineError
from ws_pipeline.example_ids import Ids
from ws_pipeline.labeling.functions.apply_by_lf import VotesOfLF, apply_by_lf
from ws_pipeline.labeling.functions.function_votes import side_by_side
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Voting:
    """The examples of a shard, to vote on.

    Parameters
    ----------
    spec
        The pipeline.
    task
        A task with labeling functions.
    table
        The file of the examples ``[n]``.
    ids
        ``[n]`` their ids.
    """

    spec: PipelineSpec
    task: str
    table: pa.Table
    ids: Ids

    def votes_of(
        self, lfs: Sequence[LabelingFunction], findings: Findings, *, opening: str = ""
    ) -> LabelMatrix:
        """Votes of those of the m LFs that do not fail.

        Each of the others is a problem; or, where the task's faults are tolerated, a warning.

        Parameters
        ----------
        lfs
            The LFs.
        findings
            Where problems and warnings go.
        opening
            Put before each of them.
        """
        together = Findings()
        votes = together.attempt(self._apply, lfs)
        if votes is not None:
            findings.add(together, opening=opening)
            return votes
        # one after the other, to name all that fail
        tried = {lf.name: self._try(lf, findings, opening) for lf in lfs}
        columns = {
            name: votes.votes[:, 0].astype(np.int16) for name, votes in tried.items() if votes is not None
        }
        return self._side_by_side(columns)

    def _try(self, lf: LabelingFunction, findings: Findings, opening: str) -> LabelMatrix | None:
        alone = Findings()
        votes = alone.attempt(self._apply, [lf])
        if votes is None and self._is_fault_tolerant:
            try:
                votes = self._apply([lf], fault_tolerant=True)
                alone = Findings(warnings=[f"{alone.problems[0]} (fault_tolerant is on: they are abstains)"])
            except WsPipelineError:
                pass  # such as votes for a class that does not exist; what is said of it is kept
        findings.add(alone, opening=opening)
        return votes

    def _apply(self, lfs: Sequence[LabelingFunction], *, fault_tolerant: bool = False) -> LabelMatrix:
        settings = self.spec.tasks[self.task].labeling_functions
        applied = apply_by_lf(
            lfs,
            self._frame,
            n_processes=settings.processes if settings else 1,
            fault_tolerant=fault_tolerant,
            name_row=lambda row: f"example {self.ids[row]}",
        )
        return self._side_by_side(applied.votes)

    def _side_by_side(self, columns: Mapping[str, VotesOfLF]) -> LabelMatrix:
        task_spec = self.spec.tasks[self.task]
        return side_by_side(columns, task_spec.cardinality, self.ids, task_spec.classes_of_superclasses)

    @cached_property
    def _frame(self) -> pd.DataFrame:
        """What the LFs may read."""
        visible = columns_to_vote_on(self.spec, self.table.column_names)
        frame: pd.DataFrame = self.table.select(visible).to_pandas()
        return frame

    @property
    def _is_fault_tolerant(self) -> bool:
        settings = self.spec.tasks[self.task].labeling_functions
        return settings is not None and settings.fault_tolerant
