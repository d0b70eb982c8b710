"""From data points to votes, and from votes to probabilistic labels.

Read in the order of the data: :mod:`.lf`, :mod:`.preprocess` and :mod:`.apply` (votes from data points),
:mod:`.label_matrix` (votes), :mod:`.lf_analysis` (what the votes are like), :mod:`.vote_counts` (all
that training needs of them), :mod:`.label_model` (the estimator) with :mod:`.matrix_completion` (its
maths), and :mod:`.baselines` (what it has to beat).  :mod:`.synthetic` draws votes of known accuracy.
Torch is imported only when a model is fitted.
"""

from ws_pipeline.labeling.apply import ApplierMetadata, LFApplier
from ws_pipeline.labeling.apply_pandas import PandasLFApplier
from ws_pipeline.labeling.apply_parallel import PandasParallelLFApplier
from ws_pipeline.labeling.baselines import MajorityClassVoter, MajorityLabelVoter, RandomVoter
from ws_pipeline.labeling.filtering import filter_unlabeled_dataframe
from ws_pipeline.labeling.label_matrix import LabelMatrix
from ws_pipeline.labeling.label_model import LabelModel
from ws_pipeline.labeling.lf import LabelingFunction, labeling_function
from ws_pipeline.labeling.lf_analysis import LFAnalysis
from ws_pipeline.labeling.mapping import LambdaMapper, Mapper, lambda_mapper
from ws_pipeline.labeling.matrix_completion import FitConfig
from ws_pipeline.labeling.nlp import NLPLabelingFunction, SpacyPreprocessor, nlp_labeling_function
from ws_pipeline.labeling.preprocess import LambdaPreprocessor, Preprocessor, preprocessor
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.synthetic import generate_simple_label_matrix, synthetic_label_matrix
from ws_pipeline.labeling.vote_comparison import VoteComparison, compare_with_vote
from ws_pipeline.labeling.vote_counts import VoteCounts

__all__ = [
    "ApplierMetadata",
    "FitConfig",
    "LFAnalysis",
    "LFApplier",
    "LabelMatrix",
    "LabelModel",
    "LabelingFunction",
    "LambdaMapper",
    "LambdaPreprocessor",
    "MajorityClassVoter",
    "MajorityLabelVoter",
    "Mapper",
    "NLPLabelingFunction",
    "PandasLFApplier",
    "PandasParallelLFApplier",
    "Preprocessor",
    "ProbabilisticLabels",
    "RandomVoter",
    "SpacyPreprocessor",
    "VoteComparison",
    "VoteCounts",
    "compare_with_vote",
    "filter_unlabeled_dataframe",
    "generate_simple_label_matrix",
    "labeling_function",
    "lambda_mapper",
    "nlp_labeling_function",
    "preprocessor",
    "synthetic_label_matrix",
]
