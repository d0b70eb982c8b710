"""A run config that breaks a range or a rule is refused at the launch: no run, and no asset does work."""

import json

import dagster as dg
import pytest
import torch
import yaml

from ws_pipeline.defs.automation.shard_state import register_shards
from ws_pipeline.defs.pipeline import build_definitions, build_pipeline, build_resources
from ws_pipeline.defs.spec.launch_checks import CheckedShape
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.run_config import (
    end_model_launch_config,
    end_model_run_config,
    label_model_launch_config,
    label_model_run_config,
)
from ws_pipeline.errors import DeviceError, SettingsError
from ws_pipeline.labeling import FitConfig
from ws_pipeline.settings.end_model import EndModelConfig, ModelConfig

CARDINALITIES = {"spam": 2, "topic": 3}
END_MODEL = "run config of asset 'multitask_classifier': "
LABEL_MODEL = "run config of asset 'shape/label_model': "


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def definitions(pipeline_folder, storage):
    pipeline_folder.set_label_model(kind="matrix_completion")
    return build_definitions([load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu")


@pytest.fixture
def ingested(pipeline_folder, definitions, instance):
    """The definitions, with all shards ingested."""
    for shard in register_shards(load_spec(pipeline_folder.spec_path), instance).new:
        definitions.resolve_job_def("ingest").execute_in_process(instance=instance, partition_key=shard)
    return definitions


def asset_config(op, **values):
    return {"ops": {op: {"config": values}}}


def resource_config(resource, **values):
    return {"resources": {resource: {"config": values}}}


def refusal(definitions, instance, run_config, job="retrain", **options):
    """The message of a refused launch, of which nothing must be left in the instance."""
    before = instance.get_runs_count()
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        definitions.resolve_job_def(job).execute_in_process(
            instance=instance, run_config=run_config, **options
        )
    assert instance.get_runs_count() == before
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": -1.0}, "lr: Input should be greater than 0, got -1.0"),
        ({"n_epochs": 0}, "n_epochs: Input should be greater than or equal to 1, got 0"),
        ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1, got 0"),
        ({"lr": float("inf")}, "lr: Input should be a finite number, got inf"),
        ({"evaluation_freq": 0.0}, "evaluation_freq: Input should be greater than 0, got 0"),
        ({"balance_classes": ["shap"]}, "balance_classes: there is no task 'shap', did you mean 'shape'?"),
        (
            {"class_weights": {"shape": [1.0, 2.0]}},
            "class_weights of task 'shape' must be 3 numbers, got [1.0, 2",
        ),
        (
            {"checkpoint_metric": "shape/gold/valid/acuracy:max"},
            "there is no metric 'shape/gold/valid/acuracy', did you mean 'shape/gold/valid/accuracy'?",
        ),
        (
            {"early_stopping_metric": "model/all/valid/loss"},
            "early_stopping_metric: must be of the form 'task/dataset/split/metric:mode', mode max or min",
        ),
        (
            {"warmup_steps": 4.0, "warmup_unit": "epochs"},
            "warmup_steps is 4 epochs, but the training has n_epochs = 3; lower warmup_steps, or raise",
        ),
        (
            {"checkpoint_runway": 3.5},
            "checkpoint_runway is 3.5 epochs, but the training has n_epochs = 3; lower checkpoint_runway",
        ),
    ],
)
def test_settings_of_the_end_model_are_refused(definitions, instance, values, message):
    found = refusal(definitions, instance, asset_config("multitask_classifier", **values))
    assert END_MODEL in found
    assert message in found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": 0.0}, "lr: Input should be greater than 0, got 0.0"),
        ({"mu_eps": 0.5}, "mu_eps: Input should be less than 0.5, got 0.5"),
        ({"prec_init": [1.5]}, "prec_init: must be precisions in (0, 1], got 1.5"),
        ({"prec_init": [0.7, 0.0]}, "prec_init: must be precisions in (0, 1], got [0.7, 0.0]"),
        ({"prec_init": []}, "prec_init: must be precisions in (0, 1], got []"),
        ({"warmup_steps": 200.0}, "warmup_steps=200 batches is 200 steps, more than the 100 steps"),
    ],
)
def test_settings_of_a_label_model_are_refused(definitions, instance, values, message):
    found = refusal(definitions, instance, asset_config("shape__label_model", **values))
    assert LABEL_MODEL + message in found


