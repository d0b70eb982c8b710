"""From data points to votes, and from votes to probabilistic labels.

The folders are in the order of the data: ``functions`` makes votes of data points, ``votes`` holds and counts
them, ``models`` makes P(class) of them.  Start reading at :class:`LabelMatrix` and :class:`LiftDawidSkene`;
:class:`VoteComparison` says whether a model's labels are as good as the plain vote.  Torch is imported only
where matrix completion computes on another device than the CPU.
"""

from ws_pipeline.labeling.functions.apply import ApplierMetadata, LFApplier
from ws_pipeline.labeling.functions.apply_pandas import PandasLFApplier
from ws_pipeline.labeling.functions.apply_parallel import PandasParallelLFApplier
from ws_pipeline.labeling.functions.builders import (
    keyword_lf,
    labels_lf,
    lookup_lf,
    model_lf,
    regex_lf,
    threshold_lf,
)
from ws_pipeline.labeling.functions.filtering import filter_unlabeled_dataframe
from ws_pipeline.labeling.functions.labeling_function import (
    LabelingFunction,
    VectorizedLabelingFunction,
    labeling_function,
)
from ws_pipeline.labeling.functions.mapping import LambdaMapper, Mapper, lambda_mapper
from ws_pipeline.labeling.functions.nlp import NLPLabelingFunction, SpacyPreprocessor, nlp_labeling_function
from ws_pipeline.labeling.functions.preprocess import LambdaPreprocessor, Preprocessor, preprocessor
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.baselines import MajorityClassVoter, MajorityLabelVoter, RandomVoter
from ws_pipeline.labeling.models.candidates import Candidate
from ws_pipeline.labeling.models.dawid_skene import DawidSkene
from ws_pipeline.labeling.models.family_report import Families, find_families
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.lift_dawid_skene import LiftDawidSkene
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.models.vote_comparison import VoteComparison, compare_with_vote
from ws_pipeline.labeling.synthetic import generate_simple_label_matrix, synthetic_label_matrix
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.lf_analysis import LFAnalysis
from ws_pipeline.labeling.votes.long_votes import read_long_votes
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.settings.label_model import FitConfig
from ws_pipeline.settings.votes import VoteColumns

__all__ = [
    "ApplierMetadata",
    "AutoLabelModel",
    "Candidate",
    "DawidSkene",
    "Families",
    "FitConfig",
    "LFAnalysis",
    "LFApplier",
    "LabelMatrix",
    "LabelModel",
    "LabelingFunction",
    "LambdaMapper",
    "LambdaPreprocessor",
    "LiftDawidSkene",
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
    "VectorizedLabelingFunction",
    "VoteColumns",
    "VoteComparison",
    "VoteCounts",
    "VotePatterns",
    "compare_with_vote",
    "filter_unlabeled_dataframe",
    "find_families",
    "generate_simple_label_matrix",
    "keyword_lf",
    "labeling_function",
    "labels_lf",
    "lambda_mapper",
    "lookup_lf",
    "model_lf",
    "nlp_labeling_function",
    "preprocessor",
    "read_long_votes",
    "regex_lf",
    "synthetic_label_matrix",
    "threshold_lf",
]
