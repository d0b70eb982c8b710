"""A multi-label task as a whole: the classes that each example gets, and how well they fit the gold lists.

The k tasks of its classes are ordinary tasks; here their labels and predictions are put together again.

Legend: n examples, k classes.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from ws_pipeline.analysis.multi_label_scores import ALL, COVERED, multi_label_table
from ws_pipeline.analysis.predictions import probs_to_preds
from ws_pipeline.array_types import Mask
from ws_pipeline.defs.assets.alignment import check_labels_and_vote, check_same_examples, name_of
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.classification import LABELS_AND_VOTE
from ws_pipeline.defs.assets.multi_label_text import scores_text
from ws_pipeline.defs.spec.multi_label_tasks import LabelTaskSpec, multi_label_tasks
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import InvalidInputError
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table, ids_to_array
from ws_pipeline.example_index import SPLIT_COLUMN, UNKNOWN, ExampleIndex
from ws_pipeline.label_lists import read_label_lists
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels

Tasks = Mapping[str, LabelTaskSpec]
MODELS = ("vote", "label_model", "end_model")
YES = 1


def build_multi_label_assets(spec: PipelineSpec) -> list[dg.AssetsDefinition]:
    """Assets of each multi-label task as a whole."""
    assets = []
    for name, tasks in multi_label_tasks(spec.tasks).items():
        of_whole = AssetMaker(spec, name, tasks=tuple(tasks))
        assets += [_label_sets(of_whole, tasks), _multi_label_scores(of_whole, tasks)]
    return assets


def _label_sets(of_whole: AssetMaker, tasks: Tasks) -> dg.AssetsDefinition:
    spec = of_whole.spec

    end_model = ["predictions"] if spec.model else []

    @of_whole.asset("parquet", version="1", of_each_task=LABELS_AND_VOTE, also=end_model)
    def label_sets(
        examples: dict[str, ExampleIndex], **inputs: ProbabilisticLabels | pa.Table
    ) -> dg.MaterializeResult[pa.Table]:
        """The classes that each example gets by the plain vote, the label model and the end model.

        A class is in a list if its probability is above a half.  The lists of the vote and of the label
        model are null where there is no vote on any class.
        """
        index = ExampleIndex.concatenate(examples)
        labels = {task: inputs[f"probabilistic_labels__{task}"] for task in tasks}
        votes = {task: inputs[f"majority_vote__{task}"] for task in tasks}
        for task in tasks:
            check_labels_and_vote(spec, task, labels=labels[task], vote=votes[task], examples=examples)
        classes, covered = _classes_of(tasks), _any_of(labels, "covered")
        columns = {
            ID_COLUMN: ids_to_array(index.example_ids),
            SPLIT_COLUMN: pa.array(index.splits, pa.string()),
            COVERED: pa.array(covered),
            "vote": _sets_of(votes, classes),
            "label_model": _sets_of(labels, classes),
        }
        if spec.model:
            predictions = inputs["predictions"]
            ids = ids_from_table(predictions, where="predictions")
            check_same_examples(ids, examples, what=name_of(spec, "predictions"))
            columns["end_model"] = _lists(_predicted(predictions, tasks), classes)
        metadata = {"n_examples": len(index), "n_covered": int(covered.sum())}
        return dg.MaterializeResult(value=pa.table(columns), metadata=metadata)

    return label_sets


def _multi_label_scores(of_whole: AssetMaker, tasks: Tasks) -> dg.AssetsDefinition:
    classes = _classes_of(tasks)

    @of_whole.asset("parquet", version="1")
    def multi_label_scores(
        label_sets: pa.Table, examples: dict[str, ExampleIndex]
    ) -> dg.MaterializeResult[pa.Table]:
        """How well the lists of classes fit the gold lists, in every split that has any.

        Of each class: precision, recall, F1 and support.  Of the whole (class null): micro-F1, macro-F1, the
        share of lists that are exactly right, and the Hamming loss.  An example without votes counts as
        having no class.
        """
        ids = ids_from_table(label_sets, where=of_whole.name("label_sets"))
        check_same_examples(ids, examples, what=of_whole.name("label_sets"))
        index = ExampleIndex.concatenate(examples)
        gold = np.stack([index.gold[task] for task in tasks], axis=1)
        known: Mask = np.all(gold != UNKNOWN, axis=1)
        models = [model for model in MODELS if model in label_sets.column_names]
        table = multi_label_table(
            {model: _masks(label_sets.column(model), classes) for model in models},
            gold=gold == YES,
            known=known,
            covered=label_sets.column(COVERED).to_numpy(),
            splits=index.splits,
            classes=classes,
        )
        return dg.MaterializeResult(value=table, metadata=_scores_metadata(table, classes))

    return multi_label_scores


def _classes_of(tasks: Tasks) -> list[str]:
    return next(iter(tasks.values())).labels


def _any_of(labels: Mapping[str, ProbabilisticLabels], mask: str) -> Mask:
    """``[n]``: whether a mask of the labels is true for any of the tasks."""
    either: Mask = np.any([getattr(of_task, mask) for of_task in labels.values()], axis=0)
    return either


def _sets_of(labels: Mapping[str, ProbabilisticLabels], classes: list[str]) -> pa.Array:
    """Lists ``[n]`` of the classes that are more probable than not, null where no class has a label."""
    has = np.stack([of_task.predictions == YES for of_task in labels.values()], axis=1)
    return _lists(has, classes, known=_any_of(labels, "covered") | _any_of(labels, "labelled"))


def _predicted(predictions: pa.Table, tasks: Tasks) -> Mask:
    """``[n, k]``: whether the end model finds a class more probable than not."""
    from ws_pipeline.classification.end_model import task_probs

    probs = [task_probs(predictions, task, of_task.cardinality) for task, of_task in tasks.items()]
    return np.stack([probs_to_preds(of_task, tie_break_policy="abstain") == YES for of_task in probs], axis=1)


def _lists(has: Mask, classes: list[str], known: Mask | None = None) -> pa.Array:
    """Lists of class names ``[n]`` from a mask ``[n, k]``, null where nothing is known."""
    ends = np.concatenate([[0], np.cumsum(has.sum(axis=1))]).astype(np.int32)
    names = pa.array(classes, pa.string()).take(pa.array(np.nonzero(has)[1]))
    mask = None if known is None else pa.array(~known)
    return pa.ListArray.from_arrays(pa.array(ends), names, mask=mask)


def _masks(column: pa.ChunkedArray, classes: list[str]) -> Mask:
    """``[n, k]`` mask of the classes in each list."""
    lists = read_label_lists(column, classes, what="label_sets", error=InvalidInputError)
    return np.stack([lists.has(place) for place in range(len(classes))], axis=1)


def _scores_metadata(table: pa.Table, classes: list[str]) -> dict[str, Any]:
    """The scores as text, and those of the whole on the test split one by one, to plot them over time."""
    single = {
        f"test_{row['model']}_{row['metric']}": row["value"]
        for row in table.to_pylist()
        if (row["split"], row["dataset"], row["class"]) == ("test", ALL, None) and row["value"] is not None
    }
    return {"summary": dg.MetadataValue.md(scores_text(table, classes)), **single}
