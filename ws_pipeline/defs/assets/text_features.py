"""Features of text: models fitted on the train split, then what they make of every example's texts."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ws_pipeline.defs.assets.alignment import check_same_examples, name_of
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.metadata import warnings_to_log
from ws_pipeline.defs.io_managers import SavesItself
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.example_texts import ExampleTexts
from ws_pipeline.examples import Examples
from ws_pipeline.text.text_features import TextFeatures
from ws_pipeline.text.text_models import TextModels
from ws_pipeline.text.tfidf_svd import TfidfSvd

TEXT_FEATURES = "text_features"


def build_text_assets(spec: PipelineSpec) -> list[dg.AssetsDefinition]:
    """Assets that make features of text; none where the pipeline.yaml names no text column."""
    of_pipeline = AssetMaker(spec, part="end_model")
    return [_text_features_model(of_pipeline), _text_features(of_pipeline)] if spec.features else []


def text_inputs(spec: PipelineSpec) -> list[str]:
    """Assets with features of text that the datasets and predictions read besides."""
    return [TEXT_FEATURES] if spec.features else []


def all_features(spec: PipelineSpec, examples: Mapping[str, Examples], inputs: Mapping[str, Any]) -> Examples:
    """The examples of all shards, with the features of their texts where there are any.

    Parameters
    ----------
    spec
        The pipeline.
    examples
        Shard name to its examples.
    inputs
        What an asset reads besides, see :func:`text_inputs`.

    Raises
    ------
    ExampleIdError
        The features of text were made of other examples.
    TextError
        They were made of other columns.
    """
    everything = Examples.concatenate(examples)
    if not spec.features:
        return everything
    where = name_of(spec, TEXT_FEATURES)
    made = TextFeatures.from_table(inputs[TEXT_FEATURES], where=where)
    check_same_examples(made.example_ids, examples, what=where)
    return made.added_to(everything, columns=list(spec.features), where=where)


def _text_features_model(of_pipeline: AssetMaker) -> dg.AssetsDefinition:
    spec = of_pipeline.spec

    @of_pipeline.asset("torch", version="1", after_shards=True)
    def text_features_model(
        context: dg.AssetExecutionContext, examples: dict[str, ExampleTexts]
    ) -> dg.MaterializeResult[SavesItself]:
        """What makes features of texts, learned from those of the train split."""
        everything = ExampleTexts.concatenate(examples, list(spec.features))
        with warnings_to_log(context.log):
            models = TextModels.fit(everything.lists("train"), spec.features, where=spec.where)
        metadata: dict[str, Any] = {"digest": models.digest}
        for column, model in models.models.items():
            metadata |= {f"{column}_kind": model.settings.kind, f"{column}_dims": model.dims}
            if isinstance(model, TfidfSvd):
                metadata[f"{column}_terms"] = len(model.terms)
        return dg.MaterializeResult(value=models, metadata=metadata)

    return text_features_model


def _text_features(of_pipeline: AssetMaker) -> dg.AssetsDefinition:
    spec = of_pipeline.spec

    @of_pipeline.asset("parquet", version="1")
    def text_features(
        text_features_model: TextModels, examples: dict[str, ExampleTexts], device: ComputeDevice
    ) -> dg.MaterializeResult[TextFeatures]:
        """Features of every example's texts; all 0 where no word of a text is in the train split."""
        everything = ExampleTexts.concatenate(examples, list(spec.features))
        features = text_features_model.transform(everything.lists(), device=device.resolve())
        made = TextFeatures(everything.example_ids, features, text_features_model.digest)
        metadata = {f"{column}_all_zero": count for column, count in made.without_terms().items()}
        return dg.MaterializeResult(value=made, metadata={"n_examples": len(everything), **metadata})

    return text_features
