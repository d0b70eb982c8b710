"""Settings of the label models: those of each fit, and those by which a pipeline chooses one.

Start reading at :data:`LabelModelConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.optimizer import OptimConfig, count_warmup_steps


def _check_accuracies(found: dict[str, float]) -> dict[str, float]:
    """Refuse accuracies that no source can have for sure."""
    for name, accuracy in found.items():
        if not 0 < accuracy < 1:
            message = f"the accuracy of '{name}' must be above 0 and below 1, got {accuracy}"
            raise ValueError(message)
    return found


KnownAccuracy = Annotated[
    dict[str, float],
    AfterValidator(_check_accuracies),
    Field(
        description="Name of an LF to the share of its votes that are right, above 0 and below 1, where that "
        "is known; those of the others are estimated."
    ),
]


ScoreBins = Annotated[
    int,
    Field(
        ge=1,
        le=100,
        description="Bins of the scores of an LF, by quantiles, where its votes have scores; with 1, scores "
        "are not used.",
    ),
]


class AnchoredConfig(Settings):
    """What the fits of label models that gold labels can anchor have in common."""

    gold_weight: float = Field(
        10.0, ge=0, description="Examples without gold that an example with a gold label counts as."
    )
    temperature: bool = Field(
        default=True,
        description="Divide log-odds by a temperature that grows with the votes, so that probabilities are "
        "no surer than they are right.",
    )


class LiftDawidSkeneConfig(AnchoredConfig):
    """Settings of ``LiftDawidSkene.fit``."""

    known_accuracy: KnownAccuracy = Field(default_factory=dict)
    n_bins: ScoreBins = 5


class DawidSkeneConfig(AnchoredConfig):
    """Settings of ``DawidSkene.fit``."""

    max_iter: int = Field(100, ge=1, description="Number of rounds of expectation-maximisation, at most.")
    tol: float = Field(
        1e-4,
        ge=0,
        description="Stop when no entry of a confusion matrix moves by more than this share of the examples.",
    )


class FitConfig(OptimConfig):
    """Settings of ``LabelModel.fit``; one epoch is one step on the whole objective."""

    n_epochs: int = Field(100, ge=1, description="Number of gradient steps.")
    l2: float = Field(0.0, ge=0, description="Weight of ||mu - mu_init||_F^2 in the loss.")
    prec_init: float | list[float] = Field(
        0.7, description="Assumed precision of the LFs' votes at the start: one value, or one per LF."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the scalar that the initial mu is scaled by.")
    log_freq: int = Field(10, ge=1, description="Epochs between two log lines when verbose.")
    mu_eps: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="mu is kept in [mu_eps, 1 - mu_eps]; default min(0.01, 10^-ceil(log10 n)).",
    )
    tol: float | None = Field(
        None,
        ge=0,
        description="Stop when 10 epochs lower the loss by no more than this share of its first value.",
    )
    mu_clamp: Literal["step", "final"] = Field(
        "step", description="Clamp mu after every gradient step, or once after the last one."
    )

    @field_validator("prec_init")
    @classmethod
    def _check_precisions(cls, found: float | list[float]) -> float | list[float]:
        precisions = found if isinstance(found, list) else [found]
        if not precisions or any(not 0 < precision <= 1 for precision in precisions):
            message = f"must be precisions in (0, 1], got {found}"
            raise ValueError(message)
        return found

    @model_validator(mode="after")
    def _check_warm_up(self) -> Self:
        count_warmup_steps(self, n_steps=self.n_epochs)
        return self


class _Anchored(Settings):
    """What a label model of a pipeline's task that uses gold labels may be told besides."""

    use_train_gold: bool = Field(
        default=False,
        description="Use the gold labels of the train split as those of the valid split are used: to anchor "
        "the label model, and to compare it with the plain vote. Those of the test split never are.",
    )


class AutoLabelModelConfig(_Anchored):
    """Take lift_dawid_skene, unless gold labels show that another model, or the plain vote, is better."""

    kind: Literal["auto"] = "auto"
    known_accuracy: KnownAccuracy = Field(default_factory=dict)
    n_bins: ScoreBins = 5


class MajorityVoteConfig(Settings):
    """Publish the plain vote, which uses no gold labels."""

    use_train_gold: ClassVar[bool] = False
    kind: Literal["majority"] = "majority"


class MatrixCompletionConfig(FitConfig):
    """Fit ``LabelModel``, which learns from pairs of votes by matrix completion."""

    use_train_gold: ClassVar[bool] = False
    kind: Literal["matrix_completion"] = "matrix_completion"


class DawidSkeneTaskConfig(DawidSkeneConfig, _Anchored):
    """Fit ``DawidSkene``, the classic model of crowds."""

    kind: Literal["dawid_skene"] = "dawid_skene"


class LiftDawidSkeneTaskConfig(LiftDawidSkeneConfig, _Anchored):
    """Fit ``LiftDawidSkene``, without a choice."""

    kind: Literal["lift_dawid_skene"] = "lift_dawid_skene"


def _kind_of(value: Any) -> str | None:
    """Kind of label model that settings are for; without one, those of a fit are of matrix completion."""
    if not isinstance(value, Mapping):
        return getattr(value, "kind", None)
    of_auto = value.keys() <= AutoLabelModelConfig.model_fields.keys()
    return str(value.get("kind", "auto" if of_auto else "matrix_completion"))


LabelModelConfig = Annotated[
    Annotated[AutoLabelModelConfig, Tag("auto")]
    | Annotated[MajorityVoteConfig, Tag("majority")]
    | Annotated[MatrixCompletionConfig, Tag("matrix_completion")]
    | Annotated[DawidSkeneTaskConfig, Tag("dawid_skene")]
    | Annotated[LiftDawidSkeneTaskConfig, Tag("lift_dawid_skene")],
    Discriminator(_kind_of),
]
"""Settings of a task's label model; ``kind`` tells which.

Settings without a kind are those of matrix completion, which once was the only one; without any settings, the
kind is auto.
"""


def check_label_model(found: Any) -> Any:
    """Read a kind alone as its defaults, and refuse settings whose kind cannot be told.

    Raises
    ------
    ValueError
        No settings, or settings of another kind than matrix completion, which is not named.
    """
    if isinstance(found, str):
        return {"kind": found}
    if isinstance(found, Settings):
        return found
    if not isinstance(found, Mapping):
        message = (
            f"expected a kind, such as auto, or settings with one, such as {{kind: auto}}, got {found!r}"
        )
        raise ValueError(message)  # noqa: TRY004  pydantic lets a TypeError through
    if "kind" in found or found.keys() <= AutoLabelModelConfig.model_fields.keys():
        return found
    kinds = [kind for kind, settings in _KINDS.items() if found.keys() <= settings.model_fields.keys()]
    if kinds:
        message = f"these are settings of {' or '.join(kinds)}; say which, as in {{kind: {kinds[0]}, ...}}"
        raise ValueError(message)
    return found


_KINDS: dict[str, type[Settings]] = {
    "lift_dawid_skene": LiftDawidSkeneTaskConfig,
    "dawid_skene": DawidSkeneTaskConfig,
}
