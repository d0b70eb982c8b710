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
from ws_pipeline.settings.label_model import FitConfig, LabelModelConfig

_FIXED = ("kind", "use_train_gold", "known_accuracy")  # settings of the file that no run config changes


class LabelModelRunConfig(dg.Config, FitConfig):
    """Settings of the label model's fit."""

    # Dagster has no union of a number and a list; pipeline.yaml takes one value per LF too.
    prec_init: list[float] = Field(
        [0.7], description="Assumed precision of the LFs at the start: one value for all, or one per LF."
    )


class LabelModelKindRunConfig(dg.Config):
    """Settings of the label model's fit."""


class EndModelRunConfig(dg.Config):
    """Settings of the end model's training."""


C = TypeVar("C", bound=dg.Config)


def label_model_launch_config(settings: LabelModelConfig, *, asset: str) -> LaunchConfig[Any]:
    """Run config of a label model, checked at the launch.

    Parameters
    ----------
    settings
        The defaults.
    asset
        Name of the asset, for messages.
    """
    where = f"run config of asset '{asset}'"

    def parse(values: Values) -> LabelModelConfig:
        # what a run config cannot change stays as the file says
        given = {**_fixed(settings), **_one_or_all(values)}
        parsed: LabelModelConfig = parse_settings(type(settings), given, where=where)
        return parsed

    return LaunchConfig(label_model_run_config(settings), parse, known_as(asset, _fixed(settings)))


def end_model_launch_config(
    settings: EndModelConfig, cardinalities: Mapping[str, int], model: ModelConfig, *, asset: str
) -> LaunchConfig[EndModelConfig]:
    """Run config of the end model's training, checked at the launch.

    Parameters
    ----------
    settings
        The defaults.
    cardinalities
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
            check_trainer(parsed, cardinalities, model)
        return parsed

    rules = known_as(asset, dict(cardinalities), model.model_dump(mode="json"))
    return LaunchConfig(end_model_run_config(settings), parse, rules)


def label_model_run_config(settings: LabelModelConfig) -> type[dg.Config]:
    """Run config class whose defaults are ``settings``; the kind of label model is not among them."""
    if not isinstance(settings, FitConfig):
        shown = {name: value for name, value in dict(settings).items() if name not in _FIXED}
        return with_defaults(LabelModelKindRunConfig, shown, known=_fields(type(settings)))
    precisions = settings.prec_init if isinstance(settings.prec_init, list) else [settings.prec_init]
    shown = {name: value for name, value in dict(settings).items() if name not in _FIXED}
    return with_defaults(LabelModelRunConfig, shown | {"prec_init": precisions})


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


def _fixed(settings: LabelModelConfig) -> dict[str, Any]:
    return {name: value for name, value in dict(settings).items() if name in _FIXED}


def _one_or_all(values: Values) -> dict[str, Any]:
    """Values of the fit, with a precision that is given for all LFs as a number."""
    if "prec_init" not in values:
        return dict(values)
    precisions = values["prec_init"]
    return {**values, "prec_init": precisions[0] if len(precisions) == 1 else precisions}
