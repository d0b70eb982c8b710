"""Settings of the label model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.optimizer import OptimConfig, count_warmup_steps


class LiftDawidSkeneConfig(Settings):
    """Settings of ``LiftDawidSkene.fit``."""

    gold_weight: float = Field(
        10.0, ge=0, description="Examples without gold that an example with a gold label counts as."
    )
    temperature: bool = Field(
        default=True,
        description="Divide log-odds by a temperature that grows with the votes, so that probabilities are "
        "no surer than they are right.",
    )


class DawidSkeneConfig(LiftDawidSkeneConfig):
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
