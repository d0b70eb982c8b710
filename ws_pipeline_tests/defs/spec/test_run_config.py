import dagster as dg
import pytest

from ws_pipeline.defs.spec.run_config import (
    end_model_launch_config,
    end_model_run_config,
    label_model_launch_config,
    label_model_run_config,
)
from ws_pipeline.labeling import FitConfig
from ws_pipeline.settings.end_model import DECIDED, EndModelConfig, ModelConfig
from ws_pipeline.settings.trainer import TrainerConfig

CARDINALITIES = {"spam": 2, "topic": 3}


def test_the_launchpad_shows_the_defaults_of_the_pipeline():
    config = label_model_run_config(FitConfig(n_epochs=7, lr=0.5))
    schema = dg.asset(make_asset(config)).op.config_schema.config_type.fields
    assert schema["n_epochs"].default_value == 7
    assert schema["lr"].default_value == 0.5
    assert schema["optimizer"].default_value == "sgd"
    assert schema["n_epochs"].description == "Number of gradient steps."


def make_asset(config_type):
    def model(config: config_type) -> None:  # type: ignore[valid-type]
        assert config

    return model


def settings_of_a_run(launch, **given):
    """What an asset gets that is materialized with a run config."""
    seen = []

    def model(context: dg.AssetExecutionContext) -> None:
        seen.append(launch.settings(context))

    asset = dg.asset(model, config_schema=launch.schema)
    dg.materialize([asset], run_config={"ops": {"model": {"config": given}}})
    return seen[0]


@pytest.mark.parametrize(
    "settings", [FitConfig(seed=3, prec_init=0.6), FitConfig(prec_init=[0.6, 0.7, 0.8], mu_eps=0.02)]
)
def test_an_empty_run_config_gives_the_settings_of_the_pipeline(settings):
    assert settings_of_a_run(label_model_launch_config(settings, asset="model")) == settings


def test_the_end_models_settings_survive_the_launchpad():
    settings = EndModelConfig(n_epochs=3, batch_size=7, optimizer="adamax", grad_clip=None)
    launch = end_model_launch_config(settings, CARDINALITIES, ModelConfig(), asset="model")
    assert settings_of_a_run(launch) == settings


def test_the_launchpad_hides_what_the_pipeline_decides_and_shows_all_else():
    config = end_model_run_config(EndModelConfig(n_epochs=9))
    fields = dg.asset(make_asset(config)).op.config_schema.config_type.fields
    assert set(fields) == set(EndModelConfig.model_fields)
    assert set(DECIDED) == set(TrainerConfig.model_fields) - set(EndModelConfig.model_fields)
    assert fields["n_epochs"].default_value == 9
    with pytest.raises(dg.DagsterInvalidConfigError, match='unexpected config entry "checkpoint_dir"'):
        dg.materialize(
            [dg.asset(make_asset(config))],
            run_config={"ops": {"model": {"config": {"checkpoint_dir": "elsewhere"}}}},
        )


def test_every_setting_of_the_end_model_passes_through_the_launchpad():
    given = {
        "class_weights": {"spam": [1.0, 2.5]},
        "balance_classes": ["topic"],
        "checkpoint_task_metrics": ["spam/gold/valid/accuracy:max"],
        "early_stopping_metric": "model/all/valid/loss:min",
        "grad_clip": None,
        "evaluation_freq": 0.5,
    }
    launch = end_model_launch_config(EndModelConfig(), CARDINALITIES, ModelConfig(), asset="model")
    assert settings_of_a_run(launch, **given) == EndModelConfig(**given)


def test_run_config_overrides_the_pipeline_and_refuses_typos():
    launch = label_model_launch_config(FitConfig(n_epochs=7), asset="model")
    assert settings_of_a_run(launch, optimizer="adam") == FitConfig(n_epochs=7, optimizer="adam")
    with pytest.raises(dg.DagsterInvalidConfigError, match='unexpected config entry "optimiser"'):
        settings_of_a_run(launch, optimiser="adam")
