"""The Dagster face of ws_pipeline: a pipeline.yaml becomes assets, checks, jobs, schedule and sensors.

Read :mod:`.spec` (what a pipeline.yaml says), then :mod:`.pipeline` (how it becomes definitions), then
the assets in the order of the data: :mod:`.ingest_assets`, :mod:`.labeling_assets`,
:mod:`.classification_assets`.

Two rules hold in this folder.  Loading it imports neither torch nor pandas nor scikit-learn: those are
imported inside the functions that run.  And no module has ``from __future__ import annotations``,
because Dagster reads the annotations of assets when it loads them.
"""
