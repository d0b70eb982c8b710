"""Appliers that use several processes, in each of which the name ``snorkel`` means this package, too."""

from __future__ import annotations

from ws_pipeline import labeling
from ws_pipeline.compat import slicing
from ws_pipeline.compat.snorkel.modules import install


class PandasParallelLFApplier(labeling.PandasParallelLFApplier):
    """See :class:`ws_pipeline.labeling.PandasParallelLFApplier`."""

    @staticmethod
    def set_up_process() -> None:
        """Register the name in this process."""
        install()


class PandasParallelSFApplier(slicing.SFApplier):
    """See :class:`ws_pipeline.compat.slicing.PandasParallelSFApplier`."""

    applier_type = PandasParallelLFApplier
