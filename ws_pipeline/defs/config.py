"""Run config: the settings classes of the library, with a face in the Launchpad.

The fields, their types and their descriptions are those of the library; the defaults shown are those
of the pipeline.yaml, so that an empty run config runs what the file says.
"""

import copy
from typing import Any, TypeVar

import dagster as dg
from pydantic import BaseModel, Field, create_model

from ws_pipeline.classification.settings import EndModelConfig
from ws_pipeline.labeling.matrix_completion import FitConfig


class LabelModelRunConfig(dg.Config, FitConfig):
    """How the label model is fitted."""

    # Dagster has no union of a number and a list; pipeline.yaml takes one value per LF too.
    prec_init: list[float] = Field(
        [0.7], description="Assumed precision of the LFs at the start: one value for all, or one per LF."
    )

    def settings(self) -> FitConfig:
        """Plain settings for the library."""
        values = self.model_dump()
        if len(self.prec_init) == 1:
            values["prec_init"] = self.prec_init[0]
        return FitConfig(**values)


class EndModelRunConfig(dg.Config, EndModelConfig):
    """How the end model is trained."""

    def settings(self) -> EndModelConfig:
        """Plain settings for the library."""
        return EndModelConfig(**self.model_dump())


C = TypeVar("C", bound=dg.Config)


def label_model_run_config(settings: FitConfig) -> type[LabelModelRunConfig]:
    """Run config class whose defaults are ``settings``."""
    precisions = settings.prec_init if isinstance(settings.prec_init, list) else [settings.prec_init]
    return with_defaults(LabelModelRunConfig, settings.model_dump() | {"prec_init": precisions})


def end_model_run_config(settings: EndModelConfig) -> type[EndModelRunConfig]:
    """Run config class whose defaults are ``settings``."""
    return with_defaults(EndModelRunConfig, settings.model_dump())


def with_defaults(config_type: type[C], defaults: dict[str, Any]) -> type[C]:
    """Subclass of ``config_type`` with other defaults; types, ranges and descriptions stay."""
    fields: dict[str, Any] = {}
    known = _fields(config_type)
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
