"""Run config: the settings classes of the library, with a face in the Launchpad.

The fields, their types and their descriptions are those of the library; the defaults shown are those
of the pipeline.yaml, so that an empty run config runs what the file says.
"""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import dagster as dg
from pydantic import BaseModel, Field, create_model

from ws_pipeline.defs.spec.launch_checks import LaunchConfig, Values, known_as, naming
from ws_pipeline.defs.spec.trainer_rules import check_trainer
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.end_model import EndModelConfig, ModelConfig
from ws_pipeline.settings.label_model import FitConfig


class LabelModelRunConfig(dg.Config, FitConfig):
    """Settings of the label model's fit."""

    # Dagster has no union of a number and a list; pipeline.yaml takes one value per LF too.
    prec_init: list[float] = Field(
        [0.7], description="Assumed precision of the LFs at the start: one value for all, or one per LF."
    )


class EndModelRunConfig(dg.Config):
    """Settings of the end model's training."""


C = TypeVar("C", bound=dg.Config)


def label_model_launch_config(settings: FitConfig, *, asset: str) -> LaunchConfig[FitConfig]:
    """Run config of a label model, checked at the launch.

    Parameters
    ----------
    settings
        The defaults.
    asset
        Name of the asset, for messages.
    """
    where = f"run config of asset '{asset}'"

    def parse(values: Values) -> FitConfig:
        return parse_settings(FitConfig, _one_or_all(values), where=where)

    return LaunchConfig(label_model_run_config(settings), parse, known_as(asset))


def end_model_launch_config(
    settings: EndModelConfig, classes: Mapping[str, int], model: ModelConfig, *, asset: str
) -> LaunchConfig[EndModelConfig]:
    """Run config of the end model's training, checked at the launch.

    Parameters
    ----------
    settings
        The defaults.
    classes
        Task name to number of classes k.
    model
        The end model.
    asset
        Name of the asset, for messages.
    """
    where = f"run config of asset '{asset}'"

    def parse(values: Values) -> EndModelConfig:
        parsed = parse_settings(EndModelConfig, values, where=where)
        with naming(where):
            check_trainer(parsed, classes, model)
        return parsed

    rules = known_as(asset, dict(classes), model.model_dump(mode="json"))
    return LaunchConfig(end_model_run_config(settings), parse, rules)


def label_model_run_config(settings: FitConfig) -> type[LabelModelRunConfig]:
    """Run config class whose defaults are ``settings``."""
    precisions = settings.prec_init if isinstance(settings.prec_init, list) else [settings.prec_init]
    return with_defaults(LabelModelRunConfig, dict(settings) | {"prec_init": precisions})


def end_model_run_config(settings: EndModelConfig) -> type[EndModelRunConfig]:
    """Run config class whose defaults are ``settings``."""
    return with_defaults(EndModelRunConfig, dict(settings), known=_fields(EndModelConfig))


def with_defaults(
    config_type: type[C], defaults: dict[str, Any], known: dict[str, Any] | None = None
) -> type[C]:
    """Subclass of ``config_type`` with other defaults; types, ranges and descriptions stay.

    Parameters
    ----------
    config_type
        The class to derive from.
    defaults
        Default of each of its fields.
    known
        Where the fields are taken from.  Default: those of ``config_type``.
    """
    fields: dict[str, Any] = {}
    known = _fields(config_type) if known is None else known
    for name, default in defaults.items():
        field = copy.deepcopy(known[name])
        field.default = default
        fields[name] = (field.annotation, field)
    subclass: type[C] = create_model(
        config_type.__name__, __base__=config_type, __doc__=config_type.__doc__, **fields
    )
    return subclass


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return dict(model.model_fields)


def _one_or_all(values: Values) -> dict[str, Any]:
    """Values of the fit, with a precision that is given for all LFs as a number."""
    precisions = values["prec_init"]
    return {**values, "prec_init": precisions[0] if len(precisions) == 1 else precisions}