@pytest.mark.parametrize(
    ("resource", "values", "message"),
    [
        (
            "device",
            {"name": "gpu"},
            "run config of ComputeDevice: name: unknown device 'gpu', expected auto, cpu, cuda,",
        ),
        (
            "checkpoints",
            {"base_path": "s4://bucket"},
            "run config of Checkpoints: base_path: 's4://bucket' begins with an unknown scheme 's4', did you",
        ),
    ],
)
def test_fields_of_resources_are_refused(definitions, instance, resource, values, message):
    assert message in refusal(definitions, instance, resource_config(resource, **values))


@pytest.mark.parametrize("manager", ["io_manager", "model_io_manager"])
def test_a_folder_without_a_file_system_is_refused_before_the_first_asset(ingested, instance, manager):
    config = resource_config(manager, base_path="s4://bucket")
    result = ingested.resolve_job_def("retrain").execute_in_process(
        instance=instance, run_config=config, raise_on_error=False
    )
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_start]
    assert "'s4://bucket' begins with an unknown scheme 's4'" in told(result)


def test_a_device_that_is_not_there_is_refused_before_the_first_asset(ingested, instance, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    job, config = ingested.resolve_job_def("retrain"), resource_config("device", name="cuda:3")
    result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    assert not [event for event in result.all_events if event.is_step_start]
    assert "device 'cuda:3' is not available, available: cpu" in told(result)
    with pytest.raises(dg.DagsterResourceFunctionError) as failed:
        job.execute_in_process(instance=instance, run_config=config)
    assert isinstance(failed.value.user_exception, DeviceError)


def told(result):
    """What the log of a run says about its failure outside of any step."""
    return "".join(
        str(event.job_failure_data.error.to_string()) for event in result.all_events if event.is_job_failure
    )


def test_what_is_in_a_part_of_the_pipeline_is_refused_there_too(definitions, instance):
    found = refusal(
        definitions,
        instance,
        asset_config("multitask_classifier", lr=-1.0),
        asset_selection=[dg.AssetKey("train_dataset"), dg.AssetKey("multitask_classifier")],
    )
    assert f"{END_MODEL}lr: " in found


def test_every_task_and_every_pipeline_is_refused_by_its_own_name_and_rules(
    pipeline_folder, storage, instance
):
    pipeline_folder.set_label_model(kind="matrix_completion")
    spec = load_spec(pipeline_folder.spec_path)
    binary = spec.tasks["parity"]
    other = spec.model_copy(update={"name": "other", "prefix": "b", "tasks": {"shape": binary}})
    definitions = build_definitions([spec, other], storage=str(storage), device="cpu")
    for op, name in (("shape__label_model", "shape"), ("parity__label_model", "parity")):
        assert f"asset '{name}/label_model': lr:" in refusal(definitions, instance, asset_config(op, lr=-1.0))
    weights = {"class_weights": {"shape": [1.0, 2.0, 3.0]}}
    found = refusal(
        definitions, instance, asset_config("b__multitask_classifier", **weights), job="b_retrain"
    )
    assert "asset 'b/multitask_classifier': class_weights of task 'shape' must be 2 numbers" in found


def test_materialize_refuses_in_the_same_words(pipeline_folder, storage):
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        dg.materialize(
            list(build_pipeline(load_spec(pipeline_folder.spec_path)).assets),
            selection=["multitask_classifier"],
            resources=build_resources(str(storage)),
            run_config=asset_config("multitask_classifier", lr=-1.0),
        )
    assert f"{END_MODEL}lr: Input should be greater than 0, got -1.0" in str(refused.value)


def test_a_good_run_config_is_what_the_models_are_trained_with(ingested, instance):
    config = {
        "ops": {
            "shape__label_model": {"config": {"n_epochs": 7, "prec_init": [0.6]}},
            "multitask_classifier": {"config": {"n_epochs": 2}},
        },
        "resources": {"device": {"config": {"name": "cpu"}}},
    }
    result = ingested.resolve_job_def("retrain").execute_in_process(instance=instance, run_config=config)
    epochs = result.asset_materializations_for_node("shape__label_model")[0].metadata["n_epochs"].value
    history = result.output_for_node("multitask_classifier").history
    assert (epochs, len(history)) == (7, 2)


@pytest.mark.parametrize(
    ("launch", "face"),
    [
        (
            end_model_launch_config(EndModelConfig(lr=0.5), CARDINALITIES, ModelConfig(), asset="a"),
            end_model_run_config(EndModelConfig(lr=0.5)),
        ),
        (
            label_model_launch_config(FitConfig(n_epochs=7), asset="a"),
            label_model_run_config(FitConfig(n_epochs=7)),
        ),
    ],
)
def test_the_launchpad_shows_the_same_as_without_the_check(launch, face):
    def model(config: face) -> None:  # type: ignore[valid-type]
        assert config

    without = dg.asset(model).op.config_schema.as_field()
    assert launch.schema.description == without.description
    assert launch.schema.is_required is without.is_required
    assert launch.schema.default_value == without.default_value
    shown = launch.schema.config_type.fields
    assert shown.keys() == without.config_type.fields.keys()
    for name, field in without.config_type.fields.items():
        assert shown[name].config_type.key == field.config_type.key
        assert shown[name].description == field.description
        assert shown[name].default_value == field.default_value


def test_two_checks_on_the_same_fields_are_two_types():
    def refuse(_values):
        message = "the second"
        raise SettingsError(message)

    fields = {"a": dg.Field(int, default_value=1)}
    first, second = CheckedShape(fields, len, "1"), CheckedShape(fields, refuse, "2")
    assert first.key != second.key
    assert first.post_process({"a": 1}) == {"a": 1}
    with pytest.raises(Exception, match="the second"):
        second.post_process({"a": 1})


LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on LaunchRunSuccess { run { runId } }
  }
}
"""


def selector(job, assets=()):
    return {
        "repositoryLocationName": "ws_pipeline",
        "repositoryName": "__repository__",
        "pipelineName": job,
        "assetSelection": [{"path": [name]} for name in assets],
        "assetCheckSelection": [],
    }


def launch(server, job, run_config, assets=()):
    """What the Launchpad gets for an answer when it launches a run."""
    params = {"selector": selector(job, assets), "runConfigData": json.dumps(run_config), "mode": "default"}
    return server.query(LAUNCH, params=params)["launchPipelineExecution"]


SCHEMA = """
query Schema($selector: PipelineSelector!) {
  runConfigSchemaOrError(selector: $selector) { ... on RunConfigSchema { rootDefaultYaml } }
}
"""


@pytest.mark.slow
def test_the_launchpad_refuses_and_starts_nothing(pipeline_folder, storage, tmp_path, dagster_dev):
    with dagster_dev(pipeline_folder.spec_path, storage, tmp_path / "home") as server:
        shown = server.query(SCHEMA, selector=selector("retrain"))["runConfigSchemaOrError"]
        config = yaml.safe_load(shown["rootDefaultYaml"])
        assert config["ops"]["multitask_classifier"]["config"]["n_epochs"] == 3
        assert config["resources"]["device"]["config"]["name"] == "cpu"
        for job, assets in (("retrain", ()), ("__ASSET_JOB", ("train_dataset", "multitask_classifier"))):
            answer = launch(server, job, asset_config("multitask_classifier", lr=-1.0), assets)
            assert answer["__typename"] == "PythonError"
            assert f"{END_MODEL}lr: Input should be greater than 0, got -1.0" in answer["message"]
        answer = launch(server, "retrain", resource_config("device", name="gpu"))
        assert "ComputeDevice: name: unknown device 'gpu', expected auto" in answer["message"]
        runs = server.query("{ runsOrError { ... on Runs { results { runId } } } }")
        assert runs["runsOrError"]["results"] == []
