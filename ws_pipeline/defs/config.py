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


#: Settings of the end model's training that the pipeline decides itself, and why.
DECIDED = {
    "checkpointing": "a training always keeps its state, so that an interrupted run can be continued",
    "checkpoint_dir": "the resource 'checkpoints' says where",
    "checkpoint_clear": "a complete training leaves no state behind, else the next run would not train",
    "train_split": "the splits are those of the examples",
    "valid_split": "the splits are those of the examples",
    "test_split": "the splits are those of the examples",
    "progress_bar": "the run's log has a line per epoch",
    "logging": "the history is in the asset's metadata, and the run's log has a line per epoch",
    "log_writer": "see logging",
    "log_dir": "see logging",
    "run_name": "see logging",
}


class EndModelRunConfig(dg.Config):
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
    """Run config class whose defaults are ``settings``, without what the pipeline decides."""
    shown = settings.model_dump(exclude=set(DECIDED))
    return with_defaults(EndModelRunConfig, shown, known=_fields(EndModelConfig))


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
