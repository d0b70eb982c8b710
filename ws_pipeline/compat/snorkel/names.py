"""Table of Snorkel's modules and names, with their places in this package.

The tables hold text only: what a name stands for is imported when the name is used.  Start reading at
:data:`MODULES`; :func:`explain_missing` says what to use instead of what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping

from ws_pipeline.settings.base import nearest

VERSION = "0.10.0"
"""The version of Snorkel whose names these are."""


def _at(place: str, names: str) -> dict[str, str]:
    """Map names to "module:name" within this package."""
    return {name: f"ws_pipeline.{place}:{name}" for name in names.split()}


def _as(**places: str) -> dict[str, str]:
    return {name: f"ws_pipeline.{place}" for name, place in places.items()}


_TYPES = _at("compat.types", "DataPoint DataPoints Field FieldMap HashingFunction Config")
_LF = _at("labeling", "LabelingFunction labeling_function")
_VOTERS = _at("labeling", "MajorityClassVoter MajorityLabelVoter RandomVoter")
_LABEL_MODELS = _VOTERS | _at("labeling", "LabelModel")
_FILTER = _at("labeling", "filter_unlabeled_dataframe")
_APPLIER_PARTS = _at("labeling.functions.apply", "ApplierMetadata BaseLFApplier") | _at(
    "compat.types", "RowData"
)
_DASK = _at("compat.elsewhere", "DaskLFApplier") | _at("compat.snorkel.parallel", "PandasParallelLFApplier")
_NLP = _at(
    "labeling.functions.nlp", "NLPLabelingFunction nlp_labeling_function EN_CORE_WEB_SM SpacyPreprocessor"
)
_MAPPERS = _at("labeling.functions.mapping", "BaseMapper LambdaMapper Mapper lambda_mapper")
_PREPROCESSORS = _at(
    "labeling.functions.preprocess", "BasePreprocessor LambdaPreprocessor Preprocessor preprocessor"
)
_ERRORS = _at("analysis", "get_label_buckets get_label_instances")
_DATA = _at("classification", "DictDataLoader DictDataset")
_LOGGERS = _at(
    "classification",
    "Checkpointer CheckpointerConfig LogManager LogManagerConfig LogWriter LogWriterConfig TensorBoardWriter",
)
_METRICS_TYPE = _at("compat.types", "Metrics")
_UTILS = _at("compat.arrays", "filter_labels to_int_label_array") | _at(
    "analysis", "preds_to_probs probs_to_preds"
)
_OPTIMIZERS = _at(
    "compat.nested_config", "AdamOptimizerConfig AdamaxOptimizerConfig OptimizerConfig SGDOptimizerConfig"
)
_SCHEDULES = _at(
    "compat.nested_config", "ExponentialLRSchedulerConfig LRSchedulerConfig StepLRSchedulerConfig"
)
_SF = _at("compat.slicing", "SlicingFunction slicing_function")
_SF_APPLIERS = _at("compat.slicing", "PandasSFApplier SFApplier")
_SLICE_LABELS = _at("compat.slice_tasks", "add_slice_labels convert_to_slice_tasks")
_COMBINER = _at("compat.slice_tasks", "SliceCombinerModule")
_SLICE_AWARE = _at("compat.slice_aware_classifier", "SliceAwareClassifier")
_TF = _at("compat.augmentation", "TransformationFunction transformation_function")
_TF_PARTS = _at("compat.augmentation", "BaseTransformationFunction LambdaTransformationFunction")
_POLICIES = _at("compat.policies", "ApplyAllPolicy ApplyEachPolicy ApplyOnePolicy")
_SAMPLING = _at("compat.policies", "MeanFieldPolicy RandomPolicy")
_SCHEDULERS = _at("classification", "SequentialScheduler ShuffledScheduler")

MODULES: Mapping[str, Mapping[str, str]] = {
    "": {},
    "analysis": _ERRORS | _at("analysis", "Scorer metric_score"),
    "analysis.error_analysis": _ERRORS,
    "analysis.metrics": _at("analysis", "METRICS Metric metric_score"),
    "analysis.scorer": _at("analysis", "Scorer"),
    "augmentation": _TF | _POLICIES | _SAMPLING | _at("compat.augmentation", "PandasTFApplier TFApplier"),
    "augmentation.apply": {},
    "augmentation.apply.core": _at("compat.augmentation", "BaseTFApplier TFApplier"),
    "augmentation.apply.pandas": _at("compat.augmentation", "PandasTFApplier"),
    "augmentation.policy": {},
    "augmentation.policy.core": _POLICIES | _at("compat.policies", "Policy"),
    "augmentation.policy.sampling": _SAMPLING,
    "augmentation.tf": _TF | _TF_PARTS,
    "classification": _DATA
    | _LOGGERS
    | _at("classification", "MultitaskClassifier Operation Task Trainer cross_entropy_with_probs"),
    "classification.data": _DATA
    | _at("classification", "collate_dicts")
    | _at("compat.types", "Batch DEFAULT_DATASET_NAME DEFAULT_INPUT_DATA_KEY DEFAULT_TASK_NAME XDict YDict"),
    "classification.loss": _at("classification", "cross_entropy_with_probs") | _at("compat.types", "Outputs"),
    "classification.multitask_classifier": _DATA
    | _at("classification", "ClassifierConfig MultitaskClassifier Operation Task")
    | _at("compat.types", "OutputDict"),
    "classification.task": _at("classification", "Operation Task") | _at("compat.types", "Outputs"),
    "classification.training": {},
    "classification.training.loggers": _LOGGERS,
    "classification.training.loggers.checkpointer": _METRICS_TYPE
    | _at("classification", "Checkpointer CheckpointerConfig"),
    "classification.training.loggers.log_manager": _at("classification", "LogManager LogManagerConfig"),
    "classification.training.loggers.log_writer": _at("classification", "LogWriter LogWriterConfig"),
    "classification.training.loggers.tensorboard_writer": _at("classification", "TensorBoardWriter"),
    "classification.training.schedulers": _SCHEDULERS
    | _as(batch_schedulers="classification.training.batch_schedulers:BATCH_SCHEDULERS"),
    "classification.training.schedulers.scheduler": _at("compat.types", "BatchIterator")
    | _as(Scheduler="classification:BatchScheduler"),
    "classification.training.schedulers.sequential_scheduler": _at("classification", "SequentialScheduler"),
    "classification.training.schedulers.shuffled_scheduler": _at("classification", "ShuffledScheduler"),
    "classification.training.trainer": _METRICS_TYPE | _at("classification", "Trainer TrainerConfig"),
    "classification.utils": _at(
        "compat.tensors",
        "collect_flow_outputs_by_suffix list_to_tensor metrics_dict_to_dataframe move_to_device pad_batch",
    )
    | _at("compat.types", "TensorCollection"),
    "labeling": _LF
    | _FILTER
    | _LABEL_MODELS  # where they were before 0.9.4
    | _at("labeling", "LFAnalysis LFApplier PandasLFApplier"),
    "labeling.analysis": _at("labeling", "LFAnalysis"),
    "labeling.apply": {},
    "labeling.apply.core": _APPLIER_PARTS | _at("labeling", "LFApplier"),
    "labeling.apply.dask": _DASK,
    "labeling.apply.pandas": _at("labeling", "PandasLFApplier") | _at("compat.types", "PandasRowData"),
    "labeling.apply.spark": _at("compat.elsewhere", "SparkLFApplier"),
    "labeling.lf": _LF,
    "labeling.lf.core": _LF,
    "labeling.lf.nlp": _NLP,
    "labeling.model": _LABEL_MODELS,
    "labeling.model.base_labeler": _at("labeling.models.labeler", "BaseLabeler"),
    "labeling.model.baselines": _VOTERS,
    "labeling.model.label_model": _METRICS_TYPE
    | _at("labeling", "LabelModel")
    | _as(TrainConfig="labeling:FitConfig"),
    "labeling.utils": _FILTER,
    "map": _MAPPERS,
    "map.core": _MAPPERS
    | _at("compat.arrays", "get_hashable")
    | _at("labeling.functions.mapping", "MapFunction"),
    "preprocess": _PREPROCESSORS,
    "preprocess.core": _PREPROCESSORS,
    "preprocess.nlp": _at("labeling.functions.nlp", "EN_CORE_WEB_SM SpacyPreprocessor"),
    "slicing": _SF
    | _SF_APPLIERS
    | _COMBINER
    | _SLICE_AWARE
    | _SLICE_LABELS
    | _at("compat.slicing", "slice_dataframe"),
    "slicing.apply": {},
    "slicing.apply.core": _SF_APPLIERS,
    "slicing.apply.dask": _at("compat.elsewhere", "DaskSFApplier")
    | _at("compat.snorkel.parallel", "PandasParallelSFApplier"),
    "slicing.apply.spark": _at("compat.elsewhere", "SparkSFApplier"),
    "slicing.modules": {},
    "slicing.modules.slice_combiner": _COMBINER,
    "slicing.monitor": _at("compat.slicing", "slice_dataframe"),
    "slicing.sf": _SF,
    "slicing.sf.core": _SF,
    "slicing.sf.nlp": _at("compat.slicing", "NLPSlicingFunction nlp_slicing_function"),
    "slicing.sliceaware_classifier": _SLICE_AWARE,
    "slicing.utils": _SLICE_LABELS,
    "synthetic": {},
    "synthetic.synthetic_data": _at("labeling", "generate_simple_label_matrix"),
    "types": _TYPES,
    "types.classifier": _at("compat.types", "Config"),
    "types.data": _at("compat.types", "DataPoint DataPoints Field FieldMap"),
    "types.hashing": _at("compat.types", "HashingFunction"),
    "utils": _UTILS,
    "utils.config_utils": _at("compat.nested_config", "merge_config"),
    "utils.core": _UTILS,
    "utils.data_operators": _at("compat.arrays", "check_unique_names"),
    "utils.lr_schedulers": _SCHEDULES,
    "utils.optimizers": _OPTIMIZERS,
    "version": {},
}
"""Module below ``snorkel`` -> name -> "module:name" here."""

VALUES: Mapping[str, Mapping[str, object]] = {
    "": {"__version__": f"{VERSION}+ws.pipeline"},
    "version": {"VERSION": f"{VERSION}+ws.pipeline", "VERSION_SHORT": VERSION.rpartition(".")[0]},
}
"""Module below ``snorkel`` -> name -> value, for the names that stand for a text."""

_SPARK = "read the rows of one part at a time into a DataFrame, and apply the labeling functions to that"
_NAMES_BEFORE_0_9 = (
    *("SnorkelSession", "annotations", "candidates", "db_helpers", "features", "learning"),
    *("lf_helpers", "matchers", "models", "parser", "udf", "viewer"),
)
_BEFORE_0_9 = (
    "it belongs to Snorkel 0.7 and older, whose database of candidates has no counterpart here; write "
    "labeling functions over the rows of a DataFrame"
)

_BEFORE_0_9_0 = "it belongs to the pre-releases of Snorkel 0.9; import the names from "

INSTEAD: Mapping[str, str] = {
    "augmentation.preview_tfs": "apply PandasTFApplier(tfs, ApplyEachPolicy(len(tfs))) to a few rows",
    "classification.scorer": f"{_BEFORE_0_9_0}snorkel.analysis",
    "classification.snorkel_classifier": f"{_BEFORE_0_9_0}snorkel.classification",
    "contrib": "it was empty",
    "labeling.apply.core.apply_lfs_to_data_point": "call the labeling functions, or an applier",
    "labeling.apply.dask.Scheduler": "PandasParallelLFApplier takes the name of a scheduler",
    "labeling.apply.pandas.apply_lfs_to_data_point": "call the labeling functions, or PandasLFApplier",
    "labeling.apply.pandas.rows_to_triplets": "PandasLFApplier returns the label matrix",
    "labeling.lf.nlp.SpacyPreprocessorConfig": "labeling functions of the same settings share one parser",
    "labeling.lf.nlp.SpacyPreprocessorParameters": "labeling functions of the same settings share one parser",
    "map.core.get_parameters": "use inspect.signature",
    "map.core.is_hashable": "use get_hashable, which refuses what it can make no key of",
    "labeling.lf.nlp.BaseNLPLabelingFunction": "use NLPLabelingFunction",
    "labeling.lf.nlp.base_nlp_labeling_function": "use nlp_labeling_function",
    "labeling.lf.nlp_spark": _SPARK,
    "labeling.model.graph_utils": "the label model knows no dependencies between labeling functions",
    "labeling.model.label_model.LabelModelConfig": "pass cardinality, verbose and device to LabelModel",
    "labeling.model.logger": "LabelModel.history_ has the loss of every epoch",
    "map.spark": _SPARK,
    "model": f"{_BEFORE_0_9_0}snorkel.analysis and snorkel.utils",
    "mtl": f"{_BEFORE_0_9_0}snorkel.classification and snorkel.analysis",
    "preprocess.spark": _SPARK,
    **dict.fromkeys(_NAMES_BEFORE_0_9, _BEFORE_0_9),
}
"""Module or name below ``snorkel`` that is not here -> what to do."""


def explain_missing(path: str) -> str:
    """Say that ``snorkel.<path>`` is not here, and what to use instead."""
    parent, _, name = path.rpartition(".")
    hints = [INSTEAD[start] for start in _beginnings(path) if start in INSTEAD]
    if not hints:
        hints = [_near(parent, name)]
    return f"ws_pipeline has no 'snorkel.{path}': {hints[0]} (see docs/coming-from-snorkel.md)"


def _near(parent: str, name: str) -> str:
    """Say where a public name is that was looked for in another module, or name the nearest one."""
    elsewhere = [module for module, names in MODULES.items() if name in names]
    if elsewhere:
        return f"import it from snorkel.{elsewhere[0]}"
    if name.startswith("_"):
        return "names that begin with an underscore are Snorkel's own, use public ones"
    known = [
        *MODULES.get(parent, ()),
        *(module.split(".")[-1] for module in MODULES if module.rpartition(".")[0] == parent),
    ]
    return nearest(name, sorted({*known} - {""}))


def _beginnings(path: str) -> list[str]:
    """The path and the modules above it, the longest first."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
