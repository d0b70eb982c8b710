"""Scores of predictions: metrics by name, scorers, and the step from probabilities to labels.

Start reading at :class:`~ws_pipeline.analysis.scorer.Scorer`.  Nothing here knows how the predictions
were made; importing it needs numpy only, scikit-learn and pandas are imported by the functions that
use them.
"""

from ws_pipeline.analysis.error_analysis import get_label_buckets, get_label_instances
from ws_pipeline.analysis.metrics import METRICS, Metric, metric_score
from ws_pipeline.analysis.predictions import preds_to_probs, probs_to_preds
from ws_pipeline.analysis.scorer import Scorer

__all__ = [
    "METRICS",
    "Metric",
    "Scorer",
    "get_label_buckets",
    "get_label_instances",
    "metric_score",
    "preds_to_probs",
    "probs_to_preds",
]
