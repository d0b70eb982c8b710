"""From votes to probabilistic labels.

Read in the order of the data: :mod:`.label_matrix` (votes), :mod:`.vote_counts` (all that training
needs of them), :mod:`.label_model` (the estimator) with :mod:`.matrix_completion` (its maths), and
:mod:`.baselines` (the plain vote it has to beat).  Torch is imported only when a model is fitted.
"""

from ws_pipeline.labeling.baselines import MajorityLabelVoter
from ws_pipeline.labeling.label_matrix import LabelMatrix
from ws_pipeline.labeling.label_model import LabelModel
from ws_pipeline.labeling.matrix_completion import FitConfig
from ws_pipeline.labeling.vote_counts import VoteCounts

__all__ = ["FitConfig", "LabelMatrix", "LabelModel", "MajorityLabelVoter", "VoteCounts"]
