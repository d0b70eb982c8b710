"""Weak supervision as a Dagster project: from noisy votes to a trained, scored end model.

The journey: votes of labeling functions become a label matrix, and that becomes exact vote counts
(:mod:`ws_pipeline.labeling`); a label model learns from the counts alone how far to trust each labeling
function, and turns votes into probabilistic labels.  These and the features become datasets, on which a
multi-task end model is trained (:mod:`ws_pipeline.classification`).  Everything is scored
(:mod:`ws_pipeline.analysis`) beside the plain vote.  :mod:`ws_pipeline.defs` is the Dagster face of
all this, and :mod:`ws_pipeline.definitions` the object that Dagster loads.

Importing this package imports nothing else.
"""
